/**
 * Dials a manager: TCP without Nagle, TLS pinned to the cluster's CA under the fixed server name, then the
 * WebSocket upgrade (RFC 6455, section 4.1). A refusal arrives as the manager's own error.
 */
import { randomBytes } from "node:crypto";
import { formatAddress } from "../address.ts";
import { isErrorCode, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Channel } from "./channel.ts";
import { closeQuietly, ConnStream } from "./conn_stream.ts";
import { concatBytes } from "./frame.ts";
import { acknowledgeHeader, managerServerName, protocolName } from "./messages.ts";
import { WebSocketChannel } from "./websocket.ts";

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
  /** Ends the attempt, with whatever there is of a connection. */
  signal?: AbortSignal;
}

/**
 * Resolves with an open channel. Rejects with the manager's refusal (`unauthenticated`, `version_mismatch`, …) or,
 * when the manager can't be reached or isn't the right one, with `manager_lost`; the cause has the details. With
 * `cancelled` when `signal` ended it.
 */
export async function dialWebSocket(options: DialOptions): Promise<Channel> {
  const where = formatAddress(options.host, options.port);
  const { signal } = options;
  if (signal?.aborted) throw givenUp(where);
  const attempt = new Attempt();
  const stopped = Promise.withResolvers<never>();
  function stop(why: Error): void {
    attempt.abandon();
    stopped.reject(why);
  }
  const onAbort = () => stop(givenUp(where));
  signal?.addEventListener("abort", onAbort);
  const timer = setTimeout(() => stop(new Error("timed out")), options.timeoutMs);
  try {
    return await Promise.race([open(options, where, attempt), stopped.promise]);
  } catch (thrown) {
    const late = attempt.abandoned;
    attempt.abandon();
    if (signal?.aborted) throw givenUp(where);
    if (thrown instanceof SqwishError && !late) throw thrown;
    throw new SqwishError("manager_lost", describeFailure(where, late ? options.timeoutMs : 0, thrown), {
      cause: thrown,
      details: { mayHaveRun: "no" },
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

function givenUp(where: string): SqwishError {
  return new SqwishError("cancelled", `Dialling the manager at ${where} was given up by its owner`, {
    details: { mayHaveRun: "no" },
  });
}

/** The connection under way, so that giving up closes whatever there is of it, now or later. */
class Attempt {
  #connecting = new AbortController();
  #connection: Deno.Conn | undefined;

  /** Ends even a connect to an address that swallows packets. */
  get signal(): AbortSignal {
    return this.#connecting.signal;
  }

  get abandoned(): boolean {
    return this.signal.aborted;
  }

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
    this.#connecting.abort();
    closeQuietly(this.#connection);
  }
}

async function open(options: DialOptions, where: string, attempt: Attempt): Promise<Channel> {
  const { host: hostname, port } = options;
  const tcp = attempt.take(await Deno.connect({ hostname, port, signal: attempt.signal }));
  tcp.setNoDelay(true);
  const tls = attempt.take(
    await Deno.startTls(tcp, { hostname: managerServerName, caCerts: [options.caPem] }),
  );
  await tls.handshake();
  const { head, rest } = await upgrade(tls, options, where);
  const stream = new ConnStream(tls, where);
  stream.handOver(rest);
  const acknowledges = head.toLowerCase().includes(`\r\n${acknowledgeHeader}:`);
  return new WebSocketChannel(stream, { side: "client", acknowledges });
}

function describeFailure(where: string, timedOutMs: number, thrown: unknown): string {
  if (timedOutMs > 0) return `The manager at ${where} did not answer within ${timedOutMs} ms`;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  if (/certificate|UnknownIssuer|BadSignature/i.test(text)) {
    return `The manager at ${where} does not hold this cluster's certificate; it may be another cluster`;
  }
  return `The manager at ${where} can't be reached`;
}

/** Sends the upgrade request; resolves with the response's head and the bytes that came after it. */
async function upgrade(
  connection: Deno.Conn,
  options: DialOptions,
  where: string,
): Promise<{ head: string; rest: Uint8Array }> {
  const lines = [
    `GET ${options.path} HTTP/1.1`,
    `Host: ${managerServerName}`,
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
  for (let length = 0; length < limits.httpHeadBytesMax + limits.frameMetaBytesMax;) {
    const count = await connection.read(buffer);
    if (count === null) break;
    chunks.push(buffer.slice(0, count));
    length += count;
    const bytes = concatBytes(chunks);
    const text = new TextDecoder("latin1").decode(bytes);
    const headEnd = text.indexOf("\r\n\r\n");
    if (headEnd < 0) continue;
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]);
    if (status === 101) return { head: text.slice(0, headEnd), rest: bytes.slice(headEnd + 4) };
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
