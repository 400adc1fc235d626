/**
 * The manager's one port: plain invokes go to the invoke door, other HTTPS requests to the hono app, upgrades of
 * `/v1/join` to the join handler.
 * `node:https` rather than `Deno.serve`, because its upgraded sockets can switch off Nagle (docs/decisions/0001)
 * and its port can be opened anew with another certificate without dropping a connection.
 */
import type { IncomingMessage, Server } from "node:http";
import https from "node:https";
import type { Duplex } from "node:stream";
import { type Clock, sleep } from "../clock.ts";
import { asSqwishError, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Log } from "../log.ts";
import { joinPath } from "../protocol/messages.ts";
import { checkUpgrade, refuseConnection, refuseUpgrade } from "../protocol/websocket_accept.ts";
import type { InvokeDoor } from "./api/invoke_connection.ts";
import { Bodies, type HttpOptions, serveHttp, unreadable } from "./http_serve.ts";

export interface ListenerOptions extends HttpOptions {
  host: string;
  port: number;
  certPem: string;
  keyPem: string;
  clock: Clock;
  log: Log;
  /** Connections at once; those beyond are hung up on. `limits.connectionsMax` unless given. */
  connectionsMax?: number;
  /** Takes connections before node:http does, for as long as they carry plain invokes only. */
  invokeDoor?: Pick<InvokeDoor, "take">;
  join(request: IncomingMessage, socket: Duplex, head: Uint8Array, remoteAddress: string): void;
}

export interface Listener {
  readonly port: number;
  readonly connections: number;
  /** Serves new connections with another certificate; those that are open stay. */
  renew(certificate: Pick<ListenerOptions, "certPem" | "keyPem">): Promise<void>;
  close(): Promise<void>;
}

/** Resolves when the port is open. Rejects with `conflict` when it is taken, `invalid_request` when it can't be bound. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const sockets = new SocketCount(options);
  const bodies = new Bodies();
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
    (request, response) => void serveHttp(options, bodies, request, response, remoteAddressOf(request)),
  );
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Uint8Array) => {
    upgrade(options, sockets, request, socket, head);
  });
  // node:http's own way to a connection, which comes after ours. Runtimes before 2.7 have none and tell of no
  // connection: all requests then take the common way.
  const [toHttp] = server.listeners("secureConnection") as ((this: Server, socket: Duplex) => void)[];
  server.removeAllListeners("secureConnection");
  server.on("secureConnection", (socket: Duplex & { remoteAddress?: string }) => {
    const remoteAddress = socket.remoteAddress ?? "unknown";
    if (!sockets.add(socket, remoteAddress)) return void socket.destroy();
    if (!options.invokeDoor) return toHttp.call(server, socket);
    options.invokeDoor.take({
      socket,
      remoteAddress,
      hold: (difference) => bodies.hold(difference),
      toHttp: () => toHttp.call(server, socket),
    });
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
  readonly #max: number;
  readonly #clock: Clock;
  readonly #log: Log;
  #toldAtMs = -Infinity;

  constructor({ clock, log, connectionsMax = limits.connectionsMax }: ListenerOptions) {
    this.#max = connectionsMax;
    this.#clock = clock;
    this.#log = log;
  }

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
    if (this.size >= this.#max || open >= limits.connectionsPerAddressMax) {
      this.#tell(address, open);
      return false;
    }
    this.#addresses.set(socket, address);
    this.#perAddress.set(address, open + 1);
    socket.on("close", () => this.#remove(socket));
    return true;
  }

  destroyAll(): void {
    for (const socket of this.#addresses.keys()) socket.destroy();
  }

  /** Whoever knocks in vain usually does so again and again: one line a minute says enough. */
  #tell(address: string, ofAddress: number): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#toldAtMs < 60_000) return;
    this.#toldAtMs = nowMs;
    this.#log.warn("no room for more connections; new ones are refused until some are closed", {
      ...{ connections: this.size, connectionsMax: this.#max },
      ...{ address, ofAddress, ofAddressMax: limits.connectionsPerAddressMax },
    });
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
