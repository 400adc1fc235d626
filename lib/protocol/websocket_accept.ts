/**
 * Accepts a peer on the manager's port: checks the upgrade request (RFC 6455, section 4.2), then turns the
 * connection into a channel.
 */
import { createHash } from "node:crypto";
import { SqwishError } from "../errors.ts";
import type { Channel } from "./channel.ts";
import type { RequestHead } from "./http_head.ts";
import { acknowledgeHeader, protocolName } from "./messages.ts";
import { type ByteStream, WebSocketChannel } from "./websocket.ts";

const handshakeSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Throws `invalid_request` or `version_mismatch` for a request that can't become a channel. */
export function checkUpgrade(request: RequestHead): void {
  const header = (name: string) => request.headers.get(name) ?? "";
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

export interface AcceptOptions {
  /** The peer is to acknowledge what it reads: our writes wait for that. */
  acknowledge: boolean;
}

/** Completes the upgrade. Call `checkUpgrade` first. Rejects when the peer is gone. */
export async function acceptUpgrade(
  request: RequestHead,
  stream: ByteStream,
  options: AcceptOptions,
): Promise<Channel> {
  const accept = createHash("sha1")
    .update(request.headers.get("sec-websocket-key") + handshakeSuffix)
    .digest("base64");
  const lines = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${accept}`,
    `Sec-WebSocket-Protocol: ${protocolName}`,
    ...(options.acknowledge ? [`${acknowledgeHeader}: always`] : []),
  ];
  await stream.write(new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n"));
  return new WebSocketChannel(stream, { side: "server" });
}
