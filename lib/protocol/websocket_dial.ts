/**
 * Dials a manager: TCP without Nagle, TLS pinned to the cluster's CA under the fixed server name, then the
 * WebSocket upgrade (RFC 6455, section 4.1). A refusal arrives as the manager's own error.
 */
import { randomBytes } from "node:crypto";
import { isErrorCode, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Channel } from "./channel.ts";
import { concatBytes } from "./frame.ts";
import { managerServerName, protocolName } from "./messages.ts";
import { type ByteStream, describeLoss, WebSocketChannel } from "./websocket.ts";

export interface DialOptions {
  host: string;
  port: number;
  /** The cluster's CA, pinned. No public CA can issue for the fixed server name, so the system's roots don't matter. */
  caPem: string;
  path: string;
  /** E.g. `authorization`. */
  headers: Record<string, string>;
  /** For everything up to the first message. */
  timeoutMs: number;
}

/**
 * Resolves with an open channel. Rejects with the manager's refusal (`unauthenticated`, `version_mismatch`, …) or,
 * when the manager can't be reached or isn't the right one, with `manager_lost`; the cause has the details.
 */
export async function dialWebSocket(options: DialOptions): Promise<Channel> {
  const where = `${options.host}:${options.port}`;
  const attempt = new Attempt();
  const timedOut = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    attempt.abandon();
    timedOut.reject(new Error("timed out"));
  }, options.timeoutMs);
  try {
    // A connect to an address that swallows packets can't be interrupted; it is left to end by itself.
    return await Promise.race([open(options, where, attempt), timedOut.promise]);
  } catch (thrown) {
    const late = attempt.abandoned;
    attempt.abandon();
    if (thrown instanceof SqwishError && !late) throw thrown;
    throw new SqwishError("manager_lost", describeFailure(where, late ? options.timeoutMs : 0, thrown), {
      cause: thrown,
      details: { mayHaveRun: "no" },
    });
  } finally {
    clearTimeout(timer);
  }
}

/** The connection under way, so that giving up closes whatever there is of it, now or later. */
class Attempt {
  abandoned = false;
  #connection: Deno.Conn | undefined;

  /** Throws when the attempt was given up meanwhile. */
  take<Connection extends Deno.Conn>(connection: Connection): Connection {
    this.#connection = connection;
    if (this.abandoned) {
      closeQuietly(connection);
      throw new Error("given up");
    }
    return connection;
  }

