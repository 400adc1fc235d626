/**
 * The network in memory: connections of bytes between processes on machines, with delays, bounded windows, holes that
 * swallow packets until they heal, and connections that die on one side only. In order within a connection, in any
 * order between two. The real WebSocket channel runs on top of it.
 */
import { SqwishError } from "../../lib/errors.ts";
import type { ByteStream } from "../../lib/protocol/websocket.ts";
import type { Dice } from "./dice.ts";
import type { Slab } from "./slab.ts";
import type { SimulatedProcess, Timeline } from "./timeline.ts";
import type { Trace } from "./trace.ts";

/** What a machine's line does to packets. */
export class Machine {
  latencyMs: number;
  jitter = 0.5;
  bytesPerMs: number;
  /** Packets are kept back until it heals, as TCP's retries would have it. */
  isHole = false;
  /** Faults that have struck it. */
  struck = 0;

  constructor(readonly name: string, latencyMs: number, bytesPerMs: number) {
    this.latencyMs = latencyMs;
    this.bytesPerMs = bytesPerMs;
  }
}

/** On their way and not taken yet: the buffers of both kernels. */
const windowBytes = 256 * 1024;

type Arrival = { bytes: Uint8Array } | { end: string };

export class WireEnd implements ByteStream {
  peer!: WireEnd;
  #onData: ((chunk: Uint8Array) => void) | null = null;
  #onEnd: (reason: string) => void = () => {};
  #arrived: Arrival[] = [];
  #paused = false;
  #draining = false;
  #closed = false;
  #unreadBytes = 0;
  #wakeWriter: { resolve(): void; reject(thrown: Error): void } | null = null;
  #lastArrivalMs = 0;

