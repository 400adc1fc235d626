import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import {
  configurationJsonSchema,
  configurationRefused,
  describeConfigurationError,
  parseConfiguration,
  parseReplicaSet,
  parseReplicaSetFile,
} from "../../lib/deployment/specification.ts";

const file = "/etc/sqwish/cluster.jsonc";

/** What a text is refused for, as `line:column path message`. */
function errorsOf(text: string): string[] {
  const parsed = parseConfiguration(text, { file });
  assert.ok(!parsed.ok, "must be refused");
  return parsed.errors.map(({ path, message, line, column }) => `${line}:${column} ${path} ${message}`);
}

function setWith(keys: string): string {
  return `{"replicaSets": [{"name": "a", "version": "1", "modules": ["a.ts"], ${keys}}]}`;
}

Deno.test("`parseConfiguration()` fills every default", () => {
  const parsed = parseConfiguration("{}", { file });
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.configuration, {
    cluster: "sqwish",
    listen: "0.0.0.0:7443",
    advertise: [],
    notify: [],
    replicaSets: [],
  });
  const withSet = parseConfiguration(setWith(`"queue": {}`), { file });
  assert.ok(withSet.ok);
  assert.deepEqual(withSet.configuration.replicaSets[0], {
    name: "a",
    version: "1",
    modules: ["a.ts"],
    replicas: 1,
    placement: {},
    permissions: {},
    env: {},
    memoryMb: 256,
    queue: { max: 1000 },
    timeoutMs: 30_000,
    idempotent: false,
    rollout: { maxUnavailable: 1, maxSurge: 1, minReadyMs: 2000, deadlineMs: 120_000 },
  });
});

Deno.test("`parseConfiguration()` takes comments, trailing commas and a data folder relative to the file", () => {
  const parsed = parseConfiguration(`{ // the attic\n "cluster": "attic", /* here */ "data": "./state", }`, {
    file,
  });
  assert.ok(parsed.ok);
  assert.equal(parsed.configuration.cluster, "attic");
  assert.equal(parsed.configuration.data, "/etc/sqwish/state");
});

Deno.test("`parseConfiguration()` takes every key of the documentation's example", () => {
  const parsed = parseConfiguration(
    `{
      "cluster": "attic", "listen": "[::]:7443", "advertise": ["attic.local", "192.168.1.10", "fe80::1"],
      "replicaSets": [{
        "name": "images", "version": "1.2.0", "modules": ["./modules/resize.ts", "./modules/lib/"],
        "replicas": "all", "placement": { "arch": "aarch64", "zone": ["attic", "shed"] },
        "permissions": { "net": ["api.example.com:443", "[::1]:80", "10.0.0.1"], "read": ["/srv"], "env": ["TZ"] },
        "env": { "QUALITY": "80" }, "memoryMb": 256, "concurrency": 4, "queue": { "max": 1000 },
        "timeoutMs": 30000, "idempotent": true,
        "rollout": { "maxUnavailable": 0, "maxSurge": 1, "minReadyMs": 0, "deadlineMs": 60000 }
      }]
    }`,
    { file },
  );
  assert.ok(parsed.ok, JSON.stringify(parsed));
});

Deno.test("`parseConfiguration()` tells every error at once, each with its place", () => {
  const errors = errorsOf(
    `{
  "listne": "0.0.0.0:1",
  "replicaSets": [
    { "name": "Images", "version": "1", "modules": ["a.ts"], "replica": 2 },
    { "name": "text", "version": "1", "modules": ["a.ts"], "replicas": -1, "memory": 1 }
  ]
}`,
  );
  assert.deepEqual(errors.map((error) => error.split(" ").slice(0, 2).join(" ")), [
    "2:3 listne",
    "4:7 replicaSets[0].name",
    "4:62 replicaSets[0].replica",
    "5:60 replicaSets[1].replicas",
    "5:76 replicaSets[1].memory",
  ]);
  assert.match(errors[0], /is not a known key, did you mean `listen`\?$/);
  assert.match(errors[2], /did you mean `replicas`\?$/);
  assert.match(errors[4], /did you mean `memoryMb`\?$/);
});

Deno.test("`parseConfiguration()` finds all unknown keys of one object", () => {
  const errors = errorsOf(`{"one": 1, "two": 2, "three": 3}`);
  assert.deepEqual(errors.map((error) => error.split(" ")[1]), ["one", "two", "three"]);
});

