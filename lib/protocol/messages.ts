/**
 * Control messages: JSON text on the same connection as the frames (docs/protocol.md, "Control messages").
 * The list is append-only. Every message is validated here at its edge and a plain type inside.
 * State messages (`state`, `desired`) are whole and carry a generation; an older one is refused.
 */
import * as v from "valibot";
import { isErrorCode, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import { logLevels } from "../log.ts";

/** Sub-protocol of the join socket, and the number both sides compare in words. */
export const protocolName = "sqwish.1";
export const protocolVersion = 1;
export const joinPath = "/v1/join";
/** In the answer to a join: the manager's writes wait for acknowledgements (docs/protocol.md, "Joining"). */
export const acknowledgeHeader = "sqwish-acknowledge";
/** The name every manager certificate carries, so that a manager may change its address (docs/decisions/0002). */
export const managerServerName = "manager.sqwish";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const amount = v.pipe(v.number(), v.finite(), v.minValue(0));
const text = v.pipe(v.string(), v.maxLength(4096));
const name = v.pipe(
  v.string(),
  v.regex(
    /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/,
    (issue) =>
      `must be 1 to 63 of a-z, 0-9, "-" and ".", starting and ending with a letter or digit, is ${
        issue.received.slice(0, 100)
      }`,
  ),
);
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));

export const nameSchema = name;
export const labelsSchema = v.record(
  v.pipe(v.string(), v.maxLength(63)),
  v.pipe(v.string(), v.maxLength(255)),
);

/** What a module may do beyond computing. Nothing is allowed that is not listed. */
export const permissionsSchema = v.strictObject({
  net: v.optional(v.array(v.string())),
  read: v.optional(v.array(v.string())),
  write: v.optional(v.array(v.string())),
  env: v.optional(v.array(v.string())),
});
export type Permissions = v.InferOutput<typeof permissionsSchema>;

/** One file of a replicaSet, ready to run: JavaScript (types already stripped) or WebAssembly. */
export const moduleFileSchema = v.strictObject({
  /** Relative, with "/", no "..": `resize.js`, `lib/scale.js`, `wordcount.wasm`. */
  path: v.pipe(v.string(), v.maxLength(255)),
  /** The name the user gave it, for error messages: `modules/resize.ts`. */
  source: text,
  sha256,
  sizeBytes: count,
  kind: v.picklist(["js", "wasm"]),
  /** True: its exported functions are endpoints. False: only imported by others. */
  entry: v.boolean(),
  /** First sentence of each exported function's docstring, by function name. */
  docs: v.optional(v.record(v.string(), text)),
});
export type ModuleFile = v.InferOutput<typeof moduleFileSchema>;

/** What an agent needs to run one replica. Immutable per (replicaSet, revision). */
export const replicaSpecificationSchema = v.strictObject({
  /** The manager's number for this replica on this agent; requests name it (frame field b). Never reused in a connection. */
  handle: v.pipe(count, v.minValue(1), v.maxValue(0xffffff)),
  replicaSet: name,
  revision: v.pipe(count, v.minValue(1)),
  version: text,
  modules: v.array(moduleFileSchema),
  permissions: permissionsSchema,
  env: v.record(v.string(), v.string()),
  memoryMb: count,
  timeoutMs: count,
  /** Requests at once in this replica; the agent's core count (or `--concurrency`) when absent. */
  concurrency: v.optional(v.pipe(count, v.minValue(1))),
});
export type ReplicaSpecification = v.InferOutput<typeof replicaSpecificationSchema>;

/** What a loaded module says of one of its endpoints. */
export const endpointDescriptionSchema = v.strictObject({
  /** The exported function's name. */
  name: v.pipe(v.string(), v.maxLength(limits.endpointNameCharactersMax)),
  description: v.optional(text),
  /** JSON Schema of the input. */
  input: v.optional(v.record(v.string(), v.unknown())),
  timeoutMs: v.optional(count),
  idempotent: v.optional(v.boolean()),
  /** An async generator: replies by parts. */
  stream: v.boolean(),
});
export type EndpointDescription = v.InferOutput<typeof endpointDescriptionSchema>;

