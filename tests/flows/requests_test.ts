import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Sqwish } from "../../client.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { deployed, overviewOf, patienceMs, setOf } from "../support/deploying.ts";
import { eventually } from "../support/eventually.ts";
import { errorIn, failureOf } from "../support/failures.ts";

const modules = {
  "jobs.ts": `const order: unknown[] = [];
    export const echo = (input: unknown) => input;
    export async function nap(ms: number) { await new Promise((done) => setTimeout(done, ms)); return ms; }
    export async function note(what: unknown) { order.push(what); await nap(1); return what; }
    export const noted = () => order;`,
};
const bodyBytesMax = 8 * 1024 * 1024;

Deno.test("requests share a cluster fairly, in order and within bounds", async (t) => {
  const cluster = await startCluster({ agents: 1 });
  try {
    const sqwish = await cluster.connect();
    await deployed(sqwish, "jobs", modules, { queue: { max: 5000 } });
    await deployed(sqwish, "narrow", modules, { concurrency: 1, queue: { max: 500 } });
    await deployed(sqwish, "bounded", modules, { concurrency: 1, queue: { max: 5 } });
    await t.step("a flood of one client leaves another its turn", () => sharesFairly(cluster, sqwish));
    await t.step("one connection's requests start in its order", () => keepsOrder(sqwish));
    await t.step("a full queue refuses at once and says when to come again", () => bounds(cluster, sqwish));
    await t.step("thousands of requests on one connection each get their own reply", () => many(sqwish));
    await t.step("the largest bodies come back whole, by socket and HTTP", () => large(cluster, sqwish));
    await t.step("HTTP and socket work side by side", () => sideBySide(cluster, sqwish));
    await t.step("`client bench` measures", () => benches(cluster));
    await t.step("afterwards nothing is left over and everything was counted", () => isIdle(sqwish));
  } finally {
    await cluster.close();
  }
});

async function sharesFairly(cluster: Cluster, flooding: Sqwish): Promise<void> {
  const modest = await cluster.connect();
  // While one holds the only slot, all others queue, however long it takes to send them.
  const enough = new AbortController();
  const holding = failureOf(
    flooding.invoke("narrow/nap", 60_000, { signal: enough.signal, timeoutMs: 60_000 }),
  );
  let flooded = 0;
  const options = { timeoutMs: patienceMs };
  const flood = Array.from(
    { length: 300 },
    () => flooding.invoke("narrow/nap", 5, options).then(() => flooded++),
  );
  const queued = (count: number) =>
    eventually(
      `${count} are queued`,
      async () => (await setOf(modest, "narrow"))!.queued === count,
      patienceMs,
    );
  await queued(300);
  const few = Array.from({ length: 10 }, () => modest.invoke("narrow/nap", 5, options));
  await queued(310);
  enough.abort();
  assert.equal((await holding).code, "cancelled");
  await Promise.all(few);
  // Turn by turn it is about one of the flood's for each of the modest one's.
  assert.ok(flooded < 60, `${flooded} of the flood went before 10 of the modest client`);
  await Promise.all(flood);
}

async function keepsOrder(sqwish: Sqwish): Promise<void> {
  const sent = Array.from({ length: 100 }, (_, index) => index);
  await Promise.all(sent.map((n) => sqwish.invoke("narrow/note", n)));
  assert.deepEqual(await sqwish.invoke("narrow/noted"), sent);
}

async function bounds(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const enough = new AbortController();
  const running = failureOf(sqwish.invoke("bounded/nap", 20_000, { signal: enough.signal }));
  await eventually("one runs", async () => (await setOf(sqwish, "bounded"))!.outstanding === 1, patienceMs);
  const others = Array.from({ length: 8 }, () => {
    return sqwish.invoke("bounded/nap", 1).then(() => "ok", (thrown) => {
      assert.equal(thrown.mayHaveRun, "no");
      assert.ok(thrown.details.retryAfterMs > 0);
      return thrown.code as string;
    });
  });
  const refused = await cluster.http("/v1/invoke/bounded/nap", { method: "POST", body: "1" });
  assert.equal(refused.status, 429);
  assert.ok(Number(refused.headers.get("retry-after")) >= 1);
  assert.equal(errorIn(refused).code, "queue_full");
  assert.match(errorIn(refused).message, /bounded/);
  enough.abort();
  assert.equal((await running).code, "cancelled");
  const outcomes = await Promise.all(others);
  assert.deepEqual(outcomes, [..."12345"].map(() => "ok").concat(["queue_full", "queue_full", "queue_full"]));
  assert.equal(await sqwish.invoke("bounded/echo", "free again"), "free again");
}

