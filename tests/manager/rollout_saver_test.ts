/** Rollouts that a full disk does not take: they are decided all the same, and stored before the next one begins. */
import assert from "node:assert/strict";
import { joined, type ManagerRig, openRig, type Peer, reportReady, settle, telemetryOf } from "./rig.ts";

function full(): never {
  throw new Error("database or disk is full");
}

/** The agent loads whatever it was last told to, and time passes until it counts. */
async function becomeReady(rig: ManagerRig, peer: Peer): Promise<void> {
  await reportReady(peer);
  // It reports meanwhile, so that it stays well.
  for (let second = 1; second <= 2; second++) {
    rig.clock.advance(1000);
    peer.send(telemetryOf(second));
    await settle();
  }
}

function deploy(rig: ManagerRig, revision: number): Promise<void> {
  rig.deploy("images", `export function resize() { return ${revision}; }`);
  return settle();
}

Deno.test("a rollout that was done on a full disk is stored before the next one begins", async () => {
  const rig = await openRig();
  const { deployments } = rig.store;
  const peer = await joined(rig);
  await deploy(rig, 1);
  await becomeReady(rig, peer);
  assert.equal(deployments.find("images")!.good?.revision, 1);

  await deploy(rig, 2);
  const setGood = deployments.setGood;
  deployments.setGood = full;
  await becomeReady(rig, peer);
  assert.equal(rig.core.controller.rollout("images")!.state, "done");
  assert.equal(rig.store.events.list({ kinds: ["rollout_unsaved"] }).length, 1);
  assert.equal(deployments.find("images")!.good?.revision, 1);

  deployments.setGood = setGood;
  await deploy(rig, 3);
  assert.equal(deployments.find("images")!.good?.revision, 2);
  assert.equal(rig.core.controller.rollout("images")!.fallback, 2);
  rig.close();
});

Deno.test("what was not stored of a set that is gone is not tried for ever", async () => {
  const rig = await openRig();
  const { deployments } = rig.store;
  let tries = 0;
  deployments.saveRollout = () => {
    tries++;
    full();
  };
  await deploy(rig, 1);
  assert.equal(tries, 1);
  rig.clock.advance(5000);
  await settle();
  assert.equal(tries, 2);
  rig.deployments.remove("images", "ada");
  await settle();
  rig.clock.advance(60_000);
  await settle();
  assert.equal(tries, 2);
  rig.close();
});
