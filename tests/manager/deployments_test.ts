/** Changes to what shall run: who may change what, and what `undo` goes back to. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { parseReplicaSetFile } from "../../lib/deployment/specification.ts";
import type { ReplicaCount } from "../../lib/protocol/revision.ts";
import { specificationOf } from "../store/support.ts";
import { rejectsWith } from "../security/rejects_with.ts";
import { addresses, agentHello, joined, type ManagerRig, openRig, settle } from "./rig.ts";

/** Stores a failed rollout of a set's current revision. */
function fail(rig: ManagerRig, revision: number): void {
  rig.store.deployments.saveRollout({
    replicaSet: "images",
    fromRevision: revision - 1,
    toRevision: revision,
    state: "failed",
    startedAtMs: 0,
  });
}

/** An agent that the store remembers, and that isn't connected. */
const gone = {
  ...{ name: "pi-9", identity: "x".repeat(16), labels: {}, cordoned: false, draining: false },
  ...{ joinedAtMs: 0, lastSeenAtMs: 0 },
};

/** With an operator, and a token by which machines get accounts of their own. */
async function rigWithToken() {
  const rig = await openRig();
  await rig.signUp("ada", "operator");
  const { fingerprint } = rig.identity;
  await rig.accounts.createToken({ role: "agent", once: false, addresses, fingerprint });
  const [{ name }] = rig.store.users.list("token");
  const enroll = (machine: string) =>
    rig.accounts.enroll({ name, role: "agent", endpoints: [] }, machine, () => {});
  return { rig, enroll };
}

Deno.test("`undo()` goes back to the last good revision, over those that failed", async () => {
  const rig = await openRig();
  rig.deploy("images", "export function resize() {}");
  rig.store.deployments.setGood("images", 1);
  for (const revision of [2, 3]) {
    rig.deploy("images", `export function resize() { return ${revision}; }`);
    fail(rig, revision);
  }
  const again = () => rig.deployments.undo("images", 3, "ada");
  await rejectsWith(
    again,
    "conflict",
    "Revision 3 of images has just failed and is not in force; deploy it anew",
  );
  const undone = { replicaSet: "images", revision: 1, changed: true };
  assert.deepEqual(rig.deployments.undo("images", undefined, "ada"), undone);
  assert.equal(rig.store.deployments.find("images")!.current.revision, 1);
  rig.close();
});

Deno.test("`undo()` of a good revision goes to the newest before it, or to the one that is named", async () => {
  const rig = await openRig();
  for (let revision = 1; revision <= 3; revision++) rig.deploy("images", `export const a = ${revision};`);
  rig.store.deployments.setGood("images", 3);
  assert.equal(rig.deployments.undo("images", undefined, "ada").revision, 2);
  assert.equal(rig.deployments.undo("images", 3, "ada").revision, 3);
  assert.deepEqual(rig.deployments.undo("images", 3, "ada").changed, false);
  await rejectsWith(() => rig.deployments.undo("images", 9, "ada"), "not_found", "kept are 1, 2, 3");
  await rejectsWith(
    () => rig.deployments.undo("image", undefined, "ada"),
    "not_found",
    "did you mean images",
  );
  rig.close();
});

Deno.test("`undo()` skips revisions that failed, and says so of one that is named", async () => {
  const rig = await openRig();
  await rig.signUp("ada", "operator");
  for (let revision = 1; revision <= 4; revision++) {
    rig.deploy("images", `export const a = ${revision};`);
    const state = revision === 2 || revision === 3 ? "failed" as const : "done" as const;
    const record = { replicaSet: "images", fromRevision: revision - 1, toRevision: revision, state };
    const reason = state === "failed" ? { reason: "pi-1: no camera" } : {};
    rig.store.deployments.saveRollout({ ...record, ...reason, startedAtMs: rig.clock.nowMs() + revision });
  }
  rig.store.deployments.setGood("images", 4);
  const { revisions } = await (await rig.http("GET", "/v1/revisions", { user: "ada" })).json();
  assert.deepEqual(
    revisions.map(({ failure }: { failure?: string }) => failure),
    [undefined, "pi-1: no camera", "pi-1: no camera", undefined],
  );
  assert.deepEqual(rig.deployments.undo("images", undefined, "ada"), {
    replicaSet: "images",
    revision: 1,
    changed: true,
  });
  const named = rig.deployments.undo("images", 2, "ada");
  assert.deepEqual([named.changed, named.warnings?.length], [true, 1]);
  assert.match(
    named.warnings![0],
    /revision 2 of images failed when it was last rolled out: pi-1: no camera/,
  );
  rig.close();
});

