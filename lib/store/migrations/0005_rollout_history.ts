/** Rollouts that are over; they outlive their revisions and their sets. What was known so far is taken along. */
export const rolloutHistory = `
CREATE TABLE rollout_history (
  replica_set TEXT NOT NULL,
  started_at_ms INTEGER NOT NULL,
  from_revision INTEGER NOT NULL,
  to_revision INTEGER NOT NULL,
  version TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  ended_at_ms INTEGER,
  step INTEGER,
  PRIMARY KEY (replica_set, started_at_ms)
) STRICT, WITHOUT ROWID;
INSERT INTO rollout_history
  SELECT rollouts.replica_set, started_at_ms, from_revision, to_revision, coalesce(revisions.version, ''),
    state, reason, ended_at_ms, step
  FROM rollouts LEFT JOIN revisions
    ON revisions.replica_set = rollouts.replica_set AND revisions.revision = rollouts.to_revision;
`;
