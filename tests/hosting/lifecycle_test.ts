import assert from "node:assert/strict";
import { type Clock, createSystemClock } from "../../lib/clock.ts";
import { SqwishError } from "../../lib/errors.ts";
import type { FrameSink } from "../../lib/hosting/host.ts";
import { decodeFrame, encodeFrame, Op } from "../../lib/protocol/frame.ts";
import { eventually } from "../support/eventually.ts";
import { Hosted, type Outcome, specificationOf } from "../support/hosted.ts";

function failure(outcome: Outcome): Extract<Outcome, { ok: false }> {
  assert.equal(outcome.ok, false, `expected an error, got ${JSON.stringify(outcome)}`);
  return outcome as Extract<Outcome, { ok: false }>;
}

const counter = `const bornAtMs = performance.timeOrigin + Math.random();
export function born() { return bornAtMs; }
export async function slow(ms, ctx) {
  console.log("started");
  await new Promise((done, fail) => {
    setTimeout(done, ms); ctx.signal.addEventListener("abort", () => fail(ctx.signal.reason));
  });
  return "done";
}`;

Deno.test("a replica that is desired again under a new handle keeps running, also by a manager that starts over", async () => {
  await using hosted = await Hosted.create();
  const specification = hosted.deploy({ "m.js": counter });
  await hosted.becomes("ready");
  const born = await hosted.value("set/born");
  hosted.hosting.forget(hosted.sink);
  // Keys in another order, as another manager's JSON may have them.
  const { handle: _, ...rest } = specification;
  const again = { ...Object.fromEntries(Object.entries(rest).reverse()), handle: 9 } as typeof specification;
  hosted.hosting.apply({ type: "desired", generation: 1, replicas: [again] });
  assert.equal(hosted.hosting.reports()[0].handle, 9);
  assert.equal(hosted.hosting.reports()[0].state, "ready");
  const outcome = await hosted.start("set/born", null, {}, 9).outcome;
  assert.ok(outcome.ok && outcome.value === born);
  assert.equal(failure(await hosted.invoke("set/born")).code, "no_ready_replica");
});

Deno.test("an older generation is refused", async () => {
  await using hosted = await Hosted.ready({ "m.js": counter });
  const { generation } = hosted.hosting;
  hosted.hosting.apply({ type: "desired", generation: generation - 1, replicas: [] });
  assert.equal(hosted.hosting.generation, generation);
  assert.equal(hosted.hosting.reports().length, 1);
});

Deno.test("two revisions run side by side, and the old one goes with its folder when it is no longer desired", async () => {
  await using hosted = await Hosted.create();
  const one = hosted.deploy({ "m.js": "export function v() { return 1; }" });
  await hosted.becomes("ready");
  const { specification: two, blobs } = specificationOf({ "m.js": "export function v() { return 2; }" }, {
    handle: 2,
    revision: 2,
  });
  for (const [sha256, bytes] of blobs) hosted.blobs.set(sha256, bytes);
  hosted.apply([one, two]);
  await eventually(
    "both are ready",
    () => hosted.hosting.reports().every((report) => report.state === "ready"),
  );
  assert.equal(await hosted.value("set/v"), 1);
  assert.deepEqual((await hosted.start("set/v", null, {}, 2).outcome as { value: unknown }).value, 2);
  hosted.apply([two]);
  await eventually("one replica is left", () => hosted.hosting.reports().length === 1);
  assert.equal((await hosted.start("set/v", null, {}, 2).outcome as { value: unknown }).value, 2);
  await eventually("one folder is left", () => {
    const folders = [...Deno.readDirSync(`${hosted.folder}/run/replicas`)].map((entry) => entry.name);
    return folders.length === 1 && folders[0].startsWith("set@2-");
  });
  await eventually(
    "its module is pruned",
    () => [...Deno.readDirSync(`${hosted.folder}/modules`)].length === 1,
  );
});

Deno.test("a replica being stopped lets what runs end, takes nothing new, and runs stop()", async () => {
  await using hosted = await Hosted.ready({
    "m.js": counter + "\nexport function stop() { console.log('stopping'); }",
  });
  const slow = hosted.value("set/slow", 300);
  await eventually("it runs", () => hosted.logs.length === 1);
  hosted.apply([]);
  assert.equal(hosted.hosting.reports()[0].state, "stopping");
  assert.equal(failure(await hosted.invoke("set/born")).code, "no_ready_replica");
  assert.equal(await slow, "done");
  await eventually("it is gone", () => hosted.hosting.reports().length === 0);
  await eventually("it says so", () => hosted.logs.at(-1)?.text === "stopping");
});

Deno.test("what still runs when the time to drain is over is aborted, and has its outcome", async () => {
  await using hosted = await Hosted.ready({ "m.js": counter }, {}, { drainMsMax: 100 });
  const slow = hosted.invoke("set/slow", 8000);
  await eventually("it runs", () => hosted.logs.length === 1);
  hosted.apply([]);
  const outcome = failure(await slow);
  assert.equal(outcome.code, "agent_lost");
  assert.equal(outcome.message, "The replica was stopped before the request ended");
  await eventually("it is gone", () => hosted.hosting.reports().length === 0);
});

