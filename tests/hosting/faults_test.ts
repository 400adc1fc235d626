import assert from "node:assert/strict";
import { patienceMs } from "../support/deploying.ts";
import { eventually } from "../support/eventually.ts";
import { Hosted, type Outcome } from "../support/hosted.ts";

function failure(outcome: Outcome): Extract<Outcome, { ok: false }> {
  assert.equal(outcome.ok, false, `expected an error, got ${JSON.stringify(outcome)}`);
  return outcome as Extract<Outcome, { ok: false }>;
}

/** It answers again. How soon a runner is replaced, `replica_test.ts` tells: a machine may take long to start one. */
async function isBack(hosted: Hosted): Promise<void> {
  assert.equal(await hosted.value("set/echo", 1, { timeoutMs: patienceMs }), 1);
}

const waiting = `export async function wait(_, ctx) {
  console.log("attempt " + ctx.attempt + " in process " + Deno.pid);
  await new Promise((done) => setTimeout(done, 20_000));
}`;
const echo = "export function echo(input) { return input; }\n";

Deno.test("an endless loop costs its own request, at its deadline, and what waited behind it is run elsewhere", async () => {
  await using hosted = await Hosted.ready({ "m.js": echo + "export function loop() { for (;;); }" });
  const loop = hosted.invoke("set/loop", null, { timeoutMs: 1000 });
  const behind = [1, 2, 3].map((n) => hosted.value("set/echo", n, { timeoutMs: patienceMs }));
  assert.deepEqual(await Promise.all(behind), [1, 2, 3]);
  const outcome = failure(await loop);
  assert.equal(outcome.code, "deadline_exceeded");
  assert.equal(outcome.details.started, true);
  await isBack(hosted);
});

Deno.test("with one core, what waits behind an endless loop runs once its runner is replaced", async () => {
  await using hosted = await Hosted.ready({ "m.js": echo + "export function loop() { for (;;); }" }, {}, {
    cores: 1,
  });
  const loop = hosted.invoke("set/loop", null, { timeoutMs: 300 });
  const behind = [1, 2, 3].map((n) => hosted.value("set/echo", n, { timeoutMs: patienceMs }));
  assert.equal(failure(await loop).code, "deadline_exceeded");
  assert.deepEqual(await Promise.all(behind), [1, 2, 3]);
  await eventually("the restart is counted", () => hosted.hosting.samples()[0].restarts === 1);
});

Deno.test("a request that waits behind a loop past its own deadline is said not to have started", async () => {
  await using hosted = await Hosted.ready({ "m.js": echo + "export function loop() { for (;;); }" }, {}, {
    cores: 1,
  });
  const loop = hosted.invoke("set/loop", null, { timeoutMs: 1000 });
  const outcome = failure(await hosted.invoke("set/echo", 1, { timeoutMs: 300 }));
  assert.equal(outcome.code, "deadline_exceeded");
  assert.equal(outcome.details.mayHaveRun, "no");
  await loop;
});

for (
  const [name, statement] of [
    ["process.exit", "globalThis.process.exit(3)"],
    ["Deno.exit", "Deno.exit(3)"],
    ["self.close", "self.close()"],
  ]
) {
  Deno.test(`${name}() fails its own request and no other`, async () => {
    await using hosted = await Hosted.ready({
      "m.js": echo + `import process from "node:process"; globalThis.process = process;
        export function leave() { ${statement}; }
        export async function slow() { await new Promise((done) => setTimeout(done, 200)); return "done"; }`,
    });
    const slow = hosted.value("set/slow");
    const outcome = failure(await hosted.invoke("set/leave"));
    assert.equal(outcome.code, "module_failed");
    assert.match(outcome.message, new RegExp(`${name} is not available in a module`));
    assert.equal(await slow, "done");
    assert.equal(hosted.hosting.samples()[0].restarts, 0);
  });
}

Deno.test("a runner that is killed from outside costs its own request and is replaced", async () => {
  await using hosted = await Hosted.ready({ "m.js": echo + waiting });
  const wait = hosted.invoke("set/wait");
  await eventually("the request runs", () => hosted.logs.length > 0);
  killRunner(hosted);
  const outcome = failure(await wait);
  assert.equal(outcome.code, "module_failed");
  assert.match(outcome.message, /was ended by SIGKILL while it ran this request/);
  await isBack(hosted);
  assert.equal(hosted.hosting.reports()[0].state, "ready");
});

