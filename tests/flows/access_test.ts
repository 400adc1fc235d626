/**
 * Who may do what over HTTP: every role against every operation, the credentials of agents and of join tokens, and
 * the dashboard's session with its cookie, its origin check and its bearer token.
 */
import assert from "node:assert/strict";
import { parseToken } from "../../lib/security/token.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { errorIn } from "../support/failures.ts";

Deno.test("every role may do what the table says and nothing else", async (t) => {
  const cluster = await startCluster({ agents: 1 });
  try {
    await t.step("roles", () => rolesTable(cluster));
    await t.step("sessions: cookie, origin and bearer", () => sessions(cluster));
    assert.equal((await cluster.overview()).cluster.health, "ok");
  } finally {
    await cluster.close();
  }
});

type Init = RequestInit & { user?: string | null; password?: string };

async function post(cluster: Cluster, path: string, body: BodyInit | null, init: Init = {}) {
  return await cluster.http(path, { method: "POST", body, ...init });
}

/** Who may do what; requests that are allowed then fail for another reason, so that nothing changes. */
async function rolesTable(cluster: Cluster): Promise<void> {
  const operations: [string, string, string][] = [
    // Roles that may: a(dmin), o(perator), c(lient), v(iewer).
    ["GET", "/v1/overview", "aocv"],
    ["GET", "/metrics", "aocv"],
    ["GET", "/openapi.json", "aocv"],
    ["POST", "/v1/invoke/probe/nothing", "aoc"],
    ["POST", "/v1/replicasets", "ao"],
    ["PUT", "/v1/replicasets/nothing/replicas", "ao"],
    ["POST", "/v1/replicasets/nothing/rollback", "ao"],
    ["DELETE", "/v1/replicasets/nothing", "ao"],
    ["PUT", "/v1/agents/nothing/cordon", "ao"],
    ["GET", "/v1/logs/nothing", "ao"],
    ["GET", "/v1/users", "a"],
    ["POST", "/v1/users", "a"],
    ["PUT", "/v1/users/nobody/password", "a"],
    ["DELETE", "/v1/users/nobody", "a"],
    ["POST", "/v1/tokens", "a"],
  ];
  const users: [string, string, string][] = [["a", "admin", cluster.adminPassword]];
  for (const role of ["operator", "client", "viewer"]) {
    const password = `${role}'s password`;
    const user = { name: `some-${role}`, role, endpoints: ["probe/*"], password };
    assert.equal((await post(cluster, "/v1/users", JSON.stringify(user))).status, 200);
    users.push([role[0], user.name, password]);
  }
  const agent = parseToken(cluster.ready.agentToken);
  users.push(["-", agent.user, agent.password]);
  const { token } = JSON.parse((await post(cluster, "/v1/tokens", '{"role": "client", "once": true}')).text);
  const once = parseToken(token);
  users.push(["-", once.user, once.password]);
  for (const [method, path, may] of operations) {
    for (const [letter, user, password] of users) {
      const body = method === "GET" || method === "DELETE" ? null : "{}";
      const answer = await cluster.http(path, { method, body, user, password });
      const what = `${method} ${path} by ${user}: ${answer.status} ${answer.text.slice(0, 200)}`;
      assert.notEqual(answer.status, 401, what);
      assert.equal(answer.status !== 403, may.includes(letter), what);
      if (answer.status === 403) assert.match(errorIn(answer).message, /^User \S+ .*may not /);
    }
  }
  // A client's patterns.
  const [, client, password] = users.find(([letter]) => letter === "c")!;
  const other = await post(cluster, "/v1/invoke/other/echo", "1", { user: client, password });
  assert.equal(other.status, 403);
  for (const { user, password } of [agent, once]) {
    const session = await post(cluster, "/v1/session", JSON.stringify({ user, password }), {
      user: null,
    });
    assert.equal(session.status, 403);
    assert.match(errorIn(session).message, /can't sign in here$/);
  }
}

async function sessions(cluster: Cluster): Promise<void> {
  const credentials = JSON.stringify({ user: "admin", password: cluster.adminPassword });
  const signedIn = await post(cluster, "/v1/session", credentials, { user: null });
  assert.equal(signedIn.status, 200);
  const setCookie = signedIn.headers.get("set-cookie") ?? "";
  for (const attribute of ["HttpOnly", "Secure", "SameSite=Strict", "Path=/"]) {
    assert.ok(setCookie.includes(attribute), setCookie);
  }
  const cookie = setCookie.split(";")[0];
  const with_ = (headers: Record<string, string>, method = "GET", path = "/v1/session") =>
    cluster.http(path, {
      user: null,
      method,
      headers,
      body: method === "PUT" ? '{"cordoned": false}' : null,
    });
  const cordon = "/v1/agents/agent-1/cordon";
  assert.equal(JSON.parse((await with_({ cookie })).text).user.role, "admin");
  const origins: [Record<string, string>, number][] = [
    [{}, 403],
    [{ origin: "https://evil.example" }, 403],
    [{ origin: "null" }, 403],
    [{ origin: cluster.url }, 200],
  ];
  for (const [headers, status] of origins) {
    const answer = await with_({ cookie, ...headers }, "PUT", cordon);
    assert.equal(answer.status, status, `${JSON.stringify(headers)}: ${answer.text}`);
    if (status === 403) {
      assert.match(errorIn(answer).message, /^A change from a page must come from this manager's own page/);
    }
  }
  const { token } = JSON.parse(signedIn.text);
  assert.equal((await with_({ authorization: `Bearer ${token}` }, "PUT", cordon)).status, 200);
  for (const authorization of [`Bearer ${token.slice(0, -2)}xx`, "Bearer", "Digest x", "Basic !!"]) {
    assert.equal((await with_({ authorization })).status, 401, authorization);
  }
  const out = await with_({ cookie }, "DELETE");
  assert.equal(out.status, 200);
  assert.match(out.headers.get("set-cookie") ?? "", /^sqwish_session=;.*Max-Age=0/);
}
