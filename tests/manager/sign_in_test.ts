/** Who may do what over HTTP, and how they say who they are. */
import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { Accounts } from "../../lib/manager/accounts.ts";
import { parseBasic } from "../../lib/manager/api/sign_in.ts";
import { createSignIn } from "../../lib/manager/sign_in.ts";
import { createSystemRandom } from "../../lib/random.ts";
import { roles } from "../../lib/security/access.ts";
import { parseToken } from "../../lib/security/token.ts";
import { openStore } from "../../lib/store/store.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { rejectsWith } from "../security/rejects_with.ts";
import { basic, type HttpOptions, type ManagerRig, openRig } from "./rig.ts";

const password = "correct horse battery";

async function rigWithUsers(): Promise<ManagerRig> {
  const rig = await openRig();
  // One hash for all: making one takes a while, and here it is only compared.
  await rig.accounts.add({ name: "admin", role: "admin", endpoints: [], password });
  const { passwordHash } = rig.store.users.find("admin")!;
  for (const role of roles) {
    if (role !== "admin") rig.store.users.add({ name: role, role, endpoints: ["images/*"], passwordHash }, 0);
  }
  return rig;
}

async function codeOf(response: Response): Promise<string> {
  const { error } = await response.json();
  return error.code;
}

async function signIn(rig: ManagerRig, user: string): Promise<{ cookie: string; token: string }> {
  const response = await rig.http("POST", "/v1/session", { body: { user, password } });
  assert.equal(response.status, 200);
  const setCookie = response.headers.getSetCookie()[0];
  assert.match(setCookie, /HttpOnly; Secure; SameSite=Strict/);
  return { cookie: setCookie.split(";")[0], token: (await response.json()).token };
}

Deno.test("each way to say who one is works, and others are refused", async (t) => {
  const rig = await rigWithUsers();
  const { cookie, token } = await signIn(rig, "viewer");
  const accepted: [string, HttpOptions][] = [
    ["Basic", { user: "viewer", password }],
    ["Bearer", { headers: { authorization: `Bearer ${token}` } }],
    ["a cookie", { headers: { cookie } }],
  ];
  for (const [name, options] of accepted) {
    await t.step(name, async () => {
      const response = await rig.http("GET", "/v1/session", options);
      assert.equal(response.status, 200);
      assert.equal((await response.json()).user.name, "viewer");
    });
  }
  const refused: [string, HttpOptions][] = [
    ["nothing", {}],
    ["a wrong password", { user: "viewer", password: "guess" }],
    ["another scheme", { headers: { authorization: "Digest abc" } }],
    ["Basic that is no base64", { headers: { authorization: "Basic ***" } }],
    ["Basic without a colon", { headers: { authorization: `Basic ${btoa("viewer")}` } }],
    ["a session that was changed", { headers: { authorization: `Bearer ${token}x` } }],
    ["a cookie that was changed", { headers: { cookie: `${cookie}x` } }],
  ];
  for (const [name, options] of refused) {
    await t.step(name, async () => {
      const response = await rig.http("GET", "/v1/agents", options);
      assert.equal(response.status, 401);
      assert.match(response.headers.get("www-authenticate")!, /^Basic/);
      assert.equal(await codeOf(response), "unauthenticated");
    });
  }
  rig.close();
});

Deno.test("a page of another site can change nothing, whatever the browser adds to its requests", async (t) => {
  const rig = await rigWithUsers();
  const { cookie } = await signIn(rig, "admin");
  const authorization = basic("admin", password);
  const attempt = (headers: Record<string, string>) =>
    rig.http("POST", "/v1/tokens", { headers, body: { role: "client" } });
  const foreign: [string, Record<string, string>][] = [
    ["a cookie and no origin", { cookie }],
    ["a cookie from another site", { cookie, origin: "https://evil.example" }],
    ["a cookie from a page without an origin", { cookie, origin: "null" }],
    ["a cookie from the same name on another port", { cookie, origin: "https://manager.test:8443" }],
    ["a remembered password from another site", { authorization, origin: "https://evil.example" }],
    ["a remembered password from a page without an origin", { authorization, origin: "null" }],
  ];
  for (const [name, headers] of foreign) {
    await t.step(name, async () => {
      const response = await attempt({ host: "manager.test", ...headers });
      assert.equal(response.status, 403);
      assert.equal(await codeOf(response), "forbidden");
    });
  }
  await t.step("signing in as somebody of the other site's choice", async () => {
    const headers = { host: "manager.test", origin: "https://evil.example" };
    const response = await rig.http("POST", "/v1/session", { headers, body: { user: "viewer", password } });
    assert.equal(response.status, 403);
    assert.deepEqual(response.headers.getSetCookie(), []);
  });
  await t.step("its own page and programs may", async () => {
    const own = { host: "manager.test", origin: "https://manager.test" };
    assert.equal((await attempt({ cookie, ...own })).status, 200);
    assert.equal((await attempt({ authorization })).status, 200);
  });
  assert.equal(rig.store.users.list("token").length, 2);
  rig.close();
});

