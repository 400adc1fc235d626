/** What modules printed, so that a manager that was restarted still knows what led to it. */
export const moduleLogs = `
CREATE TABLE module_logs (
  id INTEGER PRIMARY KEY NOT NULL,
  replica_set TEXT NOT NULL,
  line TEXT NOT NULL
) STRICT;
CREATE INDEX module_logs_set ON module_logs (replica_set, id);
`;
