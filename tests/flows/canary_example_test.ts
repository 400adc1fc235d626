/** `examples/canary` as its text says: a better version goes through its stages, a bad one is undone and keeps why. */
import assert from "node:assert/strict";
import type { Sqwish } from "../../client.ts";
import type { PastRolloutView } from "../../lib/protocol/views.ts";
import { startCluster } from "../support/cluster.ts";
import { patienceMs, setOf } from "../support/deploying.ts";
import { eventually } from "../support/eventually.ts";

/** Keeps asking until `signal`; how many failed. */
async function keepGreeting(sqwish: Sqwish, name: string, signal: AbortSignal): Promise<number> {
  let failed = 0;
  while (!signal.aborted) {
    const asked = Array.from({ length: 10 }, () => sqwish.invoke("greeting/greet", { name }));
    failed += (await Promise.allSettled(asked)).filter(({ status }) => status === "rejected").length;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return failed;
}

Deno.test("the canary of the examples gets ahead when it is good, and is undone by its answers when it is not", async () => {
  await using stack = new AsyncDisposableStack();
  const cluster = await startCluster({ agents: 2 });
  stack.defer(() => cluster.close());
  const sqwish = await cluster.connect();
  const deploy = (version: string, ...options: string[]) =>
    cluster.client([
      "deploy",
      "-f",
      new URL(`../../examples/canary/${version}.jsonc`, import.meta.url).pathname,
      ...options,
    ]);
  const first = await deploy("1.0.0");
  assert.equal(first.code, 0, first.stderr);

  const good = new AbortController();
  const greeted = keepGreeting(sqwish, "Grace", good.signal);
  assert.equal((await deploy("1.1.0", "--no-wait")).code, 0);
  for (const weight of [10, 50, undefined]) {
    await eventually(
      `it is at ${weight} %`,
      async () => {
        const { rollout } = (await setOf(sqwish, "greeting"))!;
        return rollout?.toRevision === 2 && rollout.weight === weight;
      },
      patienceMs + 15_000,
    );
  }
  await eventually(
    "it has taken over",
    async () => (await setOf(sqwish, "greeting"))!.rollout?.state === "done",
    patienceMs,
  );
  good.abort();
  assert.equal(await greeted, 0, "a good version fails nothing");

  const bad = new AbortController();
  const asked = keepGreeting(sqwish, "Alan", bad.signal);
  const undone = await deploy("1.2.0");
  bad.abort();
  assert.ok(await asked > 0);
  assert.equal(undone.code, 1, undone.stdout);
  assert.match(undone.stderr, /greeting\/greet failed \d+ of \d+ requests/);
  const told = await cluster.client(["describe", "rollout", "greeting", "--json"]);
  const { state, toRevision, judged = [] } = JSON.parse(told.stdout) as PastRolloutView;
  assert.deepEqual([state, toRevision], ["failed", 3]);
  const [{ before, after }] = judged;
  assert.ok(before.requests > after.requests && after.errors >= 20 && before.errors === 0);
  const words = await cluster.client(["describe", "rollout", "greeting/3"]);
  assert.match(words.stdout, new RegExp(`greeting/greet +${before.requests} +${after.requests} `));
});
