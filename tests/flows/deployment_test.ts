import assert from "node:assert/strict";
import type { Sqwish } from "../../client.ts";
import type { ReplicaSetView } from "../../lib/protocol/views.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import {
  deploy,
  deployed,
  overviewOf,
  patienceMs,
  quickRollout,
  rolledOut,
  setOf,
} from "../support/deploying.ts";
import { eventually } from "../support/eventually.ts";
import { failureOf } from "../support/failures.ts";

/** Says twice in each reply which revision ran, the second time from another file and after a wait. */
function speaker(word: string): Record<string, string> {
  return {
    "speak.ts": `import { word } from "./lib/word.ts";
      const own: string = ${JSON.stringify(word)};
      export async function speak(n: number) {
        const first = word;
        await new Promise((done) => setTimeout(done, 5));
        return { n, words: [own, first, word] };
      }`,
    "lib/word.ts": `export const word: string = ${JSON.stringify(word)};`,
  };
}

/**
 * Constant load until `stop()`, which throws when any request failed and else counts the replies by revision.
 * The first failure ends it: a closed connection would have it fail for ever without a pause.
 */
function load(sqwish: Sqwish, endpoint: string, concurrency: number) {
  const replies: { n: number; words: string[] }[] = [];
  const failures: unknown[] = [];
  let stopped = false;
  let number = 0;
  async function one(): Promise<void> {
    while (!stopped && failures.length === 0) {
      const n = number++;
      await sqwish.invoke(endpoint, n).then((reply) => {
        assert.equal((reply as { n: number }).n, n);
        replies.push(reply as { n: number; words: string[] });
      }).catch((thrown) => failures.push(thrown));
    }
  }
  const running = Array.from({ length: concurrency }, one);
  return {
    replies,
    async stop() {
      stopped = true;
      await Promise.all(running);
      assert.deepEqual(failures, []);
      for (const { words } of replies) assert.equal(new Set(words).size, 1, `one reply of ${words.join()}`);
      return new Map(Map.groupBy(replies, ({ words }) => words[0]).entries().map(([w, r]) => [w, r.length]));
    },
  };
}

/** Looks at a set as often as it can until `stop()`, which resolves with all that was seen. */
function watchSet(sqwish: Sqwish, name: string) {
  const seen: ReplicaSetView[] = [];
  let stopped = false;
  const running = (async () => {
    while (!stopped) {
      const set = await setOf(sqwish, name);
      if (set) seen.push(set);
    }
  })();
  running.catch(() => {});
  return {
    seen,
    async stop() {
      stopped = true;
      await running;
      return seen;
    },
  };
}

async function eventsOf(sqwish: Sqwish, subject: string): Promise<string[]> {
  const { json } = await sqwish.call("GET", `/v1/events?subject=${subject}&limit=200`);
  return (json as { events: { kind: string }[] }).events.map((event) => event.kind);
}

Deno.test("a cluster of three agents rolls out, rolls back, scales and deletes under load", async (t) => {
  const cluster = await startCluster({ agents: 3 });
  try {
    const sqwish = await cluster.connect();
    await t.step(
      "the client deploys TypeScript and follows the rollout",
      () => clientDeploys(cluster, sqwish),
    );
    await t.step("a rollout under load fails nothing and keeps its bounds", () => movesOneByOne(sqwish));
    await t.step("a request never reaches a revision that is not ready", () => waitsForReady(sqwish));
    await t.step("a failing revision is rolled back by itself", () => failsAndReturns(cluster, sqwish));
    await t.step("an undo goes back, by number too", () => undoes(cluster, sqwish));
    await t.step("scale goes up, down, to all and to none", () => scales(cluster, sqwish));
    await t.step("a cordoned agent takes no new replicas", () => cordons(sqwish));
    await t.step("a deletion gives every request one outcome", () => deletes(cluster, sqwish));
  } finally {
    await cluster.close();
  }
});

