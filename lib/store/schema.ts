/**
 * The tables of the manager's database as drizzle sees them. The SQL that makes them is in `migrations/`;
 * a test compares the two, column by column. Times are ms since the Unix epoch. JSON columns are whole
 * values that nothing searches in, except a revision's modules (see `deployments.ts`).
 */
import { customType, index, integer, primaryKey, sqliteTable, text, unique } from "drizzle-orm/sqlite-core";
import type { RevisionSpecification } from "../protocol/revision.ts";
import type {
  ComparisonView,
  EventView,
  LogLineView,
  PastRolloutView,
  RolloutView,
  UserView,
} from "../protocol/views.ts";

/** Bytes as they come from `node:sqlite`: drizzle's own blob column would copy each into a Buffer. */
const bytes = customType<{ data: Uint8Array; driverData: Uint8Array }>({
  dataType: () => "blob",
});

/** How many replicas a set had, from then until its next row; null: not known. */
export const replicaCounts = sqliteTable("replica_counts", {
  id: integer("id").primaryKey(),
  atMs: integer("at_ms").notNull(),
  replicaSet: text("replica_set").notNull(),
  ready: integer("ready"),
  wanted: integer("wanted"),
}, (table) => [index("replica_counts_set").on(table.replicaSet, table.atMs)]);

/** Single values: keys, certificates, the cluster's name, watermarks. */
export const settings = sqliteTable("settings", {
  key: text("key").primaryKey(),
  value: text("value", { mode: "json" }).$type<unknown>().notNull(),
});

/** Everyone who may sign in. "user": a person; "token": a join token; "machine": made when a token was redeemed. */
export const users = sqliteTable("users", {
  name: text("name").primaryKey(),
  role: text("role").$type<UserView["role"]>().notNull(),
  endpoints: text("endpoints", { mode: "json" }).$type<string[]>().notNull(),
  passwordHash: text("password_hash").notNull(),
  kind: text("kind").$type<"user" | "token" | "machine">().notNull(),
  once: integer("once", { mode: "boolean" }).notNull(),
  createdAtMs: integer("created_at_ms").notNull(),
  expiresAtMs: integer("expires_at_ms"),
  usedAtMs: integer("used_at_ms"),
});

/** Every agent that ever joined and was not removed. */
export const agents = sqliteTable("agents", {
  name: text("name").primaryKey(),
  identity: text("identity").notNull(),
  labels: text("labels", { mode: "json" }).$type<Record<string, string>>().notNull(),
  cordoned: integer("cordoned", { mode: "boolean" }).notNull(),
  firstJoinedMs: integer("first_joined_ms").notNull(),
  lastSeenMs: integer("last_seen_ms").notNull(),
  draining: integer("draining", { mode: "boolean" }).notNull(),
  /** The user it signed in as last; at most one agent has it. */
  account: text("account"),
});

export const replicaSets = sqliteTable("replica_sets", {
  name: text("name").primaryKey(),
  owner: text("owner").$type<"file" | "api">().notNull(),
  currentRevision: integer("current_revision").notNull(),
  /** The last revision that was fully rolled out; 0: none yet. */
  goodRevision: integer("good_revision").notNull(),
  replicasOverride: text("replicas_override", { mode: "json" }).$type<number | "all">(),
  createdAtMs: integer("created_at_ms").notNull(),
  /** How many the load needed last, where that decides. */
  scaledTo: integer("scaled_to"),
});

export const revisions = sqliteTable("revisions", {
  replicaSet: text("replica_set").notNull().references(() => replicaSets.name, { onDelete: "cascade" }),
  revision: integer("revision").notNull(),
  version: text("version").notNull(),
  createdAtMs: integer("created_at_ms").notNull(),
  createdBy: text("created_by").notNull(),
  specification: text("specification", { mode: "json" }).$type<RevisionSpecification>().notNull(),
}, (table) => [primaryKey({ columns: [table.replicaSet, table.revision] })]);

/** Outlives its replicaSet: a number is never given twice, so no agent can mistake old code for new. */
export const revisionNumbers = sqliteTable("revision_numbers", {
  replicaSet: text("replica_set").primaryKey(),
  lastRevision: integer("last_revision").notNull(),
});

