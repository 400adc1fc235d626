/**
 * What the manager shows to the outside: the HTTP API with the dashboard, and the join socket with its sessions. Both
 * are put on the same core and the same principals.
 */
import type { Hono } from "hono";
import type { Clock } from "../clock.ts";
import type { AgentRecord } from "../cluster/agents.ts";
import { describeError, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Log } from "../log.ts";
import { createProcessMeter, readDiskWritten } from "../metrics/process_meter.ts";
import { renderPrometheus, totalsOf } from "../metrics/prometheus.ts";
import type { Channel } from "../protocol/channel.ts";
import type { Principal } from "../security/access.ts";
import type { Store } from "../store/store.ts";
import type { Accounts, TokenWish } from "./accounts.ts";
import { type AgentSessionOptions, openAgentSession } from "./agent_session.ts";
import { createApi } from "./api/app.ts";
import type { InvokePort } from "./api/invoke.ts";
import { openInvokeExchange } from "./api/invoke_door.ts";
import { createLive } from "./api/live.ts";
import { createChanges } from "./changes.ts";
import { type ClientSessionOptions, openClientSession } from "./client_session.ts";
import type { Core } from "./core.ts";
import type { Deployments } from "./deployments.ts";
import type { Identity } from "./identity.ts";
import { awaitHello, createJoin, type JoinOptions, refuse } from "./join.ts";
import type { ListenerOptions } from "./listener.ts";
import { describeOverview, type OverviewFacts } from "./overview.ts";
import { Past } from "./past.ts";
import { Peers } from "./peers.ts";
import { createReads } from "./reads.ts";
import { SilenceWatch } from "./silence.ts";
import type { createSignIn } from "./sign_in.ts";

export interface FrontOptions {
  clock: Clock;
  log: Log;
  store: Store;
  version: string;
  identity: Identity;
  core: Core;
  accounts: Accounts;
  signIn: ReturnType<typeof createSignIn>;
  deployments: Deployments;
  addresses(): string[];
  createToken(token: TokenWish): Promise<string>;
  configurationErrors(): readonly string[];
  dashboard: Hono;
}

export interface Front extends Pick<ListenerOptions, "handle" | "openExchange" | "join"> {
  /** What a join is from its channel on: the peer has been authenticated and has not said hello. */
  enter(channel: Channel, principal: Principal): void;
  close(): void;
}

export function createFront(options: FrontOptions): Front {
  const { clock, log, version, identity, core, accounts, signIn } = options;
  const clients = { count: 0, everCount: 0 };
  const state = { stopping: false };
  const agentSession = agentSessionOptions(options, state);
  const peers = new Peers({ clock, credentialTag: signIn.credentialTag, refuse });
  const silence = new SilenceWatch(clock, log);
  const { api, live } = createSurface(options, createFacts(options, clients), peers);
  const clientSession: ClientSessionOptions = {
    dispatcher: core.dispatcher,
    call: async (request, principal, remoteAddress) => await api.fetch(request, { principal, remoteAddress }),
    counted: (difference) => clients.count += difference,
    silence,
  };
  const join: JoinOptions = {
    clock,
    log,
    version,
    cluster: identity.cluster,
    managerInstance: `${identity.fingerprint.slice(0, 12)}-${identity.bootEpoch}`,
    addresses: options.addresses,
    authenticate: signIn.authenticate,
    peers,
    async enroll(by, machine, requirePresent) {
      const credentials = await accounts.enroll(by, machine, (token) => {
        requirePresent();
        signIn.consume(token);
      });
      await options.store.synced();
      return credentials;
    },
    openAgent(channel, hello, principal) {
      requireGoingOn(state);
      return openAgentSession(agentSession, channel, hello, principal.name);
    },
    openClient(channel, principal) {
      requireGoingOn(state);
      return openClientSession(clientSession, channel, principal, ++clients.everCount);
    },
  };
  const invokeDoor = { log, port: invokePort(core, clock), signIn: signIn.signIn };
  return {
    openExchange: (responder) => openInvokeExchange(invokeDoor, responder),
    handle: (request, remoteAddress) => api.fetch(request, { remoteAddress }),
    join: createJoin(join),
    enter: (channel, principal) => awaitHello(join, channel, principal),
    close() {
      for (const agent of core.agents.list()) if (agent.connection) agentSession.observeSeen(agent.name);
      state.stopping = true;
      live.close();
      peers.close();
      silence.close();
    },
  };
}

/** Whoever came in now would be told nothing and get no answers, and nobody would hear of it. They dial again. */
function requireGoingOn({ stopping }: { stopping: boolean }): void {
  if (stopping) throw new SqwishError("manager_lost", "This manager is stopping; try again in a moment");
}

