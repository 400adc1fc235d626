import assert from "node:assert/strict";
import { connect, type Sqwish } from "../../client.ts";
import type { AgentView, EventView } from "../../lib/protocol/views.ts";
import { Cluster, Program, programCommand, startCluster } from "../support/cluster.ts";
import { deploy, deployed, overviewOf, patienceMs, rolledOut, setOf } from "../support/deploying.ts";
import { eventually } from "../support/eventually.ts";

/**
 * `born` is another with each load of the module; the log tells which agent has which. Work that is tried again is short:
 * the first try may be as long as a slow machine needs to do it harm.
 */
const life = {
  "life.ts": `import type { Context } from "sqwish";
    const born = Math.random();
    console.log("born " + born);
    export const whoAmI = () => born;
    export async function work(ms: number, ctx: Context) {
      await new Promise((done) => setTimeout(done, ctx.attempt === 1 ? ms : 0));
      return { born, attempt: ctx.attempt };
    }`,
};
type Worked = { born: number; attempt: number };

Deno.test("a cluster survives what happens to its machines", async (t) => {
  const cluster = await startCluster({ agents: 2 });
  try {
    const sqwish = await cluster.connect();
    await deployed(sqwish, "life", life, { replicas: "all", concurrency: 16 });
    await t.step(
      "an agent that stops is suspect, then lost, and comes back with its modules loaded",
      () => stops(cluster, sqwish),
    );
    await t.step("what may run again survives the death of its agent", () => dies(cluster, sqwish));
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await t.step(
        `a manager ended by ${signal} finds its cluster again, modules loaded and requests sent again`,
        () => managerRestarts(cluster, sqwish, signal),
      );
    }
    await t.step("a rollout goes on after its manager was killed", () => rolloutGoesOn(cluster, sqwish));
    await t.step("a token that expires after the join does not matter", () => tokenExpires(cluster, sqwish));
    await t.step("what a lost agent ran alone moves to another", () => moves(cluster, sqwish));
    await t.step("a backup becomes the same cluster elsewhere", () => backsUp(cluster, sqwish));
  } finally {
    await cluster.close();
  }
});

async function agentOf(sqwish: Sqwish, name: string): Promise<AgentView> {
  return (await overviewOf(sqwish)).agents.find((agent) => agent.name === name)!;
}

/** By agent: the `born` that it logged last. */
async function bornOn(sqwish: Sqwish, count: number): Promise<Map<string, number>> {
  return await eventually(`${count} agents have said when they were born`, async () => {
    const { json } = await sqwish.call("GET", "/v1/logs/life");
    const { lines } = json as { lines: { agent: string; text: string }[] };
    const born = new Map(lines.map(({ agent, text }) => [agent, Number(text.replace("born ", ""))]));
    return born.size === count ? born : undefined;
  }, patienceMs);
}

/** Which modules answer: enough requests at once that each replica gets some. */
async function bornAnswering(sqwish: Sqwish): Promise<Set<number>> {
  const replies = await Promise.all(
    Array.from({ length: 16 }, () => sqwish.invoke("life/work", 20, { idempotent: true, timeoutMs: 30_000 })),
  );
  return new Set(replies.map((reply) => (reply as Worked).born));
}

async function readyReplicas(sqwish: Sqwish, count: number): Promise<void> {
  await eventually(
    `${count} replicas are ready`,
    async () => (await setOf(sqwish, "life"))?.ready === count,
    patienceMs,
  );
}