Deno.test("`undo()` with only failed revisions before it is refused, and one that worked since has not failed", async () => {
  const rig = await openRig();
  for (const revision of [1, 2, 3]) rig.deploy("images", `export const a = ${revision};`);
  const base = { replicaSet: "images", fromRevision: 0, reason: "no camera" };
  for (const toRevision of [1, 2]) {
    rig.store.deployments.saveRollout({
      ...base,
      toRevision,
      state: "failed",
      startedAtMs: rig.clock.nowMs() + toRevision,
    });
  }
  const undo = () => rig.deployments.undo("images", undefined, "ada");
  await rejectsWith(undo, "conflict", "before 3 failed when it was rolled out: 1, 2;");
  rig.store.deployments.saveRollout({
    ...base,
    toRevision: 1,
    state: "done",
    startedAtMs: rig.clock.nowMs() + 3,
  });
  assert.equal(undo().revision, 1);
  rig.close();
});

Deno.test("`undo()` of the first revision is refused", async () => {
  const rig = await openRig();
  rig.deploy("images", "export const a = 1;");
  await rejectsWith(
    () => rig.deployments.undo("images", undefined, "ada"),
    "conflict",
    "no revision before 1",
  );
  rig.close();
});

Deno.test("what belongs to the configuration file is changed there and nowhere else", async () => {
  const rig = await openRig();
  const { specification, files } = specificationOf("images", "export const a = 1;");
  rig.store.deployments.addRevision(specification, files, { owner: "file", createdBy: "file", nowMs: 0 });
  const request = { replicaSet: { name: "images", version: "2" }, modules: [] };
  for (
    const change of [
      () => rig.deployments.deploy(request, "ada"),
      () => rig.deployments.scale("images", 2, "ada"),
      () => rig.deployments.undo("images", undefined, "ada"),
      () => rig.deployments.remove("images", "ada"),
    ]
  ) await rejectsWith(change, "conflict", "belongs to the configuration file");
  rig.close();
});

Deno.test("over the API a change is checked whole before anything is stored", async (t) => {
  const rig = await openRig();
  await rig.signUp("ada", "operator");
  const module = { path: "main.ts", entry: true, base64: btoa("export function add() {}") };
  const replicaSet = { name: "sums", version: "1" };
  const bad: [string, string, string, unknown, RegExp][] = [
    ["no JSON object", "POST", "/v1/replicasets", [], /^body|^replicaSet|Expected/],
    ["a path that climbs out", "POST", "/v1/replicasets", {
      replicaSet,
      modules: [{ ...module, path: "../x.ts" }],
    }, /\.\./],
    ["no base64", "POST", "/v1/replicasets", { replicaSet, modules: [{ ...module, base64: "*" }] }, /base64/],
    [
      "an unknown key",
      "POST",
      "/v1/replicasets",
      { replicaSet: { ...replicaSet, x: 1 }, modules: [module] },
      /./,
    ],
    ["too many replicas", "PUT", "/v1/replicasets/sums/replicas", { replicas: 1001 }, /from 0 to 1000/],
    ["half a replica", "PUT", "/v1/replicasets/sums/replicas", { replicas: 0.5 }, /from 0 to 1000/],
    ["revision 0", "POST", "/v1/replicasets/sums/rollback", { toRevision: 0 }, /toRevision/],
    [
      "a problem that quotes a megabyte",
      "PUT",
      "/v1/agents/pi-1/cordon",
      { cordoned: "x".repeat(1e6) },
      /^.{0,500}$/s,
    ],
  ];
  for (const [name, method, path, body, says] of bad) {
    await t.step(name, async () => {
      const response = await rig.http(method, path, { user: "ada", body });
      const { error } = await response.json();
      assert.equal(response.status, 400, error.message);
      assert.match(`${error.message} ${(error.details.errors ?? []).join(" ")}`.trim(), says);
    });
  }
  assert.deepEqual(rig.store.deployments.loadAll(), []);
  rig.close();
});

