import assert from "node:assert/strict";
import type { ModuleHost, Runner, RunnerEvents } from "../../lib/hosting/host.ts";
import { HostedRequest } from "../../lib/hosting/hosted_request.ts";
import type { ProcessSample } from "../../lib/hosting/process_sample.ts";
import { Replica } from "../../lib/hosting/replica.ts";
import { runnerTimes } from "../../lib/hosting/replica_policy.ts";
import { limits } from "../../lib/limits.ts";
import { silentLog } from "../../lib/log.ts";
import { CancelReason, decodeFrame, encodeFrame, Flag, type Frame, Op } from "../../lib/protocol/frame.ts";
import { freeFrame } from "../../lib/protocol/large_frames.ts";
import { eventually } from "../support/eventually.ts";
import { specificationOf } from "../support/hosted.ts";
import { ManualClock } from "../support/manual_clock.ts";

/** A runner that does what the test says. */
class ScriptedRunner implements Runner {
  readonly frames: Frame[] = [];
  /** The frames' own bytes, as a socket holds them. */
  readonly ranges: Uint8Array[] = [];
  claimed = 0;
  /** Not even its main thread runs. */
  frozen = false;
  killedFor: string | null = null;
  stopped = false;
  use: ProcessSample = { memoryBytes: 20_000_000, cpuMs: 0 };

  constructor(readonly events: RunnerEvents) {}

  bufferedBytes = 0;
  reading = true;

  sendFrames(bytes: Uint8Array, at = 0, end = bytes.length): void {
    this.ranges.push(bytes.subarray(at, end));
    this.frames.push(decodeFrame(bytes.slice(at, end)));
  }
  pauseReading(): void {
    this.reading = false;
  }
  resumeReading(): void {
    this.reading = true;
  }
  revoke(): Promise<number> {
    return this.frozen ? new Promise(() => {}) : Promise.resolve(this.claimed);
  }
  stop(): void {
    this.stopped = true;
    this.events.onExit("stopped");
  }
  kill(reason: string): void {
    if (this.killedFor !== null) return;
    this.killedFor = reason;
    this.events.onExit(reason);
  }
  sample(): ProcessSample {
    return this.use;
  }
  load(): void {
    this.events.onOnline();
    this.events.onLoaded([]);
  }
  freeWhenWritten(bytes: Uint8Array, at: number, end: number): void {
    freeFrame(bytes, at, end);
  }
  reply(id: number, op: typeof Op.reply | typeof Op.call = Op.reply, bodyBytes = 0): void {
    const frame = encodeFrame({ op, id, body: new Uint8Array(bodyBytes) });
    this.events.onFrames(frame, 0, frame.length);
  }
  get requests(): number[] {
    return this.frames.filter((frame) => frame.op === Op.request).map((frame) => frame.id);
  }
}

