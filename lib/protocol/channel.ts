/**
 * The channel seam: an ordered, framed connection between two programs. Implemented over WebSockets
 * (`websocket.ts`) and in memory for tests; both pass `tests/conformance/channel_test.ts`.
 */

export interface ChannelClose {
  /** WebSocket close code (RFC 6455, section 7.4); 1006 when the connection broke. */
  code: number;
  reason: string;
}

/** All callbacks are called in order, never after `onClose`, and `onClose` exactly once. */
export interface ChannelHandlers {
  /** One JSON control message, not yet validated. */
  onControl(text: string): void;
  /** A batch of whole frames, not yet validated. The bytes belong to the receiver, who may rewrite headers in place. */
  onFrames(message: Uint8Array): void;
  onClose(close: ChannelClose): void;
  /** Everything sent has left after `bufferedBytes` had been over the high mark. */
  onDrain?(): void;
}

export interface Channel {
  /** The peer's address, for logs and limits. */
  readonly remoteAddress: string;
  /** Bytes accepted by `send…` that have not left this process. */
  readonly bufferedBytes: number;
  /** Bytes that have come in; grows while a large message is still on its way, so a slow link is told from a dead one. */
  readonly receivedBytes: number;
  readonly closed: boolean;
  /** Must be called once, before anything is delivered. */
  start(handlers: ChannelHandlers): void;
  sendControl(text: string): void;
  /** Queues one frame (or several whole ones back to back). Frames sent while a write is under way share a message. */
  sendFrames(bytes: Uint8Array, at?: number, end?: number): void;
  /** Stops or resumes delivery; the peer feels it as backpressure. */
  pauseReading(): void;
  resumeReading(): void;
  /** Sends what is queued, then closes with a code and a reason of at most 120 bytes. Idempotent. */
  close(code?: number, reason?: string): void;
  /** Drops the connection at once: for a peer that no longer answers. Idempotent. */
  abandon(reason: string): void;
}
