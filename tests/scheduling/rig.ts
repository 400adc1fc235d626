/** A dispatcher with everything around it in the test's hands: clock, routing facts, agents and requesters. */
import { buildRoutes, emptyRoutes, type RoutingTable } from "../../lib/cluster/routing.ts";
import type { ErrorCode, ErrorDetails } from "../../lib/errors.ts";
import {
  decodeFrame,
  encodeFrame,
  Flag,
  forEachFrame,
  type Frame,
  type FrameParts,
  Op,
} from "../../lib/protocol/frame.ts";
import type { ReplicaReport } from "../../lib/protocol/messages.ts";
import type { Revision, RevisionSpecification } from "../../lib/protocol/revision.ts";
import type { AgentHealth } from "../../lib/protocol/views.ts";
import { createSeededRandom } from "../../lib/random.ts";
import type { RequestOutcome } from "../../lib/request_outcome.ts";
import { createDispatcher, type Dispatcher, type Requester } from "../../lib/scheduling/dispatcher.ts";
import { ManualClock } from "../support/manual_clock.ts";

/** Keeps a copy of each frame as it was when it was sent. */
export class RecordingSink {
  frames: Frame[] = [];
  readonly bufferedBytes: number = 0;
  readonly jammed: boolean = false;

  sendFrames(bytes: Uint8Array, at = 0, end = bytes.length): void {
    const copy = bytes.slice(at, end);
    forEachFrame(copy, (at) => this.frames.push(decodeFrame(copy, at)));
  }

  /** The frames of one operation. */
  of(op: number): Frame[] {
    return this.frames.filter((frame) => frame.op === op);
  }
}

export interface TestRequester extends Requester {
  sink: RecordingSink;
}

export function requesterNamed(
  id: string,
  mayInvoke: (endpoint: string) => boolean = () => true,
): TestRequester {
  return { id, describe: `user-${id}`, sink: new RecordingSink(), mayInvoke };
}

export function revisionOf(
  replicaSet: string,
  options: Partial<RevisionSpecification> = {},
  revision = 1,
): Revision {
  const specification: RevisionSpecification = {
    name: replicaSet,
    version: `${revision}.0.0`,
    modules: [],
    replicas: 1,
    placement: {},
    permissions: {},
    env: {},
    memoryMb: 64,
    queueMax: 10,
    timeoutMs: 1000,
    idempotent: false,
    rollout: { maxUnavailable: 1, maxSurge: 1, minReadyMs: 0, deadlineMs: 1000 },
    ...options,
  };
  return { replicaSet, revision, createdAtMs: 0, createdBy: "test", specification };
}

export function reportOf(
  replicaSet: string,
  functions: string[],
  options: Partial<ReplicaReport> = {},
): ReplicaReport {
  return {
    handle: 1,
    replicaSet,
    revision: 1,
    state: "ready",
    slots: 2,
    endpoints: functions.map((name) => ({ name, stream: false })),
    ...options,
  };
}

export interface RigAgent {
  name: string;
  health: AgentHealth;
  reports: ReplicaReport[];
  sink: RecordingSink;
  damped?: boolean;
}

export class Rig {
  clock = new ManualClock();
  outcomes: RequestOutcome[] = [];
  sets: Revision[] = [];
  agents = new Map<string, RigAgent>();
  /** Sets that are to have no replica. */
  closed = new Map<string, string>();
  table: RoutingTable = emptyRoutes;
  dispatcher: Dispatcher;

  constructor(sets: Revision[] = [], seed = 1) {
    this.sets = sets;
    this.table = buildRoutes(sets, []);
    this.dispatcher = createDispatcher({
      clock: this.clock,
      random: createSeededRandom(seed),
      bootEpoch: 7,
      routes: () => this.table,
      onOutcome: (outcome) => this.outcomes.push({ ...outcome }),
    });
  }

  /** An agent joins and reports. */
  connect(name: string, reports: ReplicaReport[], sink = new RecordingSink()): RigAgent {
    const agent: RigAgent = { name, health: "ready", reports, sink };
    this.agents.set(name, agent);
    this.dispatcher.agentConnected(name, agent.sink);
    this.reroute();
    return agent;
  }

  /** An agent's connection closes. */
  disconnect(name: string): void {
    this.agents.get(name)!.health = "lost";
    this.dispatcher.agentGone(name, "its connection closed");
    this.reroute();
  }

  reroute(): void {
    this.table = buildRoutes(this.sets, this.agents.values(), this.table, new Map(), this.closed);
    this.dispatcher.routesChanged();
  }

  request(
    requester: TestRequester,
    endpoint: string,
    options: { id?: number; a?: number; b?: number; flags?: number; body?: Uint8Array; meta?: string } = {},
  ): void {
    const bytes = encodeFrame({ op: Op.request, id: 1, ...options, name: endpoint });
    this.dispatcher.admit(requester, bytes, 0, bytes.length);
  }

  /** The agent answers the request with this run id. */
  answer(agent: string, parts: FrameParts): void {
    const bytes = encodeFrame(parts);
    this.dispatcher.answer(agent, bytes, 0, bytes.length);
  }

  reply(agent: string, runId: number, runUs = 1000): void {
    this.answer(agent, { op: Op.reply, id: runId, a: runUs, body: new Uint8Array([runId & 255]) });
  }

  error(agent: string, runId: number, code: ErrorCode, details: ErrorDetails = {}): void {
    const meta = JSON.stringify({ code, message: `agent says ${code}`, details });
    this.answer(agent, { op: Op.error, id: runId, meta });
  }
}

export interface ReceivedError {
  code: ErrorCode;
  message: string;
  details: ErrorDetails;
}

/** The error of an error frame. */
export function errorOf(frame: Frame): ReceivedError {
  return JSON.parse(frame.meta) as ReceivedError;
}

export { Flag, Op };