  abandon(): void {
    this.abandoned = true;
    closeQuietly(this.#connection);
  }
}

async function open(options: DialOptions, where: string, attempt: Attempt): Promise<Channel> {
  const tcp = attempt.take(await Deno.connect({ hostname: options.host, port: options.port }));
  tcp.setNoDelay(true);
  const tls = attempt.take(
    await Deno.startTls(tcp, { hostname: managerServerName, caCerts: [options.caPem] }),
  );
  await tls.handshake();
  const rest = await upgrade(tls, options, where);
  return new WebSocketChannel(new ConnStream(tls, where, rest), "client");
}

function describeFailure(where: string, timedOutMs: number, thrown: unknown): string {
  if (timedOutMs > 0) return `The manager at ${where} did not answer within ${timedOutMs} ms`;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  if (/certificate|UnknownIssuer|BadSignature/i.test(text)) {
    return `The manager at ${where} does not hold this cluster's certificate; it may be another cluster`;
  }
  return `The manager at ${where} can't be reached`;
}

/** Sends the upgrade request; resolves with the bytes that came after the response's head. */
async function upgrade(connection: Deno.Conn, options: DialOptions, where: string): Promise<Uint8Array> {
  const lines = [
    `GET ${options.path} HTTP/1.1`,
    `Host: ${where}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
    `Sec-WebSocket-Protocol: ${protocolName}`,
    ...Object.entries(options.headers).map(([key, value]) => `${key}: ${value}`),
  ];
  await writeAll(connection, new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n"));
  const chunks: Uint8Array[] = [];
  const buffer = new Uint8Array(16 * 1024);
  for (let length = 0; length < limits.upgradeHeaderBytesMax + limits.frameMetaBytesMax;) {
    const count = await connection.read(buffer);
    if (count === null) break;
    chunks.push(buffer.slice(0, count));
    length += count;
    const bytes = concatBytes(chunks);
    const text = new TextDecoder("latin1").decode(bytes);
    const headEnd = text.indexOf("\r\n\r\n");
    if (headEnd < 0) continue;
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]);
    if (status === 101) return bytes.slice(headEnd + 4);
    const bodyLength = Number(/\r\ncontent-length: *(\d+)/i.exec(text.slice(0, headEnd))?.[1] ?? 0);
    if (bytes.length >= headEnd + 4 + bodyLength) throw refusal(status, bytes.slice(headEnd + 4), where);
  }
  throw new SqwishError("manager_lost", `The manager at ${where} closed the connection before it was open`, {
    details: { mayHaveRun: "no" },
  });
}

function refusal(status: number, body: Uint8Array, where: string): SqwishError {
  try {
    const { error } = JSON.parse(new TextDecoder().decode(body));
    if (isErrorCode(error.code)) {
      return new SqwishError(error.code, String(error.message), { details: error.details });
    }
  } catch {
    // Not a manager's words; said below.
  }
  return new SqwishError(
    "manager_lost",
    `What answers at ${where} is not a Sqwish manager (HTTP status ${status})`,
    {
      details: { mayHaveRun: "no" },
    },
  );
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

function closeQuietly(connection: Deno.Conn | undefined): void {
  try {
    connection?.close();
  } catch {
    // Already closed: by the timer, or by `startTls`, which takes the TCP connection over.
  }
}

/** A quiet connection holds no more than this; one that reads much at once gets `busyReadBytes`. */
const readBytes = 16 * 1024;
const busyReadBytes = 256 * 1024;
/** With less room than this left, the next read goes into a new buffer. */
const roomBytesMin = 8 * 1024;

/** A `Deno.Conn` as a byte stream: one pending read, stopped while paused. */
class ConnStream implements ByteStream {
  readonly remoteAddress: string;
  readonly #connection: Deno.Conn;
  #first: Uint8Array;
  #paused: Promise<void> | null = null;
  #unpause: () => void = () => {};
  #destroyed = false;

  constructor(connection: Deno.Conn, remoteAddress: string, first: Uint8Array) {
    this.#connection = connection;
    this.remoteAddress = remoteAddress;
    this.#first = first;
  }

  start(onData: (chunk: Uint8Array) => void, onEnd: (reason: string) => void): void {
    void this.#read(onData).then(onEnd);
  }

  async #read(onData: (chunk: Uint8Array) => void): Promise<string> {
    if (this.#first.length > 0) onData(this.#first);
    this.#first = new Uint8Array(0);
    let buffer = new Uint8Array(readBytes);
    let filled = 0;
    let count: number | null = 0;
    while (!this.#destroyed) {
      if (this.#paused) await this.#paused;
      try {
        // What was read belongs to the receiver; the next goes behind it, or into a new buffer.
        if (buffer.length - filled < roomBytesMin) {
          buffer = new Uint8Array(count * 2 > roomBytesMin ? busyReadBytes : readBytes);
          filled = 0;
        }
        count = await this.#connection.read(filled === 0 ? buffer : buffer.subarray(filled));
      } catch (thrown) {
        return thrown instanceof Error ? describeLoss(thrown) : String(thrown);
      }
      if (count === null) return "the manager closed the connection";
      onData(buffer.subarray(filled, filled + count));
      filled += count;
    }
    return "closed here";
  }

  write(bytes: Uint8Array): Promise<void> {
    return writeAll(this.#connection, bytes);
  }

  pause(): void {
    if (this.#paused || this.#destroyed) return;
    this.#paused = new Promise((resolve) => {
      this.#unpause = resolve;
    });
  }

  resume(): void {
    this.#paused = null;
    this.#unpause();
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.resume();
    closeQuietly(this.#connection);
  }
}
