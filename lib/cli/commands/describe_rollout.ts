/** `client describe rollout`: where it stands or what became of it, and the figures it is or was judged by. */
import type { Sqwish } from "../../client/sqwish.ts";
import { SqwishError } from "../../errors.ts";
import type { ArmView, ComparisonView, PastRolloutView } from "../../protocol/views.ts";
import {
  type Column,
  formatFields,
  formatMoment,
  formatMs,
  formatTable,
  type Look,
  paint,
} from "../tables.ts";
import { revisionWay, rolloutEnd } from "../views.ts";
import { readJson } from "./context.ts";

/** By the name of its replicaSet the newest, by `images/3` the newest to that revision. Throws `not_found`. */
export async function readRollout(
  sqwish: Sqwish,
  name: string,
  signal: AbortSignal,
): Promise<PastRolloutView> {
  const [replicaSet, revision] = name.split("/");
  const path = `/v1/rollouts?replicaSet=${encodeURIComponent(replicaSet)}`;
  const { rollouts } = await readJson<{ rollouts: PastRolloutView[] }>(sqwish, path, signal);
  const found = rollouts.find((each) => revision === undefined || String(each.toRevision) === revision);
  if (found) return found;
  const known = [...new Set(rollouts.map(({ toRevision }) => toRevision))].join(", ");
  const kept = known === "" ? "" : `; kept are those to ${known}`;
  const to = revision === undefined ? "" : ` to revision ${revision}`;
  throw new SqwishError("not_found", `There is no rollout of ${replicaSet}${to}${kept}`);
}

export function describeRollout(rollout: PastRolloutView, look: Look): string {
  const { replicaSet, version, state, step, cause, reason, startedAtMs, judged = [] } = rollout;
  const fields: [string, string][] = [
    ["ReplicaSet", replicaSet],
    ["Revisions", revisionWay(rollout)],
    ["Version", version || "not recorded"],
    ["State", step === undefined ? state : `${state}, stage ${step + 1} of the canary`],
    ["Why", cause ?? "not recorded"],
    ["Began", formatMoment(startedAtMs)],
    ["Ended", rolloutEnd(rollout)],
  ];
  if (reason !== undefined) fields.push(["Reason", reason]);
  const none = rollout.fromRevision === 0
    ? "there is no revision before it to compare with"
    : "no figures: it has answered nothing, or was not judged";
  return `${formatFields(fields, look)}\n${paint("Judged by its answers", "bold", look.colours)}\n` +
    formatTable(judged, comparisonColumns, look, none);
}

const comparisonColumns: Column<ComparisonView>[] = [
  { title: "ENDPOINT", text: (row) => row.endpoint },
  { title: "REQUESTS BEFORE", right: true, text: ({ before }) => String(before.requests) },
  { title: "AFTER", right: true, text: ({ after }) => String(after.requests) },
  { title: "FAILED BEFORE", right: true, text: ({ before }) => failedOf(before) },
  {
    title: "AFTER",
    right: true,
    text: ({ after }) => failedOf(after),
    tone: ({ after }) => after.errors > 0 ? "bad" : undefined,
  },
  { title: "P95 BEFORE", right: true, text: ({ before }) => p95Of(before) },
  { title: "AFTER", right: true, text: ({ after }) => p95Of(after) },
];

/** "3 (1.5 %)". */
function failedOf({ requests, errors }: ArmView): string {
  if (requests === 0) return "-";
  return errors === 0 ? "0" : `${errors} (${Number((errors / requests * 100).toFixed(1))} %)`;
}

function p95Of({ p95Ms }: ArmView): string {
  return p95Ms === undefined ? "-" : formatMs(p95Ms);
}