/** loading → ready ⇄ (not ready) → stopping → gone, or failed. "crashed" runners are restarted within "ready"/"loading". */
export const replicaStateSchema = v.picklist(["loading", "ready", "failed", "stopping"]);
export type ReplicaState = v.InferOutput<typeof replicaStateSchema>;

export const replicaReportSchema = v.strictObject({
  handle: count,
  replicaSet: name,
  revision: count,
  state: replicaStateSchema,
  /** Why it is failed or not ready, in words for the user. */
  reason: v.optional(text),
  /** Requests it takes at once. */
  slots: count,
  /** Nobody has set them: the manager finds out how many are right. */
  adaptive: v.optional(v.boolean()),
  endpoints: v.array(endpointDescriptionSchema),
});
export type ReplicaReport = v.InferOutput<typeof replicaReportSchema>;

/** What a manager would refuse of the report, in words; null: nothing. */
export function problemOfReport(report: ReplicaReport): string | null {
  const { issues } = v.safeParse(replicaReportSchema, report, { abortEarly: true });
  return issues ? describeIssue(issues[0], "report") : null;
}

/** The machine's state at one moment. */
export const hostSampleSchema = v.strictObject({
  /** Share of all cores in use since the last sample, 0 to 1. */
  cpu: amount,
  load1: amount,
  memoryUsedBytes: count,
  memoryTotalBytes: count,
  temperatureC: v.optional(v.number()),
  /** The host says it slows itself down (heat or undervoltage). */
  throttled: v.optional(v.boolean()),
});
export type HostSample = v.InferOutput<typeof hostSampleSchema>;

export const replicaSampleSchema = v.strictObject({
  handle: count,
  outstanding: count,
  runners: count,
  /** Cores in use by its runners since the last sample (1.5 = one and a half cores). */
  cpuCores: amount,
  memoryBytes: count,
  restarts: count,
});
export type ReplicaSample = v.InferOutput<typeof replicaSampleSchema>;

/** Since the last telemetry. Latency is the run time in the module, in µs, as sparse histogram buckets (`metrics/histogram.ts`). */
export const endpointSampleSchema = v.strictObject({
  endpoint: v.string(),
  revision: count,
  count,
  errors: count,
  latency: v.record(v.string(), count),
});
export type EndpointSample = v.InferOutput<typeof endpointSampleSchema>;

export const logLineSchema = v.strictObject({
  atMs: amount,
  replicaSet: v.string(),
  revision: count,
  level: v.picklist(logLevels),
  text: v.string(),
  requestId: v.optional(v.string()),
});
export type LogLine = v.InferOutput<typeof logLineSchema>;

const hello = v.variant("role", [
  v.strictObject({
    type: v.literal("hello"),
    role: v.literal("agent"),
    protocol: count,
    version: text,
    name,
    /** Random, made once per agent data folder: tells a returning agent from a second one of the same name. */
    identity: v.pipe(v.string(), v.minLength(16), v.maxLength(64)),
    labels: labelsSchema,
    cores: v.pipe(count, v.minValue(1)),
    memoryBytes: count,
    /** `--concurrency`, when given. */
    concurrency: v.optional(v.pipe(count, v.minValue(1))),
    /** True: signed in with a join token and asks for credentials of its own (in `welcome`). */
    enroll: v.boolean(),
    /** What is already loaded, so that a return needs no reload. */
    replicas: v.array(replicaReportSchema),
  }),
  v.strictObject({
    type: v.literal("hello"),
    role: v.literal("client"),
    protocol: count,
    version: text,
    enroll: v.boolean(),
  }),
]);
export type Hello = v.InferOutput<typeof hello>;
export type AgentHello = Extract<Hello, { role: "agent" }>;

