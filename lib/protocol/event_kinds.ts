/** Every kind of event the cluster records, so that a subscription to one that can't come is refused. Append-only. */
export const eventKinds = [
  "agent_cordoned",
  "agent_damped",
  "agent_drained",
  "agent_joined",
  "agent_leaving",
  "agent_lost",
  "agent_ready",
  "agent_removed",
  "agent_returned",
  "agent_suspect",
  "agent_uncordoned",
  "agent_undamped",
  "canary_advanced",
  "certificate_renewed",
  "configuration_accepted",
  "configuration_refused",
  "configuration_unwatched",
  "configuration_waiting",
  "deployed",
  "owner_changed",
  "password_changed",
  "queue_full",
  "replica_moved",
  "replica_set_deleted",
  "replicas_released",
  "rollout_done",
  "rollout_failed",
  "rollout_paused",
  "rollout_resumed",
  "rollout_started",
  "rollout_undone",
  "rollout_unsaved",
  "scale_unsaved",
  "scaled",
  "sign_in_locked",
  "token_created",
  "user_added",
  "user_removed",
  "woken",
] as const;
export type EventKind = (typeof eventKinds)[number];

/** Other names that may be asked for: a revision that failed is rolled back. */
const eventAliases: ReadonlyMap<string, EventKind> = new Map([["rolled_back", "rollout_failed"]]);

/** All names that `eventKindOf` knows. */
export const eventNames: readonly string[] = [...eventKinds, ...eventAliases.keys()];

/** The kind that is meant; undefined for a name that is none. */
export function eventKindOf(name: string): EventKind | undefined {
  return eventKinds.find((kind) => kind === name) ?? eventAliases.get(name);
}