Deno.test("`parseConfiguration()` gives line and column of broken JSON", () => {
  assert.match(errorsOf(`{\n  "cluster": \n}`)[0], /^3:1 {2}is not JSON: value expected/);
  assert.match(errorsOf("")[0], /^1:1/);
  assert.match(errorsOf(`{"cluster": "a"} x`)[0], /is not JSON/);
});

Deno.test("`parseConfiguration()` refuses two sets of one name and a key given twice", () => {
  const set = `{"name": "a", "version": "1", "modules": ["a.ts"]}`;
  assert.match(errorsOf(`{"replicaSets": [${set}, ${set}]}`)[0], /replicaSets\[1\]\.name must be unique/);
  assert.match(errorsOf(`{"cluster": "a", "cluster": "b"}`)[0], /cluster is given twice/);
});

const refusals: [name: string, text: string, expected: RegExp][] = [
  ["a list for the whole", "[]", /must be an object, is a list/],
  ["a list for an object", setWith(`"permissions": []`), /permissions must be an object, is a list/],
  ["a missing name", `{"replicaSets": [{"version": "1", "modules": ["a"]}]}`, /\[0\]\.name is missing/],
  [
    "no modules",
    `{"replicaSets": [{"name": "a", "version": "1", "modules": []}]}`,
    /modules must name at least one/,
  ],
  ["half a replica", setWith(`"replicas": 1.5`), /replicas must be a whole number from 0 to 1000, is 1\.5/],
  ["a word for a number", setWith(`"replicas": "two"`), /"all", or an object with min and max, is "two"/],
  ["too many replicas", setWith(`"replicas": 1001`), /from 0 to 1000, is 1001/],
  ["too little memory", setWith(`"memoryMb": 15`), /from 16 to 1048576 MB, is 15/],
  ["no time at all", setWith(`"timeoutMs": 0`), /timeoutMs must be a whole number from 1 /],
  ["a number in env", setWith(`"env": {"QUALITY": 80}`), /env\.QUALITY must be text in quotes, is 80/],
  [
    "a host with a scheme",
    setWith(`"permissions": {"net": ["https://a.b"]}`),
    /permissions\.net\[0\] must be a host/,
  ],
  ["a relative path", setWith(`"permissions": {"read": ["data"]}`), /read\[0\] must be an absolute path/],
  ["an empty choice", setWith(`"placement": {"zone": []}`), /placement\.zone must name at least one value/],
  [
    "a number in a choice",
    setWith(`"placement": {"zone": ["a", 1]}`),
    /placement\.zone\[1\] must be a label's value/,
  ],
  ["a rollout that can't move", setWith(`"rollout": {"maxSurge": 0, "maxUnavailable": 0}`), /both are 0/],
  [
    "a deadline before readiness",
    setWith(`"rollout": {"minReadyMs": 2000, "deadlineMs": 1000}`),
    /1000 and 2000/,
  ],
  [
    "a rollback without a number",
    setWith(`"rollout": {"rollback": {"errorRate": 2}}`),
    /errorRate must be a share from 0 to 1/,
  ],
  [
    "a canary's weight over 100",
    setWith(`"rollout": {"strategy": "canary", "steps": [{"weight": 101}]}`),
    /steps\[0\]\.weight must be a whole number from 1 to 99/,
  ],
  [
    "weights that shrink",
    setWith(`"rollout": {"strategy": "canary", "steps": [{"weight": 50}, {"weight": 20}]}`),
    /weights grow/,
  ],
  ["stages without a canary", setWith(`"rollout": {"steps": [{"weight": 50}]}`), /need "strategy": "canary"/],
  [
    "a canary without surge",
    setWith(`"rollout": {"strategy": "canary", "maxSurge": 0}`),
    /maxSurge above 0 for a canary/,
  ],
  [
    "a placement that contradicts itself",
    setWith(`"placement": {"zone": {"in": ["attic"], "not": ["attic"]}}`),
    /placement\.zone can fit no agent/,
  ],
  [
    "a spread over one value",
    setWith(`"placement": {"zone": "attic"}, "spread": "zone"`),
    /spreads over zone/,
  ],
  [
    "bounds the wrong way round",
    setWith(`"replicas": {"min": 3, "max": 2}`),
    /min up to max, they are 3 and 2/,
  ],
  ["a part of a core that is none", setWith(`"cores": 0`), /cores must be a number from 0\.01 to 1024/],
  ["a port out of range", `{"listen": "0.0.0.0:70000"}`, /listen must be HOST:PORT/],
  [
    "an address with a port",
    `{"advertise": ["a.local:7443"]}`,
    /advertise\[0\] must be a host name or address/,
  ],
];
for (const [name, text, expected] of refusals) {
  Deno.test(`\`parseConfiguration()\` refuses ${name}`, () => {
    const errors = errorsOf(text);
    assert.equal(errors.length, 1, errors.join("\n"));
    assert.match(errors[0], expected);
  });
}

