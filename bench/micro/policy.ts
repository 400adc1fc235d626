/**
 * What one choice of a replica costs, with 2 to 1000 replicas: the best of a few as it is, and the
 * least of all beside it. `deno run bench/micro/policy.ts`
 */
import { createSystemRandom, type Random } from "../../lib/random.ts";
import { type Candidate, choose, isFree } from "../../lib/scheduling/policy.ts";

/** The alternative: the least of all. */
export function chooseLeast<C extends Candidate>(
  candidates: readonly C[],
  _nowMs: number,
  random: Random,
): C | null {
  let least: C | null = null;
  let leastLoad = Infinity;
  let equals = 0;
  for (const candidate of candidates) {
    if (!isFree(candidate)) continue;
    const load = (candidate.outstanding + 1) / candidate.slots;
    if (load > leastLoad) continue;
    equals = load < leastLoad ? 1 : equals + 1;
    if (equals === 1 || random.next() * equals < 1) least = candidate;
    leastLoad = load;
  }
  return least;
}

class Replica implements Candidate {
  available = true;
  runObservedMs = 0;
  outstanding = 0;
  constructor(readonly slots: number, public runUs: number) {}
}

const loads: Record<string, (replicas: Replica[], random: Random) => void> = {
  "half full": (replicas, random) => {
    for (const replica of replicas) replica.outstanding = Math.floor(random.next() * replica.slots);
  },
  "one free": (replicas) => {
    for (const replica of replicas) replica.outstanding = replica.slots;
    replicas[replicas.length >> 1].outstanding--;
  },
  "none free": (replicas) => {
    for (const replica of replicas) replica.outstanding = replica.slots;
  },
};

/** ns per choice: the median of rounds. */
function measure(pick: typeof choose, replicas: Replica[], random: Random, choices: number): number {
  const rounds: number[] = [];
  let found = 0;
  for (let round = 0; round < 7; round++) {
    const startMs = performance.now();
    for (let i = 0; i < choices; i++) if (pick(replicas, 1000, random)) found++;
    rounds.push((performance.now() - startMs) * 1e6 / choices);
  }
  if (found < 0) throw new Error("The choices must not be optimised away");
  return rounds.sort((a, b) => a - b)[rounds.length >> 1];
}

/** One row per load and number of replicas. */
export function policyRows(
  choices: number,
): { load: string; replicas: number; fewNs: number; leastNs: number }[] {
  const random = createSystemRandom();
  const rows = [];
  for (const [load, fill] of Object.entries(loads)) {
    for (const count of [2, 10, 100, 1000]) {
      const replicas = Array.from({ length: count }, () => new Replica(64, 900 + random.next() * 200));
      fill(replicas, random);
      const fewNs = measure(choose, replicas, random, choices);
      const leastNs = measure(chooseLeast, replicas, random, Math.max(1, Math.ceil(choices * 2 / count)));
      rows.push({ load, replicas: count, fewNs, leastNs });
    }
  }
  return rows;
}

if (import.meta.main) {
  console.log("load        replicas   best of few   least of all   (ns per choice)");
  for (const { load, replicas, fewNs, leastNs } of policyRows(200_000)) {
    console.log(
      `${load.padEnd(10)}  ${String(replicas).padStart(8)}  ${fewNs.toFixed(0).padStart(11)}  ${
        leastNs.toFixed(0).padStart(12)
      }`,
    );
  }
}
