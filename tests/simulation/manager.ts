/**
 * The manager in the simulated world: the real core, sessions and store, put together as `manager.ts` does, without
 * sockets, certificates and passwords. Its process may end right before or after any write to the store, which is all
 * that the next start knows.
 */
import { Hono } from "hono";
import type { BuildModuleSets } from "../../lib/deployment/module_builder.ts";
import { silentLog } from "../../lib/log.ts";
import { type Core, createCore } from "../../lib/manager/core.ts";
import { Deployments } from "../../lib/manager/deployments.ts";
import { createFront, type Front, type FrontOptions } from "../../lib/manager/front.ts";
import { forEachFrame } from "../../lib/protocol/frame.ts";
import type { MessageToManager, MessageToPeer } from "../../lib/protocol/messages.ts";
import type { Principal } from "../../lib/security/access.ts";
import { createHash } from "node:crypto";
import { openStore, type Store } from "../../lib/store/store.ts";
import { type ChannelEar, SimulatedChannel } from "./channel.ts";
import { Machine, type WireEnd } from "./network.ts";
import type { Connection, RecordedEvent } from "./observer.ts";
import { SimulatedProcess } from "./timeline.ts";
import type { World } from "./world.ts";

/** The process ended in the middle of what it did. */
export class SimulatedCrash extends Error {}

const clusterWallMs = 1_790_000_000_000;

export class SimulatedManager {
  readonly machine: Machine;
  readonly store: Store = openStore({ folder: null });
  process: SimulatedProcess | null = null;
  core!: Core;
  front!: Front;
  deployments!: Deployments;
  /** Writes to the store until its process ends; Infinity: it does not. */
  writesToCrash = Infinity;
  /** Every write to the store fails. */
  isDiskFull = false;
  /** Counts what may have changed the stored sets. */
  setWrites = 0;
  readonly #world: World;
  #epoch = 0;
  #connections = 0;

  constructor(world: World) {
    this.#world = world;
    this.machine = new Machine("manager", 0.2, 20_000);
  }

  get isUp(): boolean {
    return this.process !== null && this.process.state === "running";
  }

  start(): void {
    const { timeline, trace, dice, network } = this.#world;
    const process = new SimulatedProcess(timeline, "manager", clusterWallMs);
    this.process = process;
    this.writesToCrash = Infinity;
    const bootEpoch = ++this.#epoch;
    trace.note("manager starts", bootEpoch);
    this.#world.tell("managerStarted");
    const { clock } = process;
    const { random } = dice.fork(`manager ${bootEpoch}`);
    const store = this.#guarded(process);
    this.core = createCore({
      clock,
      random,
      log: silentLog,
      store,
      version: "0.0.0",
      cluster: "simulated",
      bootEpoch,
    });
    this.deployments = new Deployments({
      clock,
      store,
      build: buildSimulated,
      record: this.core.events.record,
      changed: () => this.core.controller.reload(),
    });
    this.front = createFront({
      ...unauthenticated(bootEpoch),
      clock,
      store,
      core: this.core,
      deployments: this.deployments,
    });
    network.listener = {
      process,
      machine: this.machine,
      accept: (end, user) => this.#accept(end, user),
    };
  }

  /** Its power is cut, or it is killed. */
  crash(): void {
    const { process } = this;
    if (process === null) return;
    this.#world.trace.note("manager ends");
    this.#world.network.listener = null;
    this.process = null;
    process.kill();
    this.#world.tell("managerEnded");
  }

  /** As on SIGTERM. */
  stop(): void {
    const { process } = this;
    if (process === null) return;
    this.#world.network.listener = null;
    this.front.close();
    this.core.close();
    // What it has said goes out before the system closes its sockets.
    this.#world.timeline.after(1, () => this.process === process && this.crash());
  }

  #accept(end: WireEnd, user: string): void {
    const [role, name] = user.split(":");
    const connection: Connection = {
      id: ++this.#connections,
      kind: role === "agent" ? "agent" : "client",
      name,
      openedMs: this.#world.timeline.nowMs,
      isJammed: () => channel.jammed,
      isClosing: () => channel.closed,
    };
    const channel: SimulatedChannel = new SimulatedChannel(end, "server", this.#ear(connection));
    const principal: Principal = { name: user, role: connection.kind, endpoints: ["*"] };
    this.#world.tell("connectionOpened", connection);
    this.front.enter(channel, principal);
  }

