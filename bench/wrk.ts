/** Load over HTTP by wrk: one thread of it, since the systems under test need the cores too. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type Measurement, perRequest, type Workload } from "./load.ts";
import { childrenCpuUs, cpuByRole, memoryOf } from "./measure.ts";
import type { HttpTarget, PeerContext, RunningPeer } from "./peers/peer.ts";
import { runToEnd, type Session } from "./session.ts";

interface WrkResult {
  requests: number;
  us: number;
  bytes: number;
  p50Us: number;
  p99Us: number;
  failed: number;
}

/** HTTP/1.1 has one request per connection under way, so there are as many connections as requests outstanding. */
export async function measureWithWrk(
  session: Session,
  context: PeerContext,
  running: RunningPeer,
  workload: Workload,
): Promise<Measurement> {
  assert.ok(running.target.kind === "http");
  await requireEcho(running.target, workload.bytes);
  const command = wrkCommand(running.target, workload);
  const run = async (ms: number) => readResult(await runToEnd(context, "wrk", ["wrk"], command(ms)));
  await run(session.warmMs);
  const before = cpuByRole(running.processes);
  const clientBefore = childrenCpuUs();
  const { requests, us, bytes, p50Us, p99Us, failed } = await run(session.windowMs);
  const after = cpuByRole(running.processes);
  const clientUs = childrenCpuUs() - clientBefore;
  assert.equal(failed, 0, `Every request must be answered, ${failed} of ${requests} were not`);
  assert.ok(bytes >= requests * workload.bytes, "Every reply must have its request's body");
  return {
    ...{ requests, seconds: us / 1e6, p50Us, p99Us },
    cpuUs: { ...perRequest(before, after, requests), client: clientUs / Math.max(1, requests) },
    memory: memoryOf(running.processes.pids.broker),
  };
}

function wrkCommand({ url, headers }: HttpTarget, workload: Workload) {
  const connections = String(workload.clients * workload.outstanding);
  const script = join(import.meta.dirname!, "wrk.lua");
  const named = Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
  return (ms: number) => [
    ...["-t", "1", "-c", connections, "-d", `${Math.max(1, Math.round(ms / 1000))}s`, "--timeout", "30s"],
    ...["-s", script, ...named, url, "--", String(workload.bytes)],
  ];
}

function readResult(output: string): WrkResult {
  const found = /^RESULT (.*)$/m.exec(output);
  if (!found) throw new Error(`wrk must print a result, it printed:\n${output}`);
  return JSON.parse(found[1]);
}

/** One request whose reply is compared byte by byte: wrk itself looks at the status only. */
async function requireEcho(
  { url, headers, caPem }: HttpTarget,
  length: number,
): Promise<void> {
  using client = Deno.createHttpClient({ caCerts: [caPem] });
  const body = new Uint8Array(length).map((_, index) => 97 + index % 26);
  const type = { "content-type": "application/octet-stream" };
  const response = await fetch(url, { method: "POST", headers: { ...type, ...headers }, body, client });
  const reply = await response.bytes();
  assert.equal(response.status, 200, new TextDecoder().decode(reply));
  assert.deepEqual(reply, body);
}
