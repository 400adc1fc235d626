/**
 * What one request costs in the manager's scheduling alone: admission, choice, dispatch and the reply back, with
 * frames that come in batches as they do from sockets, and agents and clients that are arrays in this process.
 *
 *   deno run -A bench/micro/dispatcher.ts [outstanding] [agents] [slots]
 */
import { buildRoutes } from "../../lib/cluster/routing.ts";
import { createSystemClock } from "../../lib/clock.ts";
import { encodeFrame, forEachFrame, frameId, headerBytes, Op, setFrameId } from "../../lib/protocol/frame.ts";
import type { Revision } from "../../lib/protocol/revision.ts";
import { createSystemRandom } from "../../lib/random.ts";
import { createDispatcher, type Requester } from "../../lib/scheduling/dispatcher.ts";

const [outstanding = 256, agentCount = 2, slots = 256] = Deno.args.map(Number);
const roundMs = 1000;
const rounds = 5;
const endpoint = "e/echo";

/** Gathers ranges as a connection does, and gives them out as one message. */
class Gathering {
  #ranges: [Uint8Array, number, number][] = [];
  sendFrames(bytes: Uint8Array, at = 0, end = bytes.length): void {
    this.#ranges.push([bytes, at, end]);
  }
  take(): Uint8Array {
    let length = 0;
    for (const [, at, end] of this.#ranges) length += end - at;
    const message = new Uint8Array(length);
    let to = 0;
    for (const [bytes, at, end] of this.#ranges) {
      for (let i = at; i < end; i++) message[to++] = bytes[i];
    }
    this.#ranges = [];
    return message;
  }
}

const revision: Revision = {
  replicaSet: "e",
  revision: 1,
  createdAtMs: 0,
  createdBy: "bench",
  specification: {
    name: "e",
    version: "1.0.0",
    modules: [],
    replicas: "all",
    placement: {},
    permissions: {},
    env: {},
    memoryMb: 64,
    queueMax: 1_000_000,
    timeoutMs: 30_000,
    idempotent: false,
    rollout: { maxUnavailable: 1, maxSurge: 1, minReadyMs: 0, deadlineMs: 1000 },
  },
};
const agents = Array.from({ length: agentCount }, (_, i) => ({
  name: `agent-${i}`,
  health: "ready" as const,
  reports: [{
    handle: 1,
    replicaSet: "e",
    revision: 1,
    state: "ready" as const,
    slots,
    endpoints: [{ name: "echo", stream: false }],
  }],
}));
const table = buildRoutes([revision], agents);
const dispatcher = createDispatcher({
  clock: createSystemClock(),
  random: createSystemRandom(),
  bootEpoch: 1,
  routes: () => table,
  onOutcome() {},
});
const links = agents.map(({ name }) => {
  const sink = new Gathering();
  dispatcher.agentConnected(name, sink);
  return { name, sink };
});
const client = new Gathering();
const requester: Requester = { id: "client 1", describe: "bench", sink: client, mayInvoke: () => true };
const request = encodeFrame({ op: Op.request, id: 0, a: 30_000, name: endpoint, body: new Uint8Array(64) });

function admitAll(ids: number[]): void {
  const message = new Uint8Array(request.length * ids.length);
  ids.forEach((id, i) => {
    message.set(request, i * request.length);
    setFrameId(message, i * request.length, id);
  });
  forEachFrame(message, (at, end) => dispatcher.admit(requester, message, at, end));
}

/** Each agent answers all it has got; the ids of the requests that were answered. */
function turn(): number[] {
  for (const { name, sink } of links) {
    const requests = sink.take();
    const reply = encodeFrame({ op: Op.reply, id: 0, a: 20, body: new Uint8Array(64) });
    const replies = new Uint8Array(requests.length / request.length * reply.length);
    let to = 0;
    forEachFrame(requests, (at) => {
      replies.set(reply, to);
      setFrameId(replies, to, frameId(requests, at));
      to += reply.length;
    });
    forEachFrame(replies, (at, end) => dispatcher.answer(name, replies, at, end));
  }
  const ids: number[] = [];
  const replies = client.take();
  forEachFrame(replies, (at) => ids.push(frameId(replies, at)));
  return ids;
}

let ids = Array.from({ length: outstanding }, (_, i) => i + 1);
admitAll(ids);
const figures: number[] = [];
for (let round = 0; round <= rounds; round++) {
  const startedMs = performance.now();
  let count = 0;
  while (performance.now() - startedMs < roundMs) {
    ids = turn();
    admitAll(ids);
    count += ids.length;
  }
  if (round > 0) figures.push((performance.now() - startedMs) * 1000 / count);
}
dispatcher.close();
const median = figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)];
console.log(
  `${outstanding} outstanding, ${agentCount} agents: ${median.toFixed(2)} µs per request, ` +
    `frames of ${headerBytes + endpoint.length + 64} bytes (rounds ${
      figures.map((us) => us.toFixed(2)).join(" ")
    })`,
);
