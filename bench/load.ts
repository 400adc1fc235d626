/**
 * The load generator, a process of its own for each measurement: so many requests outstanding per connection, each
 * followed by the next as soon as its reply is there. The same loop for every system that has a client library.
 * Prints one `Measurement` as JSON. Argument: `LoadJob` as JSON.
 */
import { Histogram } from "../lib/metrics/histogram.ts";
import { cpuByRole, type Memory, memoryOf, type Processes } from "./measure.ts";
import type { EchoClient } from "./peers/peer.ts";

export interface LoadJob extends Workload {
  /** The peer whose `client.ts` is used, and what its `open` takes. */
  client: string;
  address: unknown;
  warmMs: number;
  windowMs: number;
  /** Whose CPU time is counted. */
  processes: Processes;
  /** Where the result goes. */
  resultFile: string;
}

export interface Workload {
  /** Of each body, and of its reply. */
  bytes: number;
  /** Connections of the load process. */
  clients: number;
  /** Requests each of them has under way. */
  outstanding: number;
}

export interface Measurement {
  requests: number;
  seconds: number;
  p50Us: number;
  p99Us: number;
  /** CPU time per request in µs, by role; "client" is the load generator itself. */
  cpuUs: Record<string, number>;
  /** Of the broker at the end. */
  memory: Memory;
}

const latency = new Histogram();
let stopped = false;

export async function measure(job: LoadJob): Promise<Measurement> {
  const { open } = await import(`./peers/${job.client}/client.ts`);
  const clients: EchoClient[] = await Promise.all(
    Array.from({ length: job.clients }, () => open(job.address)),
  );
  const body = new Uint8Array(job.bytes).map((_, index) => 97 + index % 26);
  for (const client of clients) requireEqual(await client.ask(body), body);
  const busy = clients.flatMap((client) =>
    Array.from({ length: job.outstanding }, () => keepBusy(client, body))
  );
  const failure = Promise.all(busy).then(() => {});
  await Promise.race([pause(job.warmMs), failure]);
  latency.clear();
  const processes: Processes = { ...job.processes, pids: { ...job.processes.pids, client: [Deno.pid] } };
  const before = cpuByRole(processes);
  const startedMs = performance.now();
  await Promise.race([pause(job.windowMs), failure]);
  const seconds = (performance.now() - startedMs) / 1000;
  const after = cpuByRole(processes);
  const measurement = {
    requests: latency.count,
    seconds,
    p50Us: latency.quantile(0.5) ?? 0,
    p99Us: latency.quantile(0.99) ?? 0,
    cpuUs: perRequest(before, after, latency.count),
    memory: memoryOf(processes.pids.broker),
  };
  stopped = true;
  await failure;
  await Promise.all(clients.map((client) => client.close()));
  return measurement;
}

async function keepBusy(client: EchoClient, body: Uint8Array): Promise<void> {
  let startedMs = performance.now();
  while (!stopped) {
    const reply = await client.ask(body);
    // Comparing every byte would cost more than some of the systems do; the first reply was compared whole.
    if (reply.length !== body.length || reply[body.length - 1] !== body[body.length - 1]) {
      throw new Error(`A reply must have the ${body.length} bytes of its request, it has ${reply.length}`);
    }
    const nowMs = performance.now();
    latency.observe((nowMs - startedMs) * 1000);
    startedMs = nowMs;
  }
}

/** CPU time per request between two readings, by role. */
export function perRequest(
  before: Record<string, number>,
  after: Record<string, number>,
  requests: number,
): Record<string, number> {
  return Object.fromEntries(
    Object.keys(after).map((role) => [role, Math.max(0, after[role] - before[role]) / Math.max(1, requests)]),
  );
}

function requireEqual(reply: Uint8Array, body: Uint8Array): void {
  if (reply.length === body.length && body.every((byte, index) => reply[index] === byte)) return;
  throw new Error(`The reply must be the request's ${body.length} bytes, it is others (${reply.length})`);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

if (import.meta.main) {
  const job = JSON.parse(Deno.args[0]) as LoadJob;
  await Deno.writeTextFile(job.resultFile, JSON.stringify(await measure(job)));
  // Some clients keep timers that would hold the process.
  Deno.exit(0);
}