async function scripted(cores = 1) {
  const clock = new ManualClock();
  const runners: ScriptedRunner[] = [];
  const answers: Frame[] = [];
  const host: ModuleHost = {
    user: null,
    start(_specification, _folder, events) {
      const runner = new ScriptedRunner(events);
      runners.push(runner);
      return runner;
    },
  };
  const { specification } = specificationOf({ "m.js": "" }, { memoryMb: 64 });
  const replica = new Replica(specification, {
    clock,
    log: silentLog,
    host,
    modules: {
      layOut: () => Promise.resolve("/none"),
      remove: () => Promise.resolve(),
      prune: () => Promise.resolve(),
    },
    upstream: { request() {}, cancel() {}, forget() {} },
    runnersMax: cores,
    slots: cores,
    adaptive: true,
    readyMsMax: 60_000,
    drainMsMax: 30_000,
    observe() {},
    onLogLine() {},
    onChange() {},
    onDone() {},
  });
  await eventually("the first runner", () => runners.length === 1);
  const sink = {
    bufferedBytes: 0,
    sendFrames: (bytes: Uint8Array, at = 0) => void answers.push(decodeFrame(bytes.slice(), at)),
    freeWhenWritten: freeFrame,
  };
  function request(id: number, timeoutMs = 10_000, flags = 0, bodyBytes = 0, attempt = 1): HostedRequest {
    const body = new Uint8Array(bodyBytes);
    const frame = encodeFrame({
      op: Op.request,
      id,
      a: timeoutMs,
      b: 1 << 8 | attempt,
      flags,
      name: "set/f",
      body,
    });
    const nowMs = clock.monotonicMs();
    const hosted = new HostedRequest(frame, 0, frame.length, "set/f", sink, nowMs);
    replica.request(hosted, nowMs);
    return hosted;
  }
  async function end(): Promise<void> {
    const stopping = replica.stop(0);
    // First the time to drain passes, then the time to abort.
    for (let i = 0; i < 2; i++) {
      await settle();
      clock.advance(runnerTimes.abortMs);
    }
    await stopping;
    assert.equal(clock.pendingTimers, 0);
  }
  return { clock, runners, answers, replica, sink, request, end };
}