async function many(sqwish: Sqwish): Promise<void> {
  const sent = Array.from({ length: 2000 }, (_, n) => ({ n, text: "x".repeat(n % 50) }));
  const replies = await Promise.all(sent.map((input) => sqwish.invoke("jobs/echo", input)));
  assert.deepEqual(replies, sent);
  assert.equal(sqwish.pendingRequests, 0);
}

async function large(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const bytes = new Uint8Array(bodyBytesMax).map((_, index) => index % 251);
  // Small ones overtake large ones on every hop, and none is lost.
  const sizes = Array.from({ length: 60 }, (_, i) => i % 6 === 0 ? 100_000 + i * 20_000 : i);
  const echoes = await Promise.all(
    sizes.map((size) => sqwish.invoke("jobs/echo", bytes.subarray(0, size), { timeoutMs: 20_000 })),
  ) as Uint8Array[];
  assert.deepEqual(echoes.map(({ length }) => length), sizes);
  const replies = await Promise.all([1, 2, 3].map(() => sqwish.invoke("jobs/echo", bytes)));
  for (const reply of replies) assert.deepEqual(Buffer.compare(reply as Uint8Array, bytes), 0);
  const text = "é".repeat((bodyBytesMax - 2) / 2);
  assert.equal(await sqwish.invoke("jobs/echo", text), text);
  const overHttp = await cluster.http("/v1/invoke/jobs/echo", {
    method: "POST",
    headers: { "content-type": "application/octet-stream" },
    body: bytes,
  });
  assert.equal(overHttp.status, 200);
  assert.equal(Buffer.compare(overHttp.bytes, bytes), 0);
  const error = await failureOf(sqwish.invoke("jobs/echo", new Uint8Array(bodyBytesMax + 1)));
  assert.equal(error.code, "too_large");
}

async function sideBySide(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const overHttp = Array.from({ length: 20 }, async (_, n) => {
    const body = JSON.stringify({ n });
    const reply = await cluster.http("/v1/invoke/jobs/echo", { method: "POST", body });
    assert.match(reply.headers.get("sqwish-timing") ?? "", /^queue=[\d.]+ run=[\d.]+ total=[\d.]+$/);
    return JSON.parse(reply.text);
  });
  const overSocket = Array.from({ length: 200 }, (_, n) => sqwish.invoke("jobs/echo", { n }));
  assert.deepEqual(await Promise.all(overHttp), Array.from({ length: 20 }, (_, n) => ({ n })));
  assert.deepEqual(await Promise.all(overSocket), Array.from({ length: 200 }, (_, n) => ({ n })));
}

async function benches(cluster: Cluster): Promise<void> {
  const load = ["bench", "jobs/echo", '{"a":1}', "--concurrency", "8", "--duration", "500ms"];
  const machine = await cluster.client([...load, "--json"]);
  assert.equal(machine.code, 0, machine.stderr);
  const told = JSON.parse(machine.stdout);
  assert.ok(told.requests > 10 && told.requestsPerSecond > 10, machine.stdout);
  assert.deepEqual(told.errors, {});
  assert.ok(told.latencyMs.p50 <= told.latencyMs.p99);
  const human = await cluster.client([...load, "--rate", "50"]);
  assert.match(human.stdout, /^jobs\/echo: \d+ replies and 0 errors/);
  const wrong = await cluster.client(["bench", "jobs/ehco", "--duration", "500ms"]);
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /jobs\/echo/);
}

async function isIdle(sqwish: Sqwish): Promise<void> {
  await eventually("nothing runs", async () => {
    const { cluster, replicaSets } = await overviewOf(sqwish);
    return cluster.queued === 0 && cluster.outstanding === 0 &&
      replicaSets.every((set) => set.outstanding === 0);
  }, patienceMs);
  const { endpoints } = await overviewOf(sqwish);
  const echo = endpoints.find(({ endpoint }) => endpoint === "jobs/echo")!;
  assert.ok(echo.totalRequests >= 2200, `${echo.totalRequests} were counted`);
  const bounded = endpoints.find(({ endpoint }) => endpoint === "bounded/nap")!;
  assert.deepEqual([bounded.totalRequests, bounded.totalErrors], [10, 4]);
}
