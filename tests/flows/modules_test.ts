import assert from "node:assert/strict";
import type { Sqwish } from "../../client.ts";
import type { ReplicaView } from "../../lib/protocol/views.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { deployed, overviewOf, patienceMs, setOf } from "../support/deploying.ts";
import { eventually } from "../support/eventually.ts";
import { failureOf } from "../support/failures.ts";
import { context, kinds } from "../support/flow_modules.ts";

const wordcount = new URL("../../examples/wordcount/wordcount.wasm", import.meta.url);

interface Line {
  level: string;
  text: string;
  agent: string;
  requestId?: string;
}

async function logsOf(sqwish: Sqwish, name: string): Promise<Line[]> {
  return ((await sqwish.call("GET", `/v1/logs/${name}`)).json as { lines: Line[] }).lines;
}

Deno.test("modules of every kind run in a cluster, and what they do wrong stays theirs", async (t) => {
  const cluster = await startCluster({ agents: 1 });
  try {
    const sqwish = await cluster.connect();
    await t.step("TypeScript, JavaScript and WebAssembly in one set", () => runsEveryKind(cluster, sqwish));
    await deployed(sqwish, "context", context, { env: { QUALITY: "80" } });
    await t.step("the context tells all about a request", () => tellsContext(sqwish));
    await t.step("the signal aborts on cancel and at the deadline", () => aborts(sqwish));
    await t.step("streams wait for their reader and end with it", () => streams(sqwish));
    await t.step("endpoints call each other with codes for what goes wrong", () => calls(sqwish));
    await t.step("options of endpoints count", () => describes(cluster, sqwish));
    await t.step("ready() and stop() are called", () => readyAndStop(cluster, sqwish));
    await t.step("nothing is allowed that is not listed", () => permissions(cluster, sqwish));
    await deployed(sqwish, "faulty", faulty, { memoryMb: 96, concurrency: 8 });
    for (const fault of faults) {
      await t.step(`${fault.what} costs only its own request`, () => costsItsOwn(sqwish, fault));
    }
    await t.step("a lost runner's requests run three times at most", () => runsThreeTimes(sqwish));
    await t.step("endless loops starve neither the keepalive nor other sets", () => staysAlive(sqwish));
  } finally {
    await cluster.close();
  }
});

async function runsEveryKind(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const folder = `${cluster.folder}/kinds`;
  await Deno.mkdir(`${folder}/lib`, { recursive: true });
  for (const [path, text] of Object.entries(kinds)) await Deno.writeTextFile(`${folder}/${path}`, text);
  await Deno.copyFile(wordcount, `${folder}/words.wasm`);
  const done = await cluster.client(["deploy", folder, "--name", "kinds", "--version", "1.0.0"]);
  assert.equal(done.code, 0, done.stderr);
  const painted = { id: 2, word: "green", size: { width: 1, height: 2 } };
  const input = { colour: "Green", size: { width: 2, height: 4 } };
  assert.deepEqual(await sqwish.invoke("kinds/paint", input), painted);
  assert.deepEqual(await sqwish.invoke("kinds/plain", "x"), ["x", "object", true]);
  const bytes = new Uint8Array(3_000_000).map((_, index) => index * 7);
  assert.deepEqual(await sqwish.invoke("kinds/reverse", bytes), bytes.toReversed());
  const counted = await sqwish.invoke("kinds/count", new TextEncoder().encode("three small words\n"));
  assert.match(new TextDecoder().decode(counted as Uint8Array), /3/);
  const { endpoints } = (await setOf(sqwish, "kinds"))!;
  assert.deepEqual(endpoints, ["kinds/count", "kinds/paint", "kinds/plain", "kinds/reverse"]);
  const paint = (await overviewOf(sqwish)).endpoints.find(({ endpoint }) => endpoint === "kinds/paint");
  assert.equal(paint?.description, "Paints in a colour.");
}

