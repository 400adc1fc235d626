/**
 * Is an agent ready, suspect or lost? Pure: connection and the age of what was heard → verdict (docs/decisions/0009).
 * On the way: telemetry → `agents` → here → routing table and plan. The invariant: an agent is never judged by time
 * in which the manager itself did not run, and a closed connection is lost at once.
 */
import { limits } from "../limits.ts";
import type { AgentHealth } from "../protocol/views.ts";

export interface LivenessFacts {
  connected: boolean;
  /** When telemetry last came, monotonic ms; the time of joining before the first. */
  lastTelemetryMs: number;
  /** When anything at all last came; as `lastTelemetryMs` when only that is watched. */
  lastHeardMs?: number;
  /** Share of the host's CPU in use by the last telemetry, 0 to 1. */
  cpu?: number;
  nowMs: number;
}

export interface Verdict {
  health: AgentHealth;
  /** In words, for the dashboard and for events: busy, stalled and dead read differently. */
  reason: string;
  /** When the verdict changes if nothing more is heard, monotonic ms; null: it won't. */
  nextChangeMs: number | null;
}

const busyCpu = 0.95;

/**
 * The verdict on one agent. Telemetry is the keepalive: 2 missed make it suspect (no new requests).
 * Lost is who has said nothing at all for 3 s: an agent that still answers requests is alive, and throwing
 * its work away would only do harm. A fixed time-out as in Chandra & Toueg, "Unreliable failure detectors" (1996),
 * not phi accrual: at one beat a second there are too few samples to learn a distribution within 3 s.
 */
export function judge(facts: LivenessFacts): Verdict {
  const { connected, lastTelemetryMs, nowMs } = facts;
  if (!connected) return { health: "lost", reason: "dead: its connection is closed", nextChangeMs: null };
  const lastHeardMs = Math.max(facts.lastHeardMs ?? lastTelemetryMs, lastTelemetryMs);
  const silentMs = nowMs - lastHeardMs;
  const lateMs = nowMs - lastTelemetryMs;
  if (silentMs >= limits.lostAfterMs) {
    return {
      health: "lost",
      reason: `stalled: connected, but silent for ${seconds(silentMs)} (stopped, asleep or cut off)`,
      nextChangeMs: null,
    };
  }
  const lostAtMs = lastHeardMs + limits.lostAfterMs;
  if (lateMs >= limits.suspectAfterMs) {
    const reason = silentMs < limits.suspectAfterMs
      ? `busy: it answers requests, but its telemetry is ${seconds(lateMs)} old`
      : `stalled: connected, but silent for ${seconds(silentMs)}`;
    return { health: "suspect", reason, nextChangeMs: lostAtMs };
  }
  return {
    health: "ready",
    reason: (facts.cpu ?? 0) >= busyCpu ? `busy: CPU at ${Math.round(facts.cpu! * 100)} %` : "",
    nextChangeMs: lastTelemetryMs + limits.suspectAfterMs,
  };
}

/**
 * How long this process itself did not run, ms: a tick that was due every `periodMs` came this much later.
 * 0 for the usual lateness of timers. The caller moves what it last heard forward by this.
 */
export function ownPauseMs(lastTickMs: number, nowMs: number, periodMs: number): number {
  const lateMs = nowMs - lastTickMs - periodMs;
  return lateMs > limits.ownPauseMsMax ? lateMs : 0;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
