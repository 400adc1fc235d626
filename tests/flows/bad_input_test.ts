/**
 * What bad input gets: configurations, ports and data folders that a manager refuses to start with, and modules that
 * can't be deployed, never become ready or do what they may not. Nothing half done, the cluster unharmed.
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { Sqwish } from "../../client.ts";
import { type Cluster, Program, programCommand, startCluster } from "../support/cluster.ts";
import { deployed, deployRequest, failedRollout, patienceMs, setOf } from "../support/deploying.ts";
import { eventually } from "../support/eventually.ts";
import { failureOf } from "../support/failures.ts";

Deno.test("a manager that can't start says why in one line, and changes nothing", async (t) => {
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "sqwish-test-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const own = `${folder}/own`;
  await Deno.mkdir(own);
  await Deno.writeTextFile(`${own}/sums.ts`, goodModule);
  const set = { name: "sums", version: "1", modules: ["./sums.ts"] };
  const cluster = await startCluster({ configuration: JSON.stringify({ replicaSets: [set] }), folder: own });
  stack.defer(() => cluster.close());
  await t.step("a bad configuration, and a bad module in a good one", () => badConfiguration(folder));
  await t.step("ports and data folders that can't be used", () => badPlaces(cluster, folder));
  await t.step("a module that broke since the last start", () => brokenSince(cluster, own));
});

Deno.test("modules that can't work are refused with their place, and the cluster goes on", async (t) => {
  await using stack = new AsyncDisposableStack();
  const cluster = await startCluster({ agents: 1 });
  stack.defer(() => cluster.close());
  const sqwish = await cluster.connect();
  await deployed(sqwish, "probe", { "probe.ts": "export const echo = (input: unknown) => input;" });
  const alive = async () => {
    assert.equal(await sqwish.invoke("probe/echo", "alive", { timeoutMs: patienceMs }), "alive");
  };
  await t.step("deployments refused at once", async () => {
    await refusedDeployments(sqwish);
    await alive();
  });
  await t.step("modules that never become ready", async () => {
    await failedRollouts(sqwish);
    await alive();
  });
  await t.step("what is not permitted", async () => {
    await notPermitted(sqwish);
    await alive();
  });
});

const goodModule = "export const good = () => 1;\n";
const brokenModule = "export function one() {\n  return 1 +;\n}\n";

async function runManager(args: string[]): Promise<{ code: number; lines: string[] }> {
  const manager = new Program(programCommand("manager"), args);
  const timer = setTimeout(() => manager.signal("SIGKILL"), patienceMs);
  const { code } = await manager.finished();
  clearTimeout(timer);
  return { code, lines: manager.output.trimEnd().split("\n") };
}

async function badConfiguration(folder: string): Promise<void> {
  const file = `${folder}/cluster.jsonc`;
  await Deno.writeTextFile(`${folder}/good.ts`, goodModule);
  await Deno.writeTextFile(`${folder}/broken.ts`, brokenModule);
  await Deno.writeTextFile(
    file,
    `{
  "cluster": "attic",
  "replicaSets": [
    { "name": "images", "version": "1", "modules": ["./good.ts"], "replicas": "many" },
    { "name": "images", "version": "1", "modules": ["./good.ts"], "memryMb": 64 }
  ],
  "listen": "nowhere"
}
`,
  );
  const expected = [
    /cluster\.jsonc:4:\d+: replicaSets\[0\]\.replicas: must be .*"all".*, is "many"$/,
    /cluster\.jsonc:5:\d+: replicaSets\[1\]\.memryMb: is not a known key, did you mean `memoryMb`\?$/,
    /cluster\.jsonc:5:\d+: replicaSets\[1\]\.name: .*images/,
    /cluster\.jsonc:7:\d+: listen: must be HOST:PORT/,
  ];
  const checked = await runManager(["check", "--config", file]);
  const started = await runManager(["--config", file, "--data", `${folder}/data`]);
  for (const { code, lines } of [checked, started]) {
    assert.equal(code, 1);
    for (const line of expected) {
      assert.ok(lines.some((one) => line.test(one)), `${line}:\n${lines.join("\n")}`);
    }
    assert.equal(lines.length, expected.length + 1, lines.join("\n"));
    assert.match(lines.at(-1)!, /^manager: .*cluster\.jsonc has 4 errors \(invalid_request\)$/);
  }
  await assert.rejects(Deno.stat(`${folder}/data`), Deno.errors.NotFound);

  const set = { name: "sums", version: "1", modules: ["./broken.ts"] };
  await Deno.writeTextFile(file, JSON.stringify({ replicaSets: [set] }));
  const broken = await runManager(["check", "--config", file]);
  assert.equal(broken.code, 1);
  assert.match(broken.lines[0], /broken\.ts:2:13: /);
  const refused = await runManager([
    "--config",
    file,
    "--data",
    `${folder}/data`,
    "--listen",
    "127.0.0.1:0",
  ]);
  assert.equal(refused.code, 1);
  assert.ok(refused.lines.some((line) => /broken\.ts:2:13: /.test(line)), refused.lines.join("\n"));
  await assert.rejects(Deno.stat(`${folder}/data`), Deno.errors.NotFound);
}

/** The last good sets stay in force, and the dashboard says what is wrong. */
async function brokenSince(cluster: Cluster, folder: string): Promise<void> {
  await cluster.manager.end();
  await Deno.writeTextFile(`${folder}/sums.ts`, brokenModule);
  await cluster.startManager();
  const { cluster: { configurationErrors }, replicaSets } = await cluster.overview();
  assert.equal(configurationErrors.length, 1);
  assert.match(configurationErrors[0], /sums\.ts:2:13: /);
  assert.deepEqual(replicaSets.map(({ name, revision }) => [name, revision]), [["sums", 1]]);
  await Deno.writeTextFile(`${folder}/sums.ts`, goodModule);
  await eventually("the file is good again", async () => {
    return (await cluster.overview()).cluster.configurationErrors.length === 0;
  }, patienceMs);
}

