/** Sends requests at an even rate, whatever the replies do, for as long as told. */
import { connect } from "../../client.ts";
import { Histogram } from "../../lib/metrics/histogram.ts";
import { printResult } from "../processes.ts";

export interface PacedJob {
  token: string;
  bytes: number;
  perSecond: number;
  seconds: number;
}

export interface PacedResult {
  sent: number;
  answered: number;
  failed: number;
  /** The last error's message. */
  lastError?: string;
  p50Us: number;
  p99Us: number;
}

const tickMs = 5;

const { token, bytes, perSecond, seconds } = JSON.parse(Deno.args[0]) as PacedJob;
const sqwish = await connect({ token, profileFile: false });
const body = new Uint8Array(bytes).fill(97);
const latency = new Histogram();
const startedMs = performance.now();
let sent = 0;
let failed = 0;
let lastError: string | undefined;

async function send(): Promise<void> {
  const sentMs = performance.now();
  try {
    await sqwish.invoke("bench/echo", body);
    latency.observe((performance.now() - sentMs) * 1000);
  } catch (thrown) {
    failed++;
    lastError = (thrown as Error).message;
  }
}

console.log("ready");
for (let elapsedMs = 0; elapsedMs < seconds * 1000; elapsedMs = performance.now() - startedMs) {
  for (const due = elapsedMs / 1000 * perSecond; sent < due; sent++) send();
  await new Promise((resolve) => setTimeout(resolve, tickMs));
}
while (latency.count + failed < sent) await new Promise((resolve) => setTimeout(resolve, tickMs));
const [p50Us, p99Us] = [0.5, 0.99].map((q) => latency.quantile(q) ?? 0);
printResult({ sent, answered: latency.count, failed, lastError, p50Us, p99Us } satisfies PacedResult);
Deno.exit(0);
