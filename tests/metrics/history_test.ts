import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { limits } from "../../lib/limits.ts";
import { wasCalledBefore } from "../../lib/manager/endpoint_guard.ts";
import { Ingest } from "../../lib/metrics/ingest.ts";
import type { EndpointValue } from "../../lib/metrics/sample.ts";
import { migrations } from "../../lib/store/migrations/all.ts";
import { withFolder } from "../store/support.ts";
import { always, type Recording, startMs, withRecording } from "./support.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

function counts(recording: Recording, resolutionMs: number, subject = "images/resize"): number[] {
  return recording.history.read({ resolutionMs, kind: "endpoint", subject, ...always })
    .map((row) => (row.value as EndpointValue).n);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((left, right) => left + right, 0);
}

Deno.test("what two managers counted of one minute and one 10 s window is added up", () => {
  withRecording((recording) => {
    recording.run(25, () => recording.request());
    recording.restart(0, true);
    recording.run(35, () => recording.request());
    assert.deepEqual(counts(recording, limits.sampleMs), [10, 10, 10, 10, 10, 10]);
    const [latency] = recording.history.read({ resolutionMs: limits.sampleMs, kind: "cluster", ...always });
    assert.equal((latency.value as EndpointValue).n, 10);
  });
});

Deno.test("a manager that is killed loses no more than the running minute, also of what it was rolling up", () => {
  withRecording((recording) => {
    recording.run(4 * 3600 + 30, () => recording.request());
    recording.restart(0, false);
    recording.run(3600 - 30, () => recording.request());
    assert.equal(sum(counts(recording, limits.sampleMs)), 5 * 3600 - 30);
    assert.equal(sum(counts(recording, limits.rolledUpMs)), 5 * 3600 - 30);
  });
});

Deno.test("an hour of many subjects is rolled up in parts, each once, also over a restart between two of them", () => {
  withRecording((recording) => {
    const subjects = 65;
    const request = (second: number) => {
      if (second % 60 < subjects) recording.request({ endpoint: `set/f${second % subjects}` });
    };
    recording.run(3600, request);
    const first = recording.history.read({ resolutionMs: limits.rolledUpMs, kind: "endpoint", ...always });
    assert.ok(first.length > 0, "a part is done as the hour ends");
    assert.ok(new Set(first.map((row) => row.subject)).size < subjects, "and not all of it");
    recording.run(60);
    recording.restart(0, false);
    recording.run(600);
    for (let at = 0; at < subjects; at++) {
      const subject = `set/f${at}`;
      const fine = sum(counts(recording, limits.sampleMs, subject));
      assert.equal(sum(counts(recording, limits.rolledUpMs, subject)), fine, subject);
    }
    const total = recording.history.read({ resolutionMs: limits.rolledUpMs, kind: "cluster", ...always });
    assert.equal(sum(total.map((row) => (row.value as EndpointValue).n)), 3600);
  });
});

Deno.test("a wall clock that is set back by days stops no roll-up, and no view of what comes after", () => {
  withRecording((recording) => {
    recording.run(2 * 3600 + 60, () => recording.request());
    recording.nowMs -= 3 * dayMs;
    const fromMs = recording.nowMs - minuteMs;
    recording.ingest.tick(recording.nowMs);
    recording.run(2 * 3600, () => recording.request());
    const subject = "images/resize";
    const rolledUp = recording.history.read({
      ...{ resolutionMs: limits.rolledUpMs, kind: "endpoint", subject, fromMs, toMs: recording.nowMs },
    });
    assert.equal(sum(rolledUp.map((row) => (row.value as EndpointValue).n)), 2 * 3600 - 60);
    const view = recording.query({
      series: "requests",
      subject,
      fromMs: startMs - 5 * dayMs,
      toMs: recording.nowMs,
    });
    assert.deepEqual(view.byLabel.get(subject)!.slice(-2), [1, 1]);
  });
});

Deno.test("an hour whose roll-up is not done yet is shown from what it will be made of", () => {
  withRecording((recording) => {
    recording.run(2 * 3600, (second) => recording.request({ endpoint: `set/f${second % 50}` }));
    const view = recording.query({
      series: "requests",
      subject: "set/f49",
      fromMs: startMs - 22 * hourMs,
      toMs: recording.nowMs,
    });
    assert.equal(view.resolutionMs, limits.rolledUpMs);
    assert.deepEqual(view.byLabel.get("set/f49")!.slice(-24), Array(24).fill(6 / 300));
  });
});

