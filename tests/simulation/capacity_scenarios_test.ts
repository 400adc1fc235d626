/**
 * The adaptive capacity where it must be right, against the best limit that one could have set by hand. Each scenario
 * runs with several seeds; a failure names the one to replay it by.
 */
import assert from "node:assert/strict";
import {
  bestStatic,
  inFlight,
  type Observed,
  type Scenario,
  simulate,
  slotsBetween,
  throughput,
} from "./model.ts";

const seeds = [1, 2, 3];
const echo = { weight: 1, cpuMs: 0.03, waitMs: 0 };
const working = { weight: 1, cpuMs: 50, waitMs: 0 };
const waiting = { weight: 1, cpuMs: 0.05, waitMs: 200 };
const dual = { cores: 2 };

interface Expectation {
  /** Of the best fixed limit's throughput, once it has settled. */
  throughputMin: number;
  /** Mean requests in flight at the replicas once it has settled. */
  inFlightMin?: number;
  inFlightMax?: number;
  settledMs?: number;
}

function expect(name: string, parts: Omit<Scenario, "seed">, expectation: Expectation): void {
  const { throughputMin, inFlightMin = 0, inFlightMax = Infinity, settledMs = 2000 } = expectation;
  Deno.test(name, () => {
    const best = bestStatic({ ...parts, seed: seeds[0] }, settledMs);
    for (const seed of seeds) {
      const observed = simulate({ ...parts, seed });
      const perSecond = throughput(observed, settledMs, parts.durationMs);
      const share = perSecond / best.perSecond;
      assert.ok(share >= throughputMin, `seed ${seed}: ${share} of what ${best.slots} fixed slots give`);
      const mean = inFlight(observed, settledMs, parts.durationMs);
      assert.ok(mean >= inFlightMin && mean <= inFlightMax, `seed ${seed}: ${mean} in flight`);
    }
  });
}

expect("an echo gets its hundred slots and more, for batches on the wire", {
  works: [echo],
  replicas: [dual],
  clients: 600,
  durationMs: 3500,
}, { throughputMin: 0.9, inFlightMin: 100, inFlightMax: 500 });

expect("a function that works for 50 ms gets hardly more than the cores", {
  works: [working],
  replicas: [dual],
  clients: 64,
  durationMs: 20_000,
}, { throughputMin: 0.95, inFlightMax: 3, settledMs: 5000 });

expect("so does one whose work comes after a wait and looks like run time", {
  works: [{ weight: 1, cpuMs: 0.1, waitMs: 1, lastCpuMs: 50 }],
  replicas: [dual],
  clients: 64,
  durationMs: 30_000,
}, { throughputMin: 0.95, inFlightMax: 12, settledMs: 5000 });

expect("a function that waits for 200 ms gets hundreds", {
  works: [waiting],
  replicas: [dual],
  clients: 400,
  durationMs: 6000,
}, { throughputMin: 0.95, inFlightMin: 390 });

expect("short work behind a slow network gets enough to fill it", {
  works: [{ weight: 1, cpuMs: 5, waitMs: 0 }],
  replicas: [{ cores: 4, networkMs: 20 }],
  clients: 64,
  durationMs: 6000,
}, { throughputMin: 0.9, inFlightMax: 40 });

expect("echoes and waiting in one replicaSet don't hold each other up", {
  works: [echo, waiting],
  replicas: [dual],
  clients: 400,
  durationMs: 15_000,
}, { throughputMin: 0.85, settledMs: 5000 });

expect("working and waiting in one replicaSet", {
  works: [working, waiting],
  replicas: [dual],
  clients: 100,
  durationMs: 30_000,
}, { throughputMin: 0.8, inFlightMax: 60, settledMs: 5000 });

expect("echoes, working and waiting in one replicaSet", {
  works: [{ ...echo, weight: 8 }, working, { ...waiting, weight: 4 }],
  replicas: [dual],
  clients: 200,
  durationMs: 30_000,
}, { throughputMin: 0.8, inFlightMax: 160, settledMs: 5000 });

expect("two replicas, one at half speed", {
  works: [{ weight: 1, cpuMs: 5, waitMs: 0 }],
  replicas: [dual, { cores: 2, slowness: 2 }],
  clients: 32,
  durationMs: 8000,
}, { throughputMin: 0.9, inFlightMax: 20 });

function everySeed(name: string, parts: Omit<Scenario, "seed">, check: (observed: Observed) => void): void {
  Deno.test(name, () => {
    for (const seed of seeds) {
      try {
        check(simulate({ ...parts, seed }));
      } catch (cause) {
        throw new Error(`seed ${seed}: ${(cause as Error).message}`, { cause });
      }
    }
  });
}

everySeed("from 2 slots to hundreds within 1.2 s", {
  works: [waiting],
  replicas: [dual],
  clients: 400,
  durationMs: 1500,
}, (observed) => {
  assert.ok(slotsBetween(observed, 0, 1000, 1300).max >= 200);
});

everySeed("a replica that is ten times slower for 10 s recovers within 2 s", {
  works: [{ weight: 1, cpuMs: 0.1, waitMs: 0 }],
  replicas: [{ cores: 2, slowness: (nowMs) => nowMs > 3000 && nowMs < 13_000 ? 10 : 1 }],
  clients: 300,
  durationMs: 18_000,
}, (observed) => {
  const before = throughput(observed, 2000, 3000);
  assert.ok(throughput(observed, 4000, 13_000) > 0.8 * before / 10);
  assert.ok(throughput(observed, 15_000, 18_000) > 0.9 * before);
});

everySeed("a replica that is slow for 10 s gets less meanwhile, and its share again after", {
  works: [{ weight: 1, cpuMs: 2, waitMs: 0 }],
  replicas: [dual, { cores: 2, slowness: (nowMs) => nowMs > 3000 && nowMs < 13_000 ? 8 : 1 }],
  clients: 32,
  durationMs: 20_000,
}, (observed) => {
  const before = throughput(observed, 2000, 3000);
  assert.ok(throughput(observed, 5000, 13_000) > 0.5 * before);
  assert.ok(throughput(observed, 16_000, 20_000) > 0.9 * before);
});

everySeed("working after hours of waiting: the limit comes down again", {
  works: (nowMs) => nowMs < 5000 ? [waiting] : [working],
  replicas: [dual],
  clients: 400,
  durationMs: 60_000,
}, (observed) => {
  // Hundreds are at the replica when it turns; they take 25 ms each before anything new can be learned.
  assert.ok(inFlight(observed, 45_000, 60_000) < 6, `${inFlight(observed, 45_000, 60_000)} in flight`);
});

everySeed("once settled, the limit of an echo stays within a band", {
  works: [echo],
  replicas: [dual],
  clients: 600,
  durationMs: 7000,
}, (observed) => {
  const { min, max } = slotsBetween(observed, 0, 3000, 7000);
  assert.ok(max / min <= 3, `${min} to ${max}`);
});

everySeed("at a rate below its limits, nothing grows beyond what is used", {
  works: [{ weight: 1, cpuMs: 1, waitMs: 0 }],
  replicas: [dual],
  rate: 0.2,
  durationMs: 20_000,
}, (observed) => {
  assert.ok(slotsBetween(observed, 0, 0, 20_000).max <= 16);
});
