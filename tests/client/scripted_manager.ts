/** The far end of a client's connection, in memory: a test says what it answers, frame by frame. */
import { SqwishError } from "../../lib/errors.ts";
import type { Channel, ChannelClose } from "../../lib/protocol/channel.ts";
import { decodeFrame, encodeFrame, Flag, forEachFrame, type Frame, Op } from "../../lib/protocol/frame.ts";
import { createMemoryChannelPair } from "../../lib/protocol/memory_channel.ts";
import {
  encodeMessage,
  type Hello,
  parseMessageToManager,
  type Welcome,
} from "../../lib/protocol/messages.ts";

const encoder = new TextEncoder();

export const welcome: Welcome = {
  type: "welcome",
  protocol: 1,
  version: "0.1.0",
  cluster: "attic",
  managerInstance: "first",
  addresses: ["attic.local:7443"],
  nowMs: 0,
};

export interface ManagerScript {
  /** Dialling fails with this instead. */
  refuse?: SqwishError;
  /** Says nothing after the hello. */
  silent?: boolean;
  /** Leaves pings unanswered. */
  ignorePings?: boolean;
  welcome?: Partial<Welcome>;
  /** Called for each frame that arrives. */
  onFrame?(frame: Frame, connection: ScriptedConnection): void;
}

export class ScriptedConnection {
  readonly channel: Channel;
  readonly frames: Frame[] = [];
  readonly pings: number[] = [];
  hello: Hello | undefined;
  closed: ChannelClose | undefined;

  constructor(channel: Channel, script: ManagerScript) {
    this.channel = channel;
    channel.start({
      onControl: (text) => {
        const message = parseMessageToManager(text);
        if (message.type === "hello") {
          this.hello = message;
          if (!script.silent) channel.sendControl(encodeMessage({ ...welcome, ...script.welcome }));
        } else if (message.type === "ping") {
          this.pings.push(message.sequence);
          if (!script.ignorePings) {
            channel.sendControl(encodeMessage({ type: "pong", sequence: message.sequence }));
          }
        }
      },
      onFrames: (bytes) =>
        forEachFrame(bytes, (at) => {
          const frame = decodeFrame(bytes, at);
          this.frames.push(frame);
          script.onFrame?.(frame, this);
        }),
      onClose: (close) => {
        this.closed = close;
      },
    });
  }

  ofOp(op: Op): Frame[] {
    return this.frames.filter((frame) => frame.op === op);
  }

  reply(id: number, value: unknown, fields: { a?: number; b?: number } = {}): void {
    const bytes = value instanceof Uint8Array;
    this.channel.sendFrames(encodeFrame({
      op: Op.reply,
      id,
      flags: bytes ? Flag.bytes : 0,
      body: bytes ? value : encoder.encode(JSON.stringify(value)),
      requestId: "00000001000000ff",
      ...fields,
    }));
  }

  part(id: number, value: unknown): void {
    this.channel.sendFrames(encodeFrame({ op: Op.part, id, body: encoder.encode(JSON.stringify(value)) }));
  }

  end(id: number): void {
    this.channel.sendFrames(encodeFrame({ op: Op.reply, id }));
  }

  error(id: number, error: SqwishError): void {
    const meta = JSON.stringify(error.toJSON().error);
    this.channel.sendFrames(encodeFrame({ op: Op.error, id, meta, requestId: "00000001000000ff" }));
  }
}

export class ScriptedManager {
  readonly script: ManagerScript;
  readonly connections: ScriptedConnection[] = [];
  dials = 0;

  constructor(script: ManagerScript = {}) {
    this.script = script;
  }

  get last(): ScriptedConnection {
    return this.connections[this.connections.length - 1];
  }

  dial(): Promise<Channel> {
    this.dials++;
    if (this.script.refuse) return Promise.reject(this.script.refuse);
    const { left, right } = createMemoryChannelPair();
    this.connections.push(new ScriptedConnection(right, this.script));
    return Promise.resolve(left);
  }
}

/** Lets everything that is only waiting for microtasks happen. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
