/**
 * The cost of the dispatcher alone, in a process of its own: requests are admitted and answered through sinks in
 * memory, in a cluster of the size given. What counts is time per request, everything of the network left out.
 */
import { buildRoutes, type RoutingAgent } from "../../lib/cluster/routing.ts";
import { createSystemClock } from "../../lib/clock.ts";
import { encodeFrame, frameId, Op, setFrameId } from "../../lib/protocol/frame.ts";
import type { Revision } from "../../lib/protocol/revision.ts";
import { createSystemRandom } from "../../lib/random.ts";
import { createDispatcher, type Requester } from "../../lib/scheduling/dispatcher.ts";
import { printResult } from "../processes.ts";

export interface DispatchJob {
  agents: number;
  endpoints: number;
  /** Requests that wait all the time. */
  queued: number;
  requests: number;
}

export interface DispatchResult {
  nsPerRequest: number;
}

const endpointsPerSet = 100;
const slotsPerReplica = 64;
const timeoutMs = 3_600_000;

const job = JSON.parse(Deno.args[0]) as DispatchJob;
const sets = Math.ceil(job.endpoints / endpointsPerSet);
const endpointsOfSet = Math.min(job.endpoints, endpointsPerSet);
/** Run ids that agents hold, oldest first, by agent. */
const held: { agent: string; runId: number }[] = [];
let heldFrom = 0;

const table = buildRoutes(Array.from({ length: sets }, (_, set) => revisionOf(set)), agentsOf());
const dispatcher = createDispatcher({
  clock: createSystemClock(),
  random: createSystemRandom(),
  bootEpoch: 1,
  routes: () => table,
  onOutcome: () => {},
});
for (let agent = 0; agent < job.agents; agent++) {
  const name = `agent-${agent}`;
  dispatcher.agentConnected(name, {
    sendFrames: (bytes: Uint8Array, at = 0) => void held.push({ agent: name, runId: frameId(bytes, at) }),
  });
}
dispatcher.routesChanged();
const frames = Array.from({ length: job.endpoints }, (_, index) => {
  const name = `set-${index % sets}/function-${Math.floor(index / sets)}`;
  return encodeFrame({ op: Op.request, id: 1, name, body: new Uint8Array(64) });
});
const reply = encodeFrame({ op: Op.reply, id: 1, a: 100, body: new Uint8Array(64) });
const requesters: Requester[] = Array.from({ length: 16 }, (_, index) => ({
  id: `client-${index}`,
  describe: "bench",
  sink: { sendFrames: () => {} },
  mayInvoke: () => true,
}));
let sent = 0;

function revisionOf(set: number): Revision {
  const name = `set-${set}`;
  return {
    ...{ replicaSet: name, revision: 1, createdAtMs: 0, createdBy: "bench" },
    specification: {
      ...{
        name,
        version: "1.0.0",
        modules: [],
        replicas: job.agents,
        placement: {},
        permissions: {},
        env: {},
      },
      ...{ memoryMb: 64, queueMax: 1_000_000, timeoutMs, idempotent: false },
      rollout: { maxUnavailable: 1, maxSurge: 1, minReadyMs: 0, deadlineMs: 1000 },
    },
  };
}

function* agentsOf(): Generator<RoutingAgent> {
  for (let agent = 0; agent < job.agents; agent++) {
    const reports = Array.from({ length: sets }, (_, set) => ({
      ...{ handle: set + 1, replicaSet: `set-${set}`, revision: 1, state: "ready" as const },
      slots: slotsPerReplica,
      endpoints: Array.from({ length: endpointsOfSet }, (_, index) => ({
        name: `function-${index}`,
        stream: false,
      })),
    }));
    yield { name: `agent-${agent}`, health: "ready", reports };
  }
}

function send(): void {
  const frame = frames[sent % frames.length].slice();
  setFrameId(frame, 0, sent + 1);
  dispatcher.admit(requesters[sent++ % requesters.length], frame, 0, frame.length);
}

function answer(): void {
  const { agent, runId } = held[heldFrom++];
  const frame = reply.slice();
  setFrameId(frame, 0, runId);
  dispatcher.answer(agent, frame, 0, frame.length);
  // The list is cut now and then, which costs less than a shift for each.
  if (heldFrom === 4096) {
    held.splice(0, heldFrom);
    heldFrom = 0;
  }
}

/** As many under way as there are slots when something shall wait, and a fair number otherwise. */
const outstanding = job.queued > 0 ? job.agents * slotsPerReplica * sets + job.queued : 32;
while (sent < outstanding) send();
function run(requests: number): number {
  const startedMs = performance.now();
  for (let done = 0; done < requests; done++) {
    answer();
    send();
  }
  return (performance.now() - startedMs) * 1e6 / requests;
}
run(job.requests);
printResult({ nsPerRequest: run(job.requests) } satisfies DispatchResult);
Deno.exit(0);