async function stops(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const born = await bornOn(sqwish, 2);
  assert.deepEqual(await bornAnswering(sqwish), new Set(born.values()));
  const requests = Promise.all(
    Array.from({ length: 8 }, () => sqwish.invoke("life/work", 4000, { idempotent: true })),
  );
  await eventually("some run on agent-2", async () => {
    return (await agentOf(sqwish, "agent-2")).outstanding > 0;
  }, patienceMs);
  const stoppedAtMs = Date.now();
  cluster.agents.get("agent-2")!.signal("SIGSTOP");
  try {
    await eventually(
      "agent-2 is lost",
      async () => (await agentOf(sqwish, "agent-2")).health === "lost",
      patienceMs,
    );
    const { json } = await sqwish.call("GET", "/v1/events?subject=agent-2&kind=agent_suspect,agent_lost");
    const [suspect, lost] = (json as { events: EventView[] }).events.filter(({ atMs }) =>
      atMs >= stoppedAtMs
    );
    assert.deepEqual([suspect.kind, lost.kind], ["agent_suspect", "agent_lost"]);
    // By the specification after 3 s; the rest is for a busy machine.
    const lostMs = lost.atMs - stoppedAtMs;
    assert.ok(lostMs > 1500 && lostMs < 10_000, `lost after ${lostMs} ms`);
    const { cluster: { problems, health } } = await overviewOf(sqwish);
    assert.equal(health, "degraded");
    assert.ok(problems.some((problem) => /agent-2 is lost/.test(problem)), problems.join());
    const attempts = (await requests as Worked[]).map((reply) => reply.attempt);
    assert.deepEqual(new Set(attempts), new Set([1, 2]), "what it had is run elsewhere");
    assert.deepEqual(await bornAnswering(sqwish), new Set([born.get("agent-1")]));
  } finally {
    cluster.agents.get("agent-2")!.signal("SIGCONT");
  }
  await readyReplicas(sqwish, 2);
  assert.deepEqual(await bornAnswering(sqwish), new Set(born.values()), "nothing was loaded anew");
  assert.equal((await overviewOf(sqwish)).cluster.health, "ok");
}

async function dies(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const born = await bornOn(sqwish, 2);
  const requests = Promise.all(
    Array.from({ length: 8 }, () => sqwish.invoke("life/work", 4000, { idempotent: true })),
  );
  await eventually("some run on agent-2", async () => {
    return (await agentOf(sqwish, "agent-2")).outstanding > 0;
  }, patienceMs);
  await cluster.agents.get("agent-2")!.end("SIGKILL");
  const replies = await requests as Worked[];
  assert.deepEqual(new Set(replies.map((reply) => reply.born)), new Set([born.get("agent-1")]));
  assert.deepEqual(new Set(replies.map((reply) => reply.attempt)), new Set([1, 2]));
  assert.equal((await agentOf(sqwish, "agent-2")).health, "lost", "a closed connection is lost at once");
  const { joinedAtMs } = await agentOf(sqwish, "agent-2");
  cluster.startAgent("agent-2");
  await readyReplicas(sqwish, 2);
  const { agents } = await overviewOf(sqwish);
  assert.deepEqual(agents.map((agent) => agent.name), ["agent-1", "agent-2"], "it has its name again");
  assert.equal((await agentOf(sqwish, "agent-2")).joinedAtMs, joinedAtMs);
  assert.equal((await bornAnswering(sqwish)).size, 2);
}

async function managerRestarts(cluster: Cluster, sqwish: Sqwish, signal: Deno.Signal): Promise<void> {
  const before = await bornAnswering(sqwish);
  const revision = (await setOf(sqwish, "life"))!.revision;
  const requests = Promise.all(
    Array.from({ length: 6 }, () => {
      return sqwish.invoke("life/work", 4000, { idempotent: true, timeoutMs: 60_000 });
    }),
  );
  await eventually("they run", async () => (await setOf(sqwish, "life"))!.outstanding === 6, patienceMs);
  await cluster.manager.end(signal);
  await cluster.startManager();
  assert.equal((await requests).length, 6);
  await readyReplicas(sqwish, 2);
  assert.deepEqual(await bornAnswering(sqwish), before, "nothing was loaded anew");
  const set = (await setOf(sqwish, "life"))!;
  assert.equal(set.revision, revision);
  assert.ok(set.placements.every(({ restarts }) => restarts === 0));
}

async function rolloutGoesOn(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const slow = {
    "life.ts": life["life.ts"] + `
      export const ready = () => new Promise((done) => setTimeout(done, 1000));`,
  };
  let stopped = false;
  let replies = 0;
  const load = (async () => {
    while (!stopped) {
      await sqwish.invoke("life/work", 5, { idempotent: true, timeoutMs: 60_000 });
      replies++;
    }
  })();
  const revision = await deploy(sqwish, "life", slow, { version: "2", replicas: "all", concurrency: 16 });
  await eventually("one replica has moved", async () => {
    const { placements } = (await setOf(sqwish, "life"))!;
    return placements.filter((replica) => replica.revision === revision && replica.state === "ready")
      .length === 1;
  }, patienceMs);
  await cluster.manager.end("SIGKILL");
  await cluster.startManager();
  await rolledOut(sqwish, "life", revision);
  stopped = true;
  await load;
  assert.ok(replies > 10);
  await eventually("nothing else runs", async () => {
    const { placements } = (await setOf(sqwish, "life"))!;
    return placements.length === 2 && placements.every((replica) => replica.revision === revision);
  }, patienceMs);
}

