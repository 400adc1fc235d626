/**
 * Many agents without machines: real connections to a real manager that keep to the protocol, report every replica they
 * are given as ready, tell of a load that moves, and answer each request at once. For what a large cluster looks like.
 */
import { Buffer } from "node:buffer";
import { decodeFrame, encodeFrame, forEachFrame, Op } from "../../lib/protocol/frame.ts";
import type { Channel } from "../../lib/protocol/channel.ts";
import {
  encodeMessage,
  joinPath,
  type MessageToManager,
  parseMessageToPeer,
  protocolVersion,
  type ReplicaReport,
  type ReplicaSpecification,
} from "../../lib/protocol/messages.ts";
import { dialWebSocket } from "../../lib/protocol/websocket_dial.ts";
import { version } from "../../lib/version.ts";
import type { Cluster } from "./cluster.ts";

const GiB = 2 ** 30;
const telemetryMs = 1000;

export interface Crowd {
  close(): void;
}

/** Joins `count` agents, named `pi-1` and so on. `functions` are the endpoints of every replicaSet. */
export async function joinCrowd(
  cluster: Cluster,
  count: number,
  functions: readonly string[],
): Promise<Crowd> {
  const password = "one for all of them";
  const made = await cluster.http("/v1/users", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "crowd", role: "agent", password }),
  });
  if (made.status >= 300) throw new Error(made.text);
  const caPem = await cluster.caPem();
  const members = await Promise.all(Array.from({ length: count }, async (_, index) => {
    const channel = await dialWebSocket({
      ...{ host: "127.0.0.1", port: cluster.port, caPem, path: joinPath, timeoutMs: 20_000 },
      headers: { authorization: `Basic ${Buffer.from(`crowd:${password}`).toString("base64")}` },
    });
    return new Member(channel, index + 1, functions);
  }));
  return { close: () => members.forEach((member) => member.close()) };
}

class Member {
  readonly #channel: Channel;
  readonly #index: number;
  readonly #functions: readonly string[];
  readonly #timer: ReturnType<typeof setInterval>;
  #replicas: ReplicaSpecification[] = [];
  #sequence = 0;

  constructor(channel: Channel, index: number, functions: readonly string[]) {
    this.#channel = channel;
    this.#index = index;
    this.#functions = functions;
    channel.start({
      onControl: (text) => this.#receive(text),
      onFrames: (frames) => forEachFrame(frames, (at) => this.#answer(frames, at)),
      onClose: () => clearInterval(this.#timer),
    });
    this.#timer = setInterval(() => this.#report(), telemetryMs);
    this.#send({
      ...{ type: "hello", role: "agent", protocol: protocolVersion, version, name: `pi-${index}` },
      ...{ identity: `crowd-member-number-${index}`, labels: { arch: "aarch64", shelf: `s${index % 5}` } },
      ...{ cores: 4, memoryBytes: 16 * GiB, enroll: false, replicas: [] },
    });
  }

  close(): void {
    clearInterval(this.#timer);
    this.#channel.abandon("over");
  }

  #send(message: MessageToManager): void {
    if (!this.#channel.closed) this.#channel.sendControl(encodeMessage(message));
  }

  #receive(text: string): void {
    const message = parseMessageToPeer(text);
    if (message.type !== "desired") return;
    this.#replicas = message.replicas;
    const endpoints = this.#functions.map((name) => ({ name, stream: false }));
    this.#send({
      type: "state",
      generation: message.generation,
      replicas: this.#replicas.map(({ handle, replicaSet, revision }): ReplicaReport => ({
        ...{ handle, replicaSet, revision, state: "ready", slots: 4, endpoints },
      })),
    });
  }

  #answer(frames: Uint8Array, at: number): void {
    const { op, id, body } = decodeFrame(frames, at);
    if (op === Op.request) {
      this.#channel.sendFrames(encodeFrame({ op: Op.reply, id, a: 1000, body: body.slice() }));
    }
  }

  /** Numbers that differ each second, as real ones do: nothing on a page stays as it is. */
  #report(): void {
    const wave = (1 + Math.sin((this.#sequence + this.#index) / 5)) / 2;
    this.#send({
      type: "telemetry",
      sequence: ++this.#sequence,
      host: {
        ...{ cpu: 0.1 + 0.8 * wave, load1: 4 * wave, memoryUsedBytes: Math.round((1 + wave) * GiB) },
        ...{ memoryTotalBytes: 16 * GiB, temperatureC: 40 + 20 * wave },
      },
      agentCpuCores: 0.02 + wave / 100,
      agentMemoryBytes: 60_000_000 + this.#sequence,
      replicas: this.#replicas.map(({ handle }) => ({
        ...{ handle, outstanding: 0, runners: 1, cpuCores: wave / 10, restarts: 0 },
        memoryBytes: Math.round((20 + wave) * 2 ** 20),
      })),
      endpoints: [],
    });
  }
}