async function tellsContext(sqwish: Sqwish): Promise<void> {
  const { value, requestId } = await sqwish.invokeDetailed("context/tell", "hi", {
    headers: { "X-Trace": "7" },
  });
  assert.deepEqual(value, {
    endpoint: "context/tell",
    requestId,
    attempt: 1,
    headers: { "x-trace": "7" },
    env: { QUALITY: "80" },
  });
  assert.match(requestId, /^[0-9a-f]{16}$/);
  const lines = await eventually("its lines are in the log", async () => {
    const own = (await logsOf(sqwish, "context")).filter((line) => line.requestId === requestId);
    return own.length >= 2 ? own : undefined;
  }, patienceMs);
  assert.deepEqual(lines.map(({ level, text, agent }) => [level, text, agent]), [
    ["info", "told hi", "agent-1"],
    ["warn", "as warned", "agent-1"],
  ]);
  const [first, later] = await sqwish.invoke("context/remaining", 120, { timeoutMs: 10_000 }) as number[];
  assert.ok(first <= 10_000 && first > 5000, `${first} ms at first`);
  assert.ok(first - later >= 100, `${first} then ${later} ms`);
}

async function seenIncludes(sqwish: Sqwish, what: string): Promise<void> {
  await eventually(what, async () => {
    return (await sqwish.invoke("context/whatWasSeen") as string[]).includes(what);
  }, patienceMs);
}

async function aborts(sqwish: Sqwish): Promise<void> {
  const giveUp = new AbortController();
  const held = failureOf(sqwish.invoke("context/hold", "one", { signal: giveUp.signal, timeoutMs: 30_000 }));
  await seenIncludes(sqwish, "one holds");
  giveUp.abort();
  assert.equal((await held).code, "cancelled");
  await seenIncludes(sqwish, "one cancelled");
  const late = await failureOf(sqwish.invoke("context/hold", "two"));
  assert.equal(late.code, "deadline_exceeded", "by the endpoint's own timeoutMs");
  assert.equal(late.details.started, true);
  await seenIncludes(sqwish, "two deadline_exceeded");
}

async function streams(sqwish: Sqwish): Promise<void> {
  const all: unknown[] = [];
  for await (const part of sqwish.stream("context/count", { to: 500, name: "whole" })) all.push(part);
  assert.deepEqual(all, Array.from({ length: 500 }, (_, index) => index + 1));
  await seenIncludes(sqwish, "whole made 500");
  assert.deepEqual(await sqwish.invoke("context/count", { to: 3, name: "gathered" }), [1, 2, 3]);
  // Slow: the first few are taken, then nothing for a while, then it is left.
  let taken = 0;
  for await (const part of sqwish.stream("context/count", { to: 1e9, name: "slow" })) {
    assert.equal(part, ++taken);
    if (taken === 10) break;
  }
  const made = await eventually("the generator ended", async () => {
    const seen = await sqwish.invoke("context/whatWasSeen") as string[];
    return seen.find((line) => line.startsWith("slow made "));
  }, patienceMs);
  assert.ok(Number(made.split(" ").at(-1)) < 300, `the reader took 10, the generator ${made}`);
}

async function calls(sqwish: Sqwish): Promise<void> {
  assert.equal(await sqwish.invoke("context/double", 21), 42);
  // Far more than there are slots, and each waits for another of the same set.
  const numbers = Array.from({ length: 60 }, (_, at) => at);
  const doubled = await Promise.all(numbers.map((n) => sqwish.invoke("context/double", n)));
  assert.deepEqual(doubled, numbers.map((n) => 2 * n));
  assert.deepEqual(await sqwish.invoke("context/colour", "Red"), {
    id: 1,
    word: "green",
    size: { width: 1, height: 2 },
  });
  for (
    const [endpoint, code, says] of [
      ["nowhere/at", "not_found", /no replicaSet nowhere|nowhere/],
      ["context/breaks", "module_failed", /too far/],
      ["context/add", "invalid_request", /schema/],
      ["context/hold", "deadline_exceeded", /deadline/i],
    ] as const
  ) {
    const told = await sqwish.invoke("context/failsInside", endpoint) as { code: string; message: string };
    assert.equal(told.code, code);
    assert.match(told.message, says);
  }
  // It has run, so it is module_failed whatever became of what it called.
  const passedOn = await failureOf(sqwish.invoke("context/passesOn", "nowhere/at"));
  assert.equal(passedOn.code, "module_failed");
  assert.equal(passedOn.details.invokeCode, "not_found");
  assert.match(passedOn.message, /nowhere/);
  const error = await failureOf(sqwish.invoke("context/breaks"));
  assert.equal(error.message, "too far");
  assert.match(String(error.details.stack), /at breaks \(context\.ts:\d+:\d+\)/);
}

