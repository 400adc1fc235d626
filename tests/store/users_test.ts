import assert from "node:assert/strict";
import { openStore } from "../../lib/store/store.ts";
import type { UserStore } from "../../lib/store/users.ts";

const nowMs = 1_800_000_000_000;
const dayMs = 24 * 3600_000;

function withUsers(work: (users: UserStore) => void): void {
  const store = openStore({ folder: null });
  try {
    work(store.users);
  } finally {
    store.close();
  }
}

Deno.test("`add()` stores a user that `find()` returns whole", () => {
  withUsers((users) => {
    const added = users.add({
      name: "mia",
      role: "client",
      endpoints: ["images/*"],
      passwordHash: "hash",
      kind: "token",
      once: true,
      expiresAtMs: nowMs + dayMs,
    }, nowMs);
    assert.deepEqual(added, {
      name: "mia",
      role: "client",
      endpoints: ["images/*"],
      passwordHash: "hash",
      kind: "token",
      once: true,
      createdAtMs: nowMs,
      expiresAtMs: nowMs + dayMs,
    });
    assert.deepEqual(users.find("mia"), added);
    assert.equal(users.find("tom"), undefined);
  });
});

Deno.test("`add()` refuses a name that is taken and leaves the first user alone", () => {
  withUsers((users) => {
    const first = users.add({ name: "mia", role: "viewer", passwordHash: "one" }, nowMs);
    assert.throws(() => users.add({ name: "mia", role: "admin", passwordHash: "two" }, nowMs), {
      code: "conflict",
      message: /mia exists already/,
    });
    assert.deepEqual(users.list(), [first]);
  });
});

Deno.test("`list()` filters by kind and orders by name", () => {
  withUsers((users) => {
    for (const name of ["zoe", "adam"]) users.add({ name, role: "viewer", passwordHash: "x" }, nowMs);
    users.add({ name: "token-1", role: "agent", passwordHash: "x", kind: "token" }, nowMs);
    assert.deepEqual(users.list("user").map((user) => user.name), ["adam", "zoe"]);
    assert.deepEqual(users.list().map((user) => user.name), ["adam", "token-1", "zoe"]);
  });
});

Deno.test("`remove()` keeps the last admin", () => {
  withUsers((users) => {
    users.add({ name: "admin", role: "admin", passwordHash: "x" }, nowMs);
    users.add({ name: "mia", role: "admin", passwordHash: "x" }, nowMs);
    assert.equal(users.remove("admin"), true);
    assert.throws(() => users.remove("mia"), { code: "conflict", message: /mia is the last one/ });
    assert.equal(users.remove("nobody"), false);
    assert.deepEqual(users.list().map((user) => user.name), ["mia"]);
  });
});

Deno.test("`setPassword()` changes the hash and refuses unknown names", () => {
  withUsers((users) => {
    users.add({ name: "mia", role: "viewer", passwordHash: "old" }, nowMs);
    users.setPassword("mia", "new");
    assert.equal(users.find("mia")?.passwordHash, "new");
    assert.throws(() => users.setPassword("tom", "new"), { code: "not_found" });
  });
});

Deno.test("`markUsed()` is true for the first use only", () => {
  withUsers((users) => {
    users.add({ name: "token-1", role: "agent", passwordHash: "x", kind: "token", once: true }, nowMs);
    assert.equal(users.markUsed("token-1", nowMs + 1), true);
    assert.equal(users.markUsed("token-1", nowMs + 2), false);
    assert.equal(users.find("token-1")?.usedAtMs, nowMs + 1);
  });
});

Deno.test("`removeDeadTokens()` removes tokens that died 30 days ago, and nothing else", () => {
  withUsers((users) => {
    const token = { role: "agent", passwordHash: "x", kind: "token" } as const;
    users.add({ ...token, name: "expired-long-ago", expiresAtMs: nowMs - 31 * dayMs }, nowMs);
    users.add({ ...token, name: "expired-lately", expiresAtMs: nowMs - dayMs }, nowMs);
    users.add({ ...token, name: "used-up", once: true }, nowMs);
    users.add({ ...token, name: "used-often" }, nowMs);
    users.add({ ...token, name: "never-used", once: true }, nowMs);
    users.add({ name: "person", role: "viewer", passwordHash: "x", expiresAtMs: nowMs - 31 * dayMs }, nowMs);
    users.markUsed("used-up", nowMs - 31 * dayMs);
    users.markUsed("used-often", nowMs - 31 * dayMs);
    assert.equal(users.removeDeadTokens(nowMs), 2);
    const left = users.list().map((user) => user.name);
    assert.deepEqual(left, ["expired-lately", "never-used", "person", "used-often"]);
  });
});