export const rollouts = sqliteTable("rollouts", {
  replicaSet: text("replica_set").primaryKey().references(() => replicaSets.name, { onDelete: "cascade" }),
  fromRevision: integer("from_revision").notNull(),
  toRevision: integer("to_revision").notNull(),
  state: text("state").$type<RolloutView["state"]>().notNull(),
  reason: text("reason"),
  startedAtMs: integer("started_at_ms").notNull(),
  endedAtMs: integer("ended_at_ms"),
  fallback: integer("fallback"),
  step: integer("step"),
});

/** Every rollout, also those that are over: they outlive their revisions and their sets. */
export const rolloutHistory = sqliteTable("rollout_history", {
  replicaSet: text("replica_set").notNull(),
  startedAtMs: integer("started_at_ms").notNull(),
  fromRevision: integer("from_revision").notNull(),
  toRevision: integer("to_revision").notNull(),
  version: text("version").notNull(),
  state: text("state").$type<PastRolloutView["state"]>().notNull(),
  reason: text("reason"),
  endedAtMs: integer("ended_at_ms"),
  step: integer("step"),
  judged: text("judged", { mode: "json" }).$type<ComparisonView[]>(),
}, (table) => [primaryKey({ columns: [table.replicaSet, table.startedAtMs] })]);

/** Module files by content; shared by every revision that names them. */
export const modules = sqliteTable("modules", {
  sha256: text("sha256").primaryKey(),
  bytes: bytes("bytes").notNull(),
  sizeBytes: integer("size_bytes").notNull(),
  createdAtMs: integer("created_at_ms").notNull(),
});

export const events = sqliteTable("events", {
  id: integer("id").primaryKey({ autoIncrement: true }),
  atMs: integer("at_ms").notNull(),
  level: text("level").$type<EventView["level"]>().notNull(),
  kind: text("kind").notNull(),
  subject: text("subject").notNull(),
  message: text("message").notNull(),
}, (table) => [index("events_subject").on(table.subject, table.id)]);

/** The newest lines of each replicaSet; ids only grow, also over restarts, so that who follows misses none. */
export const moduleLogs = sqliteTable("module_logs", {
  id: integer("id").primaryKey(),
  replicaSet: text("replica_set").notNull(),
  line: text("line", { mode: "json" }).$type<Omit<LogLineView, "id" | "replicaSet">>().notNull(),
}, (table) => [index("module_logs_set").on(table.replicaSet, table.id)]);

/** What samples are about, so that each of their rows carries a small number instead of two words. */
export const sampleSubjects = sqliteTable("sample_subjects", {
  id: integer("id").primaryKey(),
  kind: text("kind").notNull(),
  subject: text("subject").notNull(),
  /** A time at which it had samples, less than a day before the newest of them. */
  usedAtMs: integer("used_at_ms").notNull(),
}, (table) => [unique("sample_subjects_name").on(table.kind, table.subject)]);

/**
 * A subject's minute by 10 s, and its hour by 5 min (docs/decisions/0023). The id is time first, `slot * 2^24 +
 * subject`, so that what is written together goes to the end of the table together, and a page is written once.
 */
export const sampleMinutes = sqliteTable("sample_minutes", {
  id: integer("id").primaryKey(),
  block: bytes("block").notNull(),
});
export const sampleHours = sqliteTable("sample_hours", {
  id: integer("id").primaryKey(),
  block: bytes("block").notNull(),
});

/** Samples as they were kept up to format 3: only read and dropped. WITHOUT ROWID: the key order is the order of every read, one subject over a span of time. */
export const samples = sqliteTable("samples", {
  resolutionMs: integer("resolution_ms").notNull(),
  subjectId: integer("subject_id").notNull(),
  atMs: integer("at_ms").notNull(),
  value: text("value", { mode: "json" }).$type<unknown>().notNull(),
}, (table) => [primaryKey({ columns: [table.resolutionMs, table.subjectId, table.atMs] })]);