async function describes(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const error = await failureOf(sqwish.invoke("context/add", { left: "one" }));
  assert.equal(error.code, "invalid_request");
  assert.match(error.message, /input of context\/add .*schema at \/left/);
  const described = await cluster.client(["describe", "endpoint", "context/add"]);
  assert.match(described.stdout, /Adds two numbers/);
  const { endpoints } = await overviewOf(sqwish);
  const add = endpoints.find(({ endpoint }) => endpoint === "context/add")!;
  assert.deepEqual([add.idempotent, add.stream, add.readyReplicas], [true, false, 1]);
  assert.equal(endpoints.find(({ endpoint }) => endpoint === "context/count")?.stream, true);
}

async function readyAndStop(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const living = (word: string) => ({
    "living.ts": `export async function ready() { await 0; console.log("${word} is ready"); }
      export async function stop() { await 0; console.log("${word} stops"); }
      export const word = () => "${word}";`,
  });
  await deployed(sqwish, "living", living("first"));
  await deployed(sqwish, "living", living("second"), { version: "2" });
  const { endpoints } = (await setOf(sqwish, "living"))!;
  assert.deepEqual(endpoints, ["living/word"], "neither is an endpoint");
  await eventually("all three lines are there", async () => {
    const texts = (await logsOf(sqwish, "living")).map((line) => line.text);
    return ["first is ready", "second is ready", "first stops"].every((text) => texts.includes(text));
  }, patienceMs);
  const logged = await cluster.http("/v1/logs/living");
  assert.equal(logged.status, 200);
}

async function permissions(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response("here"));
  const host = `127.0.0.1:${server.addr.port}`;
  const modules = {
    "guarded.ts": `export const get = async (url: string) => await (await fetch(url)).text();
      export const read = (path: string) => Deno.readTextFileSync(path).length;
      export const env = (name: string) => Deno.env.get(name) ?? null;
      export const run = () => new Deno.Command("/bin/true").outputSync().code;
      export const list = (path: string) => [...Deno.readDirSync(path)].length;`,
  };
  try {
    const revision = await deployed(sqwish, "guarded", modules);
    for (
      const [endpoint, input, says] of [
        ["get", `http://${host}/`, new RegExp(`permissions\\.net: \\["${host}"\\]`)],
        ["read", "/etc/hostname", /permissions\.read: \["\/etc\/hostname"\]/],
        ["read", `${cluster.folder}/agent-1/agent.json`, /permissions\.read/],
        ["list", `${cluster.folder}/agent-1`, /permissions\.read/],
        ["env", "HOME", /permissions\.env: \["HOME"\]/],
        ["run", null, /run access is not allowed in a module/],
      ] as const
    ) {
      const error = await failureOf(sqwish.invoke(`guarded/${endpoint}`, input));
      assert.equal(error.code, "module_failed");
      assert.match(error.message, says);
    }
    await deployed(sqwish, "guarded", modules, {
      version: "2",
      permissions: { net: [host], env: ["TONE"] },
      env: { TONE: "a" },
    });
    assert.equal(await sqwish.invoke("guarded/get", `http://${host}/`), "here");
    assert.equal(await sqwish.invoke("guarded/env", "TONE"), "a");
    assert.equal(
      (await failureOf(sqwish.invoke("guarded/get", "http://127.0.0.1:9/"))).code,
      "module_failed",
    );
    assert.ok(revision > 0);
  } finally {
    await server.shutdown();
  }
}

const faulty = {
  "faulty.ts": `import process from "node:process";
    const kept: unknown[] = [];
    export const echo = (input: unknown) => input;
    export async function slow(n: number) { await new Promise((done) => setTimeout(done, 600)); return n; }
    export function loop() { for (;;); }
    export function exitDeno() { Deno.exit(3); }
    export function exitNode() { process.exit(3); }
    export function fails() { throw new Error("on purpose"); }
    export async function leak() {
      for (;;) { kept.push(new Uint8Array(4 << 20).fill(1)); await new Promise((done) => setTimeout(done, 1)); }
    }
    export function rejects() { void Promise.reject(new Error("nobody waits")); return "fine"; }`,
};

interface Fault {
  what: string;
  endpoint: string;
  timeoutMs?: number;
  /** Missing: it succeeds. */
  code?: string | string[];
  says?: RegExp;
  /** Its runner is replaced, which the overview counts. */
  restarts: boolean;
}