  constructor(
    readonly wire: Wire,
    readonly process: SimulatedProcess,
    readonly machine: Machine,
    readonly remoteAddress: string,
  ) {
    process.onWake(() => this.#drain());
  }

  get closed(): boolean {
    return this.#closed;
  }

  start(onData: (chunk: Uint8Array) => void, onEnd: (reason: string) => void): void {
    this.#onData = onData;
    this.#onEnd = onEnd;
    this.#drain();
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#closed || this.process.state === "dead") {
      return Promise.reject(new Error("the connection is closed"));
    }
    this.#unreadBytes += bytes.length;
    this.#send({ bytes: this.wire.network.slab.copy(bytes) }, bytes.length);
    if (this.#unreadBytes <= windowBytes) return Promise.resolve();
    return new Promise((resolve, reject) => this.#wakeWriter = { resolve, reject });
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#drain();
  }

  destroy(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.wire.closed();
    this.#arrived = [];
    this.#wakeWriter?.reject(new Error("the connection is closed"));
    this.#wakeWriter = null;
    this.#send({ end: "the connection broke" }, 0);
  }

  /** The line broke: this side is told. */
  break(): void {
    if (!this.#closed) this.#arrive({ end: "the connection broke" });
  }

  #send(arrival: Arrival, length: number): void {
    const { timeline, network } = this.wire;
    const [own, other] = [this.machine, this.peer.machine];
    const delayMs = (own.latencyMs + other.latencyMs) * (1 + network.dice.random.next() * own.jitter) +
      length / Math.min(own.bytesPerMs, other.bytesPerMs);
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, timeline.nowMs + delayMs);
    this.wire.carry(this.#lastArrivalMs, () => this.peer.#arrive(arrival));
  }

  #arrive(arrival: Arrival): void {
    if (this.#closed || this.process.state === "dead") return;
    this.#arrived.push(arrival);
    if (this.#arrived.length === 1) this.#drain();
  }

  /** One piece per event, as a socket's reads come. */
  #drain(): void {
    if (this.#draining || this.#onData === null || this.#arrived.length === 0) return;
    if (this.#paused || this.process.state !== "running") return;
    this.#draining = true;
    const arrival = this.#arrived.shift()!;
    if ("bytes" in arrival) {
      this.peer.#taken(arrival.bytes.length);
      this.wire.network.trace.note("packet", this.process.name, this.remoteAddress, arrival.bytes.length);
      this.#onData(arrival.bytes);
    } else {
      this.#onEnd(arrival.end);
    }
    this.#draining = false;
    if (this.#arrived.length > 0) this.wire.timeline.after(0, () => this.#drain());
  }

  #taken(length: number): void {
    this.#unreadBytes -= length;
    if (this.#unreadBytes > windowBytes / 2 || this.#wakeWriter === null) return;
    const { resolve } = this.#wakeWriter;
    this.#wakeWriter = null;
    resolve();
  }
}

export class Wire {
  left!: WireEnd;
  right!: WireEnd;
  /** Gone without a word: whatever is sent never arrives. */
  isDead = false;
  #held: (() => void)[] = [];

  constructor(readonly timeline: Timeline, readonly network: Network) {}

  carry(atMs: number, deliver: () => void): void {
    this.timeline.at(atMs, () => {
      if (this.isDead) return;
      if (this.isHole || this.#held.length > 0) this.#held.push(deliver);
      else deliver();
    });
  }

  get isHole(): boolean {
    return this.left.machine.isHole || this.right.machine.isHole;
  }

  /** What a hole kept back arrives. */
  heal(): void {
    if (this.isHole) return;
    for (const deliver of this.#held.splice(0)) this.carry(this.timeline.nowMs, deliver);
  }

  /** Both sides are told. */
  cut(): void {
    this.left.break();
    this.right.break();
  }

  /** One side is told, the other believes in it. */
  halfOpen(isLeftTold: boolean): void {
    this.isDead = true;
    (isLeftTold ? this.left : this.right).break();
  }

  closed(): void {
    if (this.left.closed && this.right.closed) this.network.forget(this);
  }
}

interface Listener {
  process: SimulatedProcess;
  machine: Machine;
  accept(stream: WireEnd, user: string): void;
}

export class Network {
  listener: Listener | null = null;
  readonly wires = new Set<Wire>();

  constructor(
    readonly timeline: Timeline,
    readonly slab: Slab,
    readonly trace: Trace,
    readonly dice: Dice,
  ) {}

  /** A connection to whoever listens, made by `user`. Rejects with `manager_lost` as the real dial does. */
  dial(process: SimulatedProcess, machine: Machine, user: string, timeoutMs: number): Promise<WireEnd> {
    const { promise, resolve, reject } = Promise.withResolvers<WireEnd>();
    const { listener } = this;
    let given = false;
    const cancelTimeout = process.clock.after(timeoutMs, () => giveUp("timed out"));
    const giveUp = (reason: string) => {
      given = true;
      cancelTimeout();
      reject(new SqwishError("manager_lost", `The manager can't be reached: ${reason}`));
    };
    const oneWayMs = machine.latencyMs + (listener?.machine.latencyMs ?? 0);
    this.timeline.after(oneWayMs * 3, () => {
      const target = this.listener;
      if (machine.isHole || target?.machine.isHole) return;
      if (target === null) return process.run(() => given || giveUp("connection refused"));
      target.process.run(() => {
        if (given || process.state === "dead") return;
        const wire = this.#connect(process, machine, target);
        target.accept(wire.right, user);
        wire.carry(this.timeline.nowMs + oneWayMs, () =>
          process.run(() => {
            if (given) return wire.left.destroy();
            cancelTimeout();
            resolve(wire.left);
          }));
      });
    });
    return promise;
  }

  heal(): void {
    for (const wire of this.wires) wire.heal();
  }

  /** Connections of this process die without a word to the other side. */
  cutOff(process: SimulatedProcess): void {
    for (const wire of this.wires) if (wire.left.process === process) wire.isDead = true;
  }

  forget(wire: Wire): void {
    this.wires.delete(wire);
  }

  #connect(process: SimulatedProcess, machine: Machine, target: Listener): Wire {
    const wire = new Wire(this.timeline, this);
    wire.left = new WireEnd(wire, process, machine, target.machine.name);
    wire.right = new WireEnd(wire, target.process, target.machine, machine.name);
    wire.left.peer = wire.right;
    wire.right.peer = wire.left;
    this.wires.add(wire);
    // The system closes what a process leaves behind; the peer hears of it unless the line is dead.
    process.onDeath(() => wire.left.destroy());
    target.process.onDeath(() => wire.right.destroy());
    return wire;
  }
}
