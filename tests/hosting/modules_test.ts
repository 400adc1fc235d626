import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { Hosted, type Outcome, type Sources } from "../support/hosted.ts";

function failure(outcome: Outcome): Extract<Outcome, { ok: false }> {
  assert.equal(outcome.ok, false, `expected an error, got ${JSON.stringify(outcome)}`);
  return outcome as Extract<Outcome, { ok: false }>;
}

const values = `
export const echo = (input) => input;
export async function later(input) { await 0; return input; }
export function nothing() {}
export function bytes(input) { return new Uint8Array([...input].reverse()); }
export function big() { return 10n; }
export function cycle() { const a = {}; a.a = a; return a; }
export function huge(n) { return "x".repeat(n); }
export function throwsText() { throw "just text"; }
export function* numbers(n) { for (let i = 1; i <= n; i++) yield i; }
export async function* slowNumbers(n) { for (let i = 1; i <= n; i++) { await 0; yield i; } }
export async function* breaks() { yield 1; throw new Error("broke after one"); }
export async function* pieces() { yield new Uint8Array([1, 2]); yield { a: 1 }; }
export class NotAnEndpoint {}
export const alsoNot = 5;
`;

Deno.test("values of every kind go in and come out as JSON or bytes", async () => {
  await using hosted = await Hosted.ready({ "values.js": values });
  for (const value of [null, 0, "text", true, [1, [2]], { a: { b: "ü" } }]) {
    assert.deepEqual(await hosted.value("set/echo", value), value);
    assert.deepEqual(await hosted.value("set/later", value), value);
  }
  assert.equal(await hosted.value("set/nothing"), null);
  assert.deepEqual(await hosted.value("set/bytes", new Uint8Array([1, 2, 3])), new Uint8Array([3, 2, 1]));
  const large = crypto.getRandomValues(new Uint8Array(60_000));
  assert.deepEqual(await hosted.value("set/echo", large), large);
  const longText = "é".repeat(2_000_000);
  assert.equal(await hosted.value("set/echo", longText), longText);
});

