/**
 * What bad input gets: configurations and data folders that a manager refuses to start with, modules that can't be
 * deployed or never become ready, and garbage on the manager's port. Nothing half done, the cluster unharmed.
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { Sqwish } from "../../client.ts";
import { type Cluster, Program, programCommand, startCluster } from "../support/cluster.ts";
import { deployed, deployRequest, failedRollout, patienceMs, setOf } from "../support/deploying.ts";
import { eventually } from "../support/eventually.ts";
import { errorIn, failureOf } from "../support/failures.ts";
import { basic, connectTls, httpText, readUntil, talk, upgradeText } from "../support/raw_peer.ts";

Deno.test("a manager that can't start says why in one line, and changes nothing", async (t) => {
  await using stack = new AsyncDisposableStack();
  const cluster = await startCluster();
  stack.defer(() => cluster.close());
  const folder = await Deno.makeTempDir({ prefix: "sqwish-test-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  await t.step("a bad configuration, and a bad module in a good one", () => badConfiguration(folder));
  await t.step("ports and data folders that can't be used", () => badPlaces(cluster, folder));
  assert.equal((await cluster.overview()).cluster.health, "ok");
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
  const noHello = silentPeer(cluster);
  const noRequest = connectTls(cluster).then((connection) => talk(connection, "GET / HT"));
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
  await t.step("garbage on the port", async () => {
    await garbage(cluster);
    await alive();
  });
  await t.step("peers that say nothing", async () => {
    assert.match(await noHello, /"code":"invalid_request","message":"A peer must say hello within 10000 ms"/);
    assert.match(await noRequest, /^HTTP\/1\.1 400 /);
    await alive();
  });
});

async function runManager(args: string[]): Promise<{ code: number; lines: string[] }> {
  const manager = new Program(programCommand("manager"), args);
  const timer = setTimeout(() => manager.signal("SIGKILL"), patienceMs);
  const { code } = await manager.finished();
  clearTimeout(timer);
  return { code, lines: manager.output.trimEnd().split("\n") };
}

async function badConfiguration(folder: string): Promise<void> {
  const file = `${folder}/cluster.jsonc`;
  await Deno.writeTextFile(`${folder}/good.ts`, "export const good = () => 1;\n");
  await Deno.writeTextFile(`${folder}/broken.ts`, "export function one() {\n  return 1 +;\n}\n");
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
      /^manager: There is no cluster in .*; start the manager once first/,
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
  await deployed(sqwish, "fragile", { "a.ts": good });
  const cases: [Record<string, string>, RegExp][] = [
    [
      { "a.ts": `${good}\nexport function ready() { throw new Error("no camera is connected"); }` },
      /ready\(\).*no camera is connected/,
    ],
    [
      { "a.ts": `${good}\nexport const ready = () => new Promise(() => {});` },
      /No progress for 1500 ms \(agent-1: its ready\(\) has not resolved yet\)/,
    ],
    [{ "a.ts": `${good}\nthrow new Error("not today");` }, /not today/],
    [
      { "a.ts": `${good}\nexport function ready() { for (;;); }` },
      /No progress for 1500 ms \(agent-1: its ready\(\)/,
    ],
    [{ "a.ts": `${good}\nfor (;;);` }, /No progress for 1500 ms \(agent-1: loading\)/],
  ];
  for (const [modules, says] of cases) {
    const rollout = { minReadyMs: 0, deadlineMs: 1500 };
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

/** A peer that upgrades and then never says hello; resolves with what the manager said in the end. */
async function silentPeer(cluster: Cluster): Promise<string> {
  return await talk(await connectTls(cluster), upgradeText(cluster));
}

