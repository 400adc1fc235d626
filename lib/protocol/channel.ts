/**
 * The channel seam: an ordered, framed connection between two programs. Implemented over WebSockets
 * (`websocket.ts`) and in memory for tests; both pass `tests/conformance/channel_test.ts`.
 */
import type { SqwishError } from "../errors.ts";

export interface ChannelClose {
  /** WebSocket close code (RFC 6455, section 7.4); 1006 when the connection broke. */
  code: number;
  reason: string;
}

/** All callbacks are called in order, never after `onClose`, and `onClose` exactly once. */
export interface ChannelHandlers {
  /** One JSON control message, not yet validated. */
  onControl(text: string): void;
  /**
   * One or more whole, well-formed frames, back to back; their contents are not validated. The bytes belong to the
   * receiver, who may rewrite headers in place.
   */
  onFrames(frames: Uint8Array): void;
  /** What came can't be frames; nothing more is delivered. Without it the channel closes, saying why. */
  onMalformed?(error: SqwishError): void;
  onClose(close: ChannelClose): void;
  /** `bufferedBytes` had been over the high mark, and there is room again. */
  onDrain?(): void;
}

export interface Channel {
  /** The peer's address, for logs and limits. */
  readonly remoteAddress: string;
  /** Bytes accepted by `send…` that have not left this process. */
  readonly bufferedBytes: number;
  /** `bufferedBytes` was over the high mark, and `onDrain` has not followed yet. */
  readonly jammed: boolean;
  /** Bytes that have come in; grows while a large message is still on its way, so a slow link is told from a dead one. */
  readonly receivedBytes: number;
  /** Nothing is read from the peer now because this side does not want to: its silence says nothing. */
  readonly readingPaused: boolean;
  readonly closed: boolean;
  /** Must be called once, before anything is delivered. */
  start(handlers: ChannelHandlers): void;
  sendControl(text: string): void;
  /**
   * Queues the whole frames in `bytes[at, end)`; they leave together with all that is sent while a write is under
   * way. The bytes must not change until then. Frames of one id arrive in order; small ones may overtake large ones
   * of other ids, and control messages overtake frames.
   */
  sendFrames(bytes: Uint8Array, at?: number, end?: number): void;
  /** Nobody but the channel needs the frame `bytes[at, end)` any more, which was sent: a large one's memory is given back. */
  freeWhenWritten(bytes: Uint8Array, at: number, end: number): void;
  /** Stops or resumes delivery; the peer feels it as backpressure. */
  pauseReading(): void;
  resumeReading(): void;
  /**
   * Sends what is queued, then closes with a code and a reason of at most 120 bytes. What takes longer than a moment is
   * cut off, after `transferMsMax` where somebody waits for it, as long as the peer takes some of it. Idempotent.
   */
  close(code?: number, reason?: string, transferMsMax?: number): void;
  /** Drops the connection at once: for a peer that no longer answers. Idempotent. */
  abandon(reason: string): void;
}
