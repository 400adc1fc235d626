/** Peers that do not keep to the protocol: bytes of any kind to a manager's port, and what comes back as text. */
import { Buffer } from "node:buffer";
import { managerServerName } from "../../lib/protocol/messages.ts";
import type { Cluster } from "./cluster.ts";

const encoder = new TextEncoder();

/** A TLS connection to the manager, through the handshake. */
export async function connectTls(cluster: Cluster): Promise<Deno.TlsConn> {
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port: cluster.port });
  const tls = await Deno.startTls(tcp, { hostname: managerServerName, caCerts: [await cluster.caPem()] });
  await tls.handshake();
  return tls;
}

/** Reads until `enough` says so or the manager closes the connection. */
export async function readUntil(
  connection: Deno.Conn,
  enough: (text: string) => boolean = () => false,
): Promise<string> {
  const buffer = new Uint8Array(16 * 1024);
  let text = "";
  while (!enough(text)) {
    const count = await connection.read(buffer).catch(() => null);
    if (count === null) break;
    text += new TextDecoder("latin1").decode(buffer.subarray(0, count));
  }
  return text;
}

/** Sends all of `pieces`, waiting for an answer between them, and resolves with what came until the manager closed. */
export async function talk(connection: Deno.Conn, ...pieces: (string | number[])[]): Promise<string> {
  try {
    let text = "";
    for (const [index, piece] of pieces.entries()) {
      const bytes = typeof piece === "string" ? encoder.encode(piece) : new Uint8Array(piece);
      for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
      text += await readUntil(connection, index === pieces.length - 1 ? undefined : (got) => got !== "");
    }
    return text;
  } finally {
    connection.close();
  }
}

/** An HTTP request for one answer. */
export function httpText(method: string, path: string, headers: Record<string, string> = {}): string {
  const lines = Object.entries({ Host: "manager", Connection: "close", ...headers })
    .map(([name, value]) => `${name}: ${value}`);
  return [`${method} ${path} HTTP/1.1`, ...lines, "", ""].join("\r\n");
}

/** The upgrade request of a join; `changes` replace or add headers. */
export function upgradeText(
  cluster: Cluster,
  changes: Record<string, string> = {},
  path = "/v1/join",
): string {
  return httpText("GET", path, {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "sqwish.1",
    "Authorization": basic("admin", cluster.adminPassword),
    ...changes,
  });
}

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

/** One whole WebSocket frame of a client, masked with zeros (RFC 6455, section 5.2). */
export function maskedFrame(opcode: number, text: string): number[] {
  const payload = [...encoder.encode(text)];
  const length = payload.length < 126
    ? [0x80 | payload.length]
    : [0xfe, payload.length >> 8, payload.length & 255];
  return [0x80 | opcode, ...length, 0, 0, 0, 0, ...payload];
}
