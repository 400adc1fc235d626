import assert from "node:assert/strict";
import { Split } from "../../lib/scheduling/split.ts";
import { AgentLink, Replica } from "../../lib/scheduling/state.ts";
import { RecordingSink } from "./rig.ts";

const random = { next: () => 0.3 };

function replicaOf(revision: number): Replica {
  const replica = new Replica(`agent-${revision}`, "images", revision);
  replica.routed = true;
  replica.link = new AgentLink("pi-1", new RecordingSink());
  replica.capacity.configure(4, false);
  return replica;
}

/** How many of `count` requests the new revision gets. */
function share(split: Split, count: number, busy: (index: number) => void = () => {}): number {
  let fresh = 0;
  for (let index = 0; index < count; index++) {
    busy(index);
    if (split.choose(0, random as never)?.revision === 2) fresh++;
  }
  return fresh;
}

Deno.test("a split keeps its share to the request", () => {
  for (const weight of [0.01, 0.1, 0.5, 0.99]) {
    const split = new Split(2, weight, [replicaOf(1), replicaOf(2)]);
    const fresh = share(split, 1000);
    assert.ok(Math.abs(fresh - 1000 * weight) <= 1, `${fresh} at ${weight}`);
  }
});

Deno.test("a split leaves no slot free, and makes up for the share that it could not keep", () => {
  const [old, fresh] = [replicaOf(1), replicaOf(2)];
  const split = new Split(2, 0.5, [old, fresh]);
  fresh.outstanding = 4;
  assert.equal(share(split, 100), 0);
  fresh.outstanding = 0;
  assert.equal(share(split, 100), 100);
  assert.ok(Math.abs(share(split, 100) - 50) <= 1);
  old.outstanding = fresh.outstanding = 4;
  assert.equal(split.choose(0, random as never), null);
  old.lent = 1;
  assert.equal(split.choose(0, random as never), null);
  assert.equal(split.choose(0, random as never, true), old, "a call may have what is lent");
});

Deno.test("a split goes on as it was when the table changes, and anew when its share does", () => {
  const replicas = [replicaOf(1), replicaOf(2)];
  const before = new Split(2, 0.5, replicas);
  replicas[1].outstanding = 4;
  share(before, 100);
  replicas[1].outstanding = 0;
  const same = new Split(2, 0.5, replicas);
  same.follow(before);
  assert.equal(share(same, 50), 50);
  const other = new Split(2, 0.1, replicas);
  other.follow(same);
  assert.equal(share(other, 50), 5);
});

Deno.test("a split with one revision only is none", () => {
  const split = new Split(2, 0.1, [replicaOf(1)]);
  assert.equal(split.choose(0, random as never)?.revision, 1);
});

function dampedOf(revision: number): Replica {
  const replica = replicaOf(revision);
  replica.damped = true;
  return replica;
}

Deno.test("a split asks damped replicas last, whatever its share, and makes up for it later", () => {
  const [old, fresh] = [replicaOf(1), dampedOf(2)];
  const split = new Split(2, 0.5, [old, fresh]);
  assert.equal(share(split, 100), 0);
  old.outstanding = 4;
  assert.equal(split.choose(0, random as never), fresh);
  const both = new Split(2, 0.5, [dampedOf(1), dampedOf(2)]);
  assert.ok(Math.abs(share(both, 100) - 50) <= 1, "where all are damped the share counts");
});

Deno.test("a revision that failed is asked after damped replicas of the good one", () => {
  const [good, failed] = [dampedOf(1), replicaOf(2)];
  const split = new Split(2, 0, [good, failed]);
  assert.equal(split.choose(0, random as never), good);
  good.outstanding = 4;
  assert.equal(split.choose(0, random as never), failed);
});

Deno.test("of one revision, the damped replicas are asked last", () => {
  const [steady, damped] = [replicaOf(2), dampedOf(2)];
  const split = new Split(2, 0.1, [damped, steady]);
  assert.equal(split.choose(0, random as never), steady);
  steady.outstanding = 4;
  assert.equal(split.choose(0, random as never), damped);
});