Deno.test("a damaged block is an error to who looks at it, and stops nothing else", () => {
  withRecording((recording) => {
    recording.run(120, () => {
      recording.request();
      recording.telemetry("pi-1", 0.5, { runs: 1 });
    });
    const damaged = { slot: startMs / minuteMs + 1, bytes: Uint8Array.of(1, 2, 3) };
    const { samples } = recording.store;
    samples.writeBlocks("minute", [{ kind: "endpoint", subject: "images/resize", ...damaged }]);
    samples.writeBlocks("minute", [{ kind: "agent", subject: "pi-1", ...damaged }]);
    assert.throws(() => counts(recording, limits.sampleMs), RangeError);
    assert.equal(wasCalledBefore(recording.history, "images/resize", recording.nowMs), true);
    const failures: unknown[] = [];
    recording.restart(0, false);
    recording.ingest = new Ingest(recording.history, recording.nowMs, (cause) => failures.push(cause));
    recording.run(3600, () => recording.request());
    assert.deepEqual(failures, []);
    const whole = sum(counts(recording, limits.rolledUpMs));
    assert.equal(whole, 3600 - 60, "of the hour all but the damaged minute");
  });
});

Deno.test("`replace()` writes over samples of the same time and leaves those of others", () => {
  withRecording(({ history }) => {
    const rows = (...counts: [at: number, n: number][]) =>
      counts.map(([at, n]) => ({
        kind: "endpoint",
        subject: "a/b",
        atMs: startMs + at * limits.rolledUpMs,
        value: { n, e: 0, l: new Uint8Array() } satisfies EndpointValue,
      }));
    history.replace(limits.rolledUpMs, rows([0, 1], [1, 2], [12, 3]));
    history.replace(limits.rolledUpMs, rows([1, 20], [2, 30]));
    const all = history.read({ resolutionMs: limits.rolledUpMs, kind: "endpoint", ...always });
    assert.deepEqual(all, rows([0, 1], [1, 20], [2, 30], [12, 3]));
  });
});

Deno.test("a store that fails half way through a roll-up does it again", () => {
  withRecording((recording) => {
    const { samples } = recording.store;
    const { pruneBlocks } = samples;
    let isFull = true;
    samples.pruneBlocks = (...values) => {
      if (isFull) throw new Error("the disk is full");
      return pruneBlocks.apply(samples, values);
    };
    const failures: unknown[] = [];
    recording.ingest = new Ingest(recording.history, recording.nowMs, (cause) => failures.push(cause));
    recording.run(3600 + 120, () => recording.request());
    assert.equal(failures.length, 3);
    assert.deepEqual(counts(recording, limits.rolledUpMs), []);
    isFull = false;
    recording.run(60, () => recording.request());
    assert.deepEqual(counts(recording, limits.rolledUpMs), Array(12).fill(300));
  });
});

Deno.test("an agent that stood still for hours shows its value beside busy ones, and none once it is gone", () => {
  withRecording((recording) => {
    recording.run(6 * 3600, (second) => {
      if (second < 4 * 3600) recording.telemetry("still", 0.25);
      recording.telemetry("busy", 0.5, { runs: 1 });
    });
    const at = (fromMs: number) => {
      const view = recording.query({ series: "cpu", subject: "still", fromMs, toMs: fromMs + 20 * minuteMs });
      assert.equal(view.resolutionMs, limits.sampleMs);
      return new Set(view.byLabel.get("still"));
    };
    assert.deepEqual(at(startMs + 3 * hourMs + 30 * minuteMs), new Set([0.25]));
    assert.deepEqual(at(startMs + 5 * hourMs + 30 * minuteMs), new Set([null]));
  });
});

