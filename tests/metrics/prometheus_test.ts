import assert from "node:assert/strict";
import { type PrometheusSnapshot, renderPrometheus, totalsOf } from "../../lib/metrics/prometheus.ts";
import type { ReplicaView } from "../../lib/protocol/views.ts";
import { Recording, withRecording } from "./support.ts";

const empty: PrometheusSnapshot = {
  version: "1.0.0",
  endpoints: [],
  queues: [],
  agents: [],
  agentRuns: [],
  clients: 0,
  manager: {
    startedAtMs: 1_800_000_000_000,
    cpuSeconds: 1.5,
    memoryBytes: 5e7,
    diskWrittenBytes: 4096,
    databaseBytes: 8192,
  },
};

/** Name, labels and value of every line that isn't a comment. */
function parse(text: string): Map<string, string> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => {
    const match = line.match(/^([a-z_0-9]+(?:\{.*\})?) (\S+)$/);
    assert.ok(match, `not a sample: ${line}`);
    return [match[1], match[2]];
  }));
}

Deno.test("requests and their durations are counted by endpoint and outcome", () => {
  withRecording((recording) => {
    for (const totalMs of [0.5, 3, 70, 90_000]) recording.request({ totalMs });
    recording.request({ code: "queue_full", totalMs: 0 });
    recording.ingest.observeQueue("images", 3);
    const text = renderPrometheus({ ...empty, ...totalsOf(recording.ingest) });
    const lines = parse(text);
    assert.equal(lines.get('sqwish_requests_total{endpoint="images/resize",code="ok"}'), "4");
    assert.equal(lines.get('sqwish_requests_total{endpoint="images/resize",code="queue_full"}'), "1");
    assert.equal(lines.get('sqwish_queue_depth{replicaset="images"}'), "3");
    const bucket = (le: string) =>
      lines.get(`sqwish_request_duration_seconds_bucket{endpoint="images/resize",le="${le}"}`);
    assert.deepEqual(["0.001", "0.005", "0.05", "0.1", "60", "+Inf"].map(bucket), [
      "1",
      "2",
      "2",
      "3",
      "3",
      "4",
    ]);
    assert.equal(lines.get('sqwish_request_duration_seconds_count{endpoint="images/resize"}'), "4");
    assert.equal(Number(lines.get('sqwish_request_duration_seconds_sum{endpoint="images/resize"}')), 90.0735);
  });
});

Deno.test("agents are counted by health and tell what their hosts tell", () => {
  const agent = { slots: 4, outstanding: 2, agentCpuCores: 0.01, agentMemoryBytes: 6e7, replicas: [] };
  const host = {
    cpu: 0.25,
    load1: 1,
    memoryUsedBytes: 1e9,
    memoryTotalBytes: 4e9,
    temperatureC: 51.5,
    throttled: true,
  };
  const lines = parse(renderPrometheus({
    ...empty,
    agents: [{ ...agent, name: "pi-1", health: "ready", host }, { ...agent, name: "pi-2", health: "lost" }],
    agentRuns: [{ agent: "pi-1", runs: 5, failed: 2 }],
  }));
  assert.equal(lines.get('sqwish_agents{health="ready"}'), "1");
  assert.equal(lines.get('sqwish_agents{health="suspect"}'), "0");
  assert.equal(lines.get('sqwish_agent_temperature_celsius{agent="pi-1"}'), "51.5");
  assert.equal(lines.get('sqwish_agent_throttled{agent="pi-1"}'), "1");
  assert.equal(lines.has('sqwish_agent_cpu_ratio{agent="pi-2"}'), false);
  assert.equal(lines.get('sqwish_agent_slots{agent="pi-2"}'), "4");
  assert.equal(lines.get('sqwish_agent_runs_total{agent="pi-1",result="ok"}'), "3");
  assert.equal(lines.get("process_start_time_seconds"), "1800000000");
  assert.equal(lines.get("sqwish_manager_disk_written_bytes_total"), "4096");
  assert.equal(lines.get("sqwish_manager_database_bytes"), "8192");
});