  #ear(connection: Connection): ChannelEar {
    const world = this.#world;
    return {
      onControl: (text) => {
        if (isKeepalive(text)) return;
        const message = JSON.parse(text) as MessageToManager;
        this.#noteMessage(connection, "says", message);
        world.tell("managerGotMessage", connection, message);
      },
      sentControl: (text) => {
        if (isKeepalive(text)) return;
        const message = JSON.parse(text) as MessageToPeer;
        this.#noteMessage(connection, "is told", message);
        world.tell("managerSentMessage", connection, message);
      },
      onFrames: (bytes) => forEachFrame(bytes, (at) => world.tell("managerGot", connection, bytes, at)),
      sentFrames: (bytes, from, to) =>
        forEachFrame(
          bytes.subarray(from, to),
          (at) => world.tell("managerSent", connection, bytes, from + at),
        ),
      onClose: () => world.tell("connectionClosed", connection),
    };
  }

  #noteMessage({ name, id }: Connection, how: string, message: MessageToManager | MessageToPeer): void {
    const replicas = "replicas" in message && message.type !== "telemetry"
      ? message.replicas.map((one) =>
        `${one.handle}:${one.replicaSet}@${one.revision}${"state" in one ? `:${one.state}` : ""}`
      )
      : [];
    const generation = "generation" in message ? message.generation : 0;
    this.#world.trace.note(`${name} ${how}`, id, message.type, generation, replicas.join(" "));
  }

  #recorded(event: RecordedEvent): void {
    this.#world.trace.note("event", event.kind, event.subject, event.message);
    this.#world.eventRecorded(event);
  }

  /** The store with a place to crash at before and after each write. */
  #guarded(process: SimulatedProcess): Store {
    const point = (what: string, when: string) => {
      if (process.state === "dead") throw new SimulatedCrash("the process has ended");
      if (--this.writesToCrash > 0) return;
      this.#world.trace.note("crash point", when, what);
      this.crash();
      throw new SimulatedCrash(`${when} ${what}`);
    };
    const wrap = <T extends object>(name: string, repository: T): T => {
      const guarded: Record<string, unknown> = {};
      for (const method of Object.getOwnPropertyNames(Object.getPrototypeOf(repository))) {
        const original = repository[method as keyof T];
        if (method === "constructor" || typeof original !== "function") continue;
        guarded[method] = (...values: unknown[]) => {
          if (!writes.test(method)) return original.apply(repository, values);
          if (name === "deployments") this.setWrites++;
          point(`${name}.${method}`, "before");
          if (name === "events" && method === "append") this.#recorded(values[0] as RecordedEvent);
          if (this.isDiskFull) throw new Error("database or disk is full");
          const result = original.apply(repository, values);
          point(`${name}.${method}`, "after");
          return result;
        };
      }
      return guarded as T;
    };
    const { store } = this;
    return {
      ...store,
      transaction: (work, durability) =>
        store.transaction(() => {
          const value = work();
          // Whoever caught the end of the process did so in one that is no more: nothing of it is committed.
          if (process.state === "dead") throw new SimulatedCrash("before the commit");
          return value;
        }, durability),
      settings: wrap("settings", store.settings),
      agents: wrap("agents", store.agents),
      // What rollouts were judged by is no part of what must survive: it ends no process and is refused by no disk.
      deployments: Object.assign(wrap("deployments", store.deployments), {
        rollouts: store.deployments.rollouts,
      }),
      events: wrap("events", store.events),
      samples: wrap("samples", store.samples),
    };
  }
}

/** Most of what is said; nobody here looks at it. */
function isKeepalive(text: string): boolean {
  return text.startsWith('{"type":"telemetry"') || text.startsWith('{"type":"p');
}

/** Methods of repositories that change what is stored. */
const writes = /^(set|add|save|delete|remove|append|observe|write|insert|rollUp|prune)/;

/** What the front needs of certificates and sign-in: peers come authenticated. */
function unauthenticated(bootEpoch: number): Omit<FrontOptions, "clock" | "store" | "core" | "deployments"> {
  const refuse = () => Promise.reject(new Error("nobody signs in here"));
  return {
    log: silentLog,
    version: "0.1.0",
    identity: {
      cluster: "simulated",
      fingerprint: "0".repeat(64),
      bootEpoch,
      sessionKey: new Uint8Array(32),
      firstStart: bootEpoch === 1,
      authority: { caCertPem: "", caKeyPem: "" } as unknown as FrontOptions["identity"]["authority"],
      certificate: { certPem: "", keyPem: "" } as unknown as FrontOptions["identity"]["certificate"],
    },
    accounts: {} as FrontOptions["accounts"],
    signIn: { credentialTag: () => "same", signIn: refuse } as unknown as FrontOptions["signIn"],
    addresses: () => ["manager:7443"],
    createToken: refuse,
    configurationErrors: () => [],
    dashboard: new Hono(),
  };
}

/** Modules as they are stored: their source is what they are. */
const buildSimulated: BuildModuleSets = ({ sets }) =>
  Promise.resolve(sets.map((set) => {
    if (!("sources" in set)) throw new Error("simulated modules come as sources");
    const blobs = new Map<string, Uint8Array>();
    const modules = set.sources.map(({ path, source, bytes }) => {
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      blobs.set(sha256, bytes);
      return { path, source, sha256, sizeBytes: bytes.length, kind: "js" as const, entry: true };
    });
    return { files: [], result: { ok: true, modules, blobs, functions: [] } };
  }));
