/**
 * Every code of the table of outcomes, provoked over a real cluster: two agents, a set owned by the configuration
 * file and sets deployed by a client. After each error the cluster still works.
 */
import assert from "node:assert/strict";
import type { Sqwish } from "../../client.ts";
import { limits } from "../../lib/limits.ts";
import { dialWebSocket } from "../../lib/protocol/websocket_dial.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { deployed, deployRequest, patienceMs, setOf } from "../support/deploying.ts";
import { eventually } from "../support/eventually.ts";
import { errorIn, failureOf } from "../support/failures.ts";

const probe = `import type { Context } from "sqwish";

export function echo(input: unknown) {
  return input;
}

/** Sleeps the first time it is tried, and says so when it is told to stop. */
export async function sleep(input: { ms: number; mark: string }, ctx: Context): Promise<unknown> {
  ctx.log.info(\`started \${input.mark}\`);
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ctx.attempt === 1 ? input.ms : 0);
    ctx.signal.addEventListener("abort", () => {
      ctx.log.info(\`aborted \${input.mark}\`);
      clearTimeout(timer);
      resolve();
    });
  });
  return { mark: input.mark, attempt: ctx.attempt };
}

interface Order {
  width: number;
}

export function typed(order: Order) {
  return order.width;
}

export function fails(): never {
  throw new TypeError("there is no such picture");
}

export function bytes(count: number) {
  return new Uint8Array(count);
}

export const endpoints = {
  typed: {
    input: { type: "object", required: ["width"], properties: { width: { type: "number", maximum: 100 } } },
  },
};
`;

