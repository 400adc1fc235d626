import assert from "node:assert/strict";
import { Ingest } from "../../lib/metrics/ingest.ts";
import { startMs, withRecording } from "./support.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

Deno.test("the last 15 minutes come by the second, up to the last closed one", () => {
  withRecording((recording) => {
    recording.run(20, (second) => {
      for (let at = 0; at < second % 3; at++) recording.request({ totalMs: 50 });
      recording.ingest.observeQueue("images", second === 5 ? 7 : 0);
    });
    const span = { fromMs: startMs, toMs: recording.nowMs + hourMs };
    const requests = recording.query({ ...span, series: "requests" });
    assert.equal(requests.resolutionMs, 1000);
    assert.deepEqual(requests.timesMs, Array.from({ length: 20 }, (_, at) => startMs + at * 1000));
    assert.deepEqual(requests.byLabel.get("images/resize"), Array.from({ length: 20 }, (_, at) => at % 3));
    const latency = recording.query({ ...span, series: "latency" });
    assert.deepEqual([...latency.byLabel.keys()], ["p50", "p95", "p99"]);
    const p95 = latency.byLabel.get("p95")!;
    assert.equal(p95[0], null);
    assert.ok(Math.abs(p95[1]! - 50) < 0.5);
    const queue = recording.query({ ...span, series: "queue", subject: "images" });
    assert.deepEqual(queue.byLabel.get("images")!.slice(4, 8), [0, 7, 7, 0]);
  });
});

Deno.test("a live gauge bridges late telemetry and has a gap where the agent was silent", () => {
  withRecording((recording) => {
    recording.run(20, (second) => {
      if (second < 10 && second !== 4) recording.telemetry("pi-1", 0.5);
    });
    const view = recording.query({ series: "cpu", subject: "pi-1", fromMs: startMs, toMs: recording.nowMs });
    const values = view.byLabel.get("pi-1")!;
    assert.deepEqual(values.map((value) => value === null ? 0 : 1).join(""), "11111111111100000000");
    assert.equal(values[4], 0.5);
  });
});

Deno.test("an agent has no past before it joined, also once its first window was rolled up", () => {
  withRecording((recording) => {
    recording.nowMs = startMs + 190_000;
    recording.ingest = new Ingest(recording.history, recording.nowMs);
    recording.run(150, () => recording.telemetry("pi-1", 0.5, { outstanding: 1 }));
    const view = recording.query({ series: "cpu", fromMs: startMs + 60_000, toMs: recording.nowMs });
    const values = view.byLabel.get("pi-1")!;
    // The first 10 s row may begin a little before the manager did.
    assert.deepEqual(values.slice(0, 120), Array(120).fill(null));
    assert.deepEqual(values.slice(130), Array(150).fill(0.5));
  });
});

Deno.test("an older window comes in 10 s steps from the store and from what isn't stored yet", () => {
  withRecording((recording) => {
    recording.run(1800, (second) => {
      if (second >= 600) recording.request({ code: second % 2 === 0 ? "ok" : "module_failed", totalMs: 40 });
    });
    const span = { fromMs: startMs, toMs: recording.nowMs, subject: "images/resize" };
    const requests = recording.query({ ...span, series: "requests" });
    assert.equal(requests.resolutionMs, 10_000);
    assert.deepEqual(requests.byLabel.get("images/resize"), [
      ...Array(60).fill(0),
      ...Array(120).fill(1),
    ]);
    const errors = recording.query({ ...span, series: "errors" });
    assert.equal(errors.byLabel.get("images/resize")!.at(-1), 0.5);
    const latency = recording.query({ ...span, series: "latency" });
    assert.equal(latency.byLabel.get("p50")![59], null);
    assert.ok(Math.abs(latency.byLabel.get("p99")![60]! - 40) < 0.4);
  });
});

Deno.test("a day comes in 5 min steps, its newest part from rows that aren't rolled up yet", () => {
  withRecording((recording) => {
    recording.run(1000, () => recording.request());
    const view = recording.query({
      series: "requests",
      fromMs: recording.nowMs - dayMs,
      toMs: recording.nowMs,
    });
    assert.equal(view.resolutionMs, 300_000);
    assert.deepEqual(view.byLabel.get("images/resize")!.slice(-4), [1, 1, 1, 1]);
    assert.ok(view.timesMs.length <= 290);
  });
});

Deno.test("no window has more than 1500 points", () => {
  withRecording((recording) => {
    recording.run(60, () => recording.request());
    for (
      const spanMs of [5000, 15 * minuteMs, hourMs, 4 * hourMs, 5 * hourMs, dayMs, 6 * dayMs, 300 * dayMs]
    ) {
      const view = recording.query({
        series: "requests",
        fromMs: recording.nowMs - spanMs,
        toMs: recording.nowMs,
      });
      assert.ok(view.timesMs.length > 0 && view.timesMs.length <= 1500, `${spanMs}: ${view.timesMs.length}`);
      for (const { values } of view.columns) assert.equal(values.length, view.timesMs.length);
    }
  });
});

Deno.test("the last 15 minutes reach back over a restart of the manager", () => {
  withRecording((recording) => {
    recording.run(120, () => recording.request());
    recording.restart(60_000, true);
    recording.run(30, () => recording.request());
    const view = recording.query({ series: "requests", fromMs: startMs, toMs: recording.nowMs });
    assert.equal(view.resolutionMs, 1000);
    const values = view.byLabel.get("images/resize")!;
    assert.deepEqual(values, [...Array(120).fill(1), ...Array(60).fill(0), ...Array(30).fill(1)]);
  });
});

