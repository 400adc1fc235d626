/**
 * The registry of agents: who they are, whether they are well, what they last reported.
 * On the way: hello, state and telemetry → here → `routing`, `deployment/plan` and the views.
 * A plain class: no timers and no callbacks; what changed is returned as a value. One connection per name, and what
 * comes from a connection that was replaced is ignored.
 */
import type { Clock } from "../clock.ts";
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import { notFound } from "../near_miss.ts";
import type { Channel } from "../protocol/channel.ts";
import type { AgentHello, ReplicaReport, State, Telemetry } from "../protocol/messages.ts";
import type { AgentHealth } from "../protocol/views.ts";
import { afterLoss, type Damping, isDamped, penaltyAt, usedAgainMs } from "./damping.ts";
import { judge, ownPauseMs, type Verdict } from "./liveness.ts";

/** What the cluster needs of an agent's channel. */
export type AgentConnection =
  & Pick<Channel, "remoteAddress" | "sendControl" | "sendFrames" | "close" | "abandon">
  & Partial<Pick<Channel, "receivedBytes">>;

/** A report, and since when (monotonic ms) this replica has been ready without a break. */
export type ObservedReport = ReplicaReport & { readySinceMs?: number };

/** What is stored of an agent between two starts of the manager. */
export interface KnownAgent {
  name: string;
  identity: string;
  labels: Record<string, string>;
  /** Takes no new replicas. */
  cordoned: boolean;
  /** What it runs is moved to others; it is cordoned too. */
  draining: boolean;
  joinedAtMs: number;
  lastSeenAtMs: number;
}

export interface AgentRecord extends Readonly<KnownAgent> {
  readonly version: string;
  readonly cores: number;
  readonly memoryBytes: number;
  /** `--concurrency`, when given. */
  readonly concurrency?: number;
  readonly health: AgentHealth;
  /** In words; empty when there is nothing to say. */
  readonly healthReason: string;
  /** null: not connected. */
  readonly connection: AgentConnection | null;
  /** Of the last connection; empty before the first since the manager's start. */
  readonly address: string;
  /** Of the newest `state`. */
  readonly generation: number;
  readonly reports: readonly ObservedReport[];
  readonly telemetry?: Telemetry;
  /** Monotonic ms, as every duration here; `joinedAtMs`, `connectedAtMs` and `lastSeenAtMs` are wall-clock. */
  readonly lastTelemetryMs: number;
  readonly lastHeardMs: number;
  readonly lostSinceMs?: number;
  /** Since when its health is what it is. */
  readonly healthSinceMs: number;
  /** When its newest connection began, wall-clock; missing before the first since the manager's start. */
  readonly connectedAtMs?: number;
  /** It was connected to this manager before. */
  readonly isBack?: boolean;
  /** Missing when it was never lost. */
  readonly damping?: Damping;
  /** It gets requests only where no other can serve, and new replicas last. */
  readonly damped: boolean;
}

type MutableRecord = { -readonly [Key in keyof AgentRecord]: AgentRecord[Key] } & {
  /** What its connection had received at the last tick. */
  receivedBytes?: number;
  /** It has said that it goes. */
  leaving?: boolean;
  /** As the last `dampingChanges()` told. */
  toldDamped?: boolean;
};

/** A change of health, with the reason for events and the dashboard. */
export interface HealthChange {
  agent: string;
  from: AgentHealth;
  to: AgentHealth;
  reason: string;
}

/** An agent is damped, or used again. */
export interface DampingChange {
  agent: string;
  damped: boolean;
  penalty: number;
  /** Until when, since the Unix epoch; of one that is used again it lies in the past. */
  untilAtMs: number;
}

export interface Joined {
  record: AgentRecord;
  /** "new" to the cluster, or "returned". */
  kind: "new" | "returned";
  /** The older connection of the same agent, for the caller to close. */
  replaced: AgentConnection | null;
}