/** A database as the program of format 3 left it: requests and an agent for two hours up to `atMs`, rolled up as it did. */
function makeEarlier(path: string, atMs: number): void {
  const fromMs = atMs - 2 * hourMs;
  const windowOf = (ms: number) => Math.floor(ms / limits.rolledUpMs) * limits.rolledUpMs;
  using sqlite = new DatabaseSync(path);
  for (const migration of migrations.slice(0, 3)) sqlite.exec(migration);
  sqlite.exec("PRAGMA user_version = 3");
  sqlite.exec(`INSERT INTO sample_subjects (id, kind, subject) VALUES
    (1, 'endpoint', 'images/resize'), (2, 'agent', 'pi-1'), (3, 'cluster', ''), (4, 'endpoint', 'long/gone'),
    (5, 'agent', 'still')`);
  const insert = sqlite.prepare("INSERT INTO samples VALUES (?, ?, ?, ?)");
  // 5k is bucket 200 of the histogram, 53 µs.
  const requests = (count: number) => JSON.stringify({ n: count, e: 0, l: `5k:${count.toString(36)}` });
  sqlite.exec("BEGIN");
  for (let ms = fromMs; ms < atMs; ms += limits.sampleMs) {
    for (const subject of [1, 3]) insert.run(limits.sampleMs, subject, ms, requests(10));
  }
  for (let ms = windowOf(fromMs); ms < windowOf(atMs); ms += limits.rolledUpMs) {
    for (const subject of [1, 3]) insert.run(limits.rolledUpMs, subject, ms, requests(300));
  }
  for (const [resolutionMs, ms] of [[limits.sampleMs, fromMs], [limits.rolledUpMs, windowOf(fromMs)]]) {
    insert.run(resolutionMs, 2, ms, JSON.stringify({ v: [0.25, 1e9, null, 0] }));
    insert.run(resolutionMs, 5, windowOf(atMs - 20 * hourMs), JSON.stringify({ v: [0.125, 1e9, null, 0] }));
  }
  insert.run(limits.rolledUpMs, 4, windowOf(atMs - 20 * dayMs), requests(7));
  sqlite.exec("COMMIT");
}

Deno.test("what an earlier format stored is shown with what follows, and goes as it grows old", async () => {
  await withFolder((folder) => {
    // In the middle of an hour, which both formats then have a part of.
    makeEarlier(`${folder}/sqwish.db`, startMs + 32 * minuteMs);
    withRecording((recording) => {
      recording.nowMs = startMs + 32 * minuteMs;
      recording.ingest = new Ingest(recording.history, recording.nowMs);
      const live = () => {
        recording.request({ totalMs: 0.053 });
        recording.telemetry("pi-1", 0.75);
      };
      recording.run(88 * 60, live);
      const fine = recording.query({
        series: "requests",
        fromMs: startMs - hourMs,
        toMs: recording.nowMs,
      });
      assert.equal(fine.resolutionMs, limits.sampleMs);
      assert.deepEqual(new Set(fine.byLabel.get("images/resize")), new Set([1]));
      const before = { fromMs: startMs + 10 * minuteMs, toMs: startMs + 30 * minuteMs };
      for (const [subject, share] of [["pi-1", 0.25], ["still", 0.125]] as const) {
        const held = recording.query({ series: "cpu", subject, ...before });
        assert.deepEqual(new Set(held.byLabel.get(subject)), new Set([share]), "from a row of long before");
      }
      const coarse = { fromMs: startMs - 30 * hourMs, toMs: recording.nowMs };
      const requests = recording.query({ series: "requests", ...coarse }).byLabel.get("images/resize")!;
      assert.deepEqual(requests.slice(-40), Array(40).fill(1));
      const latency = recording.query({ series: "latency", ...coarse }).byLabel.get("p95")!;
      for (const value of latency.slice(-40)) assert.ok(Math.abs(value! / 0.053 - 1) < 0.02, `${value}`);
      const cpu = recording.query({ series: "cpu", ...coarse }).byLabel.get("pi-1")!;
      assert.equal(cpu.at(-1), 0.75);
      assert.equal(cpu.at(-30), 0.25);
      assert.equal(cpu[0], null);
      const month = { fromMs: startMs - 25 * dayMs, toMs: recording.nowMs };
      const gone = recording.query({ series: "requests", subject: "long/gone", ...month });
      const perSecond = sum(gone.byLabel.get("long/gone")!.map((value) => value!));
      assert.equal(Math.round(perSecond * gone.resolutionMs / 1000), 7);

      recording.nowMs += 32 * dayMs;
      recording.ingest.tick(recording.nowMs);
      recording.run(2 * 3600, live);
      using reader = new DatabaseSync(`${folder}/sqwish.db`);
      assert.equal(reader.prepare("SELECT count(*) AS rows FROM samples").get()!.rows, 0);
      assert.deepEqual(recording.history.subjects("endpoint"), ["images/resize"]);
      assert.equal(sum(counts(recording, limits.rolledUpMs)), 2 * 3600);
    }, folder);
  });
});
