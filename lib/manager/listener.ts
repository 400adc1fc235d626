/**
 * The manager's one port: HTTPS requests go to the hono app, upgrades of `/v1/join` to the join handler.
 * `node:https` rather than `Deno.serve`, because its upgraded sockets can switch off Nagle (docs/decisions/0001)
 * and its port can be opened anew with another certificate without dropping a connection.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import https from "node:https";
import type { Duplex } from "node:stream";
import { type Clock, sleep } from "../clock.ts";
import { asSqwishError, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Log } from "../log.ts";
import { concatBytes } from "../protocol/frame.ts";
import { joinPath } from "../protocol/messages.ts";
import { checkUpgrade, refuseConnection, refuseUpgrade } from "../protocol/websocket_accept.ts";

export interface ListenerOptions {
  host: string;
  port: number;
  certPem: string;
  keyPem: string;
  clock: Clock;
  log: Log;
  /** `remoteAddress` is the peer's IP address. */
  handle(request: Request, remoteAddress: string): Promise<Response> | Response;
  join(request: IncomingMessage, socket: Duplex, head: Uint8Array, remoteAddress: string): void;
}

export interface Listener {
  readonly port: number;
  readonly connections: number;
  /** Serves new connections with another certificate; those that are open stay. */
  renew(certificate: Pick<ListenerOptions, "certPem" | "keyPem">): Promise<void>;
  close(): Promise<void>;
}

/** A whole set, in base64. */
const deployBytesMax = Math.ceil(limits.setBytesMax * 4 / 3) + limits.controlBytesMax;
const deployPath = "/v1/replicasets";
/** An input with some to spare, so that the route itself can say what is too much of it. */
const requestBytesMax = limits.bodyBytesMax + limits.controlBytesMax;

/** Bytes of bodies now in memory: they are read before anyone knows who sends them. */
interface Bodies {
  bytes: number;
}

/** Resolves when the port is open. Rejects with `conflict` when it is taken, `invalid_request` when it can't be bound. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const sockets = new SocketCount();
  const bodies: Bodies = { bytes: 0 };
  let server = createServer(options, sockets, bodies, options);
  await listen(server, options.host, options.port);
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;

  let closed = false;
  let renewing: Promise<void> = Promise.resolve();

  async function renew(certificate: Pick<ListenerOptions, "certPem" | "keyPem">): Promise<void> {
    server.close();
    for (let tries = 1; !closed; tries++) {
      const next = createServer(options, sockets, bodies, certificate);
      try {
        await listen(next, options.host, port);
        server = next;
        return;
      } catch (thrown) {
        // Some runtimes free the port a moment after `close()`.
        if (tries === renewTriesMax) throw thrown;
        await sleep(options.clock, 10);
      }
    }
  }

  return {
    port,
    get connections() {
      return sockets.size;
    },
    renew: (certificate) => closed ? Promise.resolve() : renewing = renew(certificate),
    async close() {
      closed = true;
      // A port that is just being opened anew could not be closed.
      await renewing.catch(() => {});
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections?.();
        sockets.destroyAll();
      });
    },
  };
}

const renewTriesMax = 300;

function createServer(
  options: ListenerOptions,
  sockets: SocketCount,
  bodies: Bodies,
  { certPem, keyPem }: Pick<ListenerOptions, "certPem" | "keyPem">,
): Server {
  const server = https.createServer(
    {
      key: keyPem,
      cert: certPem,
      minVersion: "TLSv1.2",
      // Whoever connects and then says nothing, or too little, must not hold a connection for ever.
      handshakeTimeout: limits.handshakeMsMax,
      headersTimeout: limits.handshakeMsMax,
      connectionsCheckingInterval: 1000,
      // deno-lint-ignore no-explicit-any -- the option types of node:https differ between the Deno versions served
    } as any,
    (request, response) => void serve(options, bodies, request, response),
  );
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Uint8Array) => {
    upgrade(options, sockets, request, socket, head);
  });
  server.on("secureConnection", (socket: Duplex & { remoteAddress?: string }) => {
    if (!sockets.add(socket, socket.remoteAddress ?? "unknown")) socket.destroy();
  });
  server.on("tlsClientError", (error: Error) => options.log.debug("TLS handshake failed", { error }));
  server.on("clientError", (error: Error, socket: Duplex) => {
    options.log.debug("not HTTP", { error });
    // Words only reach who has come through the TLS handshake.
    if (sockets.has(socket) && socket.writable) refuseConnection(socket, unreadable(error));
    else socket.destroy();
  });
  return server;
}

/** The connections that are open, counted by address and bounded. A socket counts once, however often it is added. */
class SocketCount {
  readonly #addresses = new Map<Duplex, string>();
  readonly #perAddress = new Map<string, number>();