const faults: Fault[] = [
  { what: "throwing", endpoint: "fails", code: "module_failed", says: /^on purpose$/, restarts: false },
  { what: "an unhandled rejection", endpoint: "rejects", restarts: false },
  {
    what: "Deno.exit()",
    endpoint: "exitDeno",
    code: "module_failed",
    says: /Deno\.exit is not available in a module/,
    restarts: false,
  },
  {
    what: "process.exit()",
    endpoint: "exitNode",
    code: "module_failed",
    says: /process\.exit is not available in a module/,
    restarts: false,
  },
  {
    what: "an endless loop",
    endpoint: "loop",
    timeoutMs: 1000,
    code: "deadline_exceeded",
    says: /deadline/i,
    restarts: true,
  },
  {
    what: "too much memory",
    endpoint: "leak",
    timeoutMs: 30_000,
    // While others run in the same runner, nobody can say who it was.
    code: ["agent_lost", "module_failed"],
    says: /used \d+ MB of memory, memoryMb is 96/,
    restarts: true,
  },
];

/** Others' requests come while the fault happens; then the replica answers again. */
async function costsItsOwn(sqwish: Sqwish, fault: Fault): Promise<void> {
  const { endpoint, timeoutMs } = fault;
  const replica = async (): Promise<ReplicaView> => (await setOf(sqwish, "faulty"))!.placements[0];
  const restarts = (await replica()).restarts;
  const before = [1, 2].map((n) => sqwish.invoke("faulty/slow", n, { timeoutMs: 20_000, idempotent: true }));
  const faulted = sqwish.invoke(`faulty/${endpoint}`, null, { timeoutMs }).then(
    () => null,
    (thrown) => thrown,
  );
  const behind = [3, 4, 5].map((n) =>
    sqwish.invoke("faulty/echo", n, { timeoutMs: 20_000, idempotent: true })
  );
  const error = await faulted;
  assert.equal(await sqwish.invoke("faulty/echo", "again", { timeoutMs: 20_000 }), "again");
  assert.deepEqual(await Promise.all([...before, ...behind]), [1, 2, 3, 4, 5]);
  assert.ok([fault.code].flat().includes(error?.code), `${error?.code}: ${error?.message}`);
  if (fault.says) assert.match(error.message, fault.says);
  const { state } = await replica();
  assert.equal(state, "ready");
  if (!fault.restarts) return assert.equal((await replica()).restarts, restarts);
  await eventually("the restart is counted", async () => (await replica()).restarts > restarts, patienceMs);
}

/** The request's runner is killed in each of its runs. */
async function runsThreeTimes(sqwish: Sqwish): Promise<void> {
  await deployed(sqwish, "mortal", {
    "m.js": `export async function wait(_, ctx) {
      console.log("attempt " + ctx.attempt + " in process " + Deno.pid);
      await new Promise((done) => setTimeout(done, 60_000));
    }`,
  });
  const failed = failureOf(sqwish.invoke("mortal/wait", null, { idempotent: true, timeoutMs: 40_000 }));
  const runs = async () =>
    (await logsOf(sqwish, "mortal")).flatMap(({ text }) => text.match(/^attempt \d in process \d+$/) ?? []);
  for (const attempt of [1, 2, 3]) {
    const run = await eventually(`run ${attempt}`, async () => (await runs())[attempt - 1], patienceMs);
    assert.match(run, new RegExp(`^attempt ${attempt} `));
    Deno.kill(Number(/\d+$/.exec(run)![0]), "SIGKILL");
  }
  const error = await failed;
  assert.equal(error.code, "agent_lost");
  assert.match(error.message, /The runner was ended by SIGKILL while it ran this request/);
  assert.equal((await runs()).length, 3);
}

/** Longer than a silent agent would be let live. */
async function staysAlive(sqwish: Sqwish): Promise<void> {
  const codes: string[] = [];
  const loops = Promise.all(
    Array.from({ length: 3 }, () => {
      return sqwish.invoke("faulty/loop", null, { timeoutMs: 4500 }).catch((thrown) =>
        codes.push(thrown.code)
      );
    }),
  );
  let sums = 0;
  while (codes.length === 0) {
    assert.equal(
      await sqwish.invoke("context/add", { left: sums, right: 1 }, { timeoutMs: 20_000 }),
      sums + 1,
    );
    sums++;
    const [agent] = (await overviewOf(sqwish)).agents;
    assert.notEqual(agent.health, "lost");
  }
  await loops;
  assert.deepEqual(codes, ["deadline_exceeded", "deadline_exceeded", "deadline_exceeded"]);
  assert.ok(sums > 10, `${sums} sums while the loops ran`);
  assert.equal(await sqwish.invoke("faulty/echo", "back", { timeoutMs: 20_000 }), "back");
}