Deno.test("`parseReplicaSet()` checks a value without modules and gives paths without places", () => {
  const good = parseReplicaSet({ name: "a", version: "1", replicas: "all" });
  assert.ok(good.ok);
  assert.equal(good.replicaSet.replicas, "all");
  const bad = parseReplicaSet({ name: "a", version: "1", modules: ["a.ts"] });
  assert.deepEqual(bad, { ok: false, errors: [{ path: "modules", message: "is not a known key" }] });
  assert.ok(!parseReplicaSet(null).ok);
  assert.ok(!parseReplicaSet("x").ok);
});

Deno.test("`parseReplicaSetFile()` reads one set with its modules", () => {
  const parsed = parseReplicaSetFile(`{"name": "a", "version": "1", "modules": ["a.ts"]}`);
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.replicaSet.modules, ["a.ts"]);
  assert.ok(!parseReplicaSetFile("{}").ok);
});

Deno.test("`describeConfigurationError()` and `configurationRefused()` name file, place and path", () => {
  const parsed = parseConfiguration(`{"a": 1, "b": 2}`, { file });
  assert.ok(!parsed.ok);
  assert.equal(
    describeConfigurationError(parsed.errors[0], "cluster.jsonc"),
    "cluster.jsonc:1:2: a: is not a known key",
  );
  const error = configurationRefused("cluster.jsonc", parsed.errors, "cluster.jsonc");
  assert.equal(error.code, "invalid_request");
  assert.match(error.message, /a: is not a known key \(and 1 more\)$/);
  assert.equal((error.details.errors as string[]).length, 2);
});

Deno.test("webhooks name kinds of events, `rolled_back` is one, and what is none is refused with those near it", () => {
  const parse = (...on: string[]) =>
    parseConfiguration(JSON.stringify({ notify: [{ url: "https://example.com/hook", on }] }), { file: "a" });
  const good = parse("agent_lost", "rolled_back");
  assert.ok(good.ok);
  assert.deepEqual(good.configuration.notify[0].on, ["agent_lost", "rollout_failed"]);
  for (const [wrong, near] of [["agent_lots", "agent_lost"], ["rolled_bak", "rolled_back"]]) {
    const refused = parse(wrong);
    assert.ok(!refused.ok);
    const [{ message }] = refused.errors;
    assert.equal(message, `is not a kind of event, did you mean \`${near}\`?`);
  }
});

Deno.test("`configurationJsonSchema()` closes its objects and knows every key", () => {
  const schema = configurationJsonSchema() as {
    additionalProperties: boolean;
    properties: { replicaSets: { items: { properties: object; required: string[] } } };
  };
  assert.equal(schema.additionalProperties, false);
  const set = schema.properties.replicaSets.items;
  assert.deepEqual(set.required.toSorted(), ["modules", "name", "version"]);
  assert.ok("permissions" in set.properties);
});

Deno.test("docs/configuration.md names every key of the schema", async () => {
  const file = await readFile(new URL("../../docs/configuration.md", import.meta.url), "utf8");
  const text = file.replace(/^```[^]*?^```/gm, "");
  const documented = new Set([...text.matchAll(/`([^`]+)`/g)].flatMap(([, code]) => code.split(".")));
  const missing = keysOf(configurationJsonSchema()).filter((key) => !documented.has(key));
  assert.deepEqual(missing, []);
});

/** Every property name of a JSON Schema, however deep. */
function keysOf(schema: unknown): string[] {
  if (typeof schema !== "object" || schema === null) return [];
  const { properties = {}, ...rest } = schema as { properties?: Record<string, unknown> };
  return [
    ...Object.keys(properties),
    ...[...Object.values(properties), ...Object.values(rest)].flatMap(keysOf),
  ];
}