/** Cordons have the one replica where the test wants it. */
async function moves(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  cluster.startAgent("late");
  await readyReplicas(sqwish, 3);
  const cordon = async (cordoned: boolean) => {
    for (const name of ["agent-1", "agent-2"]) {
      await sqwish.call("PUT", `/v1/agents/${name}/cordon`, { cordoned });
    }
  };
  await cordon(true);
  await deployed(sqwish, "alone", { "alone.ts": "export const here = () => true;" });
  await cordon(false);
  assert.deepEqual((await setOf(sqwish, "alone"))!.placements.map(({ agent }) => agent), ["late"]);
  await cluster.agents.get("late")!.end("SIGKILL");
  // It waits for its replica instead of failing; idempotent, for it may go out before the death is noticed.
  assert.equal(await sqwish.invoke("alone/here", null, { timeoutMs: 60_000, idempotent: true }), true);
  const [placement] = (await setOf(sqwish, "alone"))!.placements.filter(({ state }) => state === "ready");
  assert.match(placement.agent, /^agent-[12]$/);
}

async function tokenExpires(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  // In which it must have joined.
  const lifetimeMs = 15_000;
  const { json } = await sqwish.call("POST", "/v1/tokens", { role: "agent", lifetimeMs });
  const expiredMs = performance.now() + lifetimeMs;
  const args = ["--data", `${cluster.folder}/late`, "--name", "late"];
  const join = (json as { token: string }).token;
  const start = (more: string[]) => {
    const agent = new Program(programCommand("agent", cluster.options.binaries), [...args, ...more]);
    cluster.agents.set("late", agent);
    return agent;
  };
  start(["--join", join]);
  await readyReplicas(sqwish, 3);
  const secret = JSON.parse(await Deno.readTextFile(`${cluster.folder}/late/identity.json`));
  assert.equal(secret.enroll, false, "it has credentials of its own");
  await cluster.agents.get("late")!.end();
  await eventually("the token has expired", () => performance.now() > expiredMs, patienceMs);
  start([]);
  await readyReplicas(sqwish, 3);
  await cluster.agents.get("late")!.end();
  await eventually("it is lost", async () => (await agentOf(sqwish, "late")).health === "lost", patienceMs);
}

async function backsUp(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const { json } = await sqwish.call("POST", "/v1/users", { name: "ada", role: "operator" });
  const { password } = json as { password: string };
  const file = `${cluster.folder}/attic.backup`;
  const data = `${cluster.folder}/manager`;
  const run = async (...args: string[]) => {
    const program = new Program(programCommand("manager", cluster.options.binaries), args);
    return { code: (await program.finished()).code, said: program.output };
  };
  const backedUp = await run("backup", file, "--data", data);
  assert.equal(backedUp.code, 0, backedUp.said);
  assert.equal((await Deno.stat(file)).mode! & 0o777, 0o600, "it holds keys");
  const twice = await run("backup", file, "--data", data);
  assert.equal(twice.code, 1);
  assert.match(twice.said, /must go into a new file/);
  const over = await run("restore", file, "--data", data);
  assert.equal(over.code, 1);
  assert.match(over.said, /has data; move it away first/);

  const other = new Cluster(`${cluster.folder}/other`, {});
  await Deno.mkdir(other.folder);
  const restored = await run("restore", file, "--data", `${other.folder}/manager`);
  assert.equal(restored.code, 0, restored.said);
  await other.startManager();
  try {
    assert.notEqual(other.port, cluster.port);
    assert.equal(other.ready.fingerprint, cluster.ready.fingerprint);
    const there = await connect({
      url: other.url,
      user: "ada",
      password,
      fingerprint: cluster.ready.fingerprint,
      profileFile: false,
    });
    try {
      const { replicaSets, agents } = await overviewOf(there);
      assert.deepEqual(replicaSets.map(({ name, revision }) => [name, revision]), [["alone", 1], [
        "life",
        2,
      ]]);
      assert.deepEqual(agents.map(({ name, health }) => [name, health]), [
        ["agent-1", "lost"],
        ["agent-2", "lost"],
        ["late", "lost"],
      ]);
    } finally {
      await there.close();
    }
    const agent = other.startAgent("new");
    await eventually(
      "an agent joins with a new token",
      () => agent.output.includes("joined cluster"),
      patienceMs,
    );
  } finally {
    await other.close();
  }
  assert.equal((await bornAnswering(sqwish)).size, 2, "the first goes on");
}
