import assert from "node:assert/strict";
import { SqwishError } from "../../lib/errors.ts";
import type {
  AgentView,
  ClusterView,
  EndpointView,
  EventView,
  PastRolloutView,
  ReplicaSetView,
  RevisionView,
} from "../../lib/protocol/views.ts";
import { eventually } from "../support/eventually.ts";
import { runClient } from "./command_line.ts";

const agent: AgentView = {
  name: "attic-pi",
  health: "ready",
  cordoned: true,
  draining: false,
  address: "10.0.0.2:4711",
  version: "0.1.0",
  labels: { arch: "aarch64" },
  cores: 4,
  slots: 4,
  outstanding: 1,
  host: {
    cpu: 0.37,
    load1: 1.5,
    memoryUsedBytes: 2 ** 30,
    memoryTotalBytes: 4 * 2 ** 30,
    temperatureC: 61.4,
  },
  agentCpuCores: 0.02,
  agentMemoryBytes: 50 * 2 ** 20,
  replicas: [{
    replicaSet: "images",
    revision: 2,
    version: "1.2.0",
    agent: "attic-pi",
    state: "ready",
    slots: 4,
    outstanding: 1,
    runners: 1,
    cpuCores: 0.5,
    memoryBytes: 30 * 2 ** 20,
    restarts: 0,
  }],
  joinedAtMs: 0,
  connectedAtMs: 1000,
  lastSeenAtMs: 1000,
};
const set: ReplicaSetView = {
  name: "images",
  version: "1.2.0",
  revision: 2,
  owner: "api",
  replicas: 2,
  ready: 1,
  wanted: 2,
  queued: 3,
  outstanding: 1,
  endpoints: ["images/resize"],
  placements: agent.replicas,
  pendingReason: "one agent only",
};
const endpoint: EndpointView = {
  name: "resize",
  endpoint: "images/resize",
  replicaSet: "images",
  revision: 2,
  description: "Makes it smaller",
  stream: false,
  readyReplicas: 1,
  queued: 0,
  outstanding: 1,
  requestsPerSecond: 2.5,
  errorsPerSecond: 0,
  p50Ms: 12,
  totalRequests: 100,
  totalErrors: 1,
  totalsSinceMs: 0,
};
const revision: RevisionView = {
  replicaSet: "images",
  revision: 2,
  version: "1.2.0",
  current: true,
  failure: "no camera",
  createdAtMs: 0,
  createdBy: "ada",
  replicas: 2,
  placement: {},
  permissions: {},
  memoryMb: 256,
  timeoutMs: 30_000,
  modules: [],
};
const events: EventView[] = [2, 1].map((id) => ({
  id,
  atMs: id * 1000,
  level: "info",
  kind: "agent_joined",
  subject: "attic-pi",
  message: `event ${id}`,
}));
const rollouts: PastRolloutView[] = [
  {
    ...{ replicaSet: "images", fromRevision: 2, toRevision: 3, version: "1.3.0", state: "failed" },
    ...{ startedAtMs: 60_000, endedAtMs: 72_500, cause: "ada deployed images 1.3.0 as revision 3" },
    reason: "images/resize failed 30 of 30 requests",
    judged: [{
      endpoint: "images/resize",
      before: { requests: 400, errors: 2, p95Ms: 12.4 },
      after: { requests: 30, errors: 30 },
    }],
  },
  {
    ...{ replicaSet: "images", fromRevision: 1, toRevision: 2, version: "1.2.0", state: "paused", step: 0 },
    ...{ startedAtMs: 30_000 },
  },
  { replicaSet: "images", fromRevision: 0, toRevision: 1, version: "", state: "replaced", startedAtMs: 0 },
];
const answers = {
  "GET /v1/agents": { agents: [agent] },
  "GET /v1/agents/attic-pi": agent,
  "GET /v1/replicasets": { replicaSets: [set] },
  "GET /v1/replicasets/images": set,
  "GET /v1/endpoints": { endpoints: [endpoint] },
  "GET /v1/endpoints/images/resize": endpoint,
  "GET /v1/revisions": { revisions: [revision] },
  "GET /v1/revisions?replicaSet=images": { revisions: [revision] },
  "GET /v1/rollouts": { rollouts },
  "GET /v1/rollouts?replicaSet=images": { rollouts },
  "GET /v1/rollouts?replicaSet=texts": { rollouts: [] },
  "GET /v1/events": { events },
  "GET /v1/events?limit=50": { events },
  "GET /v1/events?subject=attic-pi&limit=10": { events },
  "GET /v1/events?subject=images&limit=10": { events: [] },
  "GET /v1/users": { users: [{ name: "ada", role: "admin", endpoints: [], createdAtMs: 0 }] },
};

