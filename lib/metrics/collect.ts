/**
 * What an agent's requests did since its last telemetry: counts, errors and run times per endpoint and revision.
 * runner replies → here → telemetry → the manager's `ingest`.
 * Invariant: what was taken is never sent again, so the manager may add up.
 */
import type { EndpointSample } from "../protocol/messages.ts";
import { Histogram } from "./histogram.ts";

/** One finished request. */
export interface RunOutcome {
  endpoint: string;
  revision: number;
  /** Run time in the module, µs. */
  runUs: number;
  failed: boolean;
}

interface Counter {
  endpoint: string;
  revision: number;
  count: number;
  errors: number;
  latency: Histogram;
  /** How many telemetries it has been idle for. */
  idleTakes: number;
}

/** Idle counters are kept for a minute of telemetries, then their memory is given back. */
const idleTakesMax = 60;

export class Collector {
  readonly #byEndpoint = new Map<string, Map<number, Counter>>();

  /** Counts one request. Allocates only when an endpoint's revision is first seen. */
  observe(outcome: RunOutcome): void {
    const counter = this.#byEndpoint.get(outcome.endpoint)?.get(outcome.revision) ?? this.#add(outcome);
    counter.count += 1;
    if (outcome.failed) counter.errors += 1;
    counter.latency.observe(outcome.runUs);
  }

  /** Everything since the last call, in the form of the telemetry message; endpoints without requests are left out. */
  take(): EndpointSample[] {
    const samples: EndpointSample[] = [];
    for (const [endpoint, byRevision] of this.#byEndpoint) {
      for (const [revision, counter] of byRevision) {
        if (counter.count > 0) samples.push(takeSample(counter));
        else if (++counter.idleTakes >= idleTakesMax) byRevision.delete(revision);
      }
      if (byRevision.size === 0) this.#byEndpoint.delete(endpoint);
    }
    return samples;
  }

  #add({ endpoint, revision }: RunOutcome): Counter {
    let byRevision = this.#byEndpoint.get(endpoint);
    if (!byRevision) this.#byEndpoint.set(endpoint, byRevision = new Map());
    const counter = { endpoint, revision, count: 0, errors: 0, latency: new Histogram(), idleTakes: 0 };
    byRevision.set(revision, counter);
    return counter;
  }
}

function takeSample(counter: Counter): EndpointSample {
  const { endpoint, revision, count, errors, latency } = counter;
  const sample = { endpoint, revision, count, errors, latency: latency.toJSON() };
  counter.count = 0;
  counter.errors = 0;
  counter.idleTakes = 0;
  latency.clear();
  return sample;
}
