/**
 * Filters that let nothing through: whether what they name is there at all. The manager answers an unknown name with
 * its near misses; past things keep their rows, so it is asked only when there were none.
 */
import type { Sqwish } from "../../client/sqwish.ts";
import { SqwishError } from "../../errors.ts";
import { didYouMean } from "../../near_miss.ts";
import type { EventView, OverviewView } from "../../protocol/views.ts";
import { readJson } from "./context.ts";

/** Throws `not_found` for a set that isn't deployed. */
export async function requireReplicaSet(sqwish: Sqwish, name: string, signal: AbortSignal): Promise<void> {
  await readJson(sqwish, `/v1/replicasets/${encodeURIComponent(name)}`, signal);
}

/** Throws `not_found` for an agent that has never joined or was removed. */
export async function requireAgent(sqwish: Sqwish, name: string, signal: AbortSignal): Promise<void> {
  await readJson(sqwish, `/v1/agents/${encodeURIComponent(name)}`, signal);
}

/** Throws `not_found` for a revision of a set that isn't kept. */
export async function requireRevision(
  sqwish: Sqwish,
  replicaSet: string,
  revision: number,
  signal: AbortSignal,
): Promise<void> {
  await readJson(sqwish, `/v1/revisions/${encodeURIComponent(replicaSet)}/${revision}`, signal);
}

/** Throws `not_found` for a name that no event is about, and that no agent or set has. */
export async function requireSubject(sqwish: Sqwish, subject: string, signal: AbortSignal): Promise<void> {
  const path = `/v1/events?subject=${encodeURIComponent(subject)}&limit=1`;
  if ((await readJson<{ events: EventView[] }>(sqwish, path, signal)).events.length > 0) return;
  const { agents, replicaSets } = await readJson<OverviewView>(sqwish, "/v1/overview", signal);
  const known = [...agents, ...replicaSets].map(({ name }) => name);
  if (known.includes(subject)) return;
  throw new SqwishError(
    "not_found",
    `No event is about ${subject}, and no agent or replicaSet has this name${didYouMean(subject, known)}`,
  );
}