Deno.test("`get` prints a table of every kind", async () => {
  const expected: Record<string, RegExp> = {
    agents:
      /^NAME +HEALTH .*\nattic-pi +ready,cordoned +37 % +1\.0 GiB of 4\.0 GiB +61 °C +1\/4 +1 +0\.1\.0 +arch=aarch64\n$/,
    replicasets: /^NAME .*\nimages +1\.2\.0 +2 +1\/2 +3 +1 +api +- +resize\n$/,
    endpoints: /^ENDPOINT .*\nimages\/resize +1 +2\.5 +0 +12 ms +- +- +100 +Makes it smaller\n$/,
    revisions: /^REPLICASET .*\nimages +2 +1\.2\.0 +yes +failed +1970-01-01 00:00:00 +ada +2\n$/,
    rollouts:
      /^REPLICASET .*\nimages +2 → 3 +1\.3\.0 +failed +1970-01-01 00:01:00 +12\.5 s +images\/resize failed 30 of 30 requests\nimages +1 → 2 +1\.2\.0 +paused +1970-01-01 00:00:30 +- +-\nimages +1 +- +replaced +1970-01-01 00:00:00 +- +-\n$/,
    events: /^TIME .*\n.* info +agent_joined +attic-pi +event 2\n/,
    users: /^NAME .*\nada +admin +- +1970/,
  };
  for (const [kind, pattern] of Object.entries(expected)) {
    const { code, out, error } = await runClient(["get", kind], { answers });
    assert.deepEqual([code, error], [0, ""], kind);
    assert.match(out, pattern);
  }
});

Deno.test('a set for "all" that no agent takes is not shown as complete', async () => {
  const nowhere = { ...set, replicas: "all", ready: 0, wanted: 0 };
  const { out } = await runClient(["get", "replicasets"], {
    answers: { "GET /v1/replicasets": { replicaSets: [nowhere] } },
  });
  assert.match(out, /\nimages +1\.2\.0 +2 +0\/all /);
});

Deno.test("`get --json` prints the API's answer on one line", async () => {
  const { out } = await runClient(["get", "agents", "--json"], { answers });
  assert.deepEqual(JSON.parse(out), { agents: [agent] });
  assert.equal(out.split("\n").length, 2);
});

Deno.test("`get` of an unknown kind is wrong usage and names the kinds", async () => {
  const { code, error } = await runClient(["get", "pods"], { answers });
  assert.equal(code, 2);
  assert.match(error, /It must be one of agents, replicasets, /);
});

Deno.test("`get` of nothing says what to do", async () => {
  const { out } = await runClient(["get", "agents"], { answers: { "GET /v1/agents": { agents: [] } } });
  assert.match(out, /^no agents have joined; .*manager token agent/);
});

Deno.test("a refusal by role reaches the user in the manager's words", async () => {
  const refusal = new SqwishError("forbidden", "Reading users needs the role admin, ada has viewer");
  const { code, error } = await runClient(["get", "users"], { answers: { "GET /v1/users": refusal } });
  assert.deepEqual([code, error], [
    1,
    "client: Reading users needs the role admin, ada has viewer (forbidden)\n",
  ]);
});

Deno.test("`get --watch` writes changes until Ctrl-C, which is a good end", async () => {
  let reads = 0;
  const { code, out } = await runClient(["get", "users", "--watch"], {
    answers: {
      "GET /v1/users": () => ({
        users: [{ name: `user${++reads}`, role: "viewer", endpoints: [], createdAtMs: 0 }],
      }),
    },
    async meanwhile({ terminal }) {
      await eventually("two tables", () => terminal.out.includes("user2"));
      terminal.interrupt();
    },
  });
  assert.equal(code, 0);
  assert.match(out, /user1[\s\S]*user2/);
});

