/**
 * The HTTP API over a real cluster: invoking in every form, reads, changes, and the pages for machines. The same
 * routes serve the client's calls and the dashboard; who may use them is in `access_test.ts`.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { deployed, deployRequest, patienceMs } from "../support/deploying.ts";
import { errorIn } from "../support/failures.ts";
import { basic, connectTls, httpText, readUntil, talk } from "../support/raw_peer.ts";

const probe = `import type { Context } from "sqwish";

/** Says it back. More about it is nobody's business. */
export function echo(input: unknown) {
  return input;
}

export function about(_input: unknown, ctx: Context) {
  return { headers: ctx.headers, remainingMs: ctx.remainingMs, attempt: ctx.attempt };
}

export async function* countdown(input: { from: number }) {
  for (let left = input.from; left > 0; left--) yield left;
  if (input.from > 3) throw new Error("too far up");
}

export async function* pieces(input: { bytes: number }) {
  yield new Uint8Array(input.bytes).fill(7);
}

export const endpoints = {
  countdown: { description: "Counts down.", input: { type: "object", required: ["from"] }, timeoutMs: 5000 },
};
`;

Deno.test("the HTTP API invokes, reads, changes and refuses as it says", async (t) => {
  await using stack = new AsyncDisposableStack();
  const cluster = await startCluster({ agents: 1 });
  stack.defer(() => cluster.close());
  const sqwish = await cluster.connect();
  await deployed(sqwish, "probe", { "probe.ts": probe });
  const step = (name: string, action: (cluster: Cluster) => Promise<void>) =>
    t.step(name, () => action(cluster));
  await step("invoke: JSON, bytes, headers and timing", invokes);
  await step("invoke: streams as server-sent events", streams);
  await step("invoke: what is refused", refusedInvokes);
  await step("reads", reads);
  await step("changes", changes);
  await step("changes: what is refused", refusedChanges);
  await step("what needs no sign-in", openPages);
  await step("metrics", metrics);
  await step("openapi.json", openApi);
  await step("one connection serves many requests", keepAlive);
  assert.equal(await sqwish.invoke("probe/echo", "alive", { timeoutMs: patienceMs }), "alive");
});

type Init = RequestInit & { user?: string | null; password?: string };

async function post(cluster: Cluster, path: string, body: BodyInit | null, headers = {}, init: Init = {}) {
  return await cluster.http(path, { method: "POST", body, headers, ...init });
}

async function invokes(cluster: Cluster): Promise<void> {
  const json = await post(cluster, "/v1/invoke/probe/echo", '{"a": [1, "é"]}');
  assert.equal(json.status, 200);
  assert.equal(json.headers.get("content-type"), "application/json");
  assert.deepEqual(JSON.parse(json.text), { a: [1, "é"] });
  assert.match(json.headers.get("sqwish-timing") ?? "", /^queue=\d+\.\d run=\d+\.\d total=\d+\.\d$/);
  assert.match(json.headers.get("sqwish-request-id") ?? "", /^[0-9a-f]{16}$/);

  const bytes = crypto.getRandomValues(new Uint8Array(50_000));
  const raw = await post(cluster, "/v1/invoke/probe/echo", bytes, {
    "content-type": "application/octet-stream",
  });
  assert.equal(raw.headers.get("content-type"), "application/octet-stream");
  assert.deepEqual(raw.bytes, bytes);

  const none = await post(cluster, "/v1/invoke/probe/echo", null);
  assert.equal(none.text, "null");
  const about = await post(cluster, "/v1/invoke/probe/about", null, {
    "sqwish-timeout-ms": "9000",
    "sqwish-idempotent": "true",
    "sqwish-header-tenant": "attic",
    "x-other": "not passed on",
  });
  const { headers, remainingMs, attempt } = JSON.parse(about.text);
  assert.deepEqual(headers, { tenant: "attic" });
  assert.ok(remainingMs > 0 && remainingMs <= 9000, `${remainingMs}`);
  assert.equal(attempt, 1);
  const gathered = await post(cluster, "/v1/invoke/probe/countdown", '{"from": 3}');
  assert.deepEqual(JSON.parse(gathered.text), [3, 2, 1]);
}

async function streams(cluster: Cluster): Promise<void> {
  const accept = { accept: "text/event-stream" };
  const counted = await post(cluster, "/v1/invoke/probe/countdown", '{"from": 3}', accept);
  assert.equal(counted.headers.get("content-type"), "text/event-stream");
  assert.equal(counted.text, "data: 3\n\ndata: 2\n\ndata: 1\n\nevent: end\ndata:\n\n");
  const failed = await post(cluster, "/v1/invoke/probe/countdown", '{"from": 4}', accept);
  assert.equal(failed.status, 200, "the first parts were sent already");
  const [, event, data] = /event: (\w+)\ndata: (.*)\n\n$/.exec(failed.text)!;
  assert.equal(event, "error");
  assert.equal(JSON.parse(data).error.code, "module_failed");
  assert.equal(JSON.parse(data).error.message, "too far up");
  const large = await post(cluster, "/v1/invoke/probe/pieces", '{"bytes": 1000000}', accept);
  const piece = /^event: bytes\ndata: (.*)\n\nevent: end\ndata:\n\n$/.exec(large.text)!;
  assert.deepEqual(Buffer.from(piece[1], "base64"), Buffer.alloc(1_000_000, 7));
  const early = await post(cluster, "/v1/invoke/probe/countdown", "{}", accept);
  assert.equal(early.status, 400, "nothing was sent yet");
}

async function refusedInvokes(cluster: Cluster): Promise<void> {
  const cases: [string, string, Record<string, string>, number, RegExp][] = [
    ["probe/echo", "{", {}, 400, /^The input must be JSON/],
    [
      "probe/echo",
      "1",
      { "sqwish-timeout-ms": "soon" },
      400,
      /^Sqwish-Timeout-Ms must be a whole number from 1 to \d+, is "soon"$/,
    ],
    ["probe/echo", "1", { "sqwish-timeout-ms": "0" }, 400, /^Sqwish-Timeout-Ms must be/],
    [
      "probe/echo",
      "1",
      { "sqwish-idempotent": "yes" },
      400,
      /^Sqwish-Idempotent must be true or false, is "yes"$/,
    ],
    ["probe/countdown", "{}", {}, 400, /doesn't fit its schema/],
    ["probe/ecko", "1", {}, 404, /probe\/echo/],
  ];
  for (const [endpoint, body, headers, status, says] of cases) {
    const answer = await post(cluster, `/v1/invoke/${endpoint}`, body, headers);
    assert.equal(answer.status, status, answer.text);
    assert.equal(answer.headers.get("content-type"), "application/json");
    assert.match(errorIn(answer).message, says);
  }
  for (const method of ["GET", "PUT", "DELETE"]) {
    const other = await cluster.http("/v1/invoke/probe/echo", { method });
    assert.deepEqual([other.status, other.headers.get("allow")], [405, "POST"], method);
    assert.equal(errorIn(other).message, `An endpoint is invoked with POST, not with ${method}`);
  }
}

async function reads(cluster: Cluster): Promise<void> {
  const lists: [string, string][] = [
    ["/v1/agents", "agents"],
    ["/v1/replicasets", "replicaSets"],
    ["/v1/endpoints", "endpoints"],
    ["/v1/revisions", "revisions"],
    ["/v1/revisions?replicaSet=probe", "revisions"],
    ["/v1/events?limit=5", "events"],
    ["/v1/users", "users"],
  ];
  for (const [path, key] of lists) {
    const answer = await cluster.http(path);
    assert.equal(answer.status, 200, answer.text);
    const items = JSON.parse(answer.text)[key];
    assert.ok(Array.isArray(items) && items.length > 0, `${path}: ${answer.text}`);
  }
  const one = async (path: string) => JSON.parse((await cluster.http(path)).text);
  assert.equal((await one("/v1/agents/agent-1")).health, "ready");
  assert.equal((await one("/v1/replicasets/probe")).revision, 1);
  assert.equal((await one("/v1/endpoints/probe/countdown")).description, "Counts down.");
  assert.equal((await one("/v1/overview")).cluster.cluster, "sqwish");
  assert.equal((await one("/v1/metrics?series=cpu")).series, "cpu");
  assert.deepEqual((await one("/v1/logs/probe") as { lines: unknown[] }).lines, []);
  const wrong: [string, number, RegExp][] = [
    ["/v1/agents/agent-2", 404, /^There is no agent agent-2; did you mean agent-1\?$/],
    ["/v1/replicasets/prob", 404, /^There is no replicaSet prob; did you mean probe\?$/],
    ["/v1/endpoints/probe/ecko", 404, /^There is no endpoint probe\/ecko; did you mean probe\/echo\?$/],
    ["/v1/logs/prob", 404, /did you mean probe/],
    ["/v1/events?limit=many", 400, /^Query parameter limit must be a number from 0, is "many"$/],
    ["/v1/metrics?series=colour", 400, /colour/],
    ["/v1/nothing", 404, /^There is nothing at GET \/v1\/nothing; docs\/http\.md lists the routes, /],
  ];
  for (const [path, status, says] of wrong) {
    const answer = await cluster.http(path);
    assert.equal(answer.status, status, answer.text);
    assert.match(errorIn(answer).message, says);
  }
  assert.equal((await cluster.http("/v1/agents", { method: "PUT", body: "{}" })).status, 404);
  const head = await cluster.http("/healthz", { method: "HEAD" });
  assert.deepEqual([head.status, head.text], [200, ""]);
}

async function changes(cluster: Cluster): Promise<void> {
  const put = (path: string, body: unknown) =>
    cluster.http(path, { method: "PUT", body: JSON.stringify(body) });
  assert.equal((await put("/v1/replicasets/probe/replicas", { replicas: "all" })).status, 200);
  assert.equal(JSON.parse((await cluster.http("/v1/replicasets/probe")).text).replicas, "all");
  assert.equal((await put("/v1/agents/agent-1/cordon", { cordoned: true })).status, 200);
  assert.equal(JSON.parse((await cluster.http("/v1/agents/agent-1")).text).cordoned, true);
  assert.equal((await put("/v1/agents/agent-1/cordon", { cordoned: false })).status, 200);
  const added = await post(cluster, "/v1/users", '{"name": "ada", "role": "viewer"}');
  const { password } = JSON.parse(added.text);
  assert.equal((await cluster.http("/v1/agents", { user: "ada", password })).status, 200);
  assert.equal((await put("/v1/users/ada/password", { password: "a longer one" })).status, 200);
  assert.equal((await cluster.http("/v1/agents", { user: "ada", password })).status, 401);
  assert.equal((await cluster.http("/v1/users/ada", { method: "DELETE" })).status, 200);
  assert.equal((await cluster.http("/v1/agents", { user: "ada", password: "a longer one" })).status, 401);
  const deployment = deployRequest("brief", { "a.ts": "export const one = () => 1;" });
  const made = await post(cluster, "/v1/replicasets", JSON.stringify(deployment));
  assert.deepEqual(JSON.parse(made.text), { replicaSet: "brief", revision: 1, changed: true });
  assert.equal((await cluster.http("/v1/replicasets/brief", { method: "DELETE" })).status, 200);
  assert.equal((await cluster.http("/v1/replicasets/brief")).status, 404);
}

async function refusedChanges(cluster: Cluster): Promise<void> {
  const wrong: [string, string, unknown, number, RegExp][] = [
    [
      "PUT",
      "/v1/replicasets/probe/replicas",
      { replicas: -1 },
      400,
      /^replicas: must be a whole number from 0 to 1000, "all" or "auto"$/,
    ],
    ["PUT", "/v1/replicasets/probe/replicas", { replicas: 1, now: true }, 400, /^now: is not a known key$/],
    ["PUT", "/v1/replicasets/prob/replicas", { replicas: 1 }, 404, /did you mean probe/],
    ["PUT", "/v1/agents/agent-9/cordon", { cordoned: true }, 404, /agent-9/],
    [
      "POST",
      "/v1/replicasets/probe/rollback",
      { toRevision: 7 },
      404,
      /^probe has no revision 7; kept are 1$/,
    ],
    ["POST", "/v1/replicasets/probe/rollback", {}, 409, /^probe has no revision before 1$/],
    [
      "POST",
      "/v1/users",
      { name: "admin", role: "admin" },
      409,
      /^A new user needs a name of its own, admin exists already$/,
    ],
    ["POST", "/v1/users", { name: "eve", role: "king" }, 400, /^role: .*king/],
    ["POST", "/v1/users", { name: "eve", role: "viewer", password: "short" }, 400, /password/i],
    [
      "POST",
      "/v1/users",
      { name: "eve", role: "client", endpoints: ["probe"] },
      400,
      /^An endpoint pattern must be/,
    ],
    ["DELETE", "/v1/users/admin", undefined, 409, /^User admin can't remove the user it is signed in as$/],
    ["DELETE", "/v1/users/nobody", undefined, 404, /^There is no user named nobody$/],
    ["POST", "/v1/tokens", { role: "robot" }, 400, /^role: /],
  ];
  for (const [method, path, body, status, says] of wrong) {
    const answer = await cluster.http(path, {
      method,
      body: body === undefined ? null : JSON.stringify(body),
    });
    assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
    assert.match(errorIn(answer).message, says);
  }
  const noJson = await post(cluster, "/v1/users", "{name}");
  assert.equal(noJson.status, 400);
  assert.equal(errorIn(noJson).message, "The body of POST /v1/users must be JSON");
}

async function openPages(cluster: Cluster): Promise<void> {
  const nobody = { user: null };
  const health = await cluster.http("/healthz", nobody);
  assert.equal(JSON.parse(health.text).status, "ok");
  const ca = await cluster.http("/ca.pem", nobody);
  assert.equal(ca.text, await cluster.caPem());
  const page = await cluster.http("/", nobody);
  assert.equal(page.status, 200);
  assert.match(page.headers.get("content-type") ?? "", /^text\/html/);
  for (const path of ["/v1/overview", "/v1/agents", "/metrics", "/openapi.json", "/v1/session", "/v1/live"]) {
    const answer = await cluster.http(path, nobody);
    assert.equal(answer.status, 401, path);
    assert.equal(errorIn(answer).code, "unauthenticated");
  }
}

/** Every line is what Prometheus reads, and each metric has its type. */
async function metrics(cluster: Cluster): Promise<void> {
  const { headers, text } = await cluster.http("/metrics");
  assert.match(headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  assert.ok(text.endsWith("\n"));
  const types = new Map<string, string>();
  for (const line of text.trimEnd().split("\n")) {
    const type = /^# TYPE (\w+) (counter|gauge|histogram|summary|untyped)$/.exec(line);
    if (type) types.set(type[1], type[2]);
    if (line.startsWith("#")) {
      assert.match(line, /^# (TYPE|HELP) /);
      continue;
    }
    const sample = /^([a-zA-Z_:][\w:]*)(\{(?:\w+="(?:[^"\\\n]|\\.)*",?)*\})? (-?[\d.e+-]+|NaN|[+-]Inf)$/.exec(
      line,
    );
    assert.ok(sample, line);
    assert.ok(types.has(sample[1]) || types.has(sample[1].replace(/_(bucket|sum|count)$/, "")), line);
  }
  assert.match(text, /endpoint="probe\/echo"/);
}

async function openApi(cluster: Cluster): Promise<void> {
  const document = JSON.parse((await cluster.http("/openapi.json")).text);
  assert.equal(document.openapi, "3.1.0");
  assert.ok(document.info.title && document.info.version);
  const names = ["about", "countdown", "echo", "pieces"];
  assert.deepEqual(Object.keys(document.paths).sort(), names.map((name) => `/v1/invoke/probe/${name}`));
  for (const { post } of Object.values(document.paths) as { post: Record<string, unknown> }[]) {
    assert.ok(post.operationId && post.responses && post.summary);
  }
  const { post: countdown } = document.paths["/v1/invoke/probe/countdown"];
  assert.deepEqual(countdown.requestBody.content["application/json"].schema, {
    type: "object",
    required: ["from"],
  });
  assert.equal(countdown.summary, "Counts down.");
  assert.equal(document.paths["/v1/invoke/probe/echo"].post.summary, "Says it back.");
  const references = JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g);
  for (const [, path] of references) {
    assert.ok(path.split("/").reduce((at, key) => at?.[key], document), `${path} leads nowhere`);
  }
}

async function keepAlive(cluster: Cluster): Promise<void> {
  const connection = await connectTls(cluster);
  const request = httpText("GET", "/healthz", { Connection: "keep-alive" });
  for (let count = 0; count < 3; count++) {
    await connection.write(new TextEncoder().encode(request));
    assert.match(await readUntil(connection, (text) => text.includes("\r\n\r\n{")), /^HTTP\/1\.1 200 /);
  }
  const last = httpText("GET", "/v1/agents", { Authorization: basic("admin", cluster.adminPassword) });
  assert.match(await talk(connection, last), /^HTTP\/1\.1 200 .*agent-1/s);
}