/** Lets what was promised happen. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await undefined;
}

Deno.test("a runner that keeps falling over by itself is started again ever later, and the replica says why", async () => {
  const { clock, runners, replica, end } = await scripted();
  runners[0].load();
  assert.equal(replica.state, "ready");
  runners[0].events.onExit("ended with exit code 1");
  await settle();
  assert.equal(runners.length, 2, "the first time at once");
  assert.equal(replica.state, "ready");
  runners[1].load();
  runners[1].events.onExit("ended with exit code 1");
  await settle();
  assert.equal(runners.length, 2);
  assert.equal(replica.report().state, "failed");
  assert.equal(replica.report().reason, "The runner ended with exit code 1");
  clock.advance(30_000);
  await settle();
  assert.equal(runners.length, 3);
  runners[2].load();
  assert.equal(replica.state, "ready");
  assert.equal(replica.report().reason, undefined);
  await end();
});

Deno.test("loads that fail are tried again after half a second, one, two, four", async () => {
  const { clock, runners, end } = await scripted();
  for (const [i, delayMs] of [500, 1000, 2000, 4000].entries()) {
    runners[i].events.onFailed("no");
    clock.advance(delayMs - 1);
    await settle();
    assert.equal(runners.length, i + 1);
    clock.advance(1);
    await settle();
    assert.equal(runners.length, i + 2);
  }
  await end();
});

Deno.test("what a stalled runner has not claimed goes to another one, what it has claimed stays", async () => {
  const { clock, runners, answers, request, end } = await scripted(2);
  runners[0].load();
  for (const id of [1, 2, 3]) request(id);
  assert.deepEqual(runners[0].requests, [1, 2, 3]);
  runners[0].claimed = 1;
  clock.advance(runnerTimes.probeAfterMs + runnerTimes.stalledMs + runnerTimes.tickMs);
  await settle();
  clock.advance(runnerTimes.tickMs);
  assert.equal(runners.length, 2, "a second runner is started");
  runners[1].load();
  assert.deepEqual(runners[1].requests, [1, 2]);
  request(4);
  assert.deepEqual(runners[1].requests, [1, 2, 3], "new work goes to the one that answers");
  runners[1].reply(1);
  runners[0].reply(1);
  assert.deepEqual(answers.map((frame) => frame.id), [2, 1]);
  await end();
});

Deno.test("a late request is answered at its deadline and its runner killed after the grace, unless it answers", async () => {
  const { clock, runners, answers, request, end } = await scripted();
  runners[0].load();
  request(1, 1000);
  runners[0].claimed = 1;
  clock.advance(1000 + runnerTimes.tickMs);
  await settle();
  clock.advance(runnerTimes.tickMs);
  assert.equal(JSON.parse(answers[0].meta).code, "deadline_exceeded");
  assert.equal(runners[0].killedFor, null);
  clock.advance(runnerTimes.graceMs);
  await settle();
  assert.match(runners[0].killedFor ?? "", /did not return from set\/f by its deadline/);
  await settle();
  assert.equal(runners.length, 2);
  runners[1].load();
  request(2, 500);
  for (let i = 0; i < 60; i++) {
    clock.advance(runnerTimes.tickMs);
    if (runners[1].frames.at(-1)?.op === Op.call) runners[1].reply(0, Op.call);
  }
  assert.equal(JSON.parse(answers[1].meta).code, "deadline_exceeded");
  assert.equal(runners[1].killedFor, null);
  assert.equal(runners[1].frames.some((frame) => frame.op === Op.cancel), true);
  await end();
});

Deno.test("a runner that is stopped as a whole is killed once the grace of a late request is over", async () => {
  for (const cores of [1, 2]) {
    const { clock, runners, answers, request, end } = await scripted(cores);
    runners[0].load();
    runners[0].frozen = true;
    request(1, 500);
    request(2, 10_000, Flag.idempotent);
    for (let ms = 0; ms < 500 + runnerTimes.innocentGraceMs; ms += runnerTimes.tickMs) {
      assert.equal(runners[0].killedFor, null);
      clock.advance(runnerTimes.tickMs);
      await settle();
    }
    clock.advance(runnerTimes.tickMs);
    await settle();
    assert.match(runners[0].killedFor ?? "", /did not return from set\/f by its deadline/);
    assert.deepEqual(answers.map(({ id, meta }) => [id, JSON.parse(meta).code]), [
      [1, "deadline_exceeded"],
      [2, "agent_lost"],
    ]);
    runners[1].load();
    request(3);
    assert.equal(runners[1].requests.length, 1);
    await end();
  }
});

Deno.test("memory over memoryMb and the working room ends the runner; what had not started runs again", async () => {
  const { clock, runners, answers, request, end } = await scripted();
  runners[0].load();
  request(1);
  request(2);
  runners[0].claimed = 1;
  runners[0].use = { memoryBytes: 20_000_000 + 190 * 1024 * 1024, cpuMs: 0 };
  clock.advance(runnerTimes.memoryMs * 2);
  await settle();
  assert.equal(runners[0].killedFor, null);
  runners[0].use = { memoryBytes: 20_000_000 + 193 * 1024 * 1024, cpuMs: 0 };
  clock.advance(runnerTimes.memoryMs * 2);
  await settle();
  assert.match(runners[0].killedFor ?? "", /^used 193 MB of memory, memoryMb is 64/);
  assert.equal(JSON.parse(answers[0].meta).code, "module_failed");
  assert.equal(answers[0].id, 1);
  runners[1].load();
  runners[1].reply(1);
  assert.equal(answers[1].id, 2);
  await end();
});

Deno.test("what a lost runner had is not run again here: the manager is told and counts its runs", async () => {
  const { runners, answers, request, end } = await scripted();
  const codes = () => answers.splice(0).map(({ id, meta }) => [id, JSON.parse(meta).code]);
  runners[0].load();
  request(1, 10_000, Flag.idempotent);
  runners[0].events.onExit("was ended by SIGKILL");
  assert.deepEqual(codes(), [[1, "agent_lost"]]);
  await settle();
  runners[1].load();
  assert.deepEqual(runners[1].requests, []);
  request(2);
  runners[1].events.onExit("was ended by SIGKILL");
  assert.deepEqual(codes(), [[2, "module_failed"]], "it was alone, and nobody may run it again");
  await settle();
  runners[2].load();
  request(3, 10_000, Flag.idempotent);
  request(4);
  runners[2].events.onExit("was ended by SIGKILL");
  assert.deepEqual(codes(), [[3, "agent_lost"], [4, "agent_lost"]]);
  await settle();
  await end();
});

Deno.test("what waits has not run here, but may have in an earlier attempt", async () => {
  const { clock, runners, answers, replica, request, end } = await scripted();
  runners[0].load();
  runners[0].events.onExit("was ended by SIGKILL");
  await settle();
  // The next runner takes longer to load than the first request may take.
  request(1, 50, 0, 0, 2);
  const cancelled = request(2, 10_000, 0, 0, 2);
  request(3, 10_000, 0, 0, 2);
  request(4, 50);
  clock.advance(100);
  replica.cancel(cancelled, CancelReason.caller);
  await end();
  const told = new Map(answers.map(({ id, meta }) => [id, JSON.parse(meta)]));
  assert.deepEqual([1, 4, 2, 3].map((id) => [told.get(id).code, told.get(id).details.mayHaveRun]), [
    ["deadline_exceeded", "maybe"],
    ["deadline_exceeded", "no"],
    ["cancelled", "maybe"],
    ["no_ready_replica", "no"],
  ]);
});

Deno.test("a runner that does not read gets nothing new; what waits for it is bounded, the rest is given back unrun", async () => {
  const { runners, answers, request, end } = await scripted();
  runners[0].load();
  request(1);
  runners[0].bufferedBytes = limits.sendBufferBytesHigh + 1;
  const bodyBytes = limits.waitingBytesMax / 10;
  for (let id = 2; id <= 20; id++) request(id, 10_000, 0, bodyBytes);
  assert.deepEqual(runners[0].requests, [1]);
  assert.deepEqual(answers.map(({ id }) => id), [11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
  for (const { meta } of answers) {
    const { code, details } = JSON.parse(meta);
    assert.deepEqual([code, details.mayHaveRun], ["no_ready_replica", "no"]);
  }
  runners[0].bufferedBytes = 0;
  runners[0].events.onDrain();
  assert.deepEqual(runners[0].requests, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  await end();
});

Deno.test("a runner is not read from while the way to the manager is jammed, and not held to be stalled for that", async () => {
  const { clock, runners, answers, replica, sink, request, end } = await scripted(2);
  runners[0].load();
  request(1);
  request(2);
  sink.bufferedBytes = limits.sendBufferBytesHigh + 1;
  runners[0].reply(1);
  assert.deepEqual(answers.map(({ id }) => id), [1]);
  assert.equal(runners[0].reading, false);
  clock.advance(runnerTimes.probeAfterMs + runnerTimes.stalledMs + 2 * runnerTimes.tickMs);
  await settle();
  assert.equal(runners.length, 1);
  assert.equal(runners[0].frames.some(({ op }) => op === Op.call), false);
  replica.resume();
  assert.equal(runners[0].reading, true);
  sink.bufferedBytes = 0;
  runners[0].reply(2);
  assert.equal(runners[0].reading, true);
  await end();
});

Deno.test("a request that is taken back leaves the bytes alone that its first runner has not written yet", async () => {
  const { clock, runners, request, end } = await scripted(2);
  runners[0].load();
  request(1);
  request(2);
  runners[0].claimed = 1;
  const held = runners[0].ranges[1];
  const before = held.slice();
  clock.advance(runnerTimes.probeAfterMs + runnerTimes.stalledMs + runnerTimes.tickMs);
  await settle();
  clock.advance(runnerTimes.tickMs);
  runners[1].load();
  assert.deepEqual(runners[1].requests, [1]);
  assert.deepEqual(held, before);
  await end();
});

Deno.test("a reply gives the memory of a large request back, and that of its own once it is sent", async () => {
  const { runners: [runner], answers, request, end } = await scripted();
  runner.load();
  const hosted = request(5, 10_000, 0, 100_000);
  assert.equal(hosted.frameBytes, hosted.bytes.length);
  runner.reply(runner.requests[0], Op.reply, 200_000);
  assert.equal(answers[0].body.length, 200_000);
  assert.equal(hosted.bytes.length, 0);
  await end();
});