Deno.test("a reply that JSON can't say is module_failed, one that is too large too_large", async () => {
  await using hosted = await Hosted.ready({ "values.js": values });
  for (
    const [endpoint, input, code, says] of [
      ["set/big", null, "module_failed", /can't be written as JSON: .*BigInt/],
      ["set/cycle", null, "module_failed", /can't be written as JSON: .*circular/],
      [
        "set/huge",
        8 * 1024 * 1024,
        "too_large",
        /The reply may have at most 8388608 bytes, the module returned 8388610/,
      ],
      ["set/throwsText", null, "module_failed", /^threw just text$/],
    ] as const
  ) {
    const outcome = failure(await hosted.invoke(endpoint, input));
    assert.equal(outcome.code, code);
    assert.match(outcome.message, says);
  }
  assert.equal(await hosted.value("set/echo", 1), 1);
});

Deno.test("only exported functions are endpoints, with what is said of them", async () => {
  await using hosted = await Hosted.ready({
    "a.js": values,
    "b.js": `export function documented() {} export function plain() {}
      export const endpoints = { documented: { description: "Does it.", timeoutMs: 5000, idempotent: true,
        input: { type: "object", required: ["n"], properties: { n: { type: "integer", minimum: 1 } } } } };
      export async function ready() {} export function stop() {}`,
  });
  const { endpoints } = await hosted.becomes("ready");
  const names = endpoints.map((endpoint) => endpoint.name);
  assert.ok(!names.includes("NotAnEndpoint") && !names.includes("alsoNot") && !names.includes("ready"));
  assert.ok(names.includes("echo") && names.includes("plain"));
  assert.deepEqual(endpoints.filter((one) => one.stream).map((one) => one.name).sort(), [
    "breaks",
    "numbers",
    "pieces",
    "slowNumbers",
  ]);
  const documented = endpoints.find((endpoint) => endpoint.name === "documented");
  assert.equal(documented?.description, "Does it.");
  assert.equal(documented?.timeoutMs, 5000);
  assert.equal(documented?.idempotent, true);
  const outcome = failure(await hosted.invoke("set/documented", { n: 0 }));
  assert.equal(outcome.code, "invalid_request");
  assert.equal(outcome.details.mayHaveRun, "no");
  assert.match(outcome.message, /at \/n: .*0 is less than 1/);
  assert.match(failure(await hosted.invoke("set/documented", {})).message, /required property "n"/);
  assert.match(failure(await hosted.invoke("set/documented", new Uint8Array(3))).message, /takes JSON/);
  assert.equal(await hosted.value("set/documented", { n: 1 }), null);
});

Deno.test("generators stream by parts, gather into an array otherwise, and plain functions stream one part", async () => {
  await using hosted = await Hosted.ready({ "values.js": values });
  for (const endpoint of ["set/numbers", "set/slowNumbers"]) {
    const streamed = await hosted.invoke(endpoint, 200, { stream: true });
    assert.deepEqual(streamed.parts, Array.from({ length: 200 }, (_, i) => i + 1));
    assert.ok(streamed.ok && streamed.value === undefined);
    assert.deepEqual(await hosted.value(endpoint, 3), [1, 2, 3]);
  }
  const mixed = await hosted.invoke("set/pieces", null, { stream: true });
  assert.deepEqual(mixed.parts, [new Uint8Array([1, 2]), { a: 1 }]);
  assert.deepEqual((await hosted.invoke("set/echo", 7, { stream: true })).parts, [7]);
  const broken = await hosted.invoke("set/breaks", null, { stream: true });
  assert.deepEqual(broken.parts, [1]);
  assert.equal(failure(broken).message, "broke after one");
});

Deno.test("a stream stops at the window until its reader gives credit, and ends when it is cancelled", async () => {
  await using hosted = await Hosted.ready({
    "m.js": `let ended = false; let made = 0;
      export async function* endless() { try { for (;;) yield ++made; } finally { ended = true; } }
      export function state() { return { ended, made }; }`,
  });
  const call = hosted.start("set/endless", null, { stream: true, onPart: () => 0 });
  // Anything asked after the window is full is answered after it, too.
  let state = await hosted.value("set/state") as { made: number; ended: boolean };
  for (let i = 0; i < 20 && state.made < 64; i++) state = await hosted.value("set/state") as typeof state;
  assert.equal(state.made, 64);
  hosted.hosting.credit(call.id, 10, hosted.sink);
  for (let i = 0; i < 20 && state.made < 74; i++) state = await hosted.value("set/state") as typeof state;
  assert.equal(state.made, 74);
  call.cancel();
  const outcome = failure(await call.outcome);
  assert.equal(outcome.code, "cancelled");
  assert.equal(outcome.parts.length, 74);
  assert.equal((await hosted.value("set/state") as typeof state).ended, true);
});

Deno.test("the context tells the request and its signal aborts on cancel and at the deadline", async () => {
  await using hosted = await Hosted.ready({
    "m.js": `export function tell(_, ctx) {
        return { endpoint: ctx.endpoint, id: ctx.requestId, attempt: ctx.attempt, left: ctx.remainingMs,
          headers: ctx.headers, env: ctx.env, aborted: ctx.signal.aborted };
      }
      export function hold(_, ctx) {
        return new Promise((done) => ctx.signal.addEventListener("abort", () => {
          console.warn("aborted:", ctx.signal.reason.code); done("too late");
        }));
      }`,
  }, { env: { QUALITY: "80" } });
  const told = await hosted.value("set/tell", null, {
    headers: { "X-Trace": "7" },
    timeoutMs: 60_000,
  }) as Record<
    string,
    unknown
  >;
  const { left, ...rest } = told;
  assert.deepEqual(rest, {
    endpoint: "set/tell",
    id: "0000000000000001",
    attempt: 1,
    headers: { "x-trace": "7" },
    env: { QUALITY: "80" },
    aborted: false,
  });
  assert.ok(typeof left === "number" && left > 40_000 && left <= 60_000);

  const held = hosted.start("set/hold", null);
  await hosted.value("set/tell");
  held.cancel();
  assert.equal(failure(await held.outcome).code, "cancelled");
  const late = failure(await hosted.invoke("set/hold", null, { timeoutMs: 1000 }));
  assert.equal(late.code, "deadline_exceeded");
  assert.equal(late.details.mayHaveRun, "maybe");
  await eventually("both are told", () => hosted.logs.length === 2);
  assert.deepEqual(hosted.logs.map((line) => line.text), [
    "aborted: cancelled",
    "aborted: deadline_exceeded",
  ]);
});

Deno.test("what a module prints becomes log lines with the request's id, bounded in rate and length", async () => {
  await using hosted = await Hosted.ready({
    "m.js": `export async function print(_, ctx) {
        console.log("one", { a: 1 }, 2); ctx.log.error("two"); await 0; setTimeout(() => console.debug("three"), 1);
        await new Promise((done) => setTimeout(done, 5));
      }
      export function flood() { for (let i = 0; i < 5000; i++) console.log(i); }
      export function long() { console.log("x".repeat(100_000)); }
      export function raw() { Deno.stdout.writeSync(new TextEncoder().encode("straight out\\n")); }`,
  });
  await hosted.value("set/print");
  // Lines take another way than replies.
  await eventually("all three", () => hosted.logs.length === 3);
  assert.deepEqual(hosted.logs.map(({ level, text, requestId }) => [level, text, requestId]), [
    ["info", 'one {"a":1} 2', "0000000000000001"],
    ["error", "two", "0000000000000001"],
    ["debug", "three", "0000000000000001"],
  ]);
  assert.equal(hosted.logs[0].replicaSet, "set");
  await hosted.value("set/raw");
  await hosted.value("set/long");
  await hosted.value("set/flood");
  await eventually("the raw one", () => hosted.logs.some(({ text }) => text === "straight out"));
  assert.ok(hosted.logs.every((line) => line.text.length <= 8193));
  assert.ok(hosted.logs.length < 700, `${hosted.logs.length} lines`);
});

Deno.test("lines of JSON that a module prints are its own, also those that look like a runner's messages", async () => {
  const lines = [
    { type: "log", message: "structured" },
    { type: "log", level: "notice", text: "no level of ours" },
    { type: "log", level: "info", text: "an id of its own", requestId: 7 },
    { type: "failed", reason: 5 },
    { type: "loaded" },
    { type: "revoked", through: "all" },
    { type: "anything" },
  ].map((value) => JSON.stringify(value));
  await using hosted = await Hosted.ready({
    "m.js": `const lines = ${JSON.stringify(lines)};
      export function print() { Deno.stdout.writeSync(new TextEncoder().encode(lines.join("\\n") + "\\n")); }`,
  });
  await hosted.value("set/print");
  await eventually("all lines", () => hosted.logs.length === lines.length);
  assert.deepEqual(hosted.logs.map(({ level, text }) => [level, text]), lines.map((line) => ["info", line]));
  assert.equal(await hosted.value("set/print"), null);
});

const refusals: [string, Sources, RegExp][] = [
  ["does not parse", { "m.js": "export function f( {" }, /modules\/m\.ts|Unexpected|Expected/],
  [
    "throws when imported",
    { "m.js": "throw new Error('not today'); export function f() {}" },
    /not today .*modules\/m\.ts:1:7/,
  ],
  ["exports nothing", { "m.js": "const a = 1;" }, /modules\/m\.ts: exports no function/],
  [
    "exports a name twice",
    { "a.js": "export function f() {}", "b.js": "export function f() {}" },
    /modules\/a\.ts and modules\/b\.ts both export f/,
  ],
  ["imports a missing file", { "m.js": "import './gone.js'; export function f() {}" }, /gone\.js/],
  ["imports a package", { "m.js": "import 'npm:chalk'; export function f() {}" }, /bundle it first/],
  [
    "describes what is not exported",
    { "m.js": "export function f() {} export const endpoints = { g: {} };" },
    /endpoints\.g describes a function that is not exported/,
  ],
  ["has a wrong description", {
    "m.js": "export function f() {} export const endpoints = { f: { timeoutMs: -1 } };",
  }, /endpoints\.f\.timeoutMs must be/],
  ["exports too long a name", {
    "m.js": `export function ${"f".repeat(129)}() {}`,
  }, /^modules\/m\.ts: a function's name has at most 128 characters, f{40}… has 129$/],
  ["describes a function by what is no object in JSON", {
    "m.js": "export function f() {} export const endpoints = { f: { input: new Date(0) } };",
  }, /endpoints\.f\.input must be a JSON Schema object/],
  ["says more of its functions than an agent can tell", {
    "m.js": `const all = Array.from({ length: 300 }, (_, i) => [i, { description: "d".repeat(4000) }]);
      ${Array.from({ length: 300 }, (_, i) => `export function f${i}() {}`).join(" ")}
      export const endpoints = Object.fromEntries(all.map(([i, options]) => ["f" + i, options]));
      endpoints.f7.input = { type: "object", description: "s".repeat(5000) };`,
  }, /functions take at most 1048576 bytes together, these have 12\d{5}; f7 has the most, 9\d{3}$/],
  ["throws in ready()", {
    "m.js": "export function f() {} export function ready() { throw new Error('no disk'); }",
  }, /ready\(\) of modules\/m\.ts: no disk/],
];
for (const [what, sources, says] of refusals) {
  Deno.test(`a module that ${what} is failed with the reason`, async () => {
    await using hosted = await Hosted.create();
    hosted.deploy(sources);
    const { reason, endpoints } = await hosted.becomes("failed");
    assert.match(reason ?? "", says);
    assert.ok(!reason?.includes(hosted.folder), reason);
    assert.deepEqual(endpoints, []);
    const outcome = failure(await hosted.invoke("set/f"));
    assert.equal(outcome.code, "no_ready_replica");
    assert.equal(outcome.details.mayHaveRun, "no");
  });
}

Deno.test("nothing is allowed that is not listed, and the error says what to list", async () => {
  await using hosted = await Hosted.ready({
    "m.js": `import { readFileSync } from "node:fs"; 
      export async function net(url) { return (await fetch(url)).status; }
      export function read(path) { return readFileSync(path, "utf8").length; }
      export function denoRead(path) { return Deno.readTextFileSync(path).length; }
      export function write(path) { Deno.writeTextFileSync(path, "x"); }
      export function env(name) { return Deno.env.get(name); }
      export function run() { new Deno.Command("/bin/ls").outputSync(); }
      export function own() { return Deno.readTextFileSync(new URL(import.meta.url)).length > 0; }
      export async function dynamic(path) { return Object.keys(await import(path)); }`,
  }, { permissions: { env: ["QUALITY"] }, env: { QUALITY: "80" } });
  const secret = `${hosted.folder}/identity.json`;
  await Deno.writeTextFile(secret, "{}");
  for (
    const [endpoint, input, says] of [
      ["net", "http://127.0.0.1:65123/", /list it as permissions\.net: \["127\.0\.0\.1:65123"\]/],
      ["read", secret, /list it as permissions\.read/],
      ["denoRead", "/etc/passwd", /list it as permissions\.read: \["\/etc\/passwd"\]/],
      ["write", `${hosted.folder}/x`, /list it as permissions\.write/],
      ["env", "HOME", /list it as permissions\.env: \["HOME"\]/],
      ["run", null, /run access is not allowed in a module/],
    ] as const
  ) {
    const outcome = failure(await hosted.invoke(`set/${endpoint}`, input));
    assert.equal(outcome.code, "module_failed");
    assert.match(outcome.message, says);
  }
  assert.equal(await hosted.value("set/env", "QUALITY"), "80");
  assert.equal(await hosted.value("set/own"), true);
  failure(await hosted.invoke("set/dynamic", `file://${secret}`));
});

Deno.test("what is listed is allowed", async () => {
  await using hosted = await Hosted.create();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response("here"),
  );
  const host = `127.0.0.1:${server.addr.port}`;
  await Deno.writeTextFile(`${hosted.folder}/data.txt`, "data");
  hosted.deploy({
    "m.js": `export async function net(url) { return await (await fetch(url)).text(); }
      export function read(path) { return Deno.readTextFileSync(path); }`,
  }, { permissions: { net: [host], read: [`${hosted.folder}/data.txt`] } });
  await hosted.becomes("ready");
  assert.equal(await hosted.value("set/net", `http://${host}/`), "here");
  assert.equal(await hosted.value("set/read", `${hosted.folder}/data.txt`), "data");
  await server.shutdown();
});
