/**
 * Joining with wrong, cut, foreign, expired and used tokens, with wrong passwords and with taken names, over real
 * programs. Each gets one clear line, leaves nothing behind, and the cluster goes on.
 */
import assert from "node:assert/strict";
import { connect } from "../../client.ts";
import { limits } from "../../lib/limits.ts";
import { protocolVersion } from "../../lib/protocol/messages.ts";
import { encodeToken, parseToken } from "../../lib/security/token.ts";
import { type Cluster, Program, programCommand, startCluster } from "../support/cluster.ts";
import { deployed, overviewOf, patienceMs } from "../support/deploying.ts";
import { eventually } from "../support/eventually.ts";
import { errorIn, failureOf } from "../support/failures.ts";
import { basic, connectTls, maskedFrame, talk, upgradeText } from "../support/raw_peer.ts";

Deno.test("whoever may not join is told why in one line, and the cluster goes on", async (t) => {
  await using stack = new AsyncDisposableStack();
  const [cluster, other] = await Promise.all([startCluster({ agents: 1 }), startCluster()]);
  stack.defer(async () => void await Promise.all([cluster.close(), other.close()]));
  const sqwish = await cluster.connect();
  await deployed(sqwish, "probe", { "probe.ts": "export const echo = (input: unknown) => input;" });

  const step = (name: string, action: () => Promise<void>) =>
    t.step(name, async () => {
      await action();
      assert.equal(await sqwish.invoke("probe/echo", "alive", { timeoutMs: patienceMs }), "alive");
      const { agents } = await overviewOf(sqwish);
      assert.deepEqual(agents.filter(({ health }) => health === "ready").map(({ name }) => name), [
        "agent-1",
      ]);
    });
  await step("tokens that can't be read", () => unreadableTokens(cluster));
  await step("a token of another cluster", () => foreignToken(cluster, other));
  await step("expired and used tokens", () => spentTokens(cluster));
  await step("a token of somebody who was removed", () => unknownToken(cluster));
  await step("names that are taken or impossible", () => names(cluster));
  await step("a refused join leaves the identity of before", () => refusedRejoin(cluster, other));
  await step("a second agent on a data folder in use", () => sharedFolder(cluster));
  await step("an agent's credentials for a client", () => agentAsClient(cluster));
  await step("a client's credentials for an agent", () => clientAsAgent(cluster));
  // The last one: it locks this address out.
  await step("wrong passwords", () => wrongPasswords(cluster));
});

