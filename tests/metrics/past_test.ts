/** All endpoints over a whole time, each sample once, wherever it is kept; agents and queues at a moment. */
import assert from "node:assert/strict";
import {
  describeAgentsPast,
  describeEndpointsPast,
  namesWithPast,
  planPast,
  queuedPast,
} from "../../lib/metrics/past.ts";
import type { EndpointPastView } from "../../lib/protocol/views.ts";
import { type Recording, startMs, withRecording } from "./support.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

function past(recording: Recording, fromMs: number, toMs: number): Map<string, EndpointPastView> {
  const sources = { ingest: recording.ingest, history: recording.history };
  const parts = planPast({ fromMs, toMs }, sources);
  const found = describeEndpointsPast(namesWithPast("endpoint", sources), parts, sources);
  return new Map(found.map((each) => [each.endpoint, each]));
}

/** The resolutions of the parts, in seconds, and that they follow each other. */
function steps(recording: Recording, fromMs: number, toMs: number): number[] {
  const parts = planPast({ fromMs, toMs }, recording);
  parts.slice(1).forEach((part, at) => assert.equal(part.fromMs, parts[at].toMs));
  return parts.map(({ resolutionMs }) => resolutionMs / 1000);
}

Deno.test("rates and percentiles are of the whole time, of what is stored and of what is not yet", () => {
  withRecording((recording) => {
    recording.run(85, (second) => {
      recording.request({ totalMs: second < 80 ? 10 : 500 });
      if (second % 10 === 0) recording.request({ code: "module_failed", totalMs: 10 });
      if (second < 5) recording.request({ endpoint: "texts/count" });
    });
    // The last five seconds are no whole sample yet.
    const all = past(recording, startMs, startMs + hourMs);
    const resize = all.get("images/resize")!;
    assert.deepEqual([resize.requestsPerSecond, resize.errorsPerSecond], [88 / 80, 8 / 80]);
    assert.ok(Math.abs(resize.p99Ms! - 10) < 0.2, `${resize.p99Ms}`);
    assert.equal(all.get("texts/count")!.requestsPerSecond, 5 / 80);
    recording.run(5);
    assert.ok(past(recording, startMs, startMs + hourMs).get("images/resize")!.p99Ms! > 400);
    const first = past(recording, startMs + 10_000, startMs + 20_000);
    assert.deepEqual([...first.keys()], ["images/resize"]);
    assert.equal(first.get("images/resize")!.requestsPerSecond, 1.1);
    assert.equal(past(recording, startMs + hourMs, startMs + 2 * hourMs).size, 0, "it has not happened yet");
  });
});

Deno.test("a long time is read by 5 min where it can be, and its ends to 10 s", () => {
  withRecording((recording) => {
    recording.nowMs = startMs + 20_000;
    recording.restart(0, true);
    recording.run(3 * 3600, () => recording.request());
    const endMs = recording.nowMs;
    const [fromMs, toMs] = [startMs + 20_000, startMs + 100 * minuteMs + 30_000];
    assert.deepEqual(steps(recording, fromMs, toMs), [10, 300, 10]);
    assert.equal(past(recording, fromMs, toMs).get("images/resize")!.requestsPerSecond, 1);
    assert.deepEqual(steps(recording, fromMs, fromMs + 10 * minuteMs), [10]);
    assert.equal(past(recording, fromMs, endMs).get("images/resize")!.requestsPerSecond, 1);
    // Of what is older than a day there are 5 min samples only.
    recording.restart(48 * hourMs, true);
    recording.run(60);
    assert.deepEqual(steps(recording, fromMs, toMs), [300]);
    const whole = past(recording, startMs, startMs + 105 * minuteMs).get("images/resize")!;
    assert.equal(whole.requestsPerSecond, (105 * 60 - 20) / (105 * 60));
  });
});

Deno.test("an agent is as it told last before the moment, stored or not, until it is gone", () => {
  withRecording((recording) => {
    // A row is written when values move: pi-1's only at first, pi-2's each time, pi-3's when it is gone.
    recording.run(200, (second) => {
      recording.telemetry("pi-1", 0.2, { outstanding: 3 });
      recording.telemetry("pi-2", second < 190 ? 0.5 : 0.9);
      if (second < 100) recording.telemetry("pi-3", 0.7);
    });
    const at = (second: number) => {
      const atMs = startMs + second * 1000;
      const names = namesWithPast("agent", recording);
      return new Map(describeAgentsPast(names, atMs, recording).map((each) => [each.name, each]));
    };
    const check = () => {
      assert.deepEqual([...at(0).keys()], []);
      const told = { memory: 1e9, outstanding: 3 };
      assert.deepEqual(at(95).get("pi-1"), { name: "pi-1", cpu: 0.2, ...told });
      assert.deepEqual(at(195).get("pi-1")?.cpu, 0.2);
      assert.deepEqual([at(150), at(195)].map((then) => then.get("pi-2")?.cpu), [0.5, 0.9]);
      assert.deepEqual([at(95), at(195)].map((then) => then.get("pi-3")?.cpu), [0.7, undefined]);
    };
    assert.ok(recording.ingest.pending.length > 0);
    check();
    recording.restart(0, true);
    check();
    recording.run(2 * 3600);
    check();
    // Of what is older than a day there are 5 min samples only.
    recording.restart(48 * hourMs, true);
    recording.run(2 * 3600);
    assert.deepEqual(at(195).get("pi-1")?.cpu, 0.2);
    assert.deepEqual([...at(350).keys()], [], "all were gone when that manager ended");
  });
});

Deno.test("a queue is as deep as it was at most in the last whole sample", () => {
  withRecording((recording) => {
    recording.run(
      95,
      (second) => recording.ingest.observeQueue("images", second === 75 ? 7 : second >= 85 ? 2 : 0),
    );
    const at = (second: number) => queuedPast("images", startMs + second * 1000, recording);
    const check = () => assert.deepEqual([70, 79, 80, 81, 90, 95, 9999].map(at), [0, 7, 7, 2, 2, 2, 2]);
    check();
    recording.ingest.flush(recording.nowMs);
    check();
    assert.equal(queuedPast("texts", recording.nowMs, recording), 0);
  });
});