async function clientDeploys(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const folder = `${cluster.folder}/sources`;
  await Deno.mkdir(`${folder}/lib`, { recursive: true });
  for (const [path, text] of Object.entries(speaker("one"))) {
    await Deno.writeTextFile(`${folder}/${path}`, text);
  }
  const set = { name: "voice", version: "0", modules: ["./speak.ts"], replicas: 3, rollout: quickRollout };
  await Deno.writeTextFile(`${folder}/voice.jsonc`, `// one voice on each agent\n${JSON.stringify(set)}`);
  const first = ["deploy", "-f", `${folder}/voice.jsonc`, "--version", "1.0.0"];
  const done = await cluster.client(first);
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /^voice: revision 1$/m);
  assert.deepEqual(await sqwish.invoke("voice/speak", 1), { n: 1, words: ["one", "one", "one"] });
  const again = await cluster.client(first);
  assert.match(again.stdout, /nothing has changed since revision 1/);
  const { ready, wanted, owner, version } = (await setOf(sqwish, "voice"))!;
  assert.deepEqual([ready, wanted, owner, version], [3, 3, "api", "1.0.0"]);
}

async function movesOneByOne(sqwish: Sqwish): Promise<void> {
  const settings = {
    version: "2",
    replicas: 3,
    rollout: { maxUnavailable: 1, maxSurge: 1, minReadyMs: 300, deadlineMs: 60_000 },
  };
  const work = load(sqwish, "voice/speak", 8);
  const watch = watchSet(sqwish, "voice");
  await eventually("there is load", () => work.replies.length > 50, patienceMs);
  await deployed(sqwish, "voice", speaker("two"), settings);
  const before = work.replies.length;
  await eventually("the load goes on", () => work.replies.length > before + 50, patienceMs);
  const seen = await watch.stop();
  const words = await work.stop();
  assert.deepEqual([...words.keys()], ["one", "two"]);
  const counts = new Set<number>();
  for (const { placements } of seen) {
    const ready = placements.filter(({ state }) => state === "ready");
    const agents = new Set(ready.map(({ agent }) => agent));
    const running = placements.filter(({ state }) => state !== "stopping");
    assert.ok(agents.size >= 2, `${agents.size} agents ready: ${JSON.stringify(placements)}`);
    assert.ok(running.length <= 4, `${running.length} replicas run: ${JSON.stringify(placements)}`);
    counts.add(ready.filter(({ revision }) => revision === 2).length);
  }
  assert.deepEqual([...counts].sort(), [0, 1, 2, 3], "one replica moved after the other");
}

async function waitsForReady(sqwish: Sqwish): Promise<void> {
  const slow = {
    "slow.ts": `let isReady = false;
      export async function ready() {
        await new Promise((done) => setTimeout(done, 400));
        isReady = true;
      }
      export function speak(n: number) { return { n, words: [isReady ? "slow" : "too early"] }; }`,
  };
  const work = load(sqwish, "voice/speak", 6);
  await deployed(sqwish, "voice", slow, { version: "3", replicas: 3 });
  const words = await work.stop();
  assert.ok(!words.has("too early"));
  assert.deepEqual(await sqwish.invoke("voice/speak", 1), { n: 1, words: ["slow"] });
}

async function failsAndReturns(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const bad = {
    "bad.ts": `export function ready() { throw new Error("the disk is missing"); }
      export function speak(n: number) { return { n, words: ["bad"] }; }`,
  };
  const work = load(sqwish, "voice/speak", 6);
  const revision = await deploy(sqwish, "voice", bad, { version: "4", replicas: 3 });
  const failed = await eventually("the rollout failed", async () => {
    const set = await setOf(sqwish, "voice");
    return set?.rollout?.toRevision === revision && set.rollout.state === "failed" ? set : undefined;
  }, patienceMs);
  assert.match(failed.rollout!.reason ?? "", /agent-\d: .*the disk is missing/);
  await eventually("the good revision runs everywhere", async () => {
    const { placements } = (await setOf(sqwish, "voice"))!;
    return placements.length === 3 &&
      placements.every((replica) => replica.state === "ready" && replica.revision === 3);
  }, patienceMs);
  const words = await work.stop();
  assert.deepEqual([...words.keys()], ["slow"]);
  assert.ok((await eventsOf(sqwish, "voice")).includes("rollout_failed"));
  const { problems } = (await overviewOf(sqwish)).cluster;
  assert.ok(problems.some((problem) => problem.includes("the disk is missing")), problems.join());
  const status = await cluster.client(["rollout", "status", "voice"]);
  assert.equal(status.code, 1);
  assert.match(status.stderr, /the disk is missing; revision 3 goes on/);
}