Deno.test("`describe` prints what is known of an agent, a replicaSet and an endpoint", async () => {
  const shownAgent = await runClient(["describe", "agent", "attic-pi"], { answers });
  assert.match(shownAgent.out, /Health: +ready, cordoned/);
  const flapping = { ...agent, damped: { untilMs: 7000 }, flapPenalty: 3.2 };
  const shownFlapping = await runClient(["describe", "agent", "attic-pi"], {
    answers: { ...answers, "GET /v1/agents/attic-pi": flapping },
  });
  assert.match(
    shownFlapping.out,
    /Health: +ready, damped until 1970-01-01 00:00:07 \(others are asked first\), cordoned/,
  );
  assert.match(shownAgent.out, /Temperature: +61\.4 °C/);
  assert.match(shownAgent.out, /Connected: +since 1970-01-01 00:00:01\n/);
  assert.match(shownAgent.out, /images +ready +2 +1\.2\.0 +1\/4/);
  assert.match(shownAgent.out, /event 1\n.*event 2\n$/);
  const shownSet = await runClient(["describe", "replicaset", "images"], { answers });
  assert.match(shownSet.out, /Replicas: +1 ready of 2\n/);
  assert.match(shownSet.out, /Pending: +one agent only/);
  assert.match(shownSet.out, /nothing has happened yet\n$/);
  const shownEndpoint = await runClient(["describe", "endpoint", "images/resize"], { answers });
  assert.match(shownEndpoint.out, /Description: +Makes it smaller/);
  assert.match(shownEndpoint.out, /Requests: +1 running, 0 waiting/);
  assert.match(
    shownEndpoint.out,
    /Total: +100 requests, 1 error since 1970-01-01 00:00:00, when the manager/,
  );
  const json = await runClient(["describe", "endpoint", "images/resize", "--json"], { answers });
  assert.deepEqual(JSON.parse(json.out), endpoint);
});

Deno.test("`get rollouts --replicaset` asks for those of one set", async () => {
  const deployed = { ...answers, "GET /v1/replicasets/texts": { ...set, name: "texts" } };
  const { code, out } = await runClient(["get", "rollouts", "--replicaset", "texts"], { answers: deployed });
  assert.deepEqual([code, out], [0, "no rollouts of texts are kept\n"]);
});

Deno.test("`describe rollout` prints the newest or that to a revision, with what it was judged by", async () => {
  const { out } = await runClient(["describe", "rollout", "images"], { answers });
  assert.match(out, /^ReplicaSet: +images\nRevisions: +2 → 3\nVersion: +1\.3\.0\nState: +failed\n/);
  assert.match(out, /Why: +ada deployed images 1\.3\.0 as revision 3\n/);
  assert.match(out, /Ended: +1970-01-01 00:01:12, after 12\.5 s\nReason: +images\/resize failed 30 of 30/);
  assert.match(out, /\nENDPOINT +REQUESTS BEFORE +AFTER +FAILED BEFORE +AFTER +P95 BEFORE +AFTER\n/);
  assert.match(out, /\nimages\/resize +400 +30 +2 \(0\.5 %\) +30 \(100 %\) +12 ms +-\n$/);
  const second = await runClient(["describe", "rollout", "images/2"], { answers });
  assert.match(
    second.out,
    /State: +paused, stage 1 of the canary\nWhy: +not recorded\n.*\nEnded: +not yet\n/,
  );
  assert.match(second.out, /\nno figures: it has answered nothing, or was not judged\n$/);
  const first = await runClient(["describe", "rollout", "images/1"], { answers });
  assert.match(first.out, /Ended: +not recorded\n[^]*there is no revision before it to compare with\n$/);
  const json = await runClient(["describe", "rollout", "images/3", "--json"], { answers });
  assert.deepEqual(JSON.parse(json.out), rollouts[0]);
  const missing = await runClient(["describe", "rollout", "images/9"], { answers });
  assert.equal(missing.code, 1);
  assert.match(missing.error, /no rollout of images to revision 9; kept are those to 3, 2, 1 \(not_found\)/);
  const none = await runClient(["describe", "rollout", "texts"], { answers });
  assert.match(none.error, /There is no rollout of texts \(not_found\)/);
});

Deno.test("of a lost agent no figure is shown as if it were of now", async () => {
  const { host: _host, agentCpuCores: _cores, agentMemoryBytes: _bytes, connectedAtMs: _at, ...known } =
    agent;
  const [replica] = agent.replicas;
  const lost: AgentView = {
    ...known,
    health: "lost",
    ...{ slots: 0, outstanding: 0 },
    replicas: [{ ...replica, state: "lost", slots: 0, outstanding: 0 }],
  };
  const lostAnswers = { ...answers, "GET /v1/agents": { agents: [lost] }, "GET /v1/agents/attic-pi": lost };
  const { out: table } = await runClient(["get", "agents"], { answers: lostAnswers });
  assert.match(table, /\nattic-pi +lost,cordoned +- +- +- +0\/0 /);
  const { out } = await runClient(["describe", "agent", "attic-pi"], { answers: lostAnswers });
  assert.doesNotMatch(out, /CPU:|Memory:|Agent itself|30 MiB/);
  assert.match(out, /Connected: +no\n/);
  assert.match(out, /images +lost +2 +1\.2\.0 +0\/0 +- +- +- +-/);
});