Deno.test("closing lets what runs end, takes nothing new, and says so before", async () => {
  await using hosted = await Hosted.ready({ "m.js": counter });
  const slow = hosted.value("set/slow", 300);
  await eventually("it runs", () => hosted.logs.length === 1);
  const closed = hosted.hosting.close(30_000);
  assert.equal(hosted.states.at(-1)![0].state, "stopping");
  assert.equal(failure(await hosted.invoke("set/born")).code, "no_ready_replica");
  assert.equal(await slow, "done");
  await closed;
});

Deno.test("ready() that never resolves fails the replica in time, with the reason", async () => {
  const system = createSystemClock();
  const readyMsMax = 3000;
  let timeIsOver = () => {};
  const clock: Clock = {
    ...system,
    after(delayMs, action) {
      if (delayMs !== readyMsMax) return system.after(delayMs, action);
      timeIsOver = action;
      return () => {};
    },
  };
  await using hosted = await Hosted.create({ clock, readyMsMax });
  hosted.deploy({
    "m.js": "export function f() {} export function ready() { return new Promise(() => {}); }",
  });
  // Until then it is the runner that takes its time.
  await eventually("ready() is waited for", () => hosted.hosting.reports()[0].reason?.includes("ready()"));
  timeIsOver();
  assert.equal((await hosted.becomes("failed")).reason, "ready() did not resolve within 3 s");
});

Deno.test("a module that loops while it is imported fails the replica in time", async () => {
  await using hosted = await Hosted.create({ readyMsMax: 500 });
  hosted.deploy({ "m.js": "for (;;); export function f() {}" });
  assert.equal((await hosted.becomes("failed")).reason, "Importing the modules did not end within 0.5 s");
});

Deno.test("what could not load is tried again and becomes ready once it can", async () => {
  await using hosted = await Hosted.create();
  await Deno.writeTextFile(`${hosted.folder}/flag`, "no");
  hosted.deploy({
    "m.js": `const flag = "${hosted.folder}/flag"; export function f() { return 1; }
      export function ready() { if (Deno.readTextFileSync(flag) !== "yes") throw new Error("flag is down"); }`,
  }, { permissions: { read: [`${hosted.folder}/flag`] } });
  assert.equal((await hosted.becomes("failed")).reason, "ready() of modules/m.ts: flag is down");
  await Deno.writeTextFile(`${hosted.folder}/flag`, "yes");
  const report = await hosted.becomes("ready");
  assert.equal(report.reason, undefined);
  assert.equal(await hosted.value("set/f"), 1);
});

Deno.test("modules that can't be fetched fail the replica until they can", async () => {
  await using hosted = await Hosted.create();
  const { specification, blobs } = specificationOf({ "m.js": counter });
  hosted.apply([specification]);
  assert.match(
    (await hosted.becomes("failed")).reason ?? "",
    /^The modules could not be brought here: no module/,
  );
  for (const [sha256, bytes] of blobs) hosted.blobs.set(sha256, bytes);
  await hosted.becomes("ready");
});

Deno.test("more runners serve while one is kept busy, up to the cores", async () => {
  await using hosted = await Hosted.ready(
    {
      "m.js":
        `export function burn(ms) { const end = performance.now() + ms; while (performance.now() < end); return ms; }`,
    },
    {},
    { cores: 2 },
  );
  const burning = [1, 2, 3, 4].map(() => hosted.value("set/burn", 400));
  await eventually("a second runner", () => hosted.hosting.samples()[0].runners === 2);
  assert.deepEqual(await Promise.all(burning), [400, 400, 400, 400]);
  const sample = hosted.hosting.samples()[0];
  assert.equal(sample.runners, 2);
  assert.equal(sample.outstanding, 0);
  assert.ok(sample.cpuCores > 0 && sample.memoryBytes > 1_000_000);
  assert.equal(sample.restarts, 0);
});