async function badPlaces(cluster: Cluster, folder: string): Promise<void> {
  await Deno.writeTextFile(`${folder}/file`, "");
  const any = ["--listen", "127.0.0.1:0"];
  const newer = `${folder}/newer`;
  await Deno.mkdir(newer);
  const database = new DatabaseSync(`${newer}/sqwish.db`);
  database.exec("PRAGMA user_version = 999");
  database.close();
  const cases: [string[], number, RegExp][] = [
    [
      ["--listen", `127.0.0.1:${cluster.port}`, "--data", `${folder}/d1`],
      1,
      /^manager: Port \d+ is in use at 127\.0\.0\.1; choose another with --listen.*\(conflict\)$/,
    ],
    [["--listen", "nowhere", "--data", `${folder}/d2`], 2, /^manager: .*listen.* must be HOST:PORT/],
    [
      [...any, "--data", `${folder}/file`],
      1,
      /^manager: The data folder \S+file must be a folder this user can write to, and it is not; .*--data/,
    ],
    [
      [...any, "--data", "/proc/sqwish"],
      1,
      /^manager: The data folder \/proc\/sqwish must be a folder this user can write to, and it is not; .*--data/,
    ],
    [[...any, "--data", newer], 1, /^manager: The data in \S+newer .*newer.*\(conflict\)$/],
    [
      [...any, "--data", `${cluster.folder}/manager`],
      1,
      /^manager: The data in \S+manager belongs to one manager at a time, and another one is running on it/,
    ],
    [
      ["token", "agent", "--data", `${folder}/d3`],
      1,
      /^manager: There is no cluster in .*; name its data folder with --data/,
    ],
    [["token", "robot"], 2, /^manager: a token is for agent or client, not robot$/],
    [["serve"], 2, /^manager: /],
  ];
  for (const [args, code, says] of cases) {
    const ended = await runManager(args);
    assert.equal(ended.lines.length, 1, ended.lines.join("\n"));
    assert.match(ended.lines[0], says);
    assert.equal(ended.code, code, ended.lines[0]);
  }
}