  get size(): number {
    return this.#addresses.size;
  }

  has(socket: Duplex): boolean {
    return this.#addresses.has(socket);
  }

  /** False when there is no room for it. */
  add(socket: Duplex, address: string): boolean {
    if (this.#addresses.has(socket)) return true;
    const open = this.#perAddress.get(address) ?? 0;
    if (this.size >= limits.connectionsMax || open >= limits.connectionsPerAddressMax) return false;
    this.#addresses.set(socket, address);
    this.#perAddress.set(address, open + 1);
    socket.on("close", () => this.#remove(socket));
    return true;
  }

  destroyAll(): void {
    for (const socket of this.#addresses.keys()) socket.destroy();
  }

  #remove(socket: Duplex): void {
    const address = this.#addresses.get(socket);
    if (address === undefined) return;
    this.#addresses.delete(socket);
    const left = this.#perAddress.get(address)! - 1;
    if (left === 0) this.#perAddress.delete(address);
    else this.#perAddress.set(address, left);
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: Error & { code?: string }) => {
      if (error.code === "EADDRINUSE") {
        reject(
          new SqwishError(
            "conflict",
            `Port ${port} is in use at ${host}; choose another with --listen`,
            {
              cause: error,
            },
          ),
        );
      } else {
        reject(
          new SqwishError(
            "invalid_request",
            `Can't listen at ${host}:${port}; choose another address with --listen`,
            {
              cause: error,
            },
          ),
        );
      }
    });
    server.listen(port, host, () => resolve());
  });
}

function upgrade(
  options: ListenerOptions,
  sockets: SocketCount,
  request: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
): void {
  // Until the join has taken it over, a peer that breaks the connection must not end the manager.
  socket.on("error", (error: Error) => options.log.debug("a joining peer is gone", { error }));
  try {
    const address = remoteAddressOf(request);
    if (!sockets.add(socket, address)) {
      throw new SqwishError("queue_full", `Too many connections from ${address}; try again later`);
    }
    if (new URL(request.url ?? "/", "https://manager").pathname !== joinPath) {
      throw new SqwishError("not_found", `Only ${joinPath} takes WebSockets, asked was ${request.url}`);
    }
    checkUpgrade(request);
    options.join(request, socket, head, address);
  } catch (thrown) {
    refuseUpgrade(request, socket, asSqwishError(thrown, "Joining"));
  }
}

function remoteAddressOf(request: IncomingMessage): string {
  return request.socket?.remoteAddress ?? upgradedAddress(request.socket) ?? "unknown";
}

/** Runtimes before 2.8 give an upgraded socket no address; the connection inside its handle has it. */
function upgradedAddress(socket: unknown): string | undefined {
  const handle = (socket as { _handle?: Record<symbol, { remoteAddr?: Deno.NetAddr } | undefined> })?._handle;
  if (!handle) return undefined;
  return Object.getOwnPropertySymbols(handle).map((key) => handle[key]?.remoteAddr?.hostname).find(Boolean);
}

async function serve(
  options: ListenerOptions,
  bodies: Bodies,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  let heldBytes = 0;
  const hold = (bytes: number) => {
    heldBytes += bytes;
    bodies.bytes += bytes;
    if (bodies.bytes > limits.httpBodiesBytesMax) throw tooManyBodies();
  };
  try {
    const body = await readBody(request, hold);
    const asked = webRequest(request, body, gone.signal);
    // An upgrade would not have come here; the check says what is missing.
    if (new URL(asked.url).pathname === joinPath) checkUpgrade(request);
    const answer = await options.handle(asked, remoteAddressOf(request));
    bodies.bytes -= heldBytes;
    heldBytes = 0;
    await writeResponse(answer, response, gone.signal);
  } catch (thrown) {
    bodies.bytes -= heldBytes;
    const error = asSqwishError(thrown, "The request");
    if (error.code === "internal") {
      options.log.error("request failed", { path: request.url, error: error.cause });
    }
    if (response.headersSent || response.destroyed) return void response.destroy();
    response.writeHead(error.http, { "content-type": "application/json" });
    response.end(JSON.stringify(error));
  }
}

