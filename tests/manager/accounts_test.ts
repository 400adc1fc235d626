import assert from "node:assert/strict";
import { rejectsWith } from "../security/rejects_with.ts";
import { parseToken } from "../../lib/security/token.ts";
import { type ManagerRig, openRig } from "./rig.ts";

async function withRig(work: (rig: ManagerRig) => Promise<void>): Promise<void> {
  const rig = await openRig();
  try {
    await work(rig);
  } finally {
    rig.close();
  }
}

Deno.test("a person's generated password works and is in no log", () =>
  withRig(async ({ accounts, signIn, logged }) => {
    const { user, password } = await accounts.add({ name: "ada", role: "client", endpoints: [] });
    assert.deepEqual(user.endpoints, ["*"], "a client without patterns may invoke everything");
    const principal = await signIn.authenticate({ user: "ada", password, address: "10.0.0.1" });
    assert.equal(principal.role, "client");
    assert.ok(logged.every((line) => !line.includes(password)));
  }));

Deno.test("names that Basic authentication or an address can't carry are refused", () =>
  withRig(async ({ accounts }) => {
    for (const name of ["", "a:b", "a b", "-a", "ä", "a/b", "a\nb", "a".repeat(64)]) {
      const user = { name, role: "viewer" as const, endpoints: [], password: "long enough" };
      await rejectsWith(() => accounts.add(user), "invalid_request", "A user's name must be");
    }
  }));

Deno.test("a name is given once, a pattern must be one, and the last admin stays", () =>
  withRig(async ({ accounts }) => {
    const ada = { name: "ada", role: "admin" as const, endpoints: [], password: "long enough" };
    await accounts.add(ada);
    await rejectsWith(() => accounts.add(ada), "conflict", "ada exists already");
    await rejectsWith(
      () => accounts.add({ ...ada, name: "bob", endpoints: ["im*"] }),
      "invalid_request",
      "pattern",
    );
    await rejectsWith(() => accounts.remove("ada"), "conflict", "last one");
    await rejectsWith(() => accounts.remove("bob"), "not_found", "no user named bob");
    await rejectsWith(() => accounts.setPassword("bob", undefined), "not_found", "no user named bob");
  }));

Deno.test("a token says where to go and signs in; its user is not listed", () =>
  withRig(async ({ accounts, signIn, identity }) => {
    const { fingerprint } = identity;
    const text = await accounts.createToken({
      role: "client",
      access: "operator",
      once: false,
      addresses: ["attic.local:7443"],
      fingerprint,
    });
    const token = parseToken(text);
    assert.deepEqual([token.addresses, token.fingerprint, token.role], [
      ["attic.local:7443"],
      fingerprint,
      "client",
    ]);
    const principal = await signIn.authenticate({ ...token, address: "10.0.0.1" });
    assert.equal(principal.role, "operator");
    assert.deepEqual(accounts.list(), []);
  }));

Deno.test("an agent's token is an agent's, whatever access is asked for", () =>
  withRig(async ({ accounts, store, identity }) => {
    const { fingerprint } = identity;
    await accounts.createToken({
      role: "agent",
      access: "admin",
      once: false,
      addresses: ["a:1"],
      fingerprint,
    });
    assert.deepEqual(store.users.list("token").map(({ role, endpoints }) => [role, endpoints]), [[
      "agent",
      [],
    ]]);
  }));

Deno.test("an exchange that is called off has added nobody", () =>
  withRig(async ({ accounts, store, identity }) => {
    const { fingerprint } = identity;
    await accounts.createToken({ role: "agent", once: true, addresses: ["a:1"], fingerprint });
    const [{ name }] = store.users.list("token");
    const by = { name, role: "agent" as const, endpoints: [], once: true };
    const calledOff = () =>
      accounts.enroll(by, "pi-1", () => {
        throw new Error("gone");
      });
    await assert.rejects(calledOff, /gone/);
    assert.deepEqual(store.users.list("machine"), []);
  }));

Deno.test("over the API a token's lifetime is one that ends in a date, and making it leaves an event", () =>
  withRig(async ({ accounts, http, store }) => {
    const password = "long enough";
    await accounts.add({ name: "root", role: "admin", endpoints: [], password });
    const create = (body: unknown) => http("POST", "/v1/tokens", { user: "root", password, body });
    assert.equal((await create({ role: "agent", lifetimeMs: 1e300 })).status, 400);
    const created = await create({ role: "agent", lifetimeMs: 60_000, once: true });
    assert.equal(created.status, 200);
    assert.equal(parseToken((await created.json()).token).role, "agent");
    assert.equal(store.events.list({ kinds: ["token_created"] }).length, 1);
  }));
