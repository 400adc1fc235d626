/** A whole manager without a network: its core, store and API in memory, a clock by hand, and peers on memory channels. */
import { Hono } from "hono";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createLog } from "../../lib/log.ts";
import { Accounts } from "../../lib/manager/accounts.ts";
import { type Core, createCore } from "../../lib/manager/core.ts";
import { buildInWorker as build } from "../../lib/deployment/module_builder.ts";
import { Deployments } from "../../lib/manager/deployments.ts";
import { createFront, type Front } from "../../lib/manager/front.ts";
import { certifyHere } from "../../lib/manager/certificate_process.ts";
import { type Identity, openIdentity } from "../../lib/manager/identity.ts";
import { createSignIn } from "../../lib/manager/sign_in.ts";
import type { Channel, ChannelClose } from "../../lib/protocol/channel.ts";
import {
  decodeFrame,
  encodeFrame,
  forEachFrame,
  type Frame,
  type FrameParts,
} from "../../lib/protocol/frame.ts";
import { createMemoryChannelPair } from "../../lib/protocol/memory_channel.ts";
import {
  type AgentHello,
  encodeMessage,
  type MessageToManager,
  type MessageToPeer,
  parseMessageToPeer,
  protocolVersion,
  type ReplicaReport,
  type Telemetry,
} from "../../lib/protocol/messages.ts";
import { createSystemRandom } from "../../lib/random.ts";
import type { Principal, Role } from "../../lib/security/access.ts";
import { openStore, type Store } from "../../lib/store/store.ts";
import { specificationOf } from "../store/support.ts";
import { ManualClock } from "../support/manual_clock.ts";

export const addresses = ["attic.local:7443"];
/** Of every account that `signUp()` adds, and said by its requests. */
const password = "long enough";

/** The other end of a connection to the manager, and all that came to it. */
export class Peer {
  readonly messages: MessageToPeer[] = [];
  readonly frames: Frame[] = [];
  close: ChannelClose | null = null;

  constructor(readonly channel: Channel) {
    channel.start({
      onControl: (text) => this.messages.push(parseMessageToPeer(text)),
      onFrames: (bytes) => forEachFrame(bytes, (at) => this.frames.push(decodeFrame(bytes, at))),
      onClose: (close) => this.close = close,
    });
  }

  send(...messages: MessageToManager[]): void {
    for (const message of messages) this.channel.sendControl(encodeMessage(message));
  }

  sendFrame(parts: FrameParts): void {
    this.channel.sendFrames(encodeFrame(parts));
  }

  /** Messages of one type, oldest first. */
  of<Type extends MessageToPeer["type"]>(type: Type): Extract<MessageToPeer, { type: Type }>[] {
    return this.messages.filter((message): message is Extract<MessageToPeer, { type: Type }> =>
      message.type === type
    );
  }
}

export interface HttpOptions {
  user?: string;
  password?: string;
  headers?: Record<string, string>;
  body?: unknown;
  address?: string;
}

export interface ManagerRig {
  clock: ManualClock;
  store: Store;
  identity: Identity;
  core: Core;
  front: Front;
  accounts: Accounts;
  deployments: Deployments;
  signIn: ReturnType<typeof createSignIn>;
  /** Lines of the manager's log. */
  logged: string[];
  /** A peer that has been authenticated and has not said hello. */
  enter(principal: Principal): Peer;
  http(method: string, path: string, options?: HttpOptions): Promise<Response>;
  /** Adds an account; its requests over HTTP need only its name. */
  signUp(name: string, role: Role): Promise<void>;
  /** Stores one revision as if it had been deployed. */
  deploy(name: string, source: string): { revision: number; sha256: string };
  close(): void;
}

