/**
 * The load generator, a process of its own for each measurement: so many requests outstanding per connection, each
 * followed by the next as soon as its reply is there. The same loop for every system that has a client library.
 * Takes a `LoadJob`, gives a `Measurement`.
 */
import { Histogram } from "../lib/metrics/histogram.ts";
import { cpuOfEach, type Memory, memoryOf, perRequest } from "./measure.ts";
import type { EchoClient } from "./peers/peer.ts";
import { pause, printResult } from "./processes.ts";

export interface LoadJob extends Workload {
  /** The peer whose `client.ts` is used, and what its `open` takes. */
  client: string;
  address: unknown;
  warmMs: number;
  windowMs: number;
  /** Processes whose CPU time is counted, by role. */
  pids: Readonly<Record<string, readonly number[]>>;
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
  const pids = { ...job.pids, client: [Deno.pid] };
  const before = cpuOfEach(pids);
  const startedMs = performance.now();
  await Promise.race([pause(job.windowMs), failure]);
  const seconds = (performance.now() - startedMs) / 1000;
  const after = cpuOfEach(pids);
  const measurement = {
    requests: latency.count,
    seconds,
    p50Us: latency.quantile(0.5) ?? 0,
    p99Us: latency.quantile(0.99) ?? 0,
    cpuUs: perRequest(before, after, latency.count),
    memory: memoryOf(job.pids.broker),
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

function requireEqual(reply: Uint8Array, body: Uint8Array): void {
  if (reply.length === body.length && body.every((byte, index) => reply[index] === byte)) return;
  throw new Error(`The reply must be the request's ${body.length} bytes, it is others (${reply.length})`);
}

if (import.meta.main) {
  printResult(await measure(JSON.parse(Deno.args[0])));
  // Some clients keep timers that would hold the process.
  Deno.exit(0);
}
