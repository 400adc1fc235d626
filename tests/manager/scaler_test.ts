/** Sets that the load scales, down to none and back: what is stored and told. The numbers are `deployment/scale`'s. */
import assert from "node:assert/strict";
import { emptyRoutes, type RoutingTable } from "../../lib/cluster/routing.ts";
import { Scaler } from "../../lib/manager/scaler.ts";
import { openStore } from "../../lib/store/store.ts";
import { specificationOf } from "../store/support.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { settle } from "../client/scripted_manager.ts";

/** A set between 0 and 3 replicas that sleeps. */
function sleeping() {
  const clock = new ManualClock();
  const store = openStore({ folder: null });
  const { specification, files } = specificationOf("images", "", { replicas: { min: 0, max: 3 } });
  store.deployments.addRevision(specification, files, { owner: "api", createdBy: "ada", nowMs: 0 });
  store.deployments.setGood("images", 1);
  store.deployments.setScaledTo("images", 0);
  const told: string[] = [];
  const disk = { isFull: false };
  const scaler = new Scaler({
    clock,
    store: new Proxy(store.deployments, {
      get: (target, name) =>
        name === "setScaledTo" && disk.isFull
          ? () => {
            throw new Error("database or disk is full");
          }
          : Reflect.get(target, name).bind(target),
    }),
    sets: () => store.deployments.loadAll(),
    load: () => ({
      queued: 0,
      outstanding: 0,
      sets: new Map(),
      agents: new Map(),
      replicas: [],
      endpoints: new Map(),
    }),
    record: (_level, kind, _subject, message) => void told.push(`${kind}: ${message}`),
    changed() {},
  });
  /** The routing table with a ready replica of it. */
  const ready = {
    ...emptyRoutes,
    sets: new Map([["images", { replicas: [{}] }]]),
  } as unknown as RoutingTable;
  return {
    ...{ clock, scaler, told, disk, ready },
    scaledTo: () => store.deployments.find("images")!.scaledTo,
    close() {
      scaler.close();
      store.close();
    },
  };
}

Deno.test("a request wakes a set that sleeps, and the time until it is ready is told", async () => {
  const { clock, scaler, told, ready, scaledTo, close } = sleeping();
  scaler.starved("images");
  scaler.starved("images");
  await settle();
  assert.equal(scaledTo(), 1);
  clock.advance(120);
  scaler.routed(ready);
  assert.equal(scaler.coldStartMs("images"), 120);
  assert.deepEqual(told, [
    "scaled: images wakes up for a request",
    "woken: images was ready 120 ms after the request that woke it",
  ]);
  close();
});

Deno.test("a set that fell asleep again before it was ready is woken anew, and counted from then", async () => {
  const { clock, scaler, told, ready, scaledTo, close } = sleeping();
  scaler.starved("images");
  await settle();
  // Nobody asks again: it goes back to sleep.
  clock.advance(3600_000);
  assert.equal(scaledTo(), 0);
  scaler.starved("images");
  await settle();
  assert.equal(scaledTo(), 1);
  clock.advance(80);
  scaler.routed(ready);
  assert.equal(scaler.coldStartMs("images"), 80);
  assert.equal(told.filter((each) => each.includes("wakes up")).length, 2);
  close();
});

Deno.test("a waking that the disk does not take is told as that, and the next request tries again", async () => {
  const { scaler, told, disk, scaledTo, close } = sleeping();
  disk.isFull = true;
  scaler.starved("images");
  await settle();
  assert.equal(scaledTo(), 0);
  assert.deepEqual(told, ["scale_unsaved: images could not be scaled to 1: database or disk is full"]);
  disk.isFull = false;
  scaler.starved("images");
  await settle();
  assert.equal(scaledTo(), 1);
  close();
});
