/**
 * A process that sends requests at a steady rate. Each is due at its own time, and its latency counts from there
 * (no coordinated omission). Argument: `SteadyJob` as JSON.
 */
import { SqwishError } from "../lib/errors.ts";
import { Histogram } from "../lib/metrics/histogram.ts";
import type { EchoClient } from "./peers/peer.ts";
import type { SoakLoad } from "./scenarios/soak.ts";

interface SteadyJob {
  client: string;
  address: unknown;
  bytes: number;
  perSecond: number;
  durationMs: number;
  resultFile: string;
}

/** What is due is sent this often. */
const tickMs = 5;
/** A connection takes not many more: what is due while so many are under way is not sent. */
const underWayMax = 15_000;

async function run({ client, address, bytes, perSecond, durationMs }: SteadyJob): Promise<SoakLoad> {
  const { open } = await import(`./peers/${client}/client.ts`);
  const connection: EchoClient = await open(address);
  const body = new Uint8Array(bytes).fill(97);
  const latency = new Histogram();
  let [due, unsent, failed, underWay] = [0, 0, 0, 0];
  const failures: Record<string, number> = {};
  const send = async (dueMs: number) => {
    underWay++;
    try {
      await connection.ask(body);
      latency.observe((performance.now() - dueMs) * 1000);
    } catch (thrown) {
      failed++;
      const why = thrown instanceof SqwishError ? thrown.code : String(thrown);
      failures[why] = (failures[why] ?? 0) + 1;
    }
    underWay--;
  };
  const startedMs = performance.now();
  const pending = new Set<Promise<void>>();
  for (let nowMs = 0; nowMs < durationMs; nowMs = performance.now() - startedMs) {
    for (; due < nowMs / 1000 * perSecond; due++) {
      if (underWay >= underWayMax) unsent++;
      else void track(pending, send(startedMs + due / perSecond * 1000));
    }
    await new Promise((resolve) => setTimeout(resolve, tickMs));
  }
  await Promise.all(pending);
  const seconds = (performance.now() - startedMs) / 1000;
  await connection.close();
  const [p50Us, p99Us] = [0.5, 0.99].map((share) => latency.quantile(share) ?? 0);
  return { requests: due - unsent, failed, failures, unsent, seconds, p50Us, p99Us };
}

async function track(pending: Set<Promise<void>>, one: Promise<void>): Promise<void> {
  pending.add(one);
  await one;
  pending.delete(one);
}

const job: SteadyJob = JSON.parse(Deno.args[0]);
await Deno.writeTextFile(job.resultFile, JSON.stringify(await run(job)));
Deno.exit(0);