Deno.test("every metric has its help and type once, before its lines, and ends with a line feed", () => {
  withRecording((recording) => {
    recording.request({ endpoint: "a/b" });
    recording.request({ endpoint: "c/d" });
    const text = renderPrometheus({ ...empty, ...totalsOf(recording.ingest) });
    assert.ok(text.endsWith("\n"));
    const seen = new Set<string>();
    let current = "";
    for (const line of text.trimEnd().split("\n")) {
      const help = line.match(/^# HELP (\S+) .+\.$/)?.[1];
      const type = line.match(/^# TYPE (\S+) (counter|gauge|histogram)$/)?.[1];
      if (help) {
        assert.ok(!seen.has(help), `${help} twice`);
        seen.add(current = help);
      } else if (type) assert.equal(type, current);
      else assert.ok(line.startsWith(current), line);
    }
  });
});

Deno.test("label values are escaped", () => {
  const text = renderPrometheus({ ...empty, queues: [{ replicaSet: 'a"b\\c\nd', depth: 1 }] });
  assert.ok(text.includes('sqwish_queue_depth{replicaset="a\\"b\\\\c\\nd"} 1\n'));
});

const replica: ReplicaView = {
  replicaSet: "images",
  revision: 2,
  version: "1.0.0",
  agent: "pi-1",
  state: "ready",
  slots: 4,
  outstanding: 0,
  runners: 1,
  cpuCores: 0,
  memoryBytes: 0,
  restarts: 3,
};

/** A snapshot in which every family has a line. */
function full(recording: Recording): PrometheusSnapshot {
  recording.request();
  recording.request({ code: "module_failed" });
  recording.telemetry("pi-1", 0.5, { runs: 3 });
  recording.ingest.observeQueue("images", 3);
  const host = { cpu: 0.25, load1: 1, memoryUsedBytes: 1e9, memoryTotalBytes: 4e9 };
  return {
    ...empty,
    ...totalsOf(recording.ingest),
    agents: [{
      name: "pi-1",
      health: "ready",
      slots: 4,
      outstanding: 2,
      agentCpuCores: 0.01,
      agentMemoryBytes: 6e7,
      host: { ...host, temperatureC: 51.5, throttled: true },
      replicas: [replica, { ...replica, revision: 3, state: "loading", restarts: 0 }],
    }],
  };
}

Deno.test("replicas are counted by state, and their restarts by agent and revision", () => {
  withRecording((recording) => {
    const lines = parse(renderPrometheus(full(recording)));
    assert.equal(lines.get('sqwish_replicas{replicaset="images",state="ready"}'), "1");
    assert.equal(lines.get('sqwish_replicas{replicaset="images",state="loading"}'), "1");
    assert.equal(
      lines.get('sqwish_replica_restarts_total{agent="pi-1",replicaset="images",revision="2"}'),
      "3",
    );
  });
});

const promtool = ["/usr/bin/promtool", "/usr/local/bin/promtool"].find(isThere);

Deno.test({
  name: "Prometheus' own check finds nothing wrong with names, types and help",
  ignore: promtool === undefined,
  async fn() {
    const recording = new Recording();
    try {
      const text = renderPrometheus(full(recording));
      const check = new Deno.Command(promtool!, {
        args: ["check", "metrics"],
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const writer = check.stdin.getWriter();
      await writer.write(new TextEncoder().encode(text));
      await writer.close();
      const { code, stdout, stderr } = await check.output();
      const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      assert.deepEqual([code, said], [0, ""]);
    } finally {
      recording.store.close();
    }
  },
});

Deno.test("the Grafana dashboard asks only for metrics that there are", async () => {
  const file = new URL("../../examples/grafana/sqwish.json", import.meta.url);
  const { panels } = JSON.parse(await Deno.readTextFile(file));
  const queries: string[] = panels.flatMap((panel: { targets?: { expr: string }[] }) =>
    (panel.targets ?? []).map(({ expr }) => expr)
  );
  const asked = new Set(queries.flatMap((expr) => expr.match(/\b(?:sqwish|process)_[a-z0-9_]+/g) ?? []));
  const recording = new Recording();
  try {
    const known = new Set(
      [...parse(renderPrometheus(full(recording))).keys()].map((line) => line.split("{")[0]),
    );
    assert.ok(asked.size > 8);
    assert.deepEqual([...asked].filter((name) => !known.has(name)), []);
  } finally {
    recording.store.close();
  }
});

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