async function garbage(cluster: Cluster): Promise<void> {
  const plain = async (bytes: Uint8Array<ArrayBuffer>) => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: cluster.port });
    await connection.write(bytes);
    await readUntil(connection);
    connection.close();
  };
  const over = async (...pieces: (string | number[])[]) => talk(await connectTls(cluster), ...pieces);
  const upgrade = upgradeText(cluster);
  const said = (code: string, words: RegExp) => (text: string) => {
    assert.match(text, new RegExp(`"code":"${code}"`), text);
    assert.match(text, words);
  };
  const wrongProtocol = upgradeText(cluster, { "Sec-WebSocket-Protocol": "sqwish.9" });
  await Promise.all([
    plain(crypto.getRandomValues(new Uint8Array(4096))),
    plain(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: manager\r\n\r\n")),
    over("\x16\x03\x01 garbage\r\n\r\n").then(said("invalid_request", /^HTTP\/1\.1 400 .*well-formed/s)),
    over(httpText("FROB", "/")).then(said("invalid_request", /^HTTP\/1\.1 400 /)),
    over(httpText("GET", "/", { Host: "a b\\c" })).then(said("invalid_request", /^HTTP\/1\.1 400 /)),
    over(httpText("GET", "/healthz", { "X-Long": "a".repeat(200_000) })).then(
      said("invalid_request", /^HTTP\/1\.1 4/),
    ),
    over(wrongProtocol).then(
      said("version_mismatch", /^HTTP\/1\.1 426 .*speaks sqwish\.1, the peer offers sqwish\.9/s),
    ),
    over(upgradeText(cluster, { "Sec-WebSocket-Version": "8" })).then(
      said("invalid_request", /^HTTP\/1\.1 400 /),
    ),
    over(upgradeText(cluster, {}, "/v1/elsewhere")).then(
      said("not_found", /^HTTP\/1\.1 404 .*Only \/v1\/join/s),
    ),
    over(upgradeText(cluster, { Authorization: "Basic !" })).then(
      said("unauthenticated", /^HTTP\/1\.1 401 /),
    ),
    over(upgradeText(cluster, { Authorization: basic("", "") })).then(
      said("unauthenticated", /^HTTP\/1\.1 401 /),
    ),
    over(httpText("GET", "/v1/join", { Authorization: basic("admin", cluster.adminPassword) })).then((text) =>
      assert.match(text, /^HTTP\/1\.1 4\d\d /)
    ),
    // Frames by hand (RFC 6455, section 5.2): not masked, with reserved bits, of 2^63 - 1 bytes.
    over(upgrade, [0x81, 2, 0x68, 0x69]).then((text) => assert.match(text, /the mask bit is wrong/)),
    over(upgrade, [0xf1, 0x80, 0, 0, 0, 0]).then((text) => assert.match(text, /a reserved bit is set/)),
    over(upgrade, [0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0]).then((text) =>
      assert.match(text, /a message takes at most \d+ bytes/)
    ),
    over(upgrade, masked(0x1, "{")).then(said("invalid_request", /A control message must be JSON/)),
    over(upgrade, masked(0x1, '{"type":"frob"}')).then(said("invalid_request", /type.*frob/)),
    over(upgrade, masked(0x1, '{"type":"ping","sequence":1}')).then(
      said("invalid_request", /first message must be hello, is ping/),
    ),
    over(upgrade, masked(0x2, "frames")).then(
      said("invalid_request", /first message must be hello, got frames/),
    ),
    over(upgrade, masked(0x1, '{"type":"hello","role":"agent"}')).then(
      said("invalid_request", /Control message: /),
    ),
    over(
      upgrade,
      masked(0x1, '{"type":"hello","role":"client","protocol":2,"version":"2.0.0","enroll":false}'),
    ).then(said("version_mismatch", /speaks protocol 1, the peer \(2\.0\.0\) speaks 2/)),
    over(upgrade, masked(0x1, hello), masked(0x2, "no frames at all, but long enough to have a header")).then(
      said("too_large", /A frame takes at most/),
    ),
    over(upgrade, masked(0x1, hello), masked(0x1, '{"type":"desired","generation":1,"replicas":[]}')).then(
      said("invalid_request", /type/),
    ),
  ]);
  const answer = await cluster.http("/v1/invoke/probe/echo", { method: "POST", body: "{" });
  assert.equal(answer.status, 400);
  assert.equal(errorIn(answer).code, "invalid_request");
  const input = await cluster.client(["invoke", "probe/echo", "{width: 1}"]);
  assert.equal(input.code, 2);
  assert.match(input.stderr, /^client: INPUT must be JSON \(.*\); it is not: [^\n]*\n$/);
  await eventually("nobody is left", async () => (await cluster.overview()).cluster.clients <= 1, patienceMs);
}

const hello = '{"type":"hello","role":"client","protocol":1,"version":"1.0.0","enroll":false}';

/** One whole frame of a client, masked with zeros. */
function masked(opcode: number, text: string): number[] {
  const payload = [...new TextEncoder().encode(text)];
  const length = payload.length < 126
    ? [0x80 | payload.length]
    : [0xfe, payload.length >> 8, payload.length & 255];
  return [0x80 | opcode, ...length, 0, 0, 0, 0, ...payload];
}