export class Agents {
  #clock: Clock;
  #records = new Map<string, MutableRecord>();
  /** By name; null: made at the next look. */
  #sorted: readonly AgentRecord[] | null = null;
  #lastTickMs: number;
  /** When the manager itself last stood still, monotonic ms. */
  #pausedMs = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastTickMs = clock.monotonicMs();
  }

  /** Takes over what an earlier run of the manager stored; they count as lost from now on. */
  restore(known: Iterable<KnownAgent>): void {
    const nowMs = this.#clock.monotonicMs();
    this.#sorted = null;
    for (const agent of known) {
      this.#records.set(agent.name, {
        ...agent,
        version: "",
        cores: 1,
        memoryBytes: 0,
        health: "lost",
        healthReason: "not seen since the manager started",
        connection: null,
        address: "",
        generation: 0,
        reports: [],
        lastTelemetryMs: nowMs,
        lastHeardMs: nowMs,
        lostSinceMs: nowMs,
        healthSinceMs: nowMs,
        damped: false,
      });
    }
  }

  get(name: string): AgentRecord | undefined {
    return this.#records.get(name);
  }

  /** All of them, lost ones too, by name. */
  list(): readonly AgentRecord[] {
    return this.#sorted ??= [...this.#records.values()].sort((
      left,
      right,
    ) => (left.name < right.name ? -1 : 1));
  }

  /**
   * Lets an agent in. The same agent (by its identity) takes the place of its older connection. Another agent of
   * the same name gets `conflict` while the first is connected and well; a lost one gives up its name.
   */
  join(hello: AgentHello, connection: AgentConnection): Joined {
    const before = this.#records.get(hello.name);
    const same = before?.identity === hello.identity;
    if (before?.connection && !same && before.health !== "lost") {
      throw new SqwishError(
        "conflict",
        `An agent named ${hello.name} is already connected from ${before.address}; choose another name with --name`,
      );
    }
    if (!before && this.#records.size >= limits.agentsMax) {
      throw new SqwishError(
        "conflict",
        `A cluster knows at most ${limits.agentsMax} agents; remove lost ones first`,
      );
    }
    const nowMs = this.#clock.monotonicMs();
    const wallMs = this.#clock.nowMs();
    // It has noticed before this manager that its older connection is of no use: that is a loss as well.
    if (same && before?.connection && before.health !== "lost") this.#noteLoss(before, nowMs);
    const record: MutableRecord = {
      name: hello.name,
      identity: hello.identity,
      version: hello.version,
      labels: hello.labels,
      cores: hello.cores,
      memoryBytes: hello.memoryBytes,
      concurrency: hello.concurrency,
      cordoned: before?.cordoned ?? false,
      draining: before?.draining ?? false,
      health: "ready",
      healthReason: "",
      connection,
      address: connection.remoteAddress,
      generation: 0,
      reports: observeReports(hello.replicas, same ? before!.reports : [], nowMs),
      lastTelemetryMs: nowMs,
      lastHeardMs: nowMs,
      joinedAtMs: before?.joinedAtMs ?? wallMs,
      lastSeenAtMs: wallMs,
      connectedAtMs: wallMs,
      isBack: before !== undefined && before.address !== "",
      healthSinceMs: nowMs,
      // Another machine under the same name begins anew.
      damping: same ? before?.damping : undefined,
      damped: same && (before?.damped ?? false),
      toldDamped: before?.toldDamped,
    };
    this.#records.set(hello.name, record);
    this.#sorted = null;
    return { record, kind: before ? "returned" : "new", replaced: before?.connection ?? null };
  }

  /** Takes a report of all replicas; false: of an older generation or connection, ignored. */
  observeState(name: string, connection: AgentConnection, state: State): boolean {
    const record = this.#current(name, connection);
    if (!record || state.generation < record.generation) return false;
    const nowMs = this.#clock.monotonicMs();
    record.generation = state.generation;
    record.reports = observeReports(state.replicas, record.reports, nowMs);
    this.#heard(record, nowMs);
    return true;
  }

  /** Takes telemetry, the keepalive. A suspect or silent agent is ready again by it: the change, else null. */
  observeTelemetry(name: string, connection: AgentConnection, telemetry: Telemetry): HealthChange | null {
    const record = this.#current(name, connection);
    if (!record) return null;
    const nowMs = this.#clock.monotonicMs();
    record.telemetry = telemetry;
    record.lastTelemetryMs = nowMs;
    this.#heard(record, nowMs);
    return this.#judge(record, nowMs);
  }

  /** Anything else came from it, a reply for instance: it is alive, if late. */
  observeTraffic(name: string, connection: AgentConnection): void {
    const record = this.#current(name, connection);
    if (record) this.#heard(record, this.#clock.monotonicMs());
  }

  /** Judges everyone; to be called every `limits.livenessTickMs`. Time in which it wasn't called is no one's fault. */
  tick(): HealthChange[] {
    const nowMs = this.#clock.monotonicMs();
    const pauseMs = ownPauseMs(this.#lastTickMs, nowMs, limits.livenessTickMs);
    if (pauseMs > 0) this.#pausedMs = nowMs;
    this.#lastTickMs = nowMs;
    const changes: HealthChange[] = [];
    for (const record of this.#records.values()) {
      // Whoever was heard after the pause is only moved to now, not into the future.
      record.lastTelemetryMs = Math.min(nowMs, record.lastTelemetryMs + pauseMs);
      record.lastHeardMs = Math.min(nowMs, record.lastHeardMs + pauseMs);
      const receivedBytes = record.connection?.receivedBytes;
      // A large reply over a slow link: nothing is whole yet, telemetry waits behind it, but it is alive.
      if (receivedBytes !== record.receivedBytes) record.lastHeardMs = nowMs;
      record.receivedBytes = receivedBytes;
      const change = this.#judge(record, nowMs);
      if (change) changes.push(change);
    }
    return changes;
  }

  /** It goes by its own will: what follows is no loss. */
  observeLeaving(name: string, connection: AgentConnection): void {
    const record = this.#current(name, connection);
    if (record) record.leaving = true;
  }

  /** Who is damped, or used again, since the last call; to be called with each `tick()`. */
  dampingChanges(): DampingChange[] {
    const nowMs = this.#clock.monotonicMs();
    const changes: DampingChange[] = [];
    for (const record of this.#records.values()) {
      const { name: agent, damping } = record;
      const damped = record.damped = isDamped(damping, nowMs);
      if (damped === (record.toldDamped ?? false)) continue;
      record.toldDamped = damped;
      changes.push({
        agent,
        damped,
        penalty: penaltyAt(damping, nowMs),
        untilAtMs: this.#untilAtMs(damping),
      });
    }
    return changes;
  }

  /** How unsteady its connection has been, as of now; `untilAtMs` while it is damped. */
  damping(name: string): { penalty: number; untilAtMs?: number } {
    const record = this.#records.get(name);
    const penalty = penaltyAt(record?.damping, this.#clock.monotonicMs());
    return record?.damped ? { penalty, untilAtMs: this.#untilAtMs(record.damping) } : { penalty };
  }

  /** Its connection is closed: lost at once. null: that connection wasn't its current one. */
  disconnect(name: string, connection: AgentConnection): HealthChange | null {
    const record = this.#current(name, connection);
    if (!record) return null;
    record.connection = null;
    record.lastSeenAtMs = this.#clock.nowMs();
    return this.#judge(record, this.#clock.monotonicMs());
  }

  /** Throws `not_found`. */
  setFlags(name: string, { cordoned, draining }: { cordoned: boolean; draining: boolean }): void {
    Object.assign(this.#known(name), { cordoned, draining });
  }

  /** Throws `not_found` with near misses, or `conflict` while it is connected. */
  requireGone(name: string): void {
    if (this.#known(name).connection) {
      throw new SqwishError("conflict", `Agent ${name} is connected; stop it before it is removed`);
    }
  }

  /** Forgets an agent that is gone for good. Throws as `requireGone()`. */
  forget(name: string): void {
    this.requireGone(name);
    this.#records.delete(name);
    this.#sorted = null;
  }

  #known(name: string): MutableRecord {
    const record = this.#records.get(name);
    if (!record) throw notFound("agent", name, this.list().map((known) => known.name));
    return record;
  }

  #current(name: string, connection: AgentConnection): MutableRecord | undefined {
    const record = this.#records.get(name);
    return record?.connection === connection ? record : undefined;
  }

  /** Who goes, or is sent away, breaks nothing; and while the manager itself stood still, nobody does. */
  #noteLoss(record: MutableRecord, nowMs: number): void {
    const pausedMs = ownPauseMs(this.#lastTickMs, nowMs, limits.livenessTickMs) > 0 ? nowMs : this.#pausedMs;
    if (record.leaving || record.draining || nowMs - pausedMs < limits.managerLostAfterMs) return;
    record.damping = afterLoss(record.damping, nowMs);
    record.damped = isDamped(record.damping, nowMs);
  }

  #untilAtMs(damping: Damping | undefined): number {
    const aheadMs = damping === undefined ? 0 : usedAgainMs(damping) - this.#clock.monotonicMs();
    return Math.round(this.#clock.nowMs() + aheadMs);
  }

  #heard(record: MutableRecord, nowMs: number): void {
    record.lastHeardMs = nowMs;
    record.lastSeenAtMs = this.#clock.nowMs();
    record.receivedBytes = record.connection?.receivedBytes;
  }

  #judge(record: MutableRecord, nowMs: number): HealthChange | null {
    const connected = record.connection !== null;
    // Whoever isn't connected keeps the reason it was lost for.
    if (!connected && record.health === "lost") return null;
    const verdict: Verdict = judge({
      connected,
      lastTelemetryMs: record.lastTelemetryMs,
      lastHeardMs: record.lastHeardMs,
      cpu: record.telemetry?.host.cpu,
      nowMs,
    });
    const from = record.health;
    record.health = verdict.health;
    record.healthReason = verdict.reason;
    if (from === verdict.health) return null;
    record.healthSinceMs = nowMs;
    if (verdict.health === "lost") this.#noteLoss(record, nowMs);
    record.lostSinceMs = verdict.health === "lost" ? nowMs : undefined;
    return { agent: record.name, from, to: verdict.health, reason: verdict.reason };
  }
}

/** Reports with their `readySinceMs`, which a replica keeps from the reports before while it stays ready. */
function observeReports(
  reports: readonly ReplicaReport[],
  before: readonly ObservedReport[],
  nowMs: number,
): ObservedReport[] {
  return reports.map((report) => {
    if (report.state !== "ready") return { ...report };
    const earlier = before.find((other) =>
      other.replicaSet === report.replicaSet && other.revision === report.revision && other.state === "ready"
    );
    return { ...report, readySinceMs: earlier?.readySinceMs ?? nowMs };
  });
}
