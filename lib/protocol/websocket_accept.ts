/**
 * Accepts a peer on the manager's port: checks the upgrade request (RFC 6455, section 4.2), then turns the
 * `node:https` socket into a channel with Nagle's algorithm off. Refusals are HTTP responses with a JSON error.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { SqwishError } from "../errors.ts";
import type { Channel } from "./channel.ts";
import { byeOf, encodeMessage, protocolName } from "./messages.ts";
import { CloseCode } from "./rfc6455.ts";
import { type ByteStream, describeLoss, WebSocketChannel } from "./websocket.ts";

const handshakeSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Throws `invalid_request` or `version_mismatch` for a request that can't become a channel. */
export function checkUpgrade(request: IncomingMessage): void {
  const header = (name: string) => String(request.headers[name] ?? "");
  if (request.method !== "GET" || header("upgrade").toLowerCase() !== "websocket") {
    throw new SqwishError("invalid_request", "A join must be a GET request with Upgrade: websocket");
  }
  if (
    header("sec-websocket-version") !== "13" || !/^[A-Za-z0-9+/]{22}==$/.test(header("sec-websocket-key"))
  ) {
    throw new SqwishError("invalid_request", "A join must be a WebSocket of version 13 with a valid key");
  }
  const offered = header("sec-websocket-protocol").split(",").map((word) => word.trim());
  if (!offered.includes(protocolName)) {
    throw new SqwishError(
      "version_mismatch",
      `This manager speaks ${protocolName}, the peer offers ${
        offered.join(", ") || "nothing"
      }; install the same version on both`,
    );
  }
}

/** Completes the upgrade. Call `checkUpgrade` first. */
export function acceptUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
  remoteAddress: string,
): Channel {
  const accept = createHash("sha1")
    .update(String(request.headers["sec-websocket-key"]) + handshakeSuffix)
    .digest("base64");
  const lines = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${accept}`,
    `Sec-WebSocket-Protocol: ${protocolName}`,
  ];
  (socket as Duplex & { setNoDelay?: (on: boolean) => void }).setNoDelay?.(true);
  socket.write(lines.join("\r\n") + "\r\n\r\n");
  return new WebSocketChannel(new NodeSocketStream(socket, head, remoteAddress), "server");
}

/** Answers an upgrade request with an error and ends the connection. */
export function refuseUpgrade(request: IncomingMessage, socket: Duplex, error: SqwishError): void {
  if (socket.destroyed) return;
  if (request.socket?.remoteAddress !== undefined) return refuseConnection(socket, error);
  // Runtimes before 2.8 give an upgraded socket no address, and pass on no answer but 101: the peer is let in to
  // read the reason in a `bye`.
  const channel = acceptUpgrade(request, socket, new Uint8Array(0), "unknown");
  channel.start({ onControl() {}, onFrames() {}, onClose() {} });
  channel.sendControl(encodeMessage(byeOf(error)));
  channel.close(CloseCode.policyViolation, error.message);
}

/** Says in HTTP what is wrong and ends the connection. */
export function refuseConnection(socket: Duplex, error: SqwishError): void {
  const body = JSON.stringify(error);
  const lines = [
    `HTTP/1.1 ${error.http} ${error.code}`,
    "Content-Type: application/json",
    `Content-Length: ${new TextEncoder().encode(body).length}`,
    "Connection: close",
  ];
  socket.on("error", () => {});
  socket.end(`${lines.join("\r\n")}\r\n\r\n${body}`);
}

class NodeSocketStream implements ByteStream {
  readonly remoteAddress: string;
  readonly #socket: Duplex;
  readonly #head: Uint8Array;

  constructor(socket: Duplex, head: Uint8Array, remoteAddress: string) {
    this.#socket = socket;
    this.#head = head;
    this.remoteAddress = remoteAddress;
  }

  start(onData: (chunk: Uint8Array) => void, onEnd: (reason: string) => void): void {
    let ended = false;
    const endOnce = (reason: string) => {
      if (ended) return;
      ended = true;
      onEnd(reason);
    };
    this.#socket.on("error", (error: Error) => endOnce(describeLoss(error)));
    this.#socket.on("end", () => endOnce("the peer closed the connection"));
    this.#socket.on("close", () => endOnce("the connection closed"));
    if (this.#head.length > 0) onData(new Uint8Array(this.#head));
    this.#socket.on("data", (chunk: Uint8Array) => onData(chunk));
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => error ? reject(error) : resolve());
    });
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