async function undoes(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const { json } = await sqwish.call("POST", "/v1/replicasets/voice/rollback", { toRevision: 2 });
  assert.deepEqual(json, { replicaSet: "voice", revision: 2, changed: true });
  await rolledOut(sqwish, "voice", 2);
  assert.deepEqual(await sqwish.invoke("voice/speak", 1), { n: 1, words: ["two", "two", "two"] });
  const undone = await cluster.client(["rollout", "undo", "voice"]);
  assert.equal(undone.code, 0, undone.stderr);
  assert.deepEqual(await sqwish.invoke("voice/speak", 1), { n: 1, words: ["one", "one", "one"] });
  const error = await failureOf(sqwish.call("POST", "/v1/replicasets/voice/rollback", { toRevision: 77 }));
  assert.equal(error.code, "not_found");
  assert.match(error.message, /no revision 77; kept are 1, 2, 3, 4/);
  assert.equal((await failureOf(sqwish.call("POST", "/v1/replicasets/voice/rollback", {}))).code, "conflict");
}

async function scales(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const readyOn = async (count: number) => {
    await eventually(`voice runs on ${count} agents`, async () => {
      const set = (await setOf(sqwish, "voice"))!;
      return set.ready === count && set.placements.length === count;
    }, patienceMs);
  };
  const work = load(sqwish, "voice/speak", 4);
  assert.equal((await cluster.client(["scale", "voice", "1"])).code, 0);
  await readyOn(1);
  await sqwish.call("PUT", "/v1/replicasets/voice/replicas", { replicas: "all" });
  await readyOn(3);
  await work.stop();
  await sqwish.call("PUT", "/v1/replicasets/voice/replicas", { replicas: 0 });
  await readyOn(0);
  const error = await failureOf(sqwish.invoke("voice/speak", 1, { timeoutMs: 200 }));
  assert.equal(error.code, "no_ready_replica");
  await sqwish.call("PUT", "/v1/replicasets/voice/replicas", { replicas: 5 });
  await readyOn(3);
  const { pendingReason } = (await setOf(sqwish, "voice"))!;
  assert.ok(pendingReason, "two more are waited for, in words");
  assert.deepEqual(await sqwish.invoke("voice/speak", 1), { n: 1, words: ["one", "one", "one"] });
}

async function cordons(sqwish: Sqwish): Promise<void> {
  await sqwish.call("PUT", "/v1/agents/agent-2/cordon", { cordoned: true });
  await deployed(sqwish, "picky", speaker("picky"), { replicas: "all" });
  const { placements } = (await setOf(sqwish, "picky"))!;
  assert.deepEqual(placements.map(({ agent }) => agent).sort(), ["agent-1", "agent-3"]);
  // What runs there stays.
  assert.ok((await setOf(sqwish, "voice"))!.placements.some(({ agent }) => agent === "agent-2"));
  await sqwish.call("PUT", "/v1/agents/agent-2/cordon", { cordoned: false });
  await eventually("the uncordoned agent gets its replica", async () => {
    return (await setOf(sqwish, "picky"))!.ready === 3;
  }, patienceMs);
}

async function deletes(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const hold = {
    "hold.ts": `export async function hold(ms: number) {
        await new Promise((done) => setTimeout(done, ms));
        return "held";
      }`,
  };
  await deployed(sqwish, "held", hold, { replicas: 1, concurrency: 2, rollout: quickRollout });
  // The first two must be at it until the deletion has come.
  const requests = Promise.allSettled(Array.from({ length: 6 }, () => sqwish.invoke("held/hold", 6000)));
  await eventually("two run and four wait", async () => {
    const set = (await setOf(sqwish, "held"))!;
    return set.outstanding === 2 && set.queued === 4;
  }, patienceMs);
  await sqwish.call("DELETE", "/v1/replicasets/held");
  const codes = (await requests).map((one) => one.status === "fulfilled" ? one.value : one.reason.code);
  // What ran was let end; what had waited is told that its endpoint is gone.
  assert.deepEqual(codes, ["held", "held", "not_found", "not_found", "not_found", "not_found"]);
  assert.equal((await failureOf(sqwish.invoke("held/hold", 1))).code, "not_found");
  await eventually("its runners are gone", async () => {
    const { agents } = await overviewOf(sqwish);
    return !agents.some(({ replicas }) => replicas.some(({ replicaSet }) => replicaSet === "held"));
  }, patienceMs);
  await deployed(sqwish, "held", hold, { version: "2" });
  assert.equal(await sqwish.invoke("held/hold", 1), "held");
  const deleted = await cluster.client(["delete", "held"]);
  assert.equal(deleted.code, 0, deleted.stderr);
  assert.equal(await setOf(sqwish, "held"), undefined);
}
