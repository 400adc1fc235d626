import assert from "node:assert/strict";
import { openStore } from "../../lib/store/store.ts";

const nowMs = 1_800_000_000_000;

Deno.test("a joining agent is remembered; a return updates it and keeps the first join and the cordon", () => {
  const store = openStore({ folder: null });
  try {
    store.agents.observeJoin({ name: "pi-2", identity: "one", labels: { arch: "aarch64" } }, nowMs);
    store.agents.observeJoin({ name: "pi-1", identity: "two", labels: {} }, nowMs);
    assert.equal(store.agents.setFlags("pi-2", { cordoned: true, draining: false }), true);
    store.agents.observeJoin({ name: "pi-2", identity: "three", labels: { zone: "attic" } }, nowMs + 10);
    store.agents.observeSeen("pi-2", nowMs + 20);
    assert.deepEqual(store.agents.find("pi-2"), {
      name: "pi-2",
      identity: "three",
      labels: { zone: "attic" },
      cordoned: true,
      draining: false,
      firstJoinedMs: nowMs,
      lastSeenMs: nowMs + 20,
      account: null,
    });
    assert.deepEqual(store.agents.list().map((agent) => agent.name), ["pi-1", "pi-2"]);
  } finally {
    store.close();
  }
});

Deno.test("an account is of the agent that signed in with it last", () => {
  const store = openStore({ folder: null });
  try {
    const join = (name: string, account: string) =>
      store.agents.observeJoin({ name, identity: "one", labels: {} }, nowMs, account);
    const accounts = () => store.agents.list().map(({ name, account }) => [name, account]);
    join("pi-1", "pi-1-00000000");
    join("pi-1", "pi-1-11111111");
    join("pi-2", "pi-2-00000000");
    assert.deepEqual(accounts(), [["pi-1", "pi-1-11111111"], ["pi-2", "pi-2-00000000"]]);
    join("attic", "pi-1-11111111");
    assert.deepEqual(accounts(), [["attic", "pi-1-11111111"], ["pi-1", null], ["pi-2", "pi-2-00000000"]]);
  } finally {
    store.close();
  }
});

Deno.test("changes to an unknown agent say that there is none", () => {
  const store = openStore({ folder: null });
  try {
    assert.equal(store.agents.setFlags("pi-9", { cordoned: true, draining: false }), false);
    assert.equal(store.agents.remove("pi-9"), false);
    assert.equal(store.agents.find("pi-9"), undefined);
  } finally {
    store.close();
  }
});