Deno.test("ctx.invoke goes up with the rest of the deadline and comes back as a value or an error with its code", async () => {
  const asked: { name: string; a: number; b: number; meta: string }[] = [];
  const cancelled: number[] = [];
  const upstream = {
    request(bytes: Uint8Array, at: number, _end: number, answer: FrameSink) {
      const frame = decodeFrame(bytes, at);
      asked.push({ name: frame.name, a: frame.a, b: frame.b, meta: frame.meta });
      if (frame.name === "other/hang") return;
      const error = new SqwishError("not_found", "No endpoint other/missing", { details: { near: ["x"] } });
      answer.sendFrames(
        frame.name === "other/double"
          ? encodeFrame({ op: Op.reply, id: frame.id, body: new TextEncoder().encode("[2,4]") })
          : encodeFrame({ op: Op.error, id: frame.id, meta: JSON.stringify(error.toJSON().error) }),
      );
    },
    cancel: (id: number) => void cancelled.push(id),
    forget() {},
  };
  await using hosted = await Hosted.ready(
    {
      "m.js": `export async function ask({ endpoint, timeoutMs }, ctx) {
      try { return await ctx.invoke(endpoint, [1, 2], { timeoutMs, headers: { trace: "7" } }); }
      catch (error) { return { code: error.code, message: error.message, details: error.details }; }
    }`,
    },
    {},
    { upstream },
  );
  const doubled = await hosted.value("set/ask", { endpoint: "other/double" }, { timeoutMs: 60_000 });
  assert.deepEqual(doubled, [2, 4]);
  assert.ok(asked[0].a > 40_000 && asked[0].a < 60_000, `${asked[0].a} ms`);
  assert.equal(asked[0].meta, '{"trace":"7"}');
  assert.deepEqual(await hosted.value("set/ask", { endpoint: "other/missing", timeoutMs: 500 }), {
    code: "not_found",
    message: "No endpoint other/missing",
    details: { near: ["x"] },
  });
  assert.equal(asked[1].a, 500);
  const hanging = hosted.start("set/ask", { endpoint: "other/hang" });
  await eventually("the call is up", () => asked.length === 3);
  hanging.cancel();
  assert.equal(failure(await hanging.outcome).code, "cancelled");
  assert.equal(cancelled.length, 1);
  // It says which request it is for, as the manager knows that.
  const body = new TextEncoder().encode('{"endpoint":"other/double"}');
  const frame = encodeFrame({ op: Op.request, id: 500, a: 10_000, b: 1 << 8, name: "set/ask", body });
  hosted.request(frame, { bufferedBytes: 0, sendFrames() {} });
  await eventually("the call is up", () => asked.length === 4);
  assert.equal(asked[3].b, 500);
});

Deno.test("requests of a lost connection are cancelled and never answered", async () => {
  await using hosted = await Hosted.ready({ "m.js": counter });
  const answers: Uint8Array[] = [];
  const gone: FrameSink = { bufferedBytes: 0, sendFrames: (bytes) => void answers.push(bytes) };
  const frame = encodeFrame({
    op: Op.request,
    id: 5,
    a: 10_000,
    b: 1 << 8,
    name: "set/slow",
    body: new TextEncoder().encode("5000"),
  });
  hosted.request(frame, gone);
  await eventually("it runs", () => hosted.logs.length === 1);
  hosted.hosting.forget(gone);
  assert.equal(hosted.hosting.samples()[0].outstanding, 0);
  await hosted.value("set/born");
  assert.deepEqual(answers, []);
});

Deno.test("what ran is observed with its time and whether it failed", async () => {
  await using hosted = await Hosted.ready({
    "m.js": counter + "\nexport function bad() { throw new Error(); }",
  });
  await hosted.value("set/slow", 50);
  await hosted.invoke("set/bad");
  assert.deepEqual(hosted.observed.map(({ endpoint, revision, failed }) => [endpoint, revision, failed]), [
    ["set/slow", 1, false],
    ["set/bad", 1, true],
  ]);
  assert.ok(hosted.observed[0].runUs >= 49_000 && hosted.observed[0].runUs < 5_000_000);
});

Deno.test("an endpoint that is not there and an id that is in flight are refused", async () => {
  await using hosted = await Hosted.ready({ "m.js": counter });
  assert.equal(failure(await hosted.invoke("set/nothing")).code, "not_found");
  const answers: string[] = [];
  const sink: FrameSink = {
    bufferedBytes: 0,
    sendFrames: (bytes, at) => void answers.push(decodeFrame(bytes, at).meta),
  };
  const frame = () =>
    encodeFrame({ op: Op.request, id: 5, a: 2000, b: 1 << 8, name: "set/slow", body: new Uint8Array([49]) });
  for (const bytes of [frame(), frame()]) hosted.request(bytes, sink);
  assert.match(answers[0], /Request id 5 is in flight already/);
});

Deno.test("a request whose headers are not UTF-8 is refused and harms nothing", async () => {
  await using hosted = await Hosted.ready({ "m.js": counter });
  const answers: Record<string, unknown>[] = [];
  const sink: FrameSink = {
    bufferedBytes: 0,
    sendFrames: (bytes, at) => void answers.push(JSON.parse(decodeFrame(bytes, at).meta)),
  };
  const frame = encodeFrame({ op: Op.request, id: 5, a: 2000, b: 1 << 8, name: "set/born", meta: "xxxx" });
  frame[32 + "set/born".length] = 0xff;
  hosted.request(frame, sink);
  await eventually("an answer", () => answers.length === 1);
  assert.equal(answers[0].code, "invalid_request");
  await hosted.value("set/born");
  assert.equal(hosted.hosting.samples()[0].restarts, 0);
});