/** The HTTP API over what is known now, and its live view. */
function createSurface(options: FrontOptions, facts: () => OverviewFacts, peers: Peers) {
  const { clock, log, store, version, identity, core, accounts, signIn } = options;
  const past = new Past({
    clock,
    sources: core.metrics.sources,
    sets: () => core.controller.sets.map(({ name }) => name),
    replicasAt: (name, atMs) => core.replicaCounts.at(name, atMs),
    rollouts: (name) => store.deployments.rollouts.list({ replicaSet: name, limit: limits.rolloutsKept }),
  });
  const reads = createReads({
    store,
    accounts,
    logs: core.logs,
    facts,
    metrics: core.metrics.query,
    past,
    requests: core.metrics.requests,
    judged: core.judged,
    nowMs: () => clock.nowMs(),
  });
  const live = createLive(clock, () => JSON.stringify(reads.overview()));
  const changes = createChanges({
    deployments: options.deployments,
    accounts,
    agents: core.agents,
    agentStore: store.agents,
    transaction: store.transaction,
    isConnected: (user) => peers.has(user),
    createToken: async (token) => ({ token: await options.createToken(token) }),
    record: core.events.record,
    runningOn: (agent) => core.controller.revisionsOn(agent),
    pendingReason: (name) => core.controller.pendingReason(name),
    changed: () => core.controller.changed(),
    usersChanged: () => peers.check(),
  });
  const api = createApi({
    cluster: identity.cluster,
    version,
    caPem: identity.authority.caCertPem,
    log,
    signIn,
    reads,
    changes,
    invoke: invokePort(core, clock),
    synced: () => store.synced(),
    live,
    prometheus: () => {
      const now = facts();
      return renderPrometheus({
        ...totalsOf(core.metrics.ingest),
        version,
        agents: describeOverview(now).agents,
        clients: now.clients,
        manager: {
          startedAtMs: now.startedAtMs,
          ...now.process,
          diskWrittenBytes: now.disk.writtenBytes,
          databaseBytes: now.disk.databaseBytes,
        },
      });
    },
    dashboard: options.dashboard,
  });
  return { api, live };
}

/** While `state.stopping`, nothing is noted of agents: it is this manager that goes, not they. */
function agentSessionOptions(
  { clock, log, store, core }: FrontOptions,
  state: { stopping: boolean },
): AgentSessionOptions {
  const { agents, controller, dispatcher, metrics, events, logs } = core;
  /** A full disk must keep no agent out; the registry knows what matters now. */
  function noted<Result>(what: string, write: () => Result): Result | undefined {
    if (state.stopping) return undefined;
    try {
      return write();
    } catch (thrown) {
      log.error(`${what} could not be stored`, { error: describeError(thrown) });
      return undefined;
    }
  }
  return {
    agents,
    dispatcher,
    module: (sha256) => store.deployments.module(sha256),
    changed: () => controller.changed(),
    welcomed: (agent) => controller.welcomed(agent),
    left: (agent) => controller.left(agent),
    observeTelemetry: metrics.observeTelemetry,
    observeLogs: (agent, lines) => logs.push(agent, lines, (set) => controller.set(set) !== undefined),
    record(...event) {
      if (!state.stopping) events.record(...event);
    },
    remember: (hello, account) =>
      noted("an agent's join", () => store.agents.observeJoin(hello, clock.nowMs(), account)) ??
        flagsOf(agents.get(hello.name)),
    observeSeen: (agent) =>
      void noted("when an agent was last seen", () => store.agents.observeSeen(agent, clock.nowMs())),
  };
}

function flagsOf(agent: AgentRecord | undefined): { cordoned: boolean; draining: boolean } {
  return { cordoned: agent?.cordoned ?? false, draining: agent?.draining ?? false };
}

function createFacts(options: FrontOptions, clients: { count: number }): () => OverviewFacts {
  const { clock, core, identity, store, version } = options;
  const { agents, controller, dispatcher, metrics, events } = core;
  const startedAtMs = clock.nowMs();
  const readUse = createProcessMeter(clock);
  return () => ({
    cluster: identity.cluster,
    version,
    nowMs: clock.nowMs(),
    startedAtMs,
    agents: agents.list(),
    damping: (agent) => agents.damping(agent),
    sets: controller.sets,
    assignments: (agent) => controller.assignments(agent),
    pendingReason: (set) => controller.pendingReason(set),
    coldStartMs: core.coldStartMs,
    routes: controller.routes,
    load: dispatcher.snapshot(),
    endpointRates: metrics.endpointRates,
    clusterRates: metrics.clusterRates,
    events: events.recent(),
    clients: clients.count,
    process: readUse(),
    disk: { writtenBytes: readDiskWritten(), databaseBytes: store.sizeBytes() },
    configurationErrors: options.configurationErrors(),
  });
}

/** The dispatcher as an HTTP request uses it: one request per requester, so its id is always 1. */
function invokePort({ dispatcher }: Core, clock: Clock): InvokePort {
  return {
    admit: (requester, frame) => dispatcher.admit(requester, frame, 0, frame.length),
    cancel: (requester) => dispatcher.cancel(requester, 1),
    credit: (requester, parts) => dispatcher.credit(requester, 1, parts),
    monotonicMs: () => clock.monotonicMs(),
  };
}