Deno.test("`describe` of what isn't there fails in the manager's words", async () => {
  const { code, error } = await runClient(["describe", "agent", "nobody"], { answers });
  assert.equal(code, 1);
  assert.match(error, /\(not_found\)/);
});

Deno.test("`events` prints the oldest first, and `-f` goes on with new ones only", async () => {
  const once = await runClient(["events"], { answers });
  assert.match(once.out, /event 1\n.*event 2\n$/);
  let extra: EventView[] = [];
  const { code, out } = await runClient(["events", "-f"], {
    answers: {
      "GET /v1/events?limit=50": { events },
      "GET /v1/events?limit=1000&afterId=2": () => ({ events: extra }),
      "GET /v1/events?limit=1000&afterId=3": { events: [] },
    },
    async meanwhile({ terminal }) {
      await eventually("old events", () => terminal.out.includes("event 2"));
      extra = [{ ...events[0], id: 3, level: "error", message: "event 3" }];
      await eventually("the new event", () => terminal.out.includes("event 3"));
      terminal.interrupt();
    },
  });
  assert.equal(code, 0);
  assert.equal(out.match(/event \d/g)?.join(), "event 1,event 2,event 3");
});

Deno.test("`why ENDPOINT` tells the verdict, and names near misses of an endpoint that isn't there", async () => {
  const known = { ...endpoint, totalsSinceMs: -1_000_000 };
  const overview = { cluster, agents: [agent], replicaSets: [set], endpoints: [known], events: [] };
  const why = {
    "GET /v1/overview": overview,
    "GET /v1/requests?endpoint=images%2Fresize&lastMs=900000&limit=50": {
      slowest: [],
      failed: [],
      answered: 0,
      failures: [],
      sinceMs: -900_000,
    },
  };
  const { code, out } = await runClient(["why", "images/resize"], { answers: why });
  assert.equal(code, 0);
  assert.match(out, /^images\/resize has answered nothing in the last 15 min; 2\.5 requests\/s now\n/);
  const missing = await runClient(["why", "images/resise"], { answers: why });
  assert.equal(missing.code, 1);
  assert.match(missing.error, /There is no endpoint images\/resise; did you mean images\/resize\?/);
});

const cluster: ClusterView = {
  ...{ cluster: "attic", version: "0.1.0", atMs: 0, startedAtMs: 0, health: "degraded" },
  problems: ["Agent shed-pi is lost: silent"],
  ...{ requestsPerSecond: 12, errorsPerSecond: 0, queued: 3, outstanding: 1, clients: 2 },
  ...{ managerCpuCores: 0.05, managerMemoryBytes: 60 * 2 ** 20, databaseBytes: 2 ** 20 },
  configurationErrors: [],
};

Deno.test("`top` fits the screen, the cluster on top and those that need a look first, and leaves it as it was", async () => {
  const agents = Array.from({ length: 30 }, (_, at): AgentView => ({
    ...agent,
    name: `pi-${at}`,
    health: at === 17 ? "lost" : "ready",
  }));
  const overview = { cluster, agents, replicaSets: [set], endpoints: [endpoint], events };
  const { code, out } = await runClient(["top"], {
    answers: { "GET /v1/overview": overview },
    terminal: { isOutTerminal: true, columns: 100, rows: 20 },
    async meanwhile({ terminal }) {
      await eventually("a screen", () => terminal.out.includes("attic"));
      terminal.interrupt();
    },
  });
  assert.equal(code, 0);
  assert.ok(out.startsWith("\u001b[?1049h") && out.endsWith("\u001b[?1049l"));
  const screen = out.slice(out.indexOf("\u001b[H"), out.indexOf("\u001b[J")).split("\r\n");
  assert.ok(screen.length <= 20, `${screen.length} lines`);
  assert.match(screen.find((line) => line.startsWith("pi-")) ?? "", /^pi-17 +lost/);
  assert.ok(screen.some((line) => line.includes("images/resize")));
  assert.ok(screen.some((line) => /… \d+ more/.test(line)));
});

Deno.test("`top` into a pipe is one picture of everything", async () => {
  const overview = { cluster, agents: [agent], replicaSets: [set], endpoints: [endpoint], events };
  const { code, out } = await runClient(["top"], { answers: { "GET /v1/overview": overview } });
  assert.equal(code, 0);
  assert.match(out, /^attic {2}degraded/);
  assert.match(out, /12 requests\/s .* 3 waiting/);
  assert.ok(!out.includes("\u001b"));
});