Deno.test("every route is open to the roles of the table and to no other", async () => {
  const rig = await rigWithUsers();
  const everyone = ["admin", "operator", "client", "viewer"];
  const operators = ["admin", "operator"];
  const routes: [string, string, string[]][] = [
    ["GET", "/v1/overview", everyone],
    ["GET", "/v1/agents", everyone],
    ["GET", "/v1/agents/none", everyone],
    ["GET", "/v1/replicasets", everyone],
    ["GET", "/v1/replicasets/none", everyone],
    ["GET", "/v1/endpoints", everyone],
    ["GET", "/v1/endpoints/none/none", everyone],
    ["GET", "/v1/revisions", everyone],
    ["GET", "/v1/events", everyone],
    ["GET", "/v1/rollouts", everyone],
    ["GET", "/v1/metrics", everyone],
    ["GET", "/metrics", everyone],
    ["GET", "/openapi.json", everyone],
    ["GET", "/v1/logs/none", operators],
    ["GET", "/v1/users", ["admin"]],
    ["POST", "/v1/invoke/none/none", ["admin", "operator", "client"]],
    ["POST", "/v1/replicasets", operators],
    ["PUT", "/v1/replicasets/none/replicas", operators],
    ["POST", "/v1/replicasets/none/rollback", operators],
    ["DELETE", "/v1/replicasets/none", operators],
    ["PUT", "/v1/agents/none/cordon", operators],
    ["DELETE", "/v1/agents/none", operators],
    ["POST", "/v1/users", ["admin"]],
    ["PUT", "/v1/users/none/password", ["admin"]],
    ["DELETE", "/v1/users/none", ["admin"]],
    ["POST", "/v1/tokens", ["admin"]],
  ];
  const findings: string[] = [];
  for (const [method, path, allowed] of routes) {
    for (const role of roles) {
      // A client that passes the guard is stopped by its patterns: the endpoint is none of them.
      const response = await rig.http(method, path, { user: role, password });
      const isRefused = response.status === 403 && !(role === "client" && path.startsWith("/v1/invoke"));
      if (isRefused === allowed.includes(role)) {
        findings.push(`${role}: ${method} ${path} → ${response.status}`);
      }
      await response.body?.cancel();
    }
  }
  assert.deepEqual(findings, []);
  rig.close();
});

