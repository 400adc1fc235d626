/** The real WebSocket channel on a simulated connection, with an ear for those who check what passes. */
import type { ChannelHandlers } from "../../lib/protocol/channel.ts";
import { WebSocketChannel } from "../../lib/protocol/websocket.ts";
import type { WireEnd } from "./network.ts";

/** What passes at one end. All of it is only looked at. */
export interface ChannelEar {
  onControl(text: string): void;
  onFrames(bytes: Uint8Array, at: number, end: number): void;
  sentControl(text: string): void;
  sentFrames(bytes: Uint8Array, at: number, end: number): void;
  onClose(): void;
}

/** As in `lib/protocol/websocket.ts`, where a real timer does it. */
const closeGraceMs = 1000;

export class SimulatedChannel extends WebSocketChannel {
  readonly end: WireEnd;
  #ear: ChannelEar | null;

  constructor(end: WireEnd, side: "client" | "server", ear: ChannelEar | null = null) {
    super(end, { side, clock: end.process.clock });
    this.end = end;
    this.#ear = ear;
    // A process that has died closes nothing in words.
    end.process.onDeath(() => {
      this.#ear?.onClose();
      this.#ear = null;
      this.abandon("the process has ended");
    });
  }

  override start(handlers: ChannelHandlers): void {
    const { process } = this.end;
    super.start({
      ...handlers,
      onControl: (text) => {
        this.#ear?.onControl(text);
        handlers.onControl(text);
      },
      onFrames: (bytes) => {
        this.#ear?.onFrames(bytes, 0, bytes.length);
        handlers.onFrames(bytes);
      },
      onClose: (close) => {
        if (process.state === "dead") return;
        process.run(() => {
          this.#ear?.onClose();
          this.#ear = null;
          handlers.onClose(close);
        });
      },
    });
  }

  override sendControl(text: string): void {
    if (this.closed || this.end.process.state === "dead") return;
    this.#ear?.sentControl(text);
    super.sendControl(text);
  }

  override sendFrames(bytes: Uint8Array, at = 0, end = bytes.length): void {
    if (this.closed || this.end.process.state === "dead") return;
    this.#ear?.sentFrames(bytes, at, end);
    super.sendFrames(bytes, at, end);
  }

  override close(code?: number, reason?: string): void {
    super.close(code, reason);
    this.end.process.clock.after(closeGraceMs, () => this.abandon(reason ?? ""));
  }
}