Deno.test("a set that the file takes over has as many replicas as the file says, whatever a client scaled it to", async () => {
  const folder = await Deno.makeTempDir();
  const rig = await openRig();
  try {
    await Deno.writeTextFile(join(folder, "resize.ts"), "export function resize() {}");
    const readFile = async (version: string) => {
      const set = { name: "images", version, modules: ["./resize.ts"], replicas: 2 };
      const parsed = parseReplicaSetFile(JSON.stringify(set));
      assert.ok(parsed.ok);
      assert.deepEqual((await rig.deployments.applyFile([parsed.replicaSet], folder)).errors, []);
    };
    const stored = () => rig.store.deployments.find("images")!;
    // Taken over as it is, and with a new revision.
    for (const [version, revisions] of [["1", 1], ["2", 2]] as const) {
      await readFile("1");
      rig.store.deployments.setOwner("images", "api");
      rig.deployments.scale("images", 5, "ada");
      assert.equal(stored().replicasOverride, 5);
      await readFile(version);
      assert.deepEqual([stored().owner, stored().replicasOverride], ["file", undefined]);
      assert.equal(stored().current.revision, revisions);
      const told = rig.store.events.list({ kinds: ["owner_changed"] });
      assert.equal(told.length, revisions, "once for each time it is taken over");
      assert.match(told[0].message, /images was deployed by a client and belongs to the configuration file/);
    }
  } finally {
    rig.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("scaling to more than can run is warned of, with what stands in the way", async () => {
  const rig = await openRig();
  await rig.signUp("ada", "operator");
  rig.deploy("images", "export const a = 1;");
  for (const name of ["pi-1", "pi-2"]) await joined(rig, { name, identity: `${name} 0123456789abcdef` });
  const scale = async (replicas: number | string) => {
    const response = await rig.http("PUT", "/v1/replicasets/images/replicas", {
      user: "ada",
      body: { replicas },
    });
    assert.equal(response.status, 200);
    return (await response.json()).warnings;
  };
  assert.deepEqual(await scale(2), []);
  assert.deepEqual(await scale(5), [
    "images runs on 2 agents only: 3 of 5 replicas have no agent: every agent runs one already",
  ]);
  for (const replicas of ["all", 1, 0, "auto"]) assert.deepEqual(await scale(replicas), [], `${replicas}`);
  rig.close();
});

Deno.test("an agent that is gone for good can be removed, one that is connected can't", async () => {
  const rig = await openRig();
  await rig.signUp("ada", "operator");
  rig.core.agents.restore([gone]);
  const remove = () => rig.http("DELETE", "/v1/agents/pi-9", { user: "ada" });
  const first = await remove();
  assert.equal(first.status, 200);
  await first.body?.cancel();
  assert.deepEqual(rig.core.agents.list(), []);
  assert.equal(rig.store.events.list({ kinds: ["agent_removed"] }).length, 1);
  const second = await remove();
  assert.equal(second.status, 404);
  await second.body?.cancel();
  rig.close();
});

Deno.test("a removed agent's own accounts go with it, in one transaction, and nobody else's", async () => {
  const { rig, enroll } = await rigWithToken();
  // The machine was set up anew once; another one's name begins like its own, and a third one was renamed.
  const own = [await enroll("pi-9"), await enroll("pi-9")].map(({ user }) => user);
  const [other, renamed] = [await enroll("pi-9-shed"), await enroll("pi-9")].map(({ user }) => user);
  const peer = rig.enter({ name: renamed, role: "agent", endpoints: [] });
  peer.send(agentHello({ name: "attic" }));
  await settle();
  rig.store.agents.observeJoin(gone, 0);
  rig.core.agents.restore([gone]);

  const removing = rig.http("DELETE", "/v1/agents/pi-9", { user: "ada" });
  assert.deepEqual((await (await removing).json()).accounts.sort(), own.sort());
  assert.deepEqual(rig.store.users.list("machine").map(({ name }) => name).sort(), [other, renamed].sort());
  assert.equal(rig.store.agents.find("pi-9"), undefined);
  assert.match(rig.store.events.list({ kinds: ["agent_removed"] })[0].message, /it can't sign in again/);
  assert.equal(peer.close, null);
  rig.close();
});

Deno.test("the account of a renamed agent goes with its new name, and not with the old one", async () => {
  const { rig, enroll } = await rigWithToken();
  const { user: account } = await enroll("pi-9");
  const connect = async (name: string) => {
    const peer = rig.enter({ name: account, role: "agent", endpoints: [] });
    peer.send(agentHello({ name }));
    await settle();
    peer.channel.close(1000, "shut down");
    await settle();
  };
  await connect("pi-9");
  await connect("attic");
  const remove = async (name: string) => {
    const response = await rig.http("DELETE", `/v1/agents/${name}`, { user: "ada" });
    return (await response.json()).accounts;
  };
  assert.deepEqual(await remove("pi-9"), [], "the machine goes on with it under its new name");
  assert.deepEqual(rig.store.users.list("machine").map(({ name }) => name), [account]);
  assert.deepEqual(await remove("attic"), [account]);
  assert.deepEqual(rig.store.users.list("machine"), []);
  rig.close();
});

Deno.test("an agent whose removal the disk does not take is still there, with its account", async () => {
  const { rig, enroll } = await rigWithToken();
  await enroll("pi-9");
  rig.store.agents.observeJoin(gone, 0);
  rig.core.agents.restore([gone]);
  rig.store.users.remove = () => {
    throw new Error("database or disk is full");
  };
  const response = await rig.http("DELETE", "/v1/agents/pi-9", { user: "ada" });
  assert.equal(response.status, 500);
  await response.body?.cancel();
  assert.equal(rig.core.agents.list().length, 1);
  assert.notEqual(rig.store.agents.find("pi-9"), undefined);
  assert.equal(rig.store.users.list("machine").length, 1);
  assert.deepEqual(rig.store.events.list({ kinds: ["agent_removed"] }), []);
  rig.close();
});

Deno.test("a deployment that does not say how many keeps what the set has, and says so; one that is told ends a `scale`", async () => {
  const rig = await openRig();
  const modules = [{ path: "resize.ts", entry: true, base64: btoa("export function resize() {}") }];
  const deploy = (
    version: string,
    replicas?: ReplicaCount,
    more: { rescale?: boolean; dryRun?: boolean } = {},
  ) => {
    const count = replicas === undefined ? {} : { replicas };
    return rig.deployments.deploy(
      { replicaSet: { name: "images", version, ...count }, modules, ...more },
      "ada",
    );
  };
  const inForce = () => {
    const { current, replicasOverride } = rig.store.deployments.find("images")!;
    return [current.specification.replicas, replicasOverride];
  };
  assert.equal((await deploy("1", 3)).keeps, undefined);
  assert.deepEqual([(await deploy("2")).keeps, inForce()], [3, [3, undefined]]);
  rig.deployments.scale("images", 5, "ada");
  assert.deepEqual([(await deploy("3")).keeps, inForce()], [5, [3, 5]]);
  assert.deepEqual([(await deploy("4", 3)).keeps, inForce()], [5, [3, 5]], "a file says what it always said");
  const dry = await deploy("5", undefined, { dryRun: true });
  assert.deepEqual([dry.keeps, dry.changes?.map(({ path }) => path)], [5, ["version"]]);
  assert.deepEqual([(await deploy("6", 3, { rescale: true })).keeps, inForce()], [undefined, [3, undefined]]);
  rig.deployments.scale("images", 7, "ada");
  const ends = { replicaSet: "images", revision: 5, changed: false, rescaled: 3 };
  assert.deepEqual(await deploy("6", 3, { rescale: true, dryRun: true }), { ...ends, changes: [] });
  assert.deepEqual(inForce(), [3, 7]);
  assert.deepEqual([await deploy("6", 3, { rescale: true }), inForce()], [ends, [3, undefined]]);
  assert.equal((await deploy("6", 3, { rescale: true })).rescaled, undefined, "nothing to end");
  assert.equal((await deploy("7", { max: 6, min: 1 })).keeps, undefined, "in whatever order it is said");
  rig.close();
});