Deno.test("an idempotent request whose runner is lost is left to the manager to run again", async () => {
  await using hosted = await Hosted.ready({ "m.js": echo + waiting });
  const wait = hosted.invoke("set/wait", null, { idempotent: true });
  await eventually("the request runs", () => hosted.logs.length > 0);
  killRunner(hosted);
  const outcome = failure(await wait);
  assert.deepEqual([outcome.code, outcome.details.mayHaveRun], ["agent_lost", "maybe"]);
  await isBack(hosted);
  assert.equal(hosted.logs.filter((line) => line.text.startsWith("attempt ")).length, 1);
});

Deno.test("several requests in a lost runner are agent_lost, maybe run", async () => {
  // With more cores, what a slow machine's runner has not begun goes to another one.
  await using hosted = await Hosted.ready({ "m.js": echo + waiting }, {}, { cores: 1 });
  const calls = [hosted.invoke("set/wait"), hosted.invoke("set/wait")];
  await eventually("both run", () => hosted.logs.length === 2);
  killRunner(hosted);
  for (const outcome of await Promise.all(calls)) {
    assert.equal(failure(outcome).code, "agent_lost");
    assert.equal(failure(outcome).details.mayHaveRun, "maybe");
  }
});

Deno.test("a module that takes more memory than memoryMb is ended, buffers included", async () => {
  await using hosted = await Hosted.ready({
    "m.js": echo + `const kept = [];
      export async function leak() {
        for (;;) { kept.push(new Uint8Array(4 << 20).fill(1)); await new Promise((done) => setTimeout(done, 1)); }
      }`,
  }, { memoryMb: 64 });
  const outcome = failure(await hosted.invoke("set/leak", null, { timeoutMs: patienceMs }));
  assert.equal(outcome.code, "module_failed");
  assert.match(outcome.message, /used \d+ MB of memory, memoryMb is 64/);
  await isBack(hosted);
});

Deno.test("a leak that never gives the event loop a turn is ended too", async () => {
  await using hosted = await Hosted.ready({
    "m.js": echo +
      "export function leak() { const kept = []; for (;;) kept.push(new Array(1000).fill(kept.length)); }",
  }, { memoryMb: 64 });
  const leak = hosted.invoke("set/leak", null, { timeoutMs: patienceMs });
  const behind = hosted.value("set/echo", 7, { timeoutMs: patienceMs });
  assert.match(failure(await leak).message, /memory/);
  assert.equal(await behind, 7);
  await isBack(hosted);
});

Deno.test("an uncaught rejection and an uncaught exception in the background cost nothing and are logged", async () => {
  await using hosted = await Hosted.ready({
    "m.js": echo + `export function stray() {
      Promise.reject(new Error("lost promise"));
      setTimeout(() => { throw new Error("lost throw"); }, 1);
      return "fine";
    }`,
  });
  assert.equal(await hosted.value("set/stray"), "fine");
  for (const what of ["lost promise", "lost throw"]) {
    await eventually(
      what,
      () => hosted.logs.some((line) => line.text.includes(what) && line.level === "error"),
    );
  }
  await isBack(hosted);
  assert.equal(hosted.hosting.samples()[0].restarts, 0);
});

Deno.test("a throwing function is module_failed with the user's own file names and lines", async () => {
  await using hosted = await Hosted.ready({
    "m.js": `import { inner } from "./lib/deep.js";\n\nexport function outer() {\n  inner();\n}`,
    "lib/deep.js": `export function inner() {\n  throw new TypeError("no such colour");\n}`,
  });
  const outcome = failure(await hosted.invoke("set/outer"));
  assert.equal(outcome.code, "module_failed");
  assert.equal(outcome.message, "no such colour");
  assert.equal(outcome.details.name, "TypeError");
  assert.deepEqual(String(outcome.details.stack).split("\n"), [
    "at inner (modules/lib/deep.ts:2:9)",
    "at outer (modules/m.ts:4:3)",
  ]);
  assert.ok(!JSON.stringify(outcome).includes(hosted.folder));
});

Deno.test("a runner dies with its agent, also when that is killed", async () => {
  const entry = new URL("../support/doomed_agent.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", entry],
    stdout: "piped",
    stdin: "null",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value } = await reader.read();
  const pid = Number(value);
  assert.ok(pid > 0);
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
  await eventually("the runner is gone", () => !isAlive(pid));
});

/** Kills the runner that the newest log line came from; other tests run beside this one and have runners too. */
function killRunner(hosted: Hosted): void {
  Deno.kill(Number(/\d+$/.exec(hosted.logs.at(-1)!.text)![0]), "SIGKILL");
}

function isAlive(pid: number): boolean {
  try {
    return !Deno.readTextFileSync(`/proc/${pid}/status`).includes("State:\tZ");
  } catch {
    return false;
  }
}