Deno.test("an agent's credentials and tokens for one use open no session", async () => {
  const rig = await rigWithUsers();
  const response = await rig.http("POST", "/v1/session", { body: { user: "agent", password } });
  assert.equal(response.status, 403);
  assert.match((await response.json()).error.message, /can't sign in here/);
  rig.close();
});

Deno.test("a session ends with its user, with the password, and with the token that opened it", async () => {
  const rig = await rigWithUsers();
  const status = async (token: string) => {
    const response = await rig.http("GET", "/v1/session", { headers: { authorization: `Bearer ${token}` } });
    await response.body?.cancel();
    return response.status;
  };
  const operator = await signIn(rig, "operator");
  await rig.accounts.setPassword("operator", "another password");
  assert.equal(await status(operator.token), 401);

  const viewer = await signIn(rig, "viewer");
  rig.accounts.remove("viewer");
  assert.equal(await status(viewer.token), 401);

  const { fingerprint } = rig.identity;
  const wish = { role: "client" as const, once: false, lifetimeMs: 60_000 };
  const token = parseToken(await rig.accounts.createToken({ ...wish, addresses: ["a:1"], fingerprint }));
  const opened = await rig.http("POST", "/v1/session", {
    body: { user: token.user, password: token.password },
  });
  const session = (await opened.json()).token;
  assert.equal(await status(session), 200);
  rig.clock.advance(60_000);
  assert.equal(await status(session), 401);
  rig.close();
});

Deno.test("a lock after failures is told once, however often the address tries on", async () => {
  const rig = await rigWithUsers();
  for (let failures = 0; failures < limits.loginFailuresMax; failures++) {
    await rejectsWith(
      () => rig.signIn.authenticate({ user: "admin", password: `guess ${failures}`, address: "10.9.9.9" }),
      "unauthenticated",
      "wrong",
    );
  }
  for (let tries = 0; tries < 20; tries++) {
    const response = await rig.http("GET", "/v1/agents", { user: "admin", password, address: "10.9.9.9" });
    assert.equal(response.status, 401);
    assert.equal(response.headers.get("retry-after"), "60");
    await response.body?.cancel();
  }
  assert.equal(rig.store.events.list({ kinds: ["sign_in_locked"] }).length, 1);
  const other = await rig.http("GET", "/v1/session", { user: "admin", password, address: "10.9.9.8" });
  assert.equal(other.status, 200);
  await other.body?.cancel();
  rig.close();
});

Deno.test("what a connection keeps of a sign-in ends with the user, the password, the role, the session and a lock", async () => {
  const rig = await rigWithUsers();
  const address = "10.9.9.7";
  const stand = async (authorization: string) => (await rig.signIn.signIn(authorization, address)).standing;
  const [operator, viewer, client] = await Promise.all(
    ["operator", "viewer", "client"].map((name) => stand(basic(name, password))),
  );
  const bearer = await stand(`Bearer ${(await signIn(rig, "client")).token}`);
  const once = parseToken(
    await rig.accounts.createToken({
      ...{ role: "client" as const, once: true, addresses: ["a:1"], fingerprint: rig.identity.fingerprint },
    }),
  );
  const tokenForOnce = await rig.signIn.signIn(basic(once.user, once.password), address);
  assert.deepEqual(client.principal(), { name: "client", role: "client", endpoints: ["images/*"] });
  assert.deepEqual(bearer.principal(), client.principal());
  assert.equal(tokenForOnce.principal.once, true);
  assert.equal(tokenForOnce.standing.principal(), null);

  await rig.accounts.setPassword("operator", "another password");
  assert.equal(operator.principal(), null);
  rig.accounts.remove("viewer");
  assert.equal(viewer.principal(), null);

  for (let failures = 0; failures < limits.loginFailuresMax; failures++) {
    await rejectsWith(
      () => rig.signIn.signIn(basic("admin", `guess ${failures}`), address),
      "unauthenticated",
      "",
    );
  }
  assert.equal(client.principal(), null, "the address is locked");
  assert.equal(bearer.principal()?.name, "client", "which a session does not care about");
  rig.clock.advance(limits.loginLockMs);
  assert.equal(client.principal()?.name, "client");

  rig.clock.advance(limits.sessionMs);
  assert.equal(bearer.principal(), null);
  assert.equal(client.principal()?.name, "client");
  rig.close();
});

Deno.test("what a command beside the manager changes of a user counts from the next millisecond on", async () => {
  const folder = await Deno.makeTempDir();
  const [own, beside] = [openStore({ folder }), openStore({ folder, shared: true })];
  const [clock, random] = [new ManualClock(), createSystemRandom()];
  const sessionKey = random.secret(32);
  const signIn = createSignIn({ users: own.users, clock, random, sessionKey, record: () => {} });
  const accounts = new Accounts({ users: beside.users, clock, random });
  await accounts.add({ name: "ada", role: "operator", endpoints: [], password });
  const { standing } = await signIn.signIn(basic("ada", password), "10.9.9.6");
  assert.equal(standing.principal()?.role, "operator");
  await accounts.setPassword("ada", "another password");
  clock.advance(1);
  assert.equal(standing.principal(), null);
  own.close();
  beside.close();
  await Deno.remove(folder, { recursive: true });
});

Deno.test("`parseBasic()` splits at the first colon and reads UTF-8", () => {
  const value = basic("zoë", "pa:ss:wörd").split(" ")[1];
  assert.deepEqual(parseBasic(value), { user: "zoë", password: "pa:ss:wörd" });
});
