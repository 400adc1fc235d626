/**
 * Hosting and its runner in one program, to be compiled: checks in a real binary what works differently there.
 * Prints `ok NAME` or `FAILED NAME …` for each check and exits 1 when any failed.
 */
import assert from "node:assert/strict";
import { runnerMain } from "../../lib/hosting/runner.ts";
import { Hosted } from "./hosted.ts";

if (Deno.args[0] === "runner") await runnerMain();

const modules = {
  "m.js": `import { shout } from "./lib/shout.js"; import { readFileSync } from "node:fs";
    export function hello(input) { return shout("hello " + input); }
    export async function* count(n) { for (let i = 0; i < n; i++) yield i; }
    export function spin() { for (;;); }
    export function fails() {\n throw new Error("as told"); }
    export function read(path) { return readFileSync(path, "utf8"); }
    export function deno(path) { return Deno.readTextFileSync(path); }
    export async function load(path) { return Object.keys(await import(path)); }
    export async function net(url) { return (await fetch(url)).status; }
    export function leave() { Deno.exit(3); }
    export async function leak() { const kept = []; for (;;) { kept.push(new Uint8Array(4 << 20).fill(1)); await new Promise((d) => setTimeout(d, 1)); } }
`,
  "lib/shout.js": "export function shout(text) { return text.toUpperCase(); }",
  "kinds.wasm": await Deno.readFile(Deno.args[0]),
};

let failed = 0;
async function check(name: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
    console.log(`ok ${name}`);
  } catch (thrown) {
    failed++;
    console.log(`FAILED ${name}: ${thrown}`);
  }
}

const hosted = await Hosted.ready(modules, { memoryMb: 64 });
// Readable by everyone: only the Worker's permissions stand between it and a module.
const open = `${hosted.folder}/open.mjs`;
await Deno.writeTextFile(open, "export const open = 1;");
await Deno.chmod(hosted.folder, 0o755);
// The agent's own: under root the runners' user is what keeps a module out.
const secret = `${hosted.folder}/identity.mjs`;
await Deno.writeTextFile(secret, "export const secret = 1;");
await Deno.chmod(secret, 0o600);

async function refused(endpoint: string, input: unknown, says: RegExp): Promise<void> {
  const outcome = await hosted.invoke(endpoint, input);
  assert.ok(!outcome.ok, `${endpoint} gave ${JSON.stringify(outcome)}`);
  assert.match(outcome.message, says);
}

await check(
  "a request and its reply",
  async () => assert.equal(await hosted.value("set/hello", "pi"), "HELLO PI"),
);
await check("a stream", async () => {
  assert.deepEqual((await hosted.invoke("set/count", 3, { stream: true })).parts, [0, 1, 2]);
});
await check("a plug-in", async () => {
  const reply = await hosted.value("set/reverse", new TextEncoder().encode("abc"));
  assert.equal(new TextDecoder().decode(reply as Uint8Array), "cba");
});
await check("lines of a stack", async () => {
  const outcome = await hosted.invoke("set/fails");
  assert.ok(!outcome.ok);
  assert.match(String(outcome.details.stack), /^at fails \(modules\/m\.ts:6:8\)/);
});
await check("read permission", () => refused("set/read", open, /permissions\.read/));
await check("read permission of Deno", () => refused("set/deno", secret, /permissions\.read/));
await check("net permission", () => refused("set/net", "http://127.0.0.1:65123/", /permissions\.net/));
await check("an exit", () => refused("set/leave", null, /Deno\.exit is not available/));
if (Deno.uid() === 0) {
  await check("the wall around the agent's files", () => refused("set/load", secret, /denied|access/i));
  // From source it depends on where Deno and its cache lie.
  if (Deno.build.standalone) await check("another user", async () => assert.equal(await runnerUid(), 65534));
}
await check("an endless loop", async () => {
  const outcome = await hosted.invoke("set/spin", null, { timeoutMs: 300 });
  assert.ok(!outcome.ok && outcome.code === "deadline_exceeded");
  assert.equal(await hosted.value("set/hello", "you"), "HELLO YOU");
});
await check("the memory limit", async () => {
  await refused("set/leak", null, /memoryMb is 64/);
  const startedAtMs = performance.now();
  assert.equal(await hosted.value("set/hello", "you"), "HELLO YOU");
  assert.ok(performance.now() - startedAtMs < 1000);
});
await hosted[Symbol.asyncDispose]();
Deno.exit(failed === 0 ? 0 : 1);

async function runnerUid(): Promise<number> {
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const status = await Deno.readTextFile(`/proc/${name}/status`);
    if (new RegExp(`^PPid:\\s+${Deno.pid}$`, "m").test(status)) {
      return Number(/^Uid:\s+(\d+)/m.exec(status)![1]);
    }
  }
  throw new Error("no runner is running");
}
