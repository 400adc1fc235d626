/**
 * The real dispatcher under more load than it has room for: clients that send whatever becomes of it, agents whose
 * functions take some time on some cores. Time is simulated, all chance is from one seed.
 */
import {
  decodeFrame,
  encodeFrame,
  frameId,
  frameName,
  frameOp,
  setFrameId,
} from "../../lib/protocol/frame.ts";
import { createSeededRandom, type Random } from "../../lib/random.ts";
import type { FrameSink, Requester } from "../../lib/scheduling/dispatcher.ts";
import { errorOf, Op, reportOf, revisionOf, Rig } from "../scheduling/rig.ts";

export interface Crowd {
  name: string;
  /** Requests per second, at random. */
  perSecond: number;
  timeoutMs: number;
  /** "work" when absent. */
  endpoint?: string;
  fromMs?: number;
  untilMs?: number;
  /** How many connections it has; 1 when absent. */
  connections?: number;
}

export interface OverloadScenario {
  seed: number;
  agents: number;
  /** Requests at once per replica; adaptive from the cores when absent. */
  slots?: number;
  /** How many an agent does at the same time; what it has beyond waits there. */
  cores: number;
  /** How long a request of this endpoint takes on a core. */
  workMs(endpoint: string, random: Random, nowMs: number): number;
  crowds: Crowd[];
  durationMs: number;
  queueMax?: number;
  /** Something that happens meanwhile. */
  meanwhile?: { atMs: number; do(rig: Rig): void };
}

/** What became of one request. */
export interface Ended {
  sentMs: number;
  crowd: string;
  code: string;
}

const endpoints = ["work", "long"];

/** Runs it until every request has its outcome. */
export function simulateOverload(scenario: OverloadScenario): Ended[] {
  const { seed, agents, slots, cores, crowds, durationMs, queueMax = 1000 } = scenario;
  const random = createSeededRandom(seed);
  const rig = new Rig([revisionOf("set", { queueMax })], seed);
  for (let index = 1; index <= agents; index++) {
    const name = `pi-${index}`;
    const sink = new SimulatedAgent(rig, name, scenario, random);
    const reports = [reportOf("set", endpoints, { slots: slots ?? cores, adaptive: slots === undefined })];
    rig.agents.set(name, { name, health: "ready", reports, sink: sink as never });
    rig.dispatcher.agentConnected(name, sink);
  }
  rig.reroute();
  const ended: Ended[] = [];
  for (const crowd of crowds) send(rig, crowd, random, durationMs, ended);
  if (scenario.meanwhile) rig.clock.after(scenario.meanwhile.atMs, () => scenario.meanwhile!.do(rig));
  rig.clock.advance(durationMs + Math.max(...crowds.map(({ timeoutMs }) => timeoutMs)) + 1000);
  rig.dispatcher.close();
  return ended;
}

function send(rig: Rig, crowd: Crowd, random: Random, durationMs: number, ended: Ended[]): void {
  const { perSecond, timeoutMs, fromMs = 0, untilMs = durationMs, connections = 1 } = crowd;
  const clients = Array.from({ length: connections }, (_, index) => clientOf(rig, crowd, index, ended));
  const frame = encodeFrame({ op: Op.request, id: 0, a: timeoutMs, name: `set/${crowd.endpoint ?? "work"}` });
  const arrive = () => {
    if (rig.clock.monotonicMs() >= untilMs) return;
    clients[Math.floor(random.next() * connections)](frame.slice());
    rig.clock.after(-Math.log(1 - random.next()) * 1000 / perSecond, arrive);
  };
  rig.clock.after(fromMs, arrive);
}

/** One connection: sends a frame under an id of its own, and notes each outcome. */
function clientOf(rig: Rig, { name }: Crowd, index: number, ended: Ended[]): (frame: Uint8Array) => void {
  const sentMs: number[] = [];
  const requester: Requester = {
    id: `${name}-${index}`,
    describe: name,
    mayInvoke: () => true,
    sink: {
      sendFrames(bytes, at = 0) {
        const code = frameOp(bytes, at) === Op.reply ? "ok" : errorOf(decodeFrame(bytes, at)).code;
        ended.push({ sentMs: sentMs[frameId(bytes, at)], crowd: name, code });
      },
    },
  };
  return (frame) => {
    sentMs.push(rig.clock.monotonicMs());
    setFrameId(frame, 0, sentMs.length - 1);
    rig.dispatcher.admit(requester, frame, 0, frame.length);
  };
}

/** An agent with so many cores: what is beyond them waits in order. Its functions don't look at cancels. */
class SimulatedAgent implements FrameSink {
  readonly #waiting: { id: number; endpoint: string }[] = [];
  #running = 0;

  constructor(
    readonly rig: Rig,
    readonly name: string,
    readonly scenario: OverloadScenario,
    readonly random: Random,
  ) {}

  sendFrames(bytes: Uint8Array, at = 0): void {
    const id = frameId(bytes, at);
    if (frameOp(bytes, at) === Op.request) {
      this.#waiting.push({ id, endpoint: frameName(bytes, at).slice("set/".length) });
      return this.#next();
    }
    const waiting = this.#waiting.findIndex((each) => each.id === id);
    if (waiting < 0) return;
    this.#waiting.splice(waiting, 1);
    this.rig.clock.after(0, () => this.rig.error(this.name, id, "cancelled"));
  }

  #next(): void {
    while (this.#running < this.scenario.cores && this.#waiting.length > 0) {
      const { id, endpoint } = this.#waiting.shift()!;
      const workMs = this.scenario.workMs(endpoint, this.random, this.rig.clock.monotonicMs());
      this.#running++;
      this.rig.clock.after(workMs, () => {
        this.#running--;
        // First what it has, or the request that the reply makes room for would overtake it.
        this.#next();
        this.rig.reply(this.name, id, workMs * 1000);
      });
    }
  }
}

/** How many of a crowd's requests ended how, of those sent from `fromMs` on. */
export function tally(ended: readonly Ended[], crowd: string, fromMs = 0) {
  const own = ended.filter((each) => each.crowd === crowd && each.sentMs >= fromMs);
  const refused = own.filter(({ code }) => code === "queue_full").length;
  const inTime = own.filter(({ code }) => code === "ok").length;
  return { sent: own.length, refused, admitted: own.length - refused, inTime };
}
