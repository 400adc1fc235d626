/**
 * What a configuration file may say: strict valibot schemas with their bounds, defaults and messages (docs/configuration.md).
 * Text → `specification.ts` → these schemas → plain values with every default filled in. Unknown keys are errors.
 */
import { toJsonSchema } from "@valibot/to-json-schema";
import * as v from "valibot";
import { limits } from "../limits.ts";
import { didYouMean } from "../near_miss.ts";
import { type EventKind, eventKinds } from "../protocol/event_kinds.ts";
import { nameSchema } from "../protocol/messages.ts";

const day = 24 * 3600_000;

/** A value as it is shown in a message: short, and never a whole object. */
function shown(value: unknown): string {
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** The message for whatever is wrong with a value: what it must be, and what it is. */
function mustBe(requirement: string): (issue: { input: unknown }) => string {
  return (issue) =>
    issue.input === undefined
      ? `is missing, must be ${requirement}`
      : `must be ${requirement}, is ${shown(issue.input)}`;
}

function wholeNumber(from: number, to: number, unit = "") {
  const message = mustBe(`a whole number from ${from} to ${to}${unit}`);
  return v.pipe(
    v.number(message),
    v.integer(message),
    v.minValue(from, message),
    v.maxValue(to, message),
  );
}

function text(pattern: RegExp, requirement: string) {
  const message = mustBe(requirement);
  return v.pipe(v.string(message), v.regex(pattern, message));
}

/** An object in which only the given keys may stand. */
function strict<Entries extends v.ObjectEntries>(entries: Entries) {
  return v.strictObject(entries, (issue) => {
    const key = issue.path?.at(-1)?.key;
    if (issue.expected === "never" && typeof key === "string") {
      return `is not a known key${didYouMean(key, Object.keys(entries))}`;
    }
    if (issue.expected !== "Object") return "is missing";
    return `must be an object, is ${shown(issue.input)}`;
  });
}

function listOf<Item extends v.GenericSchema>(item: Item, requirement: string) {
  return v.array(item, mustBe(requirement));
}

const clusterName = v.pipe(v.string(mustBe("a name")), nameSchema);
const hostPort = /^(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):\d{1,5}$/;
const environmentName = /^[A-Za-z_][A-Za-z0-9_]*$/;
const label = text(/^[^\p{Cc}]{1,255}$/u, "a label's value of 1 to 255 characters");

const listenAddress = v.pipe(
  v.string(mustBe("HOST:PORT")),
  v.regex(hostPort, mustBe('HOST:PORT, such as "0.0.0.0:7443"')),
  v.check(
    // What has no port at all has been told above.
    (value) => !hostPort.test(value) || Number(value.slice(value.lastIndexOf(":") + 1)) <= 65535,
    mustBe("HOST:PORT, port up to 65535"),
  ),
);

const permissions = strict({
  /** Hosts it may connect to. */
  net: v.optional(listOf(
    text(
      /^(\*\.)?(\[[0-9a-fA-F:.]+\]|[^\s:/[\]*]+)(:\d{1,5})?$/,
      'a host with or without a port, such as "api.example.com:443"',
    ),
    "a list of hosts",
  )),
  read: v.optional(listOf(text(/^\//, "an absolute path on the agent"), "a list of paths")),
  write: v.optional(listOf(text(/^\//, "an absolute path on the agent"), "a list of paths")),
  env: v.optional(
    listOf(text(environmentName, "the name of an environment variable"), "a list of variable names"),
  ),
});

const placement = v.record(
  text(/^[^\s=\p{Cc}]{1,63}$/u, "a label's name of 1 to 63 characters without spaces"),
  v.union([
    label,
    v.pipe(
      listOf(label, "a label's value, or a list of several"),
      v.minLength(1, "must name at least one value, is empty"),
    ),
  ], mustBe("a label's value, or a list of several")),
  mustBe("an object of labels"),
);

const environment = v.record(
  text(environmentName, "the name of an environment variable"),
  v.pipe(
    v.string(mustBe("text in quotes")),
    v.maxLength(8192, "must be at most 8192 characters"),
  ),
  mustBe("an object of texts"),
);

const rollout = v.pipe(
  strict({
    maxUnavailable: v.optional(wholeNumber(0, 1000), 1),
    maxSurge: v.optional(wholeNumber(0, 1000), 1),
    minReadyMs: v.optional(wholeNumber(0, 3600_000, " ms"), 2000),
    deadlineMs: v.optional(wholeNumber(1000, day, " ms"), 120_000),
  }),
  v.check(
    (policy) => policy.maxUnavailable + policy.maxSurge > 0,
    "needs maxUnavailable or maxSurge above 0, both are 0",
  ),
  v.check(
    (policy) => policy.deadlineMs > policy.minReadyMs,
    (issue) =>
      `needs deadlineMs above minReadyMs, they are ${issue.input.deadlineMs} and ${issue.input.minReadyMs}`,
  ),
);

const replicaSetEntries = {
  name: v.pipe(v.string(mustBe("a name")), nameSchema),
  version: text(/^[\w.+-]{1,64}$/, "1 to 64 letters, digits, . _ + or -"),
  replicas: v.optional(
    v.union([wholeNumber(0, 1000), v.literal("all")], mustBe('a whole number from 0 to 1000, or "all"')),
    1,
  ),
  placement: v.optional(placement, {}),
  permissions: v.optional(permissions, {}),
  env: v.optional(environment, {}),
  memoryMb: v.optional(wholeNumber(16, 1_048_576, " MB"), limits.memoryMbDefault),
  concurrency: v.optional(wholeNumber(1, 10_000)),
  queue: v.optional(
    strict({ max: v.optional(wholeNumber(0, limits.queueMaxMax), limits.queueMaxDefault) }),
    {},
  ),
  timeoutMs: v.optional(wholeNumber(1, limits.timeoutMsMax, " ms"), limits.timeoutMsDefault),
  idempotent: v.optional(v.boolean(mustBe("true or false")), false),
  rollout: v.optional(rollout, {}),
};

const modulePaths = v.pipe(
  listOf(text(/\S/, "a file or folder"), "a list of files and folders"),
  v.minLength(1, "must name at least one file or folder, is empty"),
);

/** One replicaSet without its modules: what a deployment over the API carries. */
export const replicaSetSchema = strict(replicaSetEntries);
export type ReplicaSetSettings = v.InferOutput<typeof replicaSetSchema>;

/** One replicaSet as a file describes it. */
export const configuredReplicaSetSchema = strict({ ...replicaSetEntries, modules: modulePaths });
export type ConfiguredReplicaSet = v.InferOutput<typeof configuredReplicaSetSchema>;

const webAddress = text(/^https?:\/\/[^\s/]+\S*$/, 'an address such as "https://example.com/hook"');

/** Told of events; see docs/observing.md. */
const webhook = strict({
  url: webAddress,
  on: v.pipe(
    listOf(
      v.pipe(
        v.string(mustBe("a kind of event")),
        v.check(
          (kind) => eventKinds.some((known) => known === kind),
          (issue) => `is not a kind of event${didYouMean(issue.input, [...eventKinds])}`,
        ),
        v.transform((kind) => kind as EventKind),
      ),
      "a list of kinds of events",
    ),
    v.minLength(1, "must name at least one kind of event, is empty"),
  ),
  secret: v.optional(text(/^.{16,200}$/, "16 to 200 characters")),
});

/** An OpenTelemetry collector for the spans of traced requests. */
const traces = strict({
  url: webAddress,
  headers: v.optional(
    v.record(
      text(/^[A-Za-z0-9-]{1,100}$/, "a header's name"),
      v.string(mustBe("text")),
      mustBe("an object of texts"),
    ),
    {},
  ),
});

export const configurationSchema = strict({
  /** For editors; ignored. */
  $schema: v.optional(v.string(mustBe("text"))),
  cluster: v.optional(clusterName, "sqwish"),
  listen: v.optional(listenAddress, "0.0.0.0:7443"),
  advertise: v.optional(
    listOf(
      text(/^([^\s:/[\]]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)$/, "a host name or address without a port"),
      "a list of host names and addresses",
    ),
    [],
  ),
  data: v.optional(text(/\S/, "a folder")),
  notify: v.optional(
    v.pipe(
      listOf(webhook, "a list of webhooks"),
      v.maxLength(limits.webhooksMax, `may hold at most ${limits.webhooksMax} webhooks`),
    ),
    [],
  ),
  traces: v.optional(traces),
  replicaSets: v.optional(
    v.pipe(
      listOf(configuredReplicaSetSchema, "a list of replicaSets"),
      v.maxLength(limits.replicaSetsMax, `may hold at most ${limits.replicaSetsMax} replicaSets`),
    ),
    [],
  ),
});
export type Configuration = v.InferOutput<typeof configurationSchema>;

/** The JSON Schema (draft 7) of the configuration file, for editors. Checks it can't express are left out. */
export function configurationJsonSchema(): Record<string, unknown> {
  const schema = toJsonSchema(configurationSchema, { typeMode: "input", errorMode: "ignore" });
  return { title: "Sqwish cluster configuration", ...schema };
}