async function refusedDeployments(sqwish: Sqwish): Promise<void> {
  const cases: [string, Record<string, string>, RegExp][] = [
    ["does not parse", { "a.ts": "export function one() {\n  return 1 +;\n}" }, /a\.ts:2:13: /],
    [
      "exports nothing",
      { "a.ts": "const one = 1;" },
      /a\.ts.*exports nothing, so it has no endpoints; export a function/,
    ],
    [
      "exports a name twice",
      { "a.ts": "export const one = () => 1;", "b.ts": "export const one = () => 2;" },
      /a\.ts.*b\.ts|b\.ts.*a\.ts/,
    ],
    [
      "imports a package",
      { "a.ts": 'import x from "npm:left-pad";\nexport const one = () => x;' },
      /a\.ts:1:15: imports "npm:left-pad", agents fetch no packages; bundle it first: deno bundle a\.ts/,
    ],
    [
      "imports a missing file",
      { "a.ts": '\nimport { x } from "./lib.ts";\nexport const one = () => x;' },
      /a\.ts:2:19: imports \.\/lib\.ts, which is not among the modules/,
    ],
    ["leads out of its folder", { "../a.ts": "export const one = () => 1;" }, /\.\.\/a\.ts/],
  ];
  for (const [what, modules, says] of cases) {
    const error = await failureOf(sqwish.call("POST", "/v1/replicasets", deployRequest("bad", modules)));
    assert.equal(error.code, "invalid_request", what);
    assert.match(error.message, says);
  }
  const settings = { replicas: -1, timeoutMs: "long", colour: "red" };
  const wrong = await failureOf(
    sqwish.call(
      "POST",
      "/v1/replicasets",
      deployRequest("bad", { "a.ts": "export const one = () => 1;" }, settings),
    ),
  );
  assert.equal(wrong.code, "invalid_request");
  assert.deepEqual((wrong.details.errors as string[]).map((line) => line.split(":")[0]).sort(), [
    "colour",
    "replicas",
    "timeoutMs",
  ]);
  assert.equal(await setOf(sqwish, "bad"), undefined);
}

/** The rollout fails by its deadline with the reason; what ran before goes on. */
async function failedRollouts(sqwish: Sqwish): Promise<void> {
  const good = "export const one = () => 1;";
  const startedMs = performance.now();
  await deployed(sqwish, "fragile", { "a.ts": good });
  // Enough for a runner to start in, on a slow machine, too.
  const deadlineMs = Math.min(20_000, Math.round(1000 + 3 * (performance.now() - startedMs)));
  const late = `No progress for ${deadlineMs} ms`;
  const cases: [Record<string, string>, RegExp][] = [
    [
      { "a.ts": `${good}\nexport function ready() { throw new Error("no camera is connected"); }` },
      /ready\(\).*no camera is connected/,
    ],
    [
      { "a.ts": `${good}\nexport const ready = () => new Promise(() => {});` },
      new RegExp(`${late} \\(agent-1: its ready\\(\\) has not resolved yet\\)`),
    ],
    [{ "a.ts": `${good}\nthrow new Error("not today");` }, /not today/],
    [
      { "a.ts": `${good}\nexport function ready() { for (;;); }` },
      new RegExp(`${late} \\(agent-1: its ready\\(\\)`),
    ],
    [{ "a.ts": `${good}\nfor (;;);` }, new RegExp(`${late} \\(agent-1: loading\\)`)],
  ];
  for (const [modules, says] of cases) {
    const rollout = { minReadyMs: 0, deadlineMs };
    assert.match(await failedRollout(sqwish, "fragile", modules, { rollout }), says);
    assert.equal(await sqwish.invoke("fragile/one"), 1);
  }
  const only = await failedRollout(sqwish, "hopeless", {
    "a.ts": "export const one = () => 1; throw 'never';",
  });
  assert.match(only, /never/);
  const error = await failureOf(sqwish.invoke("hopeless/one", null, { timeoutMs: 500 }));
  assert.ok(["no_ready_replica", "not_found"].includes(error.code), error.code);
}

async function notPermitted(sqwish: Sqwish): Promise<void> {
  await deployed(sqwish, "nosy", {
    "a.ts": `export const read = (path: string) => Deno.readTextFileSync(path);
export const write = (path: string) => Deno.writeTextFileSync(path, "");
export const dial = async (port: number) => void await Deno.connect({ hostname: "127.0.0.1", port });
export const run = () => new Deno.Command("/bin/true").outputSync();
export const variable = () => Deno.env.get("HOME");
`,
  });
  const cases: [string, unknown, RegExp][] = [
    ["read", "/etc/hostname", /permissions\.read/],
    ["write", "/tmp/sqwish-nosy", /permissions\.write/],
    ["dial", 9, /permissions\.net.*127\.0\.0\.1:9|127\.0\.0\.1:9.*permissions\.net/],
    ["variable", null, /permissions\.env/],
    ["run", null, /^run access is not allowed in a module$/],
  ];
  for (const [endpoint, input, says] of cases) {
    const error = await failureOf(sqwish.invoke(`nosy/${endpoint}`, input));
    assert.equal(error.code, "module_failed", endpoint);
    assert.match(error.message, says);
  }
}
