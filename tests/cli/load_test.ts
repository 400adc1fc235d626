import assert from "node:assert/strict";
import { barBoundsMs, Load } from "../../lib/cli/load.ts";
import { report, summary } from "../../lib/cli/commands/bench.ts";
import { createSystemClock, sleep } from "../../lib/clock.ts";
import { SqwishError } from "../../lib/errors.ts";
import { Op } from "../../lib/protocol/frame.ts";
import { eventually } from "../support/eventually.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { settle } from "../client/scripted_manager.ts";
import { runClient } from "./command_line.ts";

/** Runs a load to its end on a clock that moves a step at a time. */
async function drive(clock: ManualClock, load: Load, stepMs = 1): Promise<void> {
  let ended = false;
  const running = load.run().then(() => ended = true);
  while (!ended) {
    await settle();
    clock.advance(stepMs);
  }
  await running;
}

function near(actual: number | undefined, expected: number): void {
  assert.ok(
    actual !== undefined && Math.abs(actual - expected) <= expected * 0.02,
    `${actual}, not ${expected}`,
  );
}

Deno.test("`Load` keeps as many requests under way as asked for", async () => {
  const clock = new ManualClock();
  let now = 0;
  let most = 0;
  const load = new Load({
    clock,
    concurrency: 4,
    durationMs: 100,
    signal: new AbortController().signal,
    async send() {
      most = Math.max(most, ++now);
      await sleep(clock, 10);
      now--;
    },
  });
  await drive(clock, load);
  assert.equal(most, 4);
  assert.equal(load.ok, 40);
  assert.equal(load.failed, 0);
  near(load.latency.quantile(0.5), 10_000);
  assert.equal(load.maxMs, 10);
});

Deno.test("with a rate, a stall is charged to every request that had to wait behind it", async () => {
  const clock = new ManualClock();
  const load = new Load({
    clock,
    concurrency: 1,
    rate: 100,
    durationMs: 1000,
    signal: new AbortController().signal,
    // Everything stops for the first half of the second, then replies take 1 ms.
    send: () => sleep(clock, clock.monotonicMs() < 500 ? 500 : 1),
  });
  await drive(clock, load);
  assert.equal(load.ok, 100);
  assert.equal(load.unsent, 0);
  // 50 of 100 requests were due during the stall: the median of a closed loop would have been 1 ms.
  const median = load.latency.quantile(0.5) ?? 0;
  assert.ok(median > 10_000, `median ${median} µs`);
  near(load.maxMs, 500);
});

Deno.test("with a rate that can't be kept, what was never started is counted", async () => {
  const clock = new ManualClock();
  const load = new Load({
    clock,
    concurrency: 2,
    rate: 1000,
    durationMs: 1000,
    signal: new AbortController().signal,
    send: () => sleep(clock, 100),
  });
  await drive(clock, load, 5);
  assert.equal(load.ok, 20);
  assert.equal(load.ok + load.unsent, 1000);
  assert.match(report("a/b", load), /980 requests could not be started at that rate/);
});

Deno.test("errors are counted by code and have no latency", async () => {
  const clock = new ManualClock();
  let count = 0;
  const load = new Load({
    clock,
    concurrency: 1,
    durationMs: 100,
    signal: new AbortController().signal,
    async send() {
      await sleep(clock, 4);
      if (++count % 2 === 0) throw new SqwishError("queue_full", "The queue is full");
    },
  });
  await drive(clock, load);
  assert.ok(load.failed > 5);
  assert.equal(load.errors.get("queue_full"), load.failed);
  assert.equal(load.latency.count, load.ok);
  assert.deepEqual((summary("a/b", load) as { errors: unknown }).errors, { queue_full: load.failed });
  assert.match(report("a/b", load), /queue_full: \d+/);
});

Deno.test("the report's bars hold every reply", async () => {
  const clock = new ManualClock();
  const load = new Load({
    clock,
    concurrency: 1,
    durationMs: 300,
    signal: new AbortController().signal,
    send: () => sleep(clock, clock.monotonicMs() < 200 ? 4 : 30),
  });
  await drive(clock, load);
  assert.equal(load.bars.reduce((sum, each) => sum + each), load.ok);
  assert.equal(load.bars[barBoundsMs.indexOf(5)], 50);
  assert.match(report("a/b", load), /≤ 5 ms {2}█{40} 50\n {4}≤ 10 ms {2} 0\n/);
});

Deno.test("`bench` loads through one connection and prints percentiles", async () => {
  const { code, out, manager } = await runClient(
    ["bench", "a/b", "[1]", "-c", "4", "-d", "150ms", "--json"],
    {
      onRequest: (frame, connection) => connection.reply(frame.id, null),
    },
  );
  assert.equal(code, 0);
  const result = JSON.parse(out);
  assert.equal(result.endpoint, "a/b");
  assert.equal(result.requests, manager.last.ofOp(Op.request).length);
  assert.ok(result.requests >= 4 && result.latencyMs.p99 >= result.latencyMs.p50);
  assert.equal(manager.connections.length, 1);
});

Deno.test("`bench` of what only fails ends with the reason", async () => {
  const { code, error } = await runClient(["bench", "a/b", "-d", "100ms"], {
    onRequest: (frame, connection) =>
      connection.error(frame.id, new SqwishError("not_found", "No endpoint a/b")),
  });
  assert.deepEqual([code, error], [1, "client: No endpoint a/b (not_found)\n"]);
});

Deno.test("Ctrl-C ends `bench` early and prints what there is", async () => {
  const { code, out } = await runClient(["bench", "a/b", "-d", "1h"], {
    // In a later task, as from a socket: replies in microtasks alone would let nothing else run.
    onRequest: (frame, connection) => void setTimeout(() => connection.reply(frame.id, null), 0),
    async meanwhile({ terminal, manager }) {
      await eventually("some requests", () => manager.connections[0]?.frames.length > 100);
      terminal.interrupt();
    },
  });
  // The last replies were on their way when the connection closed.
  await settle();
  assert.equal(code, 0);
  assert.match(out, /^a\/b: \d+ replies and 0 errors in /);
});

Deno.test("what every request would be refused for ends the load at once", async () => {
  let sent = 0;
  const load = new Load({
    clock: createSystemClock(),
    concurrency: 2,
    durationMs: 60_000,
    signal: new AbortController().signal,
    send: () => {
      sent++;
      return Promise.reject(new SqwishError("not_found", "There is no endpoint a/b"));
    },
  });
  await load.run();
  assert.ok(sent <= 4, `${sent} requests were sent`);
  assert.equal(load.failed, sent);
});