Deno.test("every code of the table reaches its caller in words, and the cluster goes on", async (t) => {
  await using stack = new AsyncDisposableStack();
  const configuration = JSON.stringify({
    replicaSets: [{ name: "fixed", version: "1.0.0", modules: ["./fixed.ts"], replicas: "all" }],
  });
  const folder = await Deno.makeTempDir({ prefix: "sqwish-test-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  await Deno.writeTextFile(`${folder}/fixed.ts`, "export function hello() { return 'hello'; }\n");
  const cluster = await startCluster({ agents: 2, configuration, folder });
  stack.defer(() => cluster.close());
  const sqwish = await cluster.connect();
  await deployed(sqwish, "probe", { "probe.ts": probe }, { replicas: "all", timeoutMs: 20_000 });

  const step = (name: string, action: () => Promise<void>) =>
    t.step(name, async () => {
      await action();
      assert.deepEqual(await sqwish.invoke("probe/echo", { still: "alive" }, { timeoutMs: patienceMs }), {
        still: "alive",
      });
    });
  await step("invalid_request", () => invalidRequest(cluster, sqwish));
  await step("unauthenticated", () => unauthenticated(cluster));
  await step("forbidden", () => forbidden(cluster, sqwish));
  await step("not_found", () => notFound(cluster, sqwish));
  await step("conflict", () => conflict(cluster, sqwish));
  await step("too_large", () => tooLarge(cluster, sqwish));
  await step("version_mismatch", () => versionMismatch(cluster));
  await step("module_failed", () => moduleFailed(cluster, sqwish));
  await step("queue_full", () => queueFull(cluster, sqwish));
  await step("deadline_exceeded", () => deadlineExceeded(cluster, sqwish));
  await step("no_ready_replica", () => noReadyReplica(cluster, sqwish));
  await step("cancelled", () => cancelled(cluster, sqwish));
  await step("agent_lost", () => agentLost(cluster, sqwish));
  await step("manager_lost", () => managerLost(cluster, sqwish));
});

async function invalidRequest(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const missing = await failureOf(sqwish.invoke("probe/typed", {}));
  assert.equal(missing.code, "invalid_request");
  assert.equal(missing.mayHaveRun, "no");
  assert.match(missing.message, /^The input of probe\/typed doesn't fit its schema at \/: .*"width"/);
  const overHttp = await invoke(cluster, "probe/typed", '{"width": 101}');
  assert.equal(overHttp.status, 400);
  assert.equal(errorIn(overHttp).code, "invalid_request");
  assert.match(errorIn(overHttp).message, /at \/width: .*101/);
  const noJson = await invoke(cluster, "probe/echo", '{"width": ');
  assert.equal(noJson.status, 400);
  assert.match(
    errorIn(noJson).message,
    /^The input must be JSON \(.*\); for bytes say Content-Type: application\/octet-stream$/,
  );
}

async function unauthenticated(cluster: Cluster): Promise<void> {
  const nobody = await cluster.http("/v1/agents", { user: null });
  assert.equal(nobody.status, 401);
  assert.equal(errorIn(nobody).code, "unauthenticated");
  assert.match(nobody.headers.get("www-authenticate") ?? "", /^Basic realm="Sqwish"/);
  const { connect } = await import("../../client.ts");
  const wrong = await failureOf(connect({
    url: cluster.url,
    user: "admin",
    password: "not the password",
    fingerprint: cluster.ready.fingerprint,
    profileFile: false,
  }));
  assert.equal(wrong.code, "unauthenticated");
  assert.equal(wrong.message, "The user name or password is wrong");
}

async function forbidden(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const user = { name: "gusto", role: "client", endpoints: ["fixed/*"], password: "gusto's password" };
  await sqwish.call("POST", "/v1/users", user);
  const asUser = { user: user.name, password: user.password };
  const allowed = await invoke(cluster, "fixed/hello", "", asUser);
  assert.equal(allowed.text, '"hello"');
  const refused = await invoke(cluster, "probe/echo", "1", asUser);
  assert.equal(refused.status, 403);
  assert.equal(errorIn(refused).code, "forbidden");
  assert.match(errorIn(refused).message, /^gusto may not invoke probe\/echo/);
}

async function notFound(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const misspelt = await failureOf(sqwish.invoke("probe/ehco", 1));
  assert.equal(misspelt.code, "not_found");
  assert.match(misspelt.message, /probe\/ehco.*probe\/echo/);
  const overHttp = await invoke(cluster, "prob/echo", "1");
  assert.equal(overHttp.status, 404);
  assert.match(errorIn(overHttp).message, /prob\/echo.*probe\/echo/);
  const stranger = await invoke(cluster, "nothing/alike", "1");
  assert.equal(stranger.status, 404);
  assert.doesNotMatch(errorIn(stranger).message, /did you mean/);
}

/** What the configuration file owns, a client can't touch in any way. */
async function conflict(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const operations: [string, string, unknown][] = [
    [
      "POST",
      "/v1/replicasets",
      deployRequest("fixed", { "fixed.ts": "export function other() {}" }),
    ],
    ["PUT", "/v1/replicasets/fixed/replicas", { replicas: 1 }],
    ["POST", "/v1/replicasets/fixed/rollback", {}],
    ["DELETE", "/v1/replicasets/fixed", undefined],
  ];
  for (const [method, path, body] of operations) {
    const error = await failureOf(sqwish.call(method, path, body));
    assert.equal(error.code, "conflict", `${method} ${path}`);
    assert.match(
      error.message,
      /^ReplicaSet fixed belongs to the configuration file and can't be .*; change the file$/,
    );
  }
  assert.equal((await cluster.http("/v1/replicasets/fixed", { method: "DELETE" })).status, 409);
  assert.equal(await sqwish.invoke("fixed/hello"), "hello");
}

async function tooLarge(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const input = new Uint8Array(limits.bodyBytesMax + 1);
  const overSocket = await failureOf(sqwish.invoke("probe/echo", input));
  assert.equal(overSocket.code, "too_large");
  assert.match(overSocket.message, /at most 8388608 bytes.*8388609/);
  const overHttp = await invoke(cluster, "probe/echo", input);
  assert.equal(overHttp.status, 413);
  assert.match(errorIn(overHttp).message, /at most 8388608 bytes.*8388609/);
  const most = await sqwish.invoke("probe/bytes", limits.bodyBytesMax) as Uint8Array;
  assert.equal(most.length, limits.bodyBytesMax);
  const reply = await failureOf(sqwish.invoke("probe/bytes", limits.bodyBytesMax + 1));
  assert.equal(reply.code, "too_large");
  assert.equal(reply.mayHaveRun, "yes");
  assert.match(reply.message, /^The reply may have at most 8388608 bytes.*8388609/);
}

async function versionMismatch(cluster: Cluster): Promise<void> {
  const channel = await dialWebSocket({
    host: "127.0.0.1",
    port: cluster.port,
    caPem: await cluster.caPem(),
    path: "/v1/join",
    headers: { authorization: `Basic ${btoa(`admin:${cluster.adminPassword}`)}` },
    timeoutMs: 10_000,
  });
  const closed = Promise.withResolvers<void>();
  const said: string[] = [];
  channel.start({
    onControl: (text) => said.push(text),
    onFrames: () => {},
    onClose: () => closed.resolve(),
  });
  channel.sendControl(
    JSON.stringify({ type: "hello", role: "client", protocol: 7, version: "9.9.9", enroll: false }),
  );
  await closed.promise;
  const bye = JSON.parse(said[0]);
  assert.equal(bye.code, "version_mismatch");
  assert.match(
    bye.message,
    /speaks protocol 1, the peer \(9\.9\.9\) speaks 7; install the same version on both/,
  );
}

async function moduleFailed(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const error = await failureOf(sqwish.invoke("probe/fails"));
  assert.equal(error.code, "module_failed");
  assert.equal(error.message, "there is no such picture");
  assert.equal(error.details.name, "TypeError");
  const line = probe.split("\n").findIndex((text) => text.includes("new TypeError")) + 1;
  assert.match(String(error.details.stack), new RegExp(`^at fails \\(probe\\.ts:${line}:9\\)`));
  const overHttp = await invoke(cluster, "probe/fails", "");
  assert.equal(overHttp.status, 502);
  assert.match(overHttp.headers.get("sqwish-request-id")!, /^[0-9a-f]{16}$/);
  const onTerminal = await cluster.client(["invoke", "probe/fails"]);
  assert.equal(onTerminal.code, 1);
  assert.match(
    onTerminal.stderr,
    new RegExp(
      `^client: there is no such picture; request [0-9a-f]{16} \\(module_failed\\)\\n  at fails \\(probe\\.ts:${line}:9\\)\\n$`,
    ),
  );
}

async function queueFull(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  await deployed(sqwish, "narrow", { "probe.ts": probe }, { replicas: 1, concurrency: 1, queue: { max: 1 } });
  const abort = new AbortController();
  const running = sqwish.invoke("narrow/sleep", { ms: 60_000, mark: "running" }, { signal: abort.signal });
  const queued = sqwish.invoke("narrow/echo", "queued", { signal: abort.signal });
  const ends = Promise.all([failureOf(running), failureOf(queued)]);
  const refused = await failureOf(sqwish.invoke("narrow/echo", "too many"));
  assert.equal(refused.code, "queue_full");
  assert.equal(refused.message, "The queue of narrow takes 1 request, it has 1");
  const overHttp = await invoke(cluster, "narrow/echo", "1");
  assert.equal(overHttp.status, 429);
  assert.ok(Number(overHttp.headers.get("retry-after")) >= 1);
  abort.abort();
  assert.deepEqual((await ends).map(({ code }) => code), ["cancelled", "cancelled"]);
}

async function deadlineExceeded(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const input = { ms: 60_000, mark: "late" };
  const running = await failureOf(sqwish.invoke("narrow/sleep", input, { timeoutMs: 1500 }));
  assert.equal(running.code, "deadline_exceeded");
  assert.equal(running.details.started, true);
  assert.equal(running.mayHaveRun, "maybe");
  await eventually(
    "the slot is free",
    async () => (await setOf(sqwish, "narrow"))?.outstanding === 0,
    patienceMs,
  );
  const abort = new AbortController();
  const holder = failureOf(sqwish.invoke("narrow/sleep", input, { signal: abort.signal }));
  const queued = await failureOf(sqwish.invoke("narrow/echo", 1, { timeoutMs: 300 }));
  assert.equal(queued.code, "deadline_exceeded");
  assert.equal(queued.details.started, false);
  assert.equal(queued.mayHaveRun, "no");
  assert.match(
    queued.message,
    /^narrow\/echo waited in the queue until its deadline \(\d+ ms\); every replica was busy$/,
  );
  const overHttp = await invoke(cluster, "narrow/echo", "1", { headers: { "sqwish-timeout-ms": "200" } });
  assert.equal(overHttp.status, 504);
  abort.abort();
  assert.equal((await holder).code, "cancelled");
}

async function noReadyReplica(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  await sqwish.call("PUT", "/v1/replicasets/narrow/replicas", { replicas: 0 });
  await eventually("narrow has no replicas", async () => {
    return (await setOf(sqwish, "narrow"))?.placements.length === 0;
  }, patienceMs);
  const error = await failureOf(sqwish.invoke("narrow/echo", 1, { timeoutMs: 60_000 }));
  assert.equal(error.code, "no_ready_replica");
  assert.equal(error.mayHaveRun, "no");
  assert.equal(error.message, "narrow is scaled to 0 replicas; `client scale narrow 1` changes that");
  const overHttp = await invoke(cluster, "narrow/echo", "1", { headers: { "sqwish-timeout-ms": "200" } });
  assert.equal(overHttp.status, 503);
}

/** The caller gives up, or its connection closes: either way the module is told. */
async function cancelled(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const abort = new AbortController();
  const aborted = failureOf(
    sqwish.invoke("probe/sleep", { ms: 60_000, mark: "call" }, { signal: abort.signal }),
  );
  await printed(sqwish, "started call");
  abort.abort();
  const error = await aborted;
  assert.equal(error.code, "cancelled");
  assert.equal(error.mayHaveRun, "maybe");
  await printed(sqwish, "aborted call");

  const leave = new AbortController();
  const left = invoke(cluster, "probe/sleep", '{"ms": 60000, "mark": "web"}', { signal: leave.signal });
  const gone = left.then(() => "answered", () => "gone");
  await printed(sqwish, "started web");
  leave.abort();
  assert.equal(await gone, "gone");
  await printed(sqwish, "aborted web");
}

async function agentLost(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const name = "agent-2";
  await sqwish.call("PUT", "/v1/agents/agent-1/cordon", { cordoned: true });
  await deployed(sqwish, "doomed", { "probe.ts": probe }, { replicas: 1 });
  const once = failureOf(sqwish.invoke("doomed/sleep", { ms: 60_000, mark: "once" }));
  const again = sqwish.invoke("doomed/sleep", { ms: 60_000, mark: "again" }, {
    idempotent: true,
    timeoutMs: 60_000,
  });
  await eventually(
    "both run",
    async () => (await setOf(sqwish, "doomed"))?.outstanding === 2,
    patienceMs,
  );
  await sqwish.call("PUT", "/v1/agents/agent-1/cordon", { cordoned: false });
  await cluster.agents.get(name)!.end("SIGKILL");
  const error = await once;
  assert.equal(error.code, "agent_lost");
  assert.equal(error.mayHaveRun, "maybe");
  assert.match(error.message, /agent-2/);
  cluster.startAgent(name);
  assert.deepEqual(await again, { mark: "again", attempt: 2 });
}

/** Said by the library: the manager can't say it itself. */
async function managerLost(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const lost = failureOf(sqwish.invoke("probe/sleep", { ms: 60_000, mark: "lost" }));
  const resent = sqwish.invoke("probe/echo", "resent", { idempotent: true, timeoutMs: 60_000 });
  await printed(sqwish, "started lost");
  assert.equal(await resent, "resent");
  const waiting = sqwish.invoke("probe/sleep", { ms: 3_000, mark: "waits" }, {
    idempotent: true,
    timeoutMs: 60_000,
  });
  await printed(sqwish, "started waits");
  await cluster.manager.end("SIGKILL");
  const error = await lost;
  assert.equal(error.code, "manager_lost");
  assert.equal(error.mayHaveRun, "maybe");
  assert.match(error.message, /^The connection to the manager was lost/);
  await cluster.startManager();
  assert.deepEqual(await waiting, { mark: "waits", attempt: 1 });
}

/** Waits until a module of `probe` has printed this. */
async function printed(sqwish: Sqwish, text: string): Promise<void> {
  await eventually(`a module printed "${text}"`, async () => {
    const { json } = await sqwish.call("GET", "/v1/logs/probe?limit=1000");
    return (json as { lines: { text: string }[] }).lines.some((line) => line.text.includes(text));
  }, patienceMs);
}

function invoke(
  cluster: Cluster,
  endpoint: string,
  body: string | Uint8Array<ArrayBuffer>,
  init: RequestInit & { user?: string; password?: string } = {},
) {
  const type = typeof body === "string" ? "application/json" : "application/octet-stream";
  const headers = { "content-type": type, ...init.headers as Record<string, string> | undefined };
  return cluster.http(`/v1/invoke/${endpoint}`, { ...init, method: "POST", body, headers });
}