const welcome = v.strictObject({
  type: v.literal("welcome"),
  protocol: count,
  version: text,
  cluster: text,
  /** Changes with every start of the manager. */
  managerInstance: text,
  /** Every address the manager can be reached at now, `host:port`; the peer keeps them for later. */
  addresses: v.array(text),
  nowMs: amount,
  /** Answer to `enroll`: stored by the peer and used from the next join on; a join token may expire or be for once. */
  credentials: v.optional(v.strictObject({ user: text, password: text })),
});
export type Welcome = v.InferOutput<typeof welcome>;

/** Manager → agent: everything this agent shall run, whole. */
const desired = v.strictObject({
  type: v.literal("desired"),
  generation: count,
  replicas: v.array(replicaSpecificationSchema),
});
export type Desired = v.InferOutput<typeof desired>;

/** Agent → manager: everything this agent runs, whole; sent on every change. */
const state = v.strictObject({
  type: v.literal("state"),
  /** The newest `desired` this agent acts on. */
  generation: count,
  replicas: v.array(replicaReportSchema),
});
export type State = v.InferOutput<typeof state>;

/** Agent → manager, every second; answered by `pong` with the same number. */
const telemetry = v.strictObject({
  type: v.literal("telemetry"),
  sequence: count,
  host: hostSampleSchema,
  /** The agent's own CPU (cores) and resident memory, without runners. */
  agentCpuCores: amount,
  agentMemoryBytes: count,
  replicas: v.array(replicaSampleSchema),
  endpoints: v.array(endpointSampleSchema),
});
export type Telemetry = v.InferOutput<typeof telemetry>;

const logs = v.strictObject({ type: v.literal("logs"), lines: v.array(logLineSchema) });
export type Logs = v.InferOutput<typeof logs>;

const ping = v.strictObject({ type: v.literal("ping"), sequence: count });
const pong = v.strictObject({ type: v.literal("pong"), sequence: count });

/** Either side, before it closes on purpose. */
const bye = v.strictObject({
  type: v.literal("bye"),
  code: text,
  message: text,
  /** The error's facts for machines, e.g. `retryAfterMs`. */
  details: v.optional(v.record(v.string(), v.unknown())),
});
export type Bye = v.InferOutput<typeof bye>;

const byeCharactersMax = 1000;

/** A refusal as the last message of a connection; a very long message is cut. */
export function byeOf(error: SqwishError): Bye {
  const message = error.message.slice(0, byeCharactersMax);
  return { type: "bye", code: error.code, message, details: error.details };
}

/** What a `bye` says, as an error; a code that isn't of the table becomes `manager_lost`. */
export function errorOfBye({ code, message, details }: Bye): SqwishError {
  return new SqwishError(isErrorCode(code) ? code : "manager_lost", message, { details });
}

const toManager = v.variant("type", [hello, state, telemetry, logs, ping, bye]);
const toPeer = v.variant("type", [welcome, desired, pong, bye]);
export type MessageToManager = v.InferOutput<typeof toManager>;
export type MessageToPeer = v.InferOutput<typeof toPeer>;

/** Throws `invalid_request` with the path of the first thing that is wrong. */
export function parseMessageToManager(json: string): MessageToManager {
  return parse(toManager, json);
}
export function parseMessageToPeer(json: string): MessageToPeer {
  return parse(toPeer, json);
}
export function encodeMessage(message: MessageToManager | MessageToPeer): string {
  return JSON.stringify(message);
}

function parse<Schema extends v.GenericSchema>(schema: Schema, json: string): v.InferOutput<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new SqwishError("invalid_request", "A control message must be JSON", { cause });
  }
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  throw new SqwishError(
    "invalid_request",
    `Control message: ${describeIssue(issue, "type")}`,
  );
}

/** Where and what; both may quote what was said, which may be long. `whole`: what there is no path to. */
function describeIssue(issue: v.BaseIssue<unknown>, whole: string): string {
  return `${v.getDotPath(issue) ?? whole}: ${issue.message}`.slice(0, 480);
}
