/** Watches one rollout to its end, drawing a bar: shared by `deploy` and `rollout`. The verdict is pure. */
import type { Sqwish } from "../client/sqwish.ts";
import { SqwishError } from "../errors.ts";
import type { ReplicaSetView } from "../protocol/views.ts";
import { type CommandContext, pause, readJson, saysWhenCancelled } from "./commands/context.ts";
import { createProgress } from "./progress.ts";
import { formatMoment, formatMs } from "./tables.ts";

const pollMs = 200;

export type Verdict =
  | { state: "progressing"; text: string; share: number }
  | { state: "done"; text: string; share: number; endedAtMs?: number; tookMs?: number }
  | { state: "failed"; text: string };

/** What a replicaSet's view says of the rollout to `revision` (its newest when left out). */
export function judgeRollout(set: ReplicaSetView, revision?: number): Verdict {
  const { rollout } = set;
  const wanted = revision ?? rollout?.toRevision ?? set.revision;
  if (rollout && rollout.toRevision > wanted) {
    const text = `revision ${rollout.toRevision} took the place of revision ${wanted} before it was done`;
    return { state: "failed", text };
  }
  if (rollout?.toRevision === wanted) {
    const { ready, total } = rollout;
    if (rollout.state === "failed") {
      const serving = set.placements.find(({ state, revision }) => state === "ready" && revision !== wanted);
      const now = serving ? `; revision ${serving.revision} goes on` : "";
      return { state: "failed", text: `${rollout.reason ?? "no reason was given"}${now}` };
    }
    const share = total === 0 ? 0 : ready / total;
    if (rollout.state === "done") {
      const { startedAtMs, endedAtMs } = rollout;
      return {
        state: "done",
        text: `${ready} of ${total} ready`,
        share: 1,
        ...(endedAtMs === undefined ? {} : { endedAtMs, tookMs: Math.max(0, endedAtMs - startedAtMs) }),
      };
    }
    const { weight } = rollout;
    const stage = weight === undefined ? "" : `, ${weight} % of the requests`;
    const held = rollout.state === "paused" ? ", paused" : "";
    const why = `${stage}${held}${set.pendingReason ? ` (${set.pendingReason})` : ""}`;
    return { state: "progressing", text: `${ready} of ${total} ready${why}`, share };
  }
  if (set.revision === wanted && set.ready >= set.wanted) {
    return { state: "done", text: `${set.ready} of ${set.wanted} ready`, share: 1 };
  }
  return { state: "progressing", text: "the manager plans", share: 0 };
}

/** Resolves when it is done. Throws `conflict` with the manager's reason when it failed. */
export async function followRollout(
  context: CommandContext,
  sqwish: Sqwish,
  target: { name: string; revision?: number },
  signal: AbortSignal,
): Promise<void> {
  const { clock, terminal } = context;
  let isFollowed = false;
  const progress = createProgress(terminal, clock);
  const what = target.revision === undefined ? target.name : `${target.name} revision ${target.revision}`;
  const givenUp = `No longer following ${what}; the rollout itself goes on`;
  try {
    for (;;) {
      const path = `/v1/replicasets/${encodeURIComponent(target.name)}`;
      const asked = readJson<ReplicaSetView>(sqwish, path, signal);
      const verdict = judgeRollout(await saysWhenCancelled(asked, signal, givenUp), target.revision);
      if (verdict.state === "failed") {
        throw new SqwishError("conflict", `The rollout of ${what} failed: ${verdict.text}`);
      }
      if (verdict.state === "done") {
        progress.done(`${what}: ${verdict.text}${timesOf(verdict, isFollowed)}`);
        return;
      }
      isFollowed = true;
      progress.update(`${what}: ${verdict.text}`, verdict.share);
      await pause(clock, pollMs, signal);
      if (signal.aborted) {
        throw new SqwishError("cancelled", givenUp);
      }
    }
  } finally {
    progress.clear();
  }
}

/** How long the rollout took, and when it ended, unless that was seen to happen. */
function timesOf(
  { endedAtMs, tookMs }: Extract<Verdict, { state: "done" }>,
  isFollowed: boolean,
): string {
  if (endedAtMs === undefined || tookMs === undefined) return "";
  return isFollowed
    ? `, after ${formatMs(tookMs)}`
    : `; rolled out at ${formatMoment(endedAtMs)}, in ${formatMs(tookMs)}`;
}