Deno.test("an idle agent's value holds between its rare rows", () => {
  withRecording((recording) => {
    recording.run(3600, () => recording.telemetry("pi-1", 0.25));
    const view = recording.query({
      series: "cpu",
      fromMs: recording.nowMs - 30 * minuteMs,
      toMs: recording.nowMs,
    });
    assert.deepEqual(new Set(view.byLabel.get("pi-1")), new Set([0.25]));
    const outstanding = recording.query({
      series: "outstanding",
      fromMs: recording.nowMs - dayMs,
      toMs: recording.nowMs,
    });
    assert.deepEqual(outstanding.byLabel.get("pi-1")!.slice(-12), Array(12).fill(0));
    assert.equal(outstanding.byLabel.get("pi-1")![0], null);
  });
});

for (const clean of [true, false]) {
  Deno.test(`an agent's value is unknown while the manager was down (${clean ? "clean" : "killed"})`, () => {
    withRecording((recording) => {
      recording.run(1800, () => recording.telemetry("pi-1", 0.25));
      recording.restart(hourMs, clean);
      recording.run(1800, () => recording.telemetry("pi-1", 0.75));
      const view = recording.query({ series: "cpu", fromMs: startMs, toMs: recording.nowMs });
      const at = (ms: number) => view.byLabel.get("pi-1")![view.timesMs.indexOf(startMs + ms)];
      assert.equal(at(0), 0.25);
      assert.equal(at(45 * minuteMs), null);
      assert.equal(at(75 * minuteMs), null);
      assert.equal(at(95 * minuteMs), 0.75);
    });
  });
}

Deno.test("bad queries are refused by what is wrong with them", () => {
  withRecording((recording) => {
    assert.throws(() => recording.query({ series: "weather", fromMs: 0, toMs: 1 }), {
      code: "invalid_request",
      message: /must be one of requests, errors, .*, is "weather"/,
    });
    for (const [fromMs, toMs] of [[5, 5], [9, 5], [NaN, 5]]) {
      assert.throws(() => recording.query({ series: "cpu", fromMs, toMs }), { code: "invalid_request" });
    }
  });
});

Deno.test("a subject that nothing is known of has a column of zeros or gaps", () => {
  withRecording((recording) => {
    recording.run(5);
    const span = { fromMs: startMs, toMs: recording.nowMs, subject: "ghost" };
    assert.deepEqual(recording.query({ ...span, series: "requests" }).byLabel.get("ghost"), [0, 0, 0, 0, 0]);
    assert.deepEqual(recording.query({ ...span, series: "cpu" }).byLabel.get("ghost"), Array(5).fill(null));
    assert.deepEqual(
      recording.query({
        ...span,
        series: "requests",
        fromMs: recording.nowMs + 10,
        toMs: recording.nowMs + 20,
      }).timesMs,
      [],
    );
  });
});

Deno.test("a window over many endpoints reads those with most requests", () => {
  withRecording((recording) => {
    recording.run(3600, (second) => {
      for (let at = 0; at < 40; at++) {
        if (at === 39 || second % 10 === 0) recording.request({ endpoint: `set/f${at}`, totalMs: at });
      }
    });
    const span = { fromMs: startMs, toMs: recording.nowMs };
    const view = recording.query({ ...span, series: "requests" });
    assert.ok(view.columns.length >= 20 && view.columns.length < 40, `${view.columns.length} columns`);
    assert.deepEqual(new Set(view.byLabel.get("set/f39")), new Set([1]));
    const latency = recording.query({ ...span, series: "latency" });
    assert.deepEqual([...latency.byLabel.keys()], ["p50", "p95", "p99"]);
    assert.ok(Math.abs(latency.byLabel.get("p99")![100]! - 39) < 0.4, "over all endpoints");
  });
});

Deno.test("the ring keeps 15 minutes and no more", () => {
  withRecording((recording) => {
    recording.run(2000, (second) => {
      for (let at = 0; at <= second % 5; at++) recording.request();
    });
    const view = recording.query({
      series: "requests",
      subject: "images/resize",
      fromMs: recording.nowMs - 905_000,
      toMs: recording.nowMs,
    });
    assert.equal(view.resolutionMs, 1000);
    const expected = Array.from({ length: 900 }, (_, at) => (1100 + at) % 5 + 1);
    assert.deepEqual(view.byLabel.get("images/resize"), expected);
  });
});

Deno.test("the p95 of each endpoint comes at once, by whole steps only, also of the last minutes", () => {
  withRecording((recording) => {
    recording.run(60, () => {
      recording.request({ totalMs: 40 });
      recording.request({ endpoint: "images/crop", totalMs: 90 });
    });
    const view = recording.query({ series: "endpointLatency", fromMs: startMs, toMs: recording.nowMs });
    assert.equal(view.resolutionMs, 10_000);
    assert.deepEqual([...view.byLabel.keys()], ["images/crop", "images/resize"]);
    for (const [label, ms] of [["images/crop", 90], ["images/resize", 40]] as const) {
      const known = view.byLabel.get(label)!.filter((value) => value !== null);
      assert.ok(known.length > 0);
      for (const value of known) assert.ok(Math.abs(value - ms) < ms / 50, `${label}: ${value}`);
    }
  });
});
