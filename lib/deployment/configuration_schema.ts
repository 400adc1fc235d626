/**
 * What a configuration file may say: strict valibot schemas with their bounds, defaults and messages (docs/configuration.md).
 * Text → `specification.ts` → these schemas → plain values with every default filled in. Unknown keys are errors.
 */
import { toJsonSchema } from "@valibot/to-json-schema";
import * as v from "valibot";
import { limits } from "../limits.ts";
import { didYouMean } from "../near_miss.ts";
import { eventKindOf, eventNames } from "../protocol/event_kinds.ts";
import { nameSchema } from "../protocol/messages.ts";
import { canaryStepsDefault, type LabelRule, rollbackDefault } from "../protocol/revision.ts";

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

function numberFrom(from: number, to: number) {
  const message = mustBe(`a number from ${from} to ${to}`);
  return v.pipe(v.number(message), v.minValue(from, message), v.maxValue(to, message));
}

function share(requirement: string) {
  const message = mustBe(requirement);
  return v.pipe(v.number(message), v.minValue(0, message), v.maxValue(1, message));
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

const labelName = text(/^[^\s=\p{Cc}]{1,63}$/u, "a label's name of 1 to 63 characters without spaces");
const labels = v.pipe(
  listOf(label, "a label's value, or a list of several"),
  v.minLength(1, "must name at least one value, is empty"),
);
const labelRule = v.pipe(
  strict({ in: v.optional(labels), not: v.optional(labels) }),
  v.check((rule) => rule.in !== undefined || rule.not !== undefined, 'needs "in" or "not", has neither'),
  v.check(
    (rule) => rule.in?.every((value) => rule.not?.includes(value)) !== true,
    'can fit no agent: every value of "in" is in "not" too',
  ),
);
const placement = v.record(
  labelName,
  v.union(
    [label, labels, labelRule],
    mustBe('a label\'s value, a list of several, or an object with "in" and "not"'),
  ),
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

const rollback = v.union([
  v.literal(false),
  strict({
    errorRate: v.optional(share("a share from 0 to 1, such as 0.05"), rollbackDefault.errorRate),
    p95Factor: v.optional(numberFrom(1, 1000), rollbackDefault.p95Factor),
    minRequests: v.optional(wholeNumber(1, 1_000_000), rollbackDefault.minRequests),
  }),
], mustBe("false, or an object with errorRate, p95Factor and minRequests"));

const canaryStep = strict({
  weight: wholeNumber(1, 99, " per cent"),
  holdMs: v.optional(wholeNumber(0, day, " ms"), canaryStepsDefault[0].holdMs),
});

const rollout = v.pipe(
  strict({
    strategy: v.optional(v.picklist(["rolling", "canary"], mustBe('"rolling" or "canary"'))),
    steps: v.optional(v.pipe(
      listOf(canaryStep, "a list of stages, each with a weight"),
      v.minLength(1, "must have at least one stage, is empty"),
      v.maxLength(20, "may have at most 20 stages"),
    )),
    maxUnavailable: v.optional(wholeNumber(0, 1000), 1),
    maxSurge: v.optional(wholeNumber(0, 1000), 1),
    minReadyMs: v.optional(wholeNumber(0, 3600_000, " ms"), 2000),
    deadlineMs: v.optional(wholeNumber(1000, day, " ms"), 120_000),
    rollback: v.optional(rollback),
    breaking: v.optional(v.picklist(["refuse", "allow"], mustBe('"refuse" or "allow"'))),
  }),
  v.check(
    (policy) => policy.steps === undefined || policy.strategy === "canary",
    'has steps, which need "strategy": "canary"',
  ),
  v.check(
    (policy) => policy.strategy !== "canary" || policy.maxSurge > 0,
    "needs maxSurge above 0 for a canary: the old revision goes on beside it",
  ),
  v.check(
    ({ steps = [] }) => steps.every(({ weight }, index) => index === 0 || weight > steps[index - 1].weight),
    "needs steps whose weights grow from one to the next",
  ),
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

const bounds = v.pipe(
  strict({
    min: wholeNumber(0, 1000),
    max: wholeNumber(1, 1000),
    idleMs: v.optional(wholeNumber(1000, day, " ms")),
  }),
  v.check(
    ({ min, max }) => min <= max,
    (issue) => `needs min up to max, they are ${issue.input.min} and ${issue.input.max}`,
  ),
);

const replicaSetEntries = {
  name: v.pipe(v.string(mustBe("a name")), nameSchema),
  version: text(/^[\w.+-]{1,64}$/, "1 to 64 letters, digits, . _ + or -"),
  replicas: v.optional(
    v.union(
      [wholeNumber(0, 1000), v.literal("all"), bounds],
      mustBe('a whole number from 0 to 1000, "all", or an object with min and max'),
    ),
    1,
  ),
  placement: v.optional(placement, {}),
  spread: v.optional(labelName),
  permissions: v.optional(permissions, {}),
  env: v.optional(environment, {}),
  memoryMb: v.optional(wholeNumber(16, 1_048_576, " MB"), limits.memoryMbDefault),
  cores: v.optional(numberFrom(0.01, 1024)),
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

interface Placed {
  placement: Record<string, LabelRule>;
  spread?: string;
}

/** Spreading over a label of which only one value is allowed can't be meant. */
function spreadsOverSeveral({ placement, spread }: Placed): boolean {
  return spread === undefined || allowedValues(placement[spread]) !== 1;
}

function spreadRefused({ input }: { input: Placed }): string {
  return `spreads over ${input.spread}, and its placement allows one value of it only`;
}

/** How many values a rule names; Infinity when it names none. */
function allowedValues(rule: LabelRule | undefined): number {
  if (typeof rule === "string") return 1;
  const values = Array.isArray(rule) ? rule : rule?.in;
  if (values === undefined) return Infinity;
  const not = Array.isArray(rule) ? [] : rule?.not ?? [];
  return new Set(values.filter((value) => !not.includes(value))).size;
}

/** One replicaSet without its modules: what a deployment over the API carries. */
export const replicaSetSchema = v.pipe(
  strict(replicaSetEntries),
  v.check((set) => spreadsOverSeveral(set), (issue) => spreadRefused(issue)),
);
export type ReplicaSetSettings = v.InferOutput<typeof replicaSetSchema>;

/** One replicaSet as a file describes it. */
export const configuredReplicaSetSchema = v.pipe(
  strict({ ...replicaSetEntries, modules: modulePaths }),
  v.check((set) => spreadsOverSeveral(set), (issue) => spreadRefused(issue)),
);
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
          (kind) => eventKindOf(kind) !== undefined,
          (issue) => `is not a kind of event${didYouMean(issue.input, eventNames)}`,
        ),
        v.transform((kind) => eventKindOf(kind)!),
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
