/** Medians of the rounds, and the few other figures that tables, plots and goals are made of. Pure. */
import type { Measurement } from "./load.ts";
import type { Sample } from "./scenarios/compare.ts";

/** Of one peer under one workload, the median of each figure over all rounds. */
export interface Summary {
  perSecond: number;
  /** The slowest and the fastest round's. */
  perSecondRange: [number, number];
  p50Us: number;
  p99Us: number;
  /** CPU µs per request; undefined where there is no broker. */
  brokerUs?: number;
  /** Of all processes, the load generator included. */
  allUs: number;
  byRoleUs: Record<string, number>;
  brokerRssMb?: number;
  brokerPssMb?: number;
}

export function summarize(measurements: readonly Measurement[]): Summary {
  const rates = measurements.map(({ requests, seconds }) => requests / seconds);
  const roles = Object.keys(measurements[0].cpuUs);
  const of = (pick: (each: Measurement) => number) => median(measurements.map(pick));
  // Nothing is a broker that has no memory: Moleculer's nodes talk to each other.
  const hasBroker = measurements.some(({ memory }) => memory.rssMb > 0);
  return {
    perSecond: median(rates),
    perSecondRange: [Math.min(...rates), Math.max(...rates)],
    p50Us: of(({ p50Us }) => p50Us),
    p99Us: of(({ p99Us }) => p99Us),
    brokerUs: hasBroker ? of(({ cpuUs }) => cpuUs.broker) : undefined,
    allUs: of(({ cpuUs }) => Object.values(cpuUs).reduce((sum, us) => sum + us, 0)),
    byRoleUs: Object.fromEntries(roles.map((role) => [role, of(({ cpuUs }) => cpuUs[role])])),
    brokerRssMb: hasBroker ? of(({ memory }) => memory.rssMb) : undefined,
    brokerPssMb: hasBroker ? of(({ memory }) => memory.pssMb) : undefined,
  };
}

/** Undefined when there is no such measurement. */
export function summaryOf(
  samples: readonly Sample[] | undefined,
  peer: string,
  title: string,
): Summary | undefined {
  const found = (samples ?? []).filter((sample) => sample.peer === peer && sample.case === title);
  return found.length === 0 ? undefined : summarize(found.map(({ measurement }) => measurement));
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
