import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { limits } from "../../lib/limits.ts";
import { Ingest } from "../../lib/metrics/ingest.ts";
import { totalsOf } from "../../lib/metrics/prometheus.ts";
import { History } from "../../lib/metrics/history.ts";
import { withFolder } from "../store/support.ts";
import { always, startMs, withRecording } from "./support.ts";

Deno.test("`endpointRates()` counts the last 10 s and takes quantiles over the last minute", () => {
  withRecording((recording) => {
    recording.run(30, (second) => {
      for (let at = 0; at < 4; at++) recording.request({ totalMs: second < 15 ? 100 : 20 });
      recording.request({ code: "module_failed", totalMs: 20 });
    });
    const rates = recording.ingest.endpointRates("images/resize");
    assert.equal(rates.requestsPerSecond, 5);
    assert.equal(rates.errorsPerSecond, 1);
    assert.equal(rates.totalRequests, 150);
    assert.equal(rates.totalErrors, 30);
    assert.ok(Math.abs(rates.p50Ms! - 20) <= 0.2, `p50 ${rates.p50Ms}`);
    assert.ok(Math.abs(rates.p99Ms! - 100) <= 1, `p99 ${rates.p99Ms}`);
    recording.run(20);
    assert.equal(recording.ingest.endpointRates("images/resize").requestsPerSecond, 0);
    assert.ok(recording.ingest.endpointRates("images/resize").p99Ms);
    recording.run(70);
    assert.deepEqual(recording.ingest.endpointRates("images/resize"), {
      requestsPerSecond: 0,
      errorsPerSecond: 0,
      totalRequests: 150,
      totalErrors: 30,
    });
  });
});

Deno.test("`clusterRates()` sums every endpoint, and one nobody called has zeros", () => {
  withRecording((recording) => {
    recording.run(10, () => {
      recording.request({ endpoint: "images/resize", totalMs: 10 });
      recording.request({ endpoint: "maths/factors", totalMs: 1000 });
    });
    const rates = recording.ingest.clusterRates();
    assert.equal(rates.requestsPerSecond, 2);
    assert.equal(rates.totalRequests, 20);
    assert.ok(Math.abs(rates.p99Ms! - 1000) <= 10);
    assert.equal(recording.ingest.endpointRates("text/count").totalRequests, 0);
  });
});

Deno.test("refused requests count as errors without a latency, cancelled ones are no errors", () => {
  withRecording((recording) => {
    recording.run(10, () => {
      recording.request({ code: "queue_full", totalMs: 0 });
      recording.request({ code: "cancelled", totalMs: 500 });
    });
    const rates = recording.ingest.endpointRates("images/resize");
    assert.equal(rates.errorsPerSecond, 1);
    assert.ok(Math.abs(rates.p50Ms! - 500) <= 5, "only the admitted ones have a latency");
  });
});

Deno.test("invented endpoint names cost no memory and are counted together", () => {
  withRecording((recording) => {
    for (let at = 0; at < 3000; at++) recording.request({ endpoint: `no/such${at}`, code: "not_found" });
    assert.equal(recording.ingest.endpoints.size, 0);
    assert.equal(recording.ingest.clusterRates().totalRequests, 3000);
  });
});

Deno.test("the number of endpoints is bounded; room is made by those idle for 15 minutes", () => {
  withRecording((recording) => {
    for (let at = 0; at < limits.metricEndpointsMax + 5; at++) recording.request({ endpoint: `set/f${at}` });
    assert.equal(recording.ingest.endpoints.size, limits.metricEndpointsMax);
    assert.equal(recording.ingest.other.totalByCode[0], 5);
    recording.run(1000);
    recording.request({ endpoint: "late/comer" });
    assert.equal(recording.ingest.endpoints.size, limits.metricEndpointsMax);
    assert.ok(recording.ingest.endpoints.has("late/comer"));
  });
});

Deno.test("samples reach the store at most once a minute", () => {
  withRecording((recording) => {
    recording.run(59, () => recording.request());
    assert.equal(recording.rows(limits.sampleMs, "endpoint"), 0);
    recording.run(1, () => recording.request());
    assert.equal(recording.rows(limits.sampleMs, "endpoint"), 6);
    recording.run(59, () => recording.request());
    assert.equal(recording.rows(limits.sampleMs, "endpoint"), 6);
  });
});

Deno.test("an idle cluster commits nothing to the disk", async () => {
  await withFolder((folder) => {
    withRecording((recording) => {
      const idle = (second: number) => {
        recording.telemetry("pi-1", 0.02 + 0.02 * (second % 2));
        recording.ingest.observeQueue("images", 0);
      };
      // The first hour holds the agent's first sample, and ends with its roll-up.
      recording.run(4000, idle);
      using observer = new DatabaseSync(`${folder}/sqwish.db`);
      // Changes with every commit of another connection.
      const commits = () => observer.prepare("PRAGMA data_version").get()!.data_version;
      const before = commits();
      recording.run(3600, idle);
      assert.equal(commits(), before);
      assert.equal(recording.rows(limits.sampleMs, "agent"), 1);
      assert.equal(recording.rows(limits.rolledUpMs, "agent"), 1);
      recording.run(61, () => recording.request());
      assert.notEqual(commits(), before);
    }, folder);
  });
});

