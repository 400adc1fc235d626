import assert from "node:assert/strict";
import { trials } from "../../bench/rollouts/trials.ts";
import type { Sqwish } from "../../client.ts";
import type { ReplicaSetView } from "../../lib/protocol/views.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { deploy, deployed, patienceMs, quickRollout, setOf } from "../support/deploying.ts";
import { eventually } from "../support/eventually.ts";
import { failureOf } from "../support/failures.ts";

const pace = { before: 2, after: 1 };

Deno.test("rollouts, drains and scaling under load fail nothing, and bad revisions are undone", async (t) => {
  const cluster = await startCluster({ agents: 3 });
  try {
    const sqwish = await cluster.connect();
    for (const [name, trial] of trials) {
      await t.step(name, async () => {
        const { requests, failed, undoneMs, reason } = await trial(cluster, sqwish, pace);
        const isBad = name.startsWith("a revision");
        assert.equal(undoneMs !== undefined, isBad, `${name} is undone`);
        if (!isBad) return assert.equal(failed, 0, `${failed} of ${requests} failed: ${reason}`);
        assert.match(reason!, /^jobs\/work (failed|took) .* before .* (is|are) allowed$/);
        // It takes some 20 to be sure, of however few a slow machine can be sent.
        assert.ok(failed < Math.max(40, 0.05 * requests), `${failed} of ${requests} failed`);
      });
    }
  } finally {
    await cluster.close();
  }
});

Deno.test("a cluster of two agents: canaries, endpoints in use, drains and sleep", async (t) => {
  const cluster = await startCluster({ agents: 2 });
  try {
    const sqwish = await cluster.connect();
    await t.step("a canary gets its share, is paused, goes on and is taken back", () => canary(sqwish));
    await t.step("an endpoint in use is not dropped without force", () => keepsEndpoints(cluster, sqwish));
    await t.step("an endpoint in use that takes less is refused before it is asked", () => narrows(sqwish));
    await t.step("what can't be placed says why", () => staysPending(cluster, sqwish));
    await t.step(
      "a drained agent hands over, and the last one is drained with a warning",
      () => drains(cluster, sqwish),
    );
    await t.step("a set without requests sleeps, and a request wakes it", () => sleeps(sqwish));
  } finally {
    await cluster.close();
  }
});

function say(word: string): Record<string, string> {
  return { "say.ts": `export const say = () => ${JSON.stringify(word)};` };
}

async function canary(sqwish: Sqwish): Promise<void> {
  await deployed(sqwish, "song", say("old"), { replicas: 2 });
  const rollout = { ...quickRollout, strategy: "canary", steps: [{ weight: 20, holdMs: 3600_000 }] };
  const revision = await deploy(sqwish, "song", say("new"), { version: "2", replicas: 2, rollout });
  await inStage(
    sqwish,
    "song",
    ({ placements }) => placements.some((each) => each.revision === revision && each.state === "ready"),
  );
  const words: unknown[] = [];
  for (let count = 0; count < 100; count++) words.push(await sqwish.invoke("song/say"));
  const fresh = words.filter((word) => word === "new").length;
  assert.ok(fresh >= 19 && fresh <= 21, `${fresh} of 100 requests`);
  assert.equal((await setOf(sqwish, "song"))!.rollout!.weight, 20);
  const post = (verb: string) => sqwish.call("POST", `/v1/replicasets/song/${verb}`, {});
  await post("pause");
  assert.equal((await setOf(sqwish, "song"))!.rollout!.state, "paused");
  await post("resume");
  await inStage(sqwish, "song", ({ rollout }) => rollout?.state === "progressing");
  await post("rollback");
  await inStage(sqwish, "song", ({ rollout }) => rollout?.state === "done");
  assert.equal(await sqwish.invoke("song/say"), "old");
  const refused = await failureOf(post("pause"));
  assert.match(refused.message, /Only a rollout that is progressing can be paused/);
}

function inStage(sqwish: Sqwish, name: string, test: (set: ReplicaSetView) => boolean): Promise<unknown> {
  return eventually(`${name} is there`, async () => {
    const set = await setOf(sqwish, name);
    return set !== undefined && test(set);
  }, patienceMs);
}

