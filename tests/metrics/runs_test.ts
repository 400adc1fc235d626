import assert from "node:assert/strict";
import { Histogram } from "../../lib/metrics/histogram.ts";
import { limits } from "../../lib/limits.ts";
import { type Recording, startMs, withRecording } from "./support.ts";

/** Runs of one revision on one agent in the running second: `ms` each. */
function runs(recording: Recording, agent: string, revision: number, count: number, ms: number, errors = 0) {
  const histogram = new Histogram();
  for (let at = 0; at < count; at++) histogram.observe(ms * 1000);
  const latency = histogram.toJSON();
  recording.ingest.observeTelemetry(agent, {
    type: "telemetry",
    sequence: 1,
    host: { cpu: 0, load1: 0, memoryUsedBytes: 1e9, memoryTotalBytes: 4e9 },
    agentCpuCores: 0,
    agentMemoryBytes: 5e7,
    replicas: [],
    endpoints: [{ endpoint: "images/resize", revision, count, errors, latency }],
  }, recording.nowMs);
}

function isNear(actual: number | null, wanted: number): void {
  assert.ok(
    actual !== null && Math.abs(actual - wanted) <= wanted * 0.011,
    `${actual} is not near ${wanted}`,
  );
}

Deno.test("two revisions of an endpoint can be told apart over time, added up over their agents", () => {
  withRecording((recording) => {
    recording.run(1200, (second) => {
      if (second < 600) runs(recording, "pi-1", 1, 10, 20);
      else for (const agent of ["pi-1", "pi-2"]) runs(recording, agent, 2, 5, 80, 1);
    });
    const span = { fromMs: startMs, toMs: recording.nowMs, subject: "images/resize" };
    const requests = recording.query({ ...span, series: "revisionRequests" });
    assert.equal(requests.resolutionMs, 10_000);
    assert.deepEqual([...requests.byLabel.keys()], ["revision 1", "revision 2"]);
    const middle = (label: string, at: number) => requests.byLabel.get(label)![at];
    assert.deepEqual([middle("revision 1", 20), middle("revision 2", 20)], [10, 0]);
    assert.deepEqual([middle("revision 1", 90), middle("revision 2", 90)], [0, 10]);
    const latency = recording.query({ ...span, series: "revisionLatency" });
    isNear(latency.byLabel.get("revision 1")![20], 20);
    isNear(latency.byLabel.get("revision 2")![90], 80);
    assert.equal(latency.byLabel.get("revision 2")![20], null);
    assert.equal(recording.query({ ...span, series: "revisionErrors" }).byLabel.get("revision 2")![90], 2);
    assert.deepEqual(
      recording.query({ ...span, series: "revisionLatency", subject: "images/res" }).columns,
      [],
    );
  });
});

Deno.test("a slow agent shows beside the others, also once its rows are rolled up", () => {
  withRecording((recording) => {
    recording.run(900, () => {
      runs(recording, "pi-1", 1, 4, 10);
      runs(recording, "pi-2", 1, 1, 300);
    });
    const fine = recording.query({ series: "agentLatency", fromMs: startMs, toMs: recording.nowMs });
    isNear(fine.byLabel.get("pi-1")![30], 10);
    isNear(fine.byLabel.get("pi-2")![30], 300);
    const fromMs = recording.nowMs - 2 * limits.sampleKeptMs;
    const coarse = recording.query({ series: "agentLatency", fromMs, toMs: recording.nowMs });
    assert.equal(coarse.resolutionMs, limits.rolledUpMs);
    isNear(coarse.byLabel.get("pi-2")!.findLast((value) => value !== null)!, 300);
  });
});

Deno.test("nothing that happened is nothing to write: no row of runs while all is idle", () => {
  withRecording((recording) => {
    runs(recording, "pi-1", 1, 1, 10);
    recording.run(600, () => recording.telemetry("pi-1", 0.1));
    assert.equal(recording.rows(limits.sampleMs, "revision"), 1);
    assert.equal(recording.rows(limits.sampleMs, "agentRuns"), 1);
  });
});
