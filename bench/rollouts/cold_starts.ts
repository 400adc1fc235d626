/** From a request for a replicaSet that sleeps to its reply: what the client waits, and what the manager says of it. */
import type { Sqwish } from "../../client.ts";
import { deployed, setOf } from "../../tests/support/deploying.ts";
import { eventually } from "../../tests/support/eventually.ts";

interface ColdStart {
  /** From the request to its reply, at the client, ms. */
  waitedMs: number;
  /** Until the replica was ready, as the manager tells it, ms. */
  coldStartMs: number;
}

const patienceMs = 30_000;
const replicas = { min: 0, max: 1, idleMs: 1000 };

/** Deploys a small set and wakes it so many times, each time after it has gone to sleep by itself. */
export async function coldStarts(sqwish: Sqwish, count: number): Promise<ColdStart[]> {
  await deployed(sqwish, "nap", { "say.ts": `export const say = () => "awake";` }, { replicas });
  const starts: ColdStart[] = [];
  while (starts.length < count) {
    await eventually("it sleeps", async () => {
      const { placements, wanted } = (await setOf(sqwish, "nap"))!;
      return wanted === 0 && placements.length === 0;
    }, patienceMs);
    const askedMs = performance.now();
    await sqwish.invoke("nap/say");
    const waitedMs = performance.now() - askedMs;
    const coldStartMs = (await setOf(sqwish, "nap"))!.coldStartMs!;
    starts.push({ waitedMs, coldStartMs });
  }
  return starts;
}
