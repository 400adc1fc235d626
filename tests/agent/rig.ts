/** An agent's side of a connection in memory: a hosting that notes what it is told, and the manager's end. */
import type { Desired, LogLine, MessageToPeer, ReplicaReport, Welcome } from "../../lib/protocol/messages.ts";
import { encodeMessage, parseMessageToManager } from "../../lib/protocol/messages.ts";
import type { Channel, ChannelClose } from "../../lib/protocol/channel.ts";
import {
  decodeFrame,
  encodeFrame,
  forEachFrame,
  type Frame,
  type FrameParts,
} from "../../lib/protocol/frame.ts";
import { createMemoryChannelPair } from "../../lib/protocol/memory_channel.ts";
import { UpstreamCalls } from "../../lib/agent/upstream.ts";
import { openSession } from "../../lib/agent/session.ts";
import type { Hosting } from "../../lib/hosting/hosting.ts";
import { agentHello, telemetryOf } from "../manager/rig.ts";
import { ManualClock } from "../support/manual_clock.ts";

export const welcome: Welcome = {
  type: "welcome",
  protocol: 1,
  version: "1.2.3",
  cluster: "attic",
  managerInstance: "m-1",
  addresses: ["10.0.0.2:7443"],
  nowMs: 0,
};

/** Runs nothing; notes the calls. */
export class NotingHosting implements Hosting {
  generation = 0;
  readonly applied: Desired[] = [];
  readonly requests: Frame[] = [];
  readonly noted: string[] = [];

  apply(desired: Desired): void {
    this.generation = desired.generation;
    this.applied.push(desired);
  }
  request(bytes: Uint8Array, at: number): void {
    this.requests.push(decodeFrame(bytes, at));
  }
  cancel(id: number): void {
    this.noted.push(`cancel ${id}`);
  }
  credit(id: number, count: number): void {
    this.noted.push(`credit ${id} ${count}`);
  }
  resume(): void {
    this.noted.push("resume");
  }
  forget(): void {
    this.noted.push("forget");
  }
  reports(): ReplicaReport[] {
    return [];
  }
  samples() {
    return [];
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** The manager's end of a connection. */
export class ManagerEnd {
  readonly messages: ReturnType<typeof parseMessageToManager>[] = [];
  readonly frames: Frame[] = [];
  close: ChannelClose | null = null;

  constructor(readonly channel: Channel) {
    channel.start({
      onControl: (text) => this.messages.push(parseMessageToManager(text)),
      onFrames: (bytes) => forEachFrame(bytes, (at) => this.frames.push(decodeFrame(bytes, at))),
      onClose: (close) => this.close = close,
    });
  }

  send(...messages: MessageToPeer[]): void {
    for (const message of messages) this.channel.sendControl(encodeMessage(message));
  }

  sendFrame(parts: FrameParts): void {
    this.channel.sendFrames(encodeFrame(parts));
  }

  types(): string[] {
    return this.messages.map((message) => message.type);
  }
}

export function openSessionRig(lines: LogLine[] = []) {
  const clock = new ManualClock();
  const { left, right } = createMemoryChannelPair();
  const hosting = new NotingHosting();
  const calls = new UpstreamCalls();
  const welcomes: Welcome[] = [];
  const { type: _type, sequence: _sequence, ...telemetry } = telemetryOf(0);
  const session = openSession({
    clock,
    channel: left,
    hello: agentHello(),
    hosting,
    calls,
    telemetry: () => telemetry,
    takeLogs: () => lines.splice(0),
    onWelcome: (one) => welcomes.push(one),
  });
  return { clock, hosting, calls, welcomes, session, channel: left, manager: new ManagerEnd(right) };
}
