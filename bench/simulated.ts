/**
 * A process that measures what one request costs the manager's core as things grow: the real dispatcher, routes and
 * metrics, with agents and clients that are plain sinks in memory. Argument: `SimulatedJob` as JSON; prints ns per
 * request, all of admission, choice, queue, reply and metrics included.
 */
import { buildRoutes, type RoutingTable } from "../lib/cluster/routing.ts";
import { createSystemClock } from "../lib/clock.ts";
import { silentLog } from "../lib/log.ts";
import { createMetrics } from "../lib/manager/metrics.ts";
import { encodeFrame, frameId, Op, setFrameId } from "../lib/protocol/frame.ts";
import type { ReplicaReport } from "../lib/protocol/messages.ts";
import type { Revision } from "../lib/protocol/revision.ts";
import { createSeededRandom } from "../lib/random.ts";
import { createDispatcher, type Dispatcher, type Requester } from "../lib/scheduling/dispatcher.ts";
import { openStore } from "../lib/store/store.ts";

export interface SimulatedJob {
  agents: number;
  endpoints: number;
  /** Requests that wait all the time. */
  queued: number;
  requests: number;
  /** Leaves out the metrics. */
  uncounted?: boolean;
}

/** More endpoints make more replicaSets. */
const endpointsPerSet = 100;
const slotsPerAgent = 64;
/** Under way all the time when nothing waits. */
const outstanding = 32;
/** Less than one connection may have in flight. */
const perRequesterMax = 10_000;
const bodyBytes = 64;
const answeredMax = 1024;

class Simulation {
  readonly #dispatcher: Dispatcher;
  readonly #requesters: Requester[];
  readonly #requests: Uint8Array[];
  readonly #reply = encodeFrame({ op: Op.reply, id: 1, a: 100, body: new Uint8Array(bodyBytes) });
  /** What agents have not answered yet, oldest first from `#oldest` on. */
  readonly #unanswered: { agent: string; id: number }[] = [];
  #oldest = 0;
  #lastId = 0;
  replies = 0;

  constructor(job: SimulatedJob) {
    const names = Array.from({ length: job.endpoints }, (_, index) => ({
      set: `set-${Math.floor(index / endpointsPerSet)}`,
      endpoint: `f${index % endpointsPerSet}`,
    }));
    const agents = Array.from({ length: job.agents }, (_, index) => `agent-${index}`);
    const routes = routesOf(names, agents, job.queued);
    const clock = createSystemClock();
    const store = openStore({ folder: null });
    const metrics = createMetrics({ store, clock, log: silentLog, bootEpoch: 1 }, () => []);
    this.#dispatcher = createDispatcher({
      clock,
      random: createSeededRandom(1),
      bootEpoch: 1,
      routes: () => routes,
      onOutcome: job.uncounted ? () => {} : (outcome) => metrics.observeRequest(outcome),
    });
    for (const agent of agents) {
      this.#dispatcher.agentConnected(agent, {
        sendFrames: (bytes: Uint8Array, at = 0) =>
          void this.#unanswered.push({ agent, id: frameId(bytes, at) }),
      });
    }
    this.#dispatcher.routesChanged();
    this.#requesters = Array.from({ length: Math.ceil((job.queued + 1) / perRequesterMax) }, (_, index) => ({
      id: `client ${index}`,
      describe: "bench",
      mayInvoke: () => true,
      sink: { sendFrames: () => void this.replies++ },
    }));
    this.#requests = names.map(({ set, endpoint }) =>
      encodeFrame({ op: Op.request, id: 1, name: `${set}/${endpoint}`, body: new Uint8Array(bodyBytes) })
    );
  }

  admit(): void {
    const id = ++this.#lastId;
    const frame = this.#requests[id % this.#requests.length].slice();
    setFrameId(frame, 0, id);
    this.#dispatcher.admit(this.#requesters[id % this.#requesters.length], frame, 0, frame.length);
  }

  answerOldest(): void {
    const { agent, id } = this.#unanswered[this.#oldest++];
    // What is answered must not pile up: the collector's work would be counted as the core's.
    if (this.#oldest === answeredMax) {
      this.#unanswered.splice(0, answeredMax);
      this.#oldest = 0;
    }
    const frame = this.#reply.slice();
    setFrameId(frame, 0, id);
    this.#dispatcher.answer(agent, frame, 0, frame.length);
  }
}

/** Every agent has a replica of every set. */
function routesOf(
  names: readonly { set: string; endpoint: string }[],
  agents: readonly string[],
  queued: number,
): RoutingTable {
  const endpoints = Map.groupBy(names, ({ set }) => set);
  const revisions = [...endpoints.keys()].map((replicaSet): Revision => ({
    ...{ replicaSet, revision: 1, createdAtMs: 0, createdBy: "bench" },
    specification: {
      ...{ name: replicaSet, version: "1.0.0", modules: [], replicas: "all", placement: {}, permissions: {} },
      ...{ env: {}, memoryMb: 64, queueMax: queued + outstanding, timeoutMs: 3600_000, idempotent: false },
      rollout: { maxUnavailable: 1, maxSurge: 1, minReadyMs: 0, deadlineMs: 1000 },
    },
  }));
  const reports = [...endpoints].map(([replicaSet, found], index): ReplicaReport => ({
    ...{ handle: index + 1, replicaSet, revision: 1, state: "ready", slots: slotsPerAgent },
    endpoints: found.map(({ endpoint }) => ({ name: endpoint, stream: false })),
  }));
  return buildRoutes(revisions, agents.map((name) => ({ name, health: "ready", reports })));
}

/** ns per request while the same number is in the system all the time. */
function measure(job: SimulatedJob): number {
  const simulation = new Simulation(job);
  const standing = job.queued === 0 ? outstanding : job.queued + job.agents * slotsPerAgent;
  for (let count = 0; count < standing; count++) simulation.admit();
  const turn = () => {
    simulation.answerOldest();
    simulation.admit();
  };
  for (let count = 0; count < job.requests / 4; count++) turn();
  const before = simulation.replies;
  const startedMs = performance.now();
  for (let count = 0; count < job.requests; count++) turn();
  const ns = (performance.now() - startedMs) * 1e6 / job.requests;
  const replies = simulation.replies - before;
  if (replies !== job.requests) throw new Error(`${job.requests} requests must be answered, ${replies} were`);
  return ns;
}

if (import.meta.main) {
  console.log(JSON.stringify({ ns: measure(JSON.parse(Deno.args[0])) }));
  Deno.exit(0);
}