/** Runs an agent that is refused: resolves with its one line of error. */
async function refusedAgent(cluster: Cluster, token: string, folder: string, extra: string[] = []) {
  const data = `${cluster.folder}/${folder}`;
  const agent = new Program(programCommand("agent"), ["--join", token, "--data", data, ...extra]);
  // One that was let in by mistake would run for ever.
  const timer = setTimeout(() => agent.signal("SIGKILL"), patienceMs);
  const { code } = await agent.finished();
  clearTimeout(timer);
  const lines = agent.output.split("\n").filter((line) => line.startsWith("agent: "));
  assert.equal(lines.length, 1, agent.output);
  return { code, line: lines[0], data };
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function unreadableTokens(cluster: Cluster): Promise<void> {
  const { agentToken, clientToken } = cluster.ready;
  const cases: [string, RegExp][] = [
    [
      "garbage",
      /^agent: A join token must start with "sqwish1_", this text does not; `manager token agent` prints one/,
    ],
    [
      agentToken.slice(0, -9),
      /^agent: This join token's checksum does not fit its \d+ characters: it was cut or mistyped/,
    ],
    [agentToken.replace("sqwish1_", "sqwish2_"), /^agent: This join token has form 2, .*update this program/],
    [
      clientToken,
      /^agent: An agent needs an agent's join token, this one is for clients; `manager token agent` prints one/,
    ],
  ];
  await Promise.all(cases.map(async ([token, says], index) => {
    const { code, line, data } = await refusedAgent(cluster, token, `unreadable-${index}`);
    assert.equal(code, 1);
    assert.match(line, says);
    assert.ok(!await exists(data), "nothing is left behind");
  }));
  const login = await cluster.client(["login", "--join", agentToken]);
  assert.equal(login.code, 1);
  assert.match(
    login.stderr,
    /^client: A client needs a client's join token, this one is for agents; `manager token client` prints one \(invalid_request\)\n$/,
  );
  assert.equal(login.stdout, "");
}

/** The right address with another cluster's fingerprint: the password must not even be sent. */
async function foreignToken(cluster: Cluster, other: Cluster): Promise<void> {
  const foreign = parseToken(other.ready.agentToken);
  const token = encodeToken({ ...foreign, addresses: [`127.0.0.1:${cluster.port}`] });
  const { code, line, data } = await refusedAgent(cluster, token, "foreign");
  assert.equal(code, 1);
  assert.match(line, /fingerprint/);
  assert.match(line, new RegExp(`127\\.0\\.0\\.1:${cluster.port}`));
  assert.match(line, /\(unauthenticated\)$/);
  assert.ok(!await exists(`${data}/identity.json`));
  const error = await failureOf(connect({
    url: cluster.url,
    user: "admin",
    password: cluster.adminPassword,
    fingerprint: other.ready.fingerprint,
    profileFile: false,
  }));
  assert.equal(error.code, "unauthenticated");
  assert.match(error.message, /fingerprint/);
}

async function spentTokens(cluster: Cluster): Promise<void> {
  const sqwish = await cluster.connect();
  const tokenFor = async (wish: Record<string, unknown>) => {
    const { json } = await sqwish.call("POST", "/v1/tokens", { role: "agent", ...wish });
    return (json as { token: string }).token;
  };
  const [expired, once] = [await tokenFor({ lifetimeMs: 1000 }), await tokenFor({ once: true })];
  const command = programCommand("agent");
  const guest = ["--data", `${cluster.folder}/guest`];
  const first = new Program(command, [...guest, "--join", once, "--name", "guest"]);
  try {
    await eventually("the guest has joined", () => first.output.includes("joined cluster"), patienceMs);
    const second = await refusedAgent(cluster, once, "second", ["--name", "second"]);
    assert.equal(second.code, 1);
    assert.match(
      second.line,
      /^agent: The token join-agent-\w+ was for one use and was used at .*; make a new one on the manager/,
    );
    assert.ok(!await exists(`${second.data}/identity.json`));
  } finally {
    await first.end();
  }
  // Its credentials of its own outlive the token.
  const again = new Program(command, guest);
  try {
    await eventually("the guest is back", () => again.output.includes("joined cluster"), patienceMs);
  } finally {
    await again.end();
  }
  await eventually("the guest has left", async () => {
    return (await overviewOf(sqwish)).agents.find(({ name }) => name === "guest")?.health === "lost";
  }, patienceMs);

  await eventually("the token has expired", () => Date.now() > parseToken(expired).expiresAtMs!, patienceMs);
  const late = await refusedAgent(cluster, expired, "late", ["--name", "late"]);
  assert.equal(late.code, 1);
  assert.match(
    late.line,
    /^agent: The token join-agent-\w+ expired at \d{4}-.*; make a new one on the manager \(unauthenticated\)$/,
  );
}

/** A token of the right form that this manager never made, or forgot. */
async function unknownToken(cluster: Cluster): Promise<void> {
  const made = parseToken(cluster.ready.agentToken);
  const token = encodeToken({ ...made, user: "join-agent-00000000" });
  const { code, line } = await refusedAgent(cluster, token, "unknown", ["--name", "unknown"]);
  assert.equal(code, 1);
  assert.match(line, /^agent: The user name or password is wrong \(unauthenticated\)$/);
}

async function names(cluster: Cluster): Promise<void> {
  const { agentToken } = cluster.ready;
  const taken = await refusedAgent(cluster, agentToken, "taken", ["--name", "agent-1"]);
  assert.equal(taken.code, 1);
  assert.match(
    taken.line,
    /^agent: An agent named agent-1 is already connected from 127\.0\.0\.1; choose another name with --name \(conflict\)$/,
  );
  assert.ok(!await exists(`${taken.data}/identity.json`));
  const impossible = await refusedAgent(cluster, agentToken, "impossible", ["--name", "Bad Name"]);
  assert.equal(impossible.code, 2);
  assert.match(
    impossible.line,
    /^agent: --name must be 1 to 63 of a-z, 0-9, "-" and "\.", .* is "Bad Name"$/,
  );
  const nobody = new Program(programCommand("agent"), ["--data", `${cluster.folder}/nobody`]);
  assert.equal((await nobody.finished()).code, 2);
  assert.match(
    nobody.output,
    /^agent: nothing is known of a cluster in \S+nobody; join one with --join TOKEN/,
  );

  // A second start of the same agent is the same agent: the newer one takes its place.
  const first = cluster.agents.get("agent-1")!;
  // As after a machine was copied, or its disk moved to another one while the old one still runs.
  const copy = `${cluster.folder}/agent-1-copy`;
  await Deno.mkdir(copy);
  await Deno.copyFile(`${cluster.folder}/agent-1/identity.json`, `${copy}/identity.json`);
  const second = new Program(programCommand("agent"), ["--data", copy]);
  cluster.agents.set("agent-1", second);
  await eventually("the newer one is in", () => second.output.includes("joined cluster"), patienceMs);
  await first.end();
  await eventually("agent-1 is well", async () => {
    const { agents, replicaSets } = await cluster.overview();
    return agents.some(({ name, health }) => name === "agent-1" && health === "ready") &&
      replicaSets[0].ready === 1;
  }, patienceMs);
}

/** A good identity survives an attempt to join somewhere else. */
async function refusedRejoin(cluster: Cluster, other: Cluster): Promise<void> {
  const file = `${cluster.folder}/agent-1/identity.json`;
  const before = await Deno.readTextFile(file);
  const made = parseToken(other.ready.agentToken);
  const token = encodeToken({ ...made, user: "join-agent-00000000" });
  const { code } = await refusedAgent(cluster, token, "agent-1");
  assert.equal(code, 1);
  assert.deepEqual(JSON.parse(await Deno.readTextFile(file)), JSON.parse(before));
}

/** And the first goes on, under the labels that it was given once. */
async function sharedFolder(cluster: Cluster): Promise<void> {
  const labelled = async () => {
    const { agents } = await cluster.overview();
    const one = agents.find(({ name }) => name === "twin");
    return one?.health === "ready" && one.labels.zone === "attic";
  };
  const first = cluster.startAgent("twin", ["--label", "zone=attic"]);
  await eventually("it has joined", labelled, patienceMs);
  const { code, line } = await refusedAgent(cluster, cluster.ready.agentToken, "twin");
  assert.equal(code, 1);
  assert.match(
    line,
    /^agent: The data folder \S+ belongs to one agent at a time, and another one is running/,
  );
  assert.equal(first.status, null);
  await first.end();
  const again = cluster.startAgent("twin");
  await eventually("it is back, by itself", labelled, patienceMs);
  await again.end();
}

/** An agent's credentials open nothing but the join of an agent. */
async function agentAsClient(cluster: Cluster): Promise<void> {
  const { user, password } = parseToken(cluster.ready.agentToken);
  const error = await failureOf(connect({
    url: cluster.url,
    user,
    password,
    fingerprint: cluster.ready.fingerprint,
    profileFile: false,
  }));
  assert.equal(error.code, "forbidden");
  assert.match(
    error.message,
    /has the role agent, which may not join client; admin or operator or client or viewer may$/,
  );
}

/** A client's token is no agent's, whatever program speaks. */
async function clientAsAgent(cluster: Cluster): Promise<void> {
  const { user, password } = parseToken(cluster.ready.clientToken);
  const hello = {
    type: "hello",
    role: "agent",
    protocol: protocolVersion,
    version: "1.0.0",
    name: "impostor",
    identity: "0123456789abcdef",
    labels: {},
    cores: 1,
    memoryBytes: 1,
    enroll: true,
    replicas: [],
  };
  const upgrade = upgradeText(cluster, { Authorization: basic(user, password) });
  const said = await talk(await connectTls(cluster), upgrade, maskedFrame(0x1, JSON.stringify(hello)));
  assert.match(said, /"code":"forbidden"/);
  assert.match(said, /has the role operator, which may not join agent; admin or agent may/);
}

async function wrongPasswords(cluster: Cluster): Promise<void> {
  const login = await cluster.client(["login", "--manager", cluster.url, "--user", "admin"], {
    SQWISH_PASSWORD: "wrong 1",
    SQWISH_PROFILE: `${cluster.folder}/other.json`,
  });
  assert.equal(login.code, 1);
  assert.match(login.stderr, /^client: The user name or password is wrong \(unauthenticated\)\n$/);
  assert.ok(!await exists(`${cluster.folder}/other.json`));
  // Failures of the steps before count too: at most five in a minute are answered as such.
  let locked = await cluster.http("/v1/agents", { password: "wrong 0" });
  for (let tries = 1; errorIn(locked).message === "The user name or password is wrong"; tries++) {
    assert.equal(locked.status, 401);
    assert.ok(tries < limits.loginFailuresMax, "no lock");
    locked = await cluster.http("/v1/agents", { password: `wrong ${tries}` });
  }
  assert.equal(locked.status, 401);
  assert.match(
    errorIn(locked).message,
    /^Signing in is locked after too many failures from this address; try again in \d+ s$/,
  );
  assert.ok(Number(locked.headers.get("retry-after")) > 30);
  // Even with the right password, or the lock would say which one is right.
  assert.equal((await cluster.http("/v1/agents")).status, 401);
}