export async function openRig(): Promise<ManagerRig> {
  const clock = new ManualClock();
  const random = createSystemRandom();
  const logged: string[] = [];
  const log = createLog({ clock, write: (line) => logged.push(line), level: "debug" });
  const store = openStore({ folder: null });
  const names = ["attic.local"];
  const identity = await openIdentity(store, {
    cluster: "attic",
    names,
    clock,
    random,
    certify: certifyHere(random),
  });
  const { cluster, bootEpoch } = identity;
  const core = createCore({ clock, random, log, store, version: "1.2.3", cluster, bootEpoch });
  const { record } = core.events;
  const accounts = new Accounts({ users: store.users, clock, random });
  const signIn = createSignIn({ users: store.users, clock, random, sessionKey: identity.sessionKey, record });
  const changed = () => core.controller.reload();
  const deployments = new Deployments({
    clock,
    store,
    build,
    record,
    changed,
  });
  const front = createFront({
    ...{ clock, log, store, identity, core, accounts, signIn, deployments },
    version: "1.2.3",
    addresses: () => addresses,
    createToken: (token) => accounts.createToken({ ...token, addresses, fingerprint: identity.fingerprint }),
    configurationErrors: () => [],
    dashboard: new Hono(),
  });
  return {
    clock,
    store,
    identity,
    core,
    front,
    accounts,
    deployments,
    signIn,
    logged,
    enter(principal) {
      const { left, right } = createMemoryChannelPair({ left: "192.168.1.20", right: "manager" });
      front.enter(right, principal);
      return new Peer(left);
    },
    http: (method, path, options) => ask(front, method, path, options),
    async signUp(name, role) {
      await accounts.add({ name, role, endpoints: [], password });
    },
    deploy(name, source) {
      const { specification, files, sha256 } = specificationOf(name, source);
      const created = { owner: "api", createdBy: "test", nowMs: clock.nowMs() } as const;
      const { revision } = store.deployments.addRevision(specification, files, created);
      core.controller.reload();
      return { revision, sha256 };
    },
    close() {
      front.close();
      core.close();
      store.close();
    },
  };
}

/** One HTTP request, as the listener hands it over. */
async function ask(
  front: Front,
  ...[method, path, options = {}]: Parameters<ManagerRig["http"]>
): Promise<Response> {
  const headers = new Headers(options.headers);
  if (options.user !== undefined) {
    headers.set("authorization", basic(options.user, options.password ?? password));
  }
  const body = options.body === undefined ? null : JSON.stringify(options.body);
  const request = new Request(`https://manager.test${path}`, { method, headers, body });
  return await front.handle(request, options.address ?? "192.168.1.99");
}

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

export const agentPrincipal: Principal = { name: "pi-user", role: "agent", endpoints: [] };

export function agentHello(change: Partial<AgentHello> = {}): AgentHello {
  return {
    type: "hello",
    role: "agent",
    protocol: protocolVersion,
    version: "1.2.3",
    name: "pi-1",
    identity: "0123456789abcdef",
    labels: { arch: "aarch64" },
    cores: 4,
    memoryBytes: 2 ** 30,
    enroll: false,
    replicas: [],
    ...change,
  };
}

/** An agent that has been let in and has nothing to run yet, or was told what it shall. */
export async function joined(rig: ManagerRig, change: Partial<AgentHello> = {}): Promise<Peer> {
  const peer = rig.enter(agentPrincipal);
  peer.send(agentHello(change));
  await settle();
  assert.equal(peer.of("welcome").length, 1);
  return peer;
}

/** Reports as loaded and ready all that the agent was last told to run. */
export async function reportReady(peer: Peer): Promise<void> {
  const { generation, replicas } = peer.of("desired").at(-1)!;
  const reports = replicas.map(({ handle, replicaSet, revision }) =>
    reportOf({ handle, replicaSet, revision })
  );
  peer.send({ type: "state", generation, replicas: reports });
  await settle();
}

export const clientHello = (enroll = false): MessageToManager => (
  { type: "hello", role: "client", protocol: protocolVersion, version: "1.2.3", enroll }
);

export function reportOf(change: Partial<ReplicaReport> = {}): ReplicaReport {
  return {
    handle: 1,
    replicaSet: "images",
    revision: 1,
    state: "ready",
    slots: 2,
    endpoints: [{ name: "resize", stream: false }],
    ...change,
  };
}

export function telemetryOf(sequence: number): Telemetry {
  return {
    type: "telemetry",
    sequence,
    host: { cpu: 0.1, load1: 0.1, memoryUsedBytes: 1, memoryTotalBytes: 2 },
    agentCpuCores: 0.1,
    agentMemoryBytes: 1,
    replicas: [],
    endpoints: [],
  };
}

/** Lets everything that only waits for microtasks happen. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}
