/** Samples as blocks, time first. What is there already stays where it is, and goes as it grows old. */
export const sampleBlocks = `
CREATE TABLE sample_minutes (
  id INTEGER PRIMARY KEY NOT NULL,
  block BLOB NOT NULL
) STRICT;
CREATE TABLE sample_hours (
  id INTEGER PRIMARY KEY NOT NULL,
  block BLOB NOT NULL
) STRICT;
ALTER TABLE sample_subjects ADD COLUMN used_at_ms INTEGER NOT NULL DEFAULT 0;
UPDATE sample_subjects SET used_at_ms = max(
  coalesce((SELECT max(at_ms) FROM samples WHERE resolution_ms = 10000 AND subject_id = sample_subjects.id), 0),
  coalesce((SELECT max(at_ms) FROM samples WHERE resolution_ms = 300000 AND subject_id = sample_subjects.id), 0)
);
`;