async function keepsEndpoints(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const folder = `${cluster.folder}/keep`;
  await Deno.mkdir(folder);
  const run = async (text: string, ...args: string[]) => {
    await Deno.writeTextFile(`${folder}/keep.ts`, text);
    return await cluster.client(["deploy", `${folder}/keep.ts`, "--name", "keep", "--version", "1", ...args]);
  };
  const both = "export const kept = () => 1; export const gone = () => 2;";
  assert.equal((await run(both)).code, 0);
  assert.equal(await sqwish.invoke("keep/gone"), 2);
  const one = "export const kept = () => 1;";
  const dry = await run(one, "--dry-run");
  assert.match(dry.stdout, /^keep: after revision 1\n- modules .*keep\.ts: .*\n\+ modules /);
  assert.match(dry.stderr, /would be refused: keep: gone is gone; it was called within the last hour/);
  const refused = await run(one);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /--force/);
  assert.equal((await run(one, "--force")).code, 0);
  await assert.rejects(sqwish.invoke("keep/gone"), { code: "not_found" });
  const { stdout } = await cluster.client(["describe", "revision", "keep/2"]);
  assert.match(stdout, /Changes from revision 1\n[^]*\+ rollout\.breaking: "allow"/);
}

async function narrows(sqwish: Sqwish): Promise<void> {
  const half = (required: string[]) => ({
    "half.ts": `export const half = ({ n }) => n / 2;
      export const endpoints = { half: { input: { type: "object", required: ${
      JSON.stringify(required)
    } } } };`,
  });
  await deployed(sqwish, "narrow", half([]));
  assert.equal(await sqwish.invoke("narrow/half", { n: 4 }), 2);
  const revision = await deploy(sqwish, "narrow", half(["n"]), { version: "2" });
  await inStage(
    sqwish,
    "narrow",
    ({ rollout }) => rollout?.toRevision === revision && rollout.state === "failed",
  );
  assert.match((await setOf(sqwish, "narrow"))!.rollout!.reason!, /half takes less: its input needs n/);
  assert.equal(await sqwish.invoke("narrow/half", { n: 4 }), 2);
}

async function staysPending(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  await deploy(sqwish, "huge", say("huge"), { memoryMb: 1_048_576 });
  await inStage(
    sqwish,
    "huge",
    ({ pendingReason }) => /MB of memory left \(1048576 are needed\)/.test(pendingReason ?? ""),
  );
  const { stdout } = await cluster.client(["why", "huge"]);
  assert.match(
    stdout,
    /huge is not complete: 0 of 1 replica is ready\n[^]*Pending: 1 of 1 replica has no agent: agent-1 has/,
  );
  await sqwish.call("DELETE", "/v1/replicasets/huge");
}

async function drains(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  await deployed(sqwish, "solo", say("solo"));
  const [{ agent: first }] = (await setOf(sqwish, "solo"))!.placements;
  const second = first === "agent-1" ? "agent-2" : "agent-1";
  const drained = await cluster.client(["drain", first]);
  assert.equal(drained.code, 0, drained.stderr);
  assert.doesNotMatch(drained.stderr, /warning: .*solo/);
  assert.equal((await setOf(sqwish, "solo"))!.placements[0].agent, second);
  assert.equal(await sqwish.invoke("solo/say"), "solo");
  assert.match((await cluster.client(["why", first])).stdout, /is drained: nothing runs there any more/);
  const last = await cluster.client(["drain", second]);
  assert.equal(last.code, 0, last.stderr);
  assert.match(last.stderr, /warning: .* is the last agent that takes replicas: solo ends there/);
  assert.match((await setOf(sqwish, "solo"))!.pendingReason!, new RegExp(`${second} is drained`));
  for (const agent of [first, second]) assert.equal((await cluster.client(["uncordon", agent])).code, 0);
  await inStage(sqwish, "solo", ({ ready }) => ready === 1);
}

async function sleeps(sqwish: Sqwish): Promise<void> {
  await deployed(sqwish, "nap", say("awake"), { replicas: { min: 0, max: 2, idleMs: 1000 } });
  await inStage(sqwish, "nap", ({ placements, wanted }) => wanted === 0 && placements.length === 0);
  const words = await Promise.all(Array.from({ length: 3 }, () => sqwish.invoke("nap/say")));
  assert.deepEqual(words, ["awake", "awake", "awake"]);
  assert.equal(typeof (await setOf(sqwish, "nap"))!.coldStartMs, "number");
}