/** Throws `invalid_request` for an address, a method or headers that no request may have. */
function webRequest(request: IncomingMessage, body: Uint8Array<ArrayBuffer>, signal: AbortSignal): Request {
  try {
    const url = new URL(request.url ?? "/", `https://${request.headers.host ?? "manager"}`);
    const headers = new Headers();
    for (const [name, value] of Object.entries(request.headers)) {
      if (value !== undefined && !name.startsWith(":")) {
        headers.set(name, Array.isArray(value) ? value.join(", ") : value);
      }
    }
    const hasBody = body.length > 0 && request.method !== "GET" && request.method !== "HEAD";
    return new Request(url, { method: request.method, headers, body: hasBody ? body : null, signal });
  } catch (cause) {
    throw unreadable(cause);
  }
}

function unreadable(cause: unknown): SqwishError {
  return new SqwishError(
    "invalid_request",
    "The manager reads HTTP requests whose method, path and headers are well-formed, this is not one",
    { cause },
  );
}

/** `hold` is told of each chunk before it is kept, and throws when it may not be. */
async function readBody(
  request: IncomingMessage,
  hold: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  // Some of the runtimes served never end the stream of a request that has no body.
  if (request.headers["content-length"] === undefined && request.headers["transfer-encoding"] === undefined) {
    return new Uint8Array(0);
  }
  const declared = Number(request.headers["content-length"] ?? 0);
  const bytesMax = request.url === deployPath ? deployBytesMax : requestBytesMax;
  if (declared > bytesMax) throw tooLarge(declared, bytesMax);
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of request) {
      length += chunk.length;
      if (length > bytesMax) throw tooLarge(length, bytesMax);
      hold(chunk.length);
      chunks.push(chunk);
    }
  } catch (thrown) {
    if (thrown instanceof SqwishError) throw thrown;
    throw new SqwishError("cancelled", "The HTTP client went away before its request was whole", {
      cause: thrown,
      details: { mayHaveRun: "no" },
    });
  }
  return concatBytes(chunks);
}

function tooLarge(length: number, bytesMax: number): SqwishError {
  return new SqwishError(
    "too_large",
    `A request body takes at most ${bytesMax} bytes, this one has ${length}`,
  );
}

function tooManyBodies(): SqwishError {
  return new SqwishError(
    "queue_full",
    `The manager holds at most ${limits.httpBodiesBytesMax} bytes of requests at once; try again in a second`,
    { details: { retryAfterMs: 1000, mayHaveRun: "no" } },
  );
}

async function writeResponse(answer: Response, response: ServerResponse, gone: AbortSignal): Promise<void> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of answer.headers) {
    if (name !== "set-cookie") headers[name] = value;
  }
  const cookies = answer.headers.getSetCookie();
  if (cookies.length > 0) headers["set-cookie"] = cookies;
  if (answer.body === null) {
    response.writeHead(answer.status, headers);
    response.end();
    return;
  }
  if (!headers["content-type"]?.includes("text/event-stream")) {
    const bytes = new Uint8Array(await answer.arrayBuffer());
    headers["content-length"] = String(bytes.length);
    response.writeHead(answer.status, headers);
    response.end(bytes);
    return;
  }
  response.writeHead(answer.status, headers);
  response.flushHeaders?.();
  const reader = answer.body.getReader();
  const cancel = () => void reader.cancel().catch(() => {});
  // The client may have gone while the answer was made; its abort has then been and comes no more.
  if (gone.aborted) cancel();
  else gone.addEventListener("abort", cancel);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!response.write(value)) await drained(response, gone);
  }
  response.end();
}

/** Resolves when more may be written, or nobody is there to write to. */
function drained(response: ServerResponse, gone: AbortSignal): Promise<void> {
  if (gone.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done);
      gone.removeEventListener("abort", done);
      resolve();
    };
    response.once("drain", done);
    gone.addEventListener("abort", done);
  });
}