Deno.test("an agent is written when its values move, and once when it falls silent", () => {
  withRecording((recording) => {
    recording.run(60, () => recording.telemetry("pi-1", 0.1));
    recording.run(60, () => recording.telemetry("pi-1", 0.5));
    recording.run(60, () => recording.telemetry("pi-1", 0.5, { runs: 1 }));
    recording.run(60);
    recording.run(60);
    const rows = recording.history.read({
      resolutionMs: limits.sampleMs,
      kind: "agent",
      subject: "pi-1",
      fromMs: 0,
      toMs: recording.nowMs,
    });
    const cpus = rows.map((row) => (row.value as { v: number[] | null }).v?.[0] ?? null);
    assert.deepEqual(cpus, [0.1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, null]);
    assert.equal(rows.at(-1)!.atMs, startMs + 180_000);
    assert.deepEqual(totalsOf(recording.ingest).agentRuns, [{ agent: "pi-1", runs: 60, failed: 60 }]);
  });
});

Deno.test("an agent that stands still is written again each hour, while others are", () => {
  withRecording((recording) => {
    recording.run(4 * 3600, (second) => {
      recording.telemetry("pi-1", 0.1);
      if (second < 2 * 3600) recording.request();
    });
    const rows = recording.history.read({ resolutionMs: limits.sampleMs, kind: "agent", ...always });
    assert.deepEqual(rows.map((row) => (row.atMs - startMs) / 60_000), [0, 60]);
  });
});

Deno.test("5 min rows are made of 10 s rows when their hour is over, and old rows are dropped", () => {
  withRecording((recording) => {
    const hour = 3600;
    recording.run(600, () => recording.request());
    recording.run(hour - 601);
    assert.equal(recording.rows(limits.sampleMs, "endpoint"), 60);
    assert.equal(recording.rows(limits.rolledUpMs, "endpoint"), 0);
    recording.run(1);
    const rolledUp = recording.history.read({ resolutionMs: limits.rolledUpMs, kind: "endpoint", ...always });
    assert.deepEqual(rolledUp.map((row) => [row.atMs - startMs, (row.value as { n: number }).n]), [
      [0, 300],
      [300_000, 300],
    ]);
    recording.nowMs += 24 * hour * 1000;
    recording.ingest.tick(recording.nowMs);
    recording.run(hour + 61, () => recording.request());
    assert.equal(recording.rows(limits.rolledUpMs, "endpoint"), 2 + 12);
    const old = {
      resolutionMs: limits.sampleMs,
      kind: "endpoint",
      fromMs: 0,
      toMs: startMs + 600_000,
    } as const;
    assert.deepEqual(recording.history.read(old), []);
    recording.nowMs += 31 * 24 * hour * 1000;
    recording.ingest.tick(recording.nowMs);
    recording.run(2 * hour, () => recording.request({ endpoint: "maths/factors" }));
    assert.deepEqual(recording.history.subjects("endpoint"), ["maths/factors"]);
    assert.equal(recording.rows(limits.rolledUpMs, "endpoint"), 24);
  });
});

Deno.test("a late tick and a wall clock set back lose no counts", () => {
  withRecording((recording) => {
    recording.run(5, () => recording.request());
    recording.request();
    recording.nowMs += 30_000;
    recording.ingest.tick(recording.nowMs);
    recording.ingest.tick(recording.nowMs);
    recording.request();
    recording.nowMs -= 3600_000;
    recording.ingest.tick(recording.nowMs);
    recording.run(120, () => recording.request());
    assert.equal(recording.ingest.endpointRates("images/resize").requestsPerSecond, 1);
    recording.ingest.close(recording.nowMs);
    const rows = recording.history.read({
      resolutionMs: limits.sampleMs,
      kind: "endpoint",
      ...always,
    });
    assert.equal(rows.reduce((sum, row) => sum + (row.value as { n: number }).n, 0), 127);
  });
});

Deno.test("`close()` hands the running window to the store", () => {
  withRecording((recording) => {
    recording.run(3, () => recording.request());
    recording.request();
    recording.ingest.close(recording.nowMs);
    assert.equal(recording.rows(limits.sampleMs, "endpoint"), 1);
  });
});

Deno.test("samples that the store refuses are kept and written when it takes them again", () => {
  withRecording((recording) => {
    const { samples } = recording.store;
    const failures: unknown[] = [];
    const full = new Error("the store refuses");
    let isFull = true;
    const storage = new Proxy(samples, {
      get: (target, name: keyof typeof samples) => {
        if (name === "writeBlocks" && isFull) throw full;
        const method = target[name];
        return typeof method === "function" ? method.bind(target) : method;
      },
    });
    recording.ingest = new Ingest(new History(storage), recording.nowMs, (cause) => failures.push(cause));
    recording.run(130, () => recording.request());
    assert.deepEqual(failures.map((failure) => (failure as Error).cause ?? failure), [full, full]);
    assert.equal(recording.rows(limits.sampleMs, "endpoint"), 0);
    isFull = false;
    recording.run(60, () => recording.request());
    assert.equal(recording.rows(limits.sampleMs, "endpoint"), 18);
  });
});
