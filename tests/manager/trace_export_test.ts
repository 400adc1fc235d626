import assert from "node:assert/strict";
import { createLog } from "../../lib/log.ts";
import { TraceExport } from "../../lib/manager/trace_export.ts";
import type { RequestOutcome } from "../../lib/request_outcome.ts";
import { encodeFrame, Op } from "../../lib/protocol/frame.ts";
import { eventually } from "../support/eventually.ts";
import { ManualClock } from "../support/manual_clock.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const outcome: RequestOutcome = {
  endpoint: "images/resize",
  replicaSet: "images",
  revision: 3,
  agent: "pi-1",
  code: "ok",
  queueMs: 1.5,
  totalMs: 12,
  runUs: 9000,
  requester: "ada",
  number: 255,
  message: "",
};

function frame(headers: Record<string, string>) {
  const meta = Object.keys(headers).length > 0 ? JSON.stringify(headers) : "";
  return { bytes: encodeFrame({ op: Op.request, id: 1, name: "images/resize", meta }), at: 0 };
}

const traced = (flags = "01") => frame({ traceparent: `00-${traceId}-00f067aa0ba902b7-${flags}` });

async function withCollector(
  work: (traces: TraceExport, got: Record<string, unknown>[], lines: string[]) => Promise<void>,
  status = 200,
): Promise<void> {
  const got: Record<string, unknown>[] = [];
  const lines: string[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    got.push({ auth: request.headers.get("authorization"), body: await request.json() });
    return new Response("{}", { status });
  });
  const clock = new ManualClock();
  const log = createLog({ clock, write: (line) => void lines.push(line), level: "warn" });
  const traces = new TraceExport({ clock, log, cluster: "attic", version: "1.0.0", bootEpoch: 18 });
  traces.configure({
    url: `http://127.0.0.1:${server.addr.port}/v1/traces`,
    headers: { authorization: "Bearer x" },
  });
  try {
    await work(traces, got, lines);
  } finally {
    await traces.close();
    await server.shutdown();
  }
}

Deno.test("a traced request becomes a span of OTLP/HTTP under its request id, below the caller's span", async () => {
  await withCollector(async (traces, got) => {
    traces.observe(outcome, traced());
    traces.observe({ ...outcome, code: "module_failed", runUs: 0, message: "no disk" }, traced());
    await traces.flush();
    assert.equal(got[0].auth, "Bearer x");
    // deno-lint-ignore no-explicit-any
    const { resourceSpans: [{ resource, scopeSpans: [{ spans }] }] } = got[0].body as any;
    assert.ok(
      resource.attributes.some((one: { key: string; value: unknown }) =>
        one.key === "service.namespace" && JSON.stringify(one.value) === '{"stringValue":"attic"}'
      ),
    );
    const [span, failed] = spans;
    assert.deepEqual([span.traceId, span.spanId, span.parentSpanId], [
      traceId,
      "00000012000000ff",
      "00f067aa0ba902b7",
    ]);
    assert.equal(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano), 12_000_000n);
    assert.deepEqual(span.status, {});
    assert.deepEqual(failed.status, { code: 2, message: "no disk" });
  });
});

Deno.test("requests without a trace, or with one that is not to be recorded, cost the collector nothing", async () => {
  await withCollector(async (traces, got) => {
    traces.observe(outcome, frame({}));
    traces.observe(outcome, frame({ traceparent: "nonsense" }));
    traces.observe(outcome, traced("00"));
    traces.observe(outcome, undefined);
    await traces.flush();
    assert.deepEqual(got, []);
  });
});

Deno.test("a collector that refuses costs spans, and it is told once", async () => {
  await withCollector(async (traces, got, lines) => {
    for (let at = 0; at < 3; at++) {
      traces.observe(outcome, traced());
      await traces.flush();
    }
    assert.equal(got.length, 3);
    assert.equal(lines.filter((line) => / spans? (was|were) lost/.test(line)).length, 1);
  }, 503);
});

Deno.test("a collector that hangs holds nobody up who stops", async () => {
  const clock = new ManualClock();
  const hung = Promise.withResolvers<Response>();
  let asked = 0;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, () => {
    asked++;
    return hung.promise;
  });
  const log = createLog({ clock, write() {}, level: "error" });
  const traces = new TraceExport({ clock, log, cluster: "attic", version: "1.0.0", bootEpoch: 18 });
  traces.configure({ url: `http://127.0.0.1:${server.addr.port}/v1/traces`, headers: {} });
  for (let at = 0; at < 2000; at++) traces.observe(outcome, traced());
  const closing = traces.close();
  await eventually("the first batch is under way", () => asked === 1);
  clock.advance(2000);
  await closing;
  assert.equal(asked, 1);
  hung.resolve(new Response("{}"));
  await server.shutdown();
});
