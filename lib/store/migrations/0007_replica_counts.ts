/** How many replicas each set had, by the time that changed; nothing is known of before. */
export const replicaCounts = `
CREATE TABLE replica_counts (
  id INTEGER PRIMARY KEY NOT NULL,
  at_ms INTEGER NOT NULL,
  replica_set TEXT NOT NULL,
  ready INTEGER,
  wanted INTEGER
) STRICT;
CREATE INDEX replica_counts_set ON replica_counts (replica_set, at_ms);
`;
