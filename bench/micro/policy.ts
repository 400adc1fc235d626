/**
 * What choosing a replica costs: µs per choice with 2, 10 and 100 replicas, free ones and all full but one.
 * `deno run bench/micro/policy.ts`; the median of seven rounds.
 */
import { createSystemRandom } from "../../lib/random.ts";
import { type Candidate, choose } from "../../lib/scheduling/policy.ts";

const choices = 500_000;
const random = createSystemRandom();

function measureUs(count: number, isFull: boolean): number {
  const candidates: (Candidate & { outstanding: number })[] = Array.from({ length: count }, (_, i) => ({
    available: true,
    slots: 64,
    outstanding: isFull && i > 0 ? 64 : 0,
    lent: 0,
    runUs: 100 + i,
    runObservedMs: 0,
  }));
  const rounds = Array.from({ length: 7 }, () => {
    const startedMs = performance.now();
    for (let i = 0; i < choices; i++) {
      const chosen = choose(candidates, 1, random)!;
      // Its load changes as in earnest; full ones stay full.
      if (!isFull) chosen.outstanding = (chosen.outstanding + 1) & 63;
    }
    return ((performance.now() - startedMs) * 1000) / choices;
  });
  return rounds.sort((left, right) => left - right)[3];
}

for (const count of [2, 10, 100]) {
  const [free, full] = [measureUs(count, false), measureUs(count, true)].map((us) => us.toFixed(3));
  console.log(`${count} replicas: ${free} µs, ${full} µs with all full but one`);
}
