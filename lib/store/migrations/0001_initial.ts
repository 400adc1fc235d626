/** Format 1: everything the first release keeps. Never edited once released; the next change is 0002. */
export const initial = `
PRAGMA application_id = 1399945075;

CREATE TABLE settings (
  key TEXT PRIMARY KEY NOT NULL,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
  name TEXT PRIMARY KEY NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'client', 'agent', 'viewer')),
  endpoints TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('user', 'token', 'machine')),
  once INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER,
  used_at_ms INTEGER
) STRICT;

CREATE TABLE agents (
  name TEXT PRIMARY KEY NOT NULL,
  identity TEXT NOT NULL,
  labels TEXT NOT NULL,
  cordoned INTEGER NOT NULL,
  first_joined_ms INTEGER NOT NULL,
  last_seen_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE replica_sets (
  name TEXT PRIMARY KEY NOT NULL,
  owner TEXT NOT NULL CHECK (owner IN ('file', 'api')),
  current_revision INTEGER NOT NULL,
  good_revision INTEGER NOT NULL,
  replicas_override TEXT,
  created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE revisions (
  replica_set TEXT NOT NULL REFERENCES replica_sets (name) ON DELETE CASCADE,
  revision INTEGER NOT NULL CHECK (revision > 0),
  version TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  specification TEXT NOT NULL,
  PRIMARY KEY (replica_set, revision)
) STRICT;

CREATE TABLE revision_numbers (
  replica_set TEXT PRIMARY KEY NOT NULL,
  last_revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rollouts (
  replica_set TEXT PRIMARY KEY NOT NULL REFERENCES replica_sets (name) ON DELETE CASCADE,
  from_revision INTEGER NOT NULL,
  to_revision INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  started_at_ms INTEGER NOT NULL,
  ended_at_ms INTEGER
) STRICT;

CREATE TABLE modules (
  sha256 TEXT PRIMARY KEY NOT NULL,
  bytes BLOB NOT NULL,
  size_bytes INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  at_ms INTEGER NOT NULL,
  level TEXT NOT NULL CHECK (level IN ('info', 'warn', 'error')),
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  message TEXT NOT NULL
) STRICT;
CREATE INDEX events_subject ON events (subject, id);

CREATE TABLE sample_subjects (
  id INTEGER PRIMARY KEY NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  CONSTRAINT sample_subjects_name UNIQUE (kind, subject)
) STRICT;

CREATE TABLE samples (
  resolution_ms INTEGER NOT NULL,
  subject_id INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (resolution_ms, subject_id, at_ms)
) STRICT, WITHOUT ROWID;
`;
