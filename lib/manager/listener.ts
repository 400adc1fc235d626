/**
 * The manager's one port: TLS connections of the runtime's own, each of which begins as HTTP and may become a joined
 * peer. The port can be opened anew with another certificate without dropping a connection.
 */
import { type Clock, sleep } from "../clock.ts";
import { describeError, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import { ConnStream } from "../protocol/conn_stream.ts";
import { HttpConnection, type HttpOptions, HttpShared } from "./http/connection.ts";
import { openSockets, type Sockets } from "./sockets.ts";

export interface ListenerOptions extends Omit<HttpOptions, "acknowledge"> {
  host: string;
  port: number;
  certPem: string;
  keyPem: string;
  /** Connections at once; those beyond are hung up on. `limits.connectionsMax` unless given. */
  connectionsMax?: number;
  /** Absent: those of the machine. */
  sockets?: Sockets | null;
}

type Certificate = Pick<ListenerOptions, "certPem" | "keyPem">;

export interface Listener {
  readonly port: number;
  readonly connections: number;
  /** Serves new connections with another certificate; those that are open stay. */
  renew(certificate: Certificate): Promise<void>;
  close(): Promise<void>;
}

const checkMs = 1000;
/** How long to wait before the next try when no connection can be accepted, e.g. for want of file descriptors. */
const acceptPauseMs = 100;
/** Some runtimes free the port a moment after it is closed; what takes longer is another matter. */
const reopenPauseMs = 10;
const reopenTriesUntold = 100;
/** How often it is said that there is no room. */
const fullToldMs = 60_000;

/** Resolves when the port is open. Rejects with `conflict` when it is taken, `invalid_request` when it can't be bound. */
export function openListener(options: ListenerOptions): Promise<Listener> {
  try {
    return Promise.resolve(new TlsListener(options));
  } catch (thrown) {
    return Promise.reject(thrown);
  }
}

class TlsListener implements Listener {
  readonly port: number;
  readonly #options: ListenerOptions;
  readonly #clock: Clock;
  readonly #http: HttpOptions;
  readonly #sockets: Sockets | null;
  readonly #shared = new HttpShared();
  readonly #streams: StreamCount;
  /** Those that have not become a peer. */
  readonly #connections = new Set<HttpConnection>();
  readonly #stopChecks: () => void;
  /** Null while the port is opened anew. */
  #socket: Deno.TlsListener | null = null;
  #certificate: Certificate;
  #accepting: Promise<void> = Promise.resolve();
  #reopening: Promise<void> | null = null;
  #closed = false;
  /** Peers that were closed within their TLS handshake. */
  #stuck: Deno.NetAddr[] = [];

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#streams = new StreamCount(options);
    this.#certificate = options;
    this.port = this.#open(options.port);
    this.#sockets = options.sockets === undefined ? openSockets() : options.sockets;
    const acknowledge = this.#sockets?.switchDelayOff() !== true;
    const { clock, log, handle, openExchange, join } = options;
    if (acknowledge) {
      log.info("Nagle's algorithm can't be switched off here; peers acknowledge what they read");
    }
    this.#http = { clock, log, handle, openExchange, join, acknowledge };
    this.#stopChecks = this.#clock.every(checkMs, () => {
      const nowMs = this.#clock.monotonicMs();
      for (const connection of this.#connections) connection.check(nowMs);
      this.#cutStuck();
    });
  }

  get connections(): number {
    return this.#streams.size;
  }

  renew(certificate: Certificate): Promise<void> {
    this.#certificate = certificate;
    if (this.#closed) return Promise.resolve();
    return this.#reopening ??= this.#reopen().finally(() => this.#reopening = null);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stopChecks();
    // A port that is just being opened anew could not be closed.
    await this.#reopening;
    this.#socket?.close();
    await this.#accepting;
    for (const connection of [...this.#connections]) connection.end();
    this.#streams.destroyAll();
    this.#cutStuck();
    this.#sockets?.close();
  }

  /** Until it is open with the newest certificate: a manager that nobody can reach has nothing better to do. */
  async #reopen(): Promise<void> {
    let served: Certificate | null = null;
    for (let tries = 1; !this.#closed && served !== this.#certificate; tries++) {
      this.#socket?.close();
      this.#socket = null;
      await this.#accepting;
      const certificate: Certificate = this.#certificate;
      try {
        this.#open(this.port);
        this.#sockets?.switchDelayOff();
        served = certificate;
      } catch (thrown) {
        if (tries === reopenTriesUntold) {
          this.#options.log.error("the port can't be opened again, trying on", {
            error: describeError(thrown),
          });
        }
        await sleep(this.#clock, tries < reopenTriesUntold ? reopenPauseMs : acceptPauseMs);
      }
    }
  }

  /** Opens the port and accepts; returns its number. */
  #open(port: number): number {
    const socket = listen(this.#options, port, this.#certificate);
    this.#socket = socket;
    this.#accepting = this.#accept(socket);
    return (socket.addr as Deno.NetAddr).port;
  }

  #cutStuck(): void {
    if (this.#stuck.length === 0) return;
    this.#sockets?.cut(this.#stuck);
    this.#stuck = [];
  }

  /** Until the port is closed. Never rejects. */
  async #accept(socket: Deno.TlsListener): Promise<void> {
    let failing = false;
    while (!this.#closed) {
      try {
        this.#take(await socket.accept());
        failing = false;
      } catch (thrown) {
        if (thrown instanceof Deno.errors.BadResource || thrown instanceof Deno.errors.Interrupted) return;
        if (!failing) {
          this.#options.log.warn("no connection can be accepted for now", { error: describeError(thrown) });
        }
        failing = true;
        await sleep(this.#clock, acceptPauseMs);
      }
    }
  }

  /** Not within `#take()`, whose closures live as long as a peer: they would keep what it was as HTTP. */
  readonly #onLeft = (connection: HttpConnection): void => void this.#connections.delete(connection);

  #take(connection: Deno.TlsConn): void {
    const peer = connection.remoteAddr as Deno.NetAddr;
    let isInHandshake = true;
    const over = () => void (isInHandshake = false);
    connection.handshake().then(over, over);
    const stream = new ConnStream(connection, peer.hostname, () => {
      this.#streams.remove(stream);
      if (isInHandshake) this.#stuck.push(peer);
    });
    if (!this.#streams.add(stream)) return stream.destroy();
    this.#connections.add(new HttpConnection(this.#http, this.#shared, stream, this.#onLeft));
  }
}

/** The connections that are open, bounded, and counted by address. */
class StreamCount {
  readonly #streams = new Set<ConnStream>();
  readonly #perAddress = new Map<string, number>();
  readonly #max: number;
  readonly #options: Pick<ListenerOptions, "clock" | "log">;
  #toldAtMs = -Infinity;

  constructor(options: Pick<ListenerOptions, "clock" | "log" | "connectionsMax">) {
    this.#options = options;
    this.#max = options.connectionsMax ?? limits.connectionsMax;
  }

  get size(): number {
    return this.#streams.size;
  }

  /** False when there is no room for it. */
  add(stream: ConnStream): boolean {
    const { remoteAddress } = stream;
    const open = this.#perAddress.get(remoteAddress) ?? 0;
    if (this.size >= this.#max || open >= limits.connectionsPerAddressMax) {
      this.#tell(remoteAddress, open);
      return false;
    }
    this.#streams.add(stream);
    this.#perAddress.set(remoteAddress, open + 1);
    return true;
  }

  remove(stream: ConnStream): void {
    if (!this.#streams.delete(stream)) return;
    const left = this.#perAddress.get(stream.remoteAddress)! - 1;
    if (left === 0) this.#perAddress.delete(stream.remoteAddress);
    else this.#perAddress.set(stream.remoteAddress, left);
  }

  /** Whoever knocks in vain usually does so again and again: one line a minute says enough. */
  #tell(address: string, ofAddress: number): void {
    const { clock, log } = this.#options;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#toldAtMs < fullToldMs) return;
    this.#toldAtMs = nowMs;
    log.warn("no room for more connections; new ones are refused until some are closed", {
      ...{ connections: this.size, connectionsMax: this.#max },
      ...{ address, ofAddress, ofAddressMax: limits.connectionsPerAddressMax },
    });
  }

  destroyAll(): void {
    for (const stream of [...this.#streams]) stream.destroy();
  }
}

function listen(
  { host }: ListenerOptions,
  port: number,
  { certPem, keyPem }: Certificate,
): Deno.TlsListener {
  try {
    return Deno.listenTls({ hostname: host, port, cert: certPem, key: keyPem });
  } catch (cause) {
    const [code, what] = cause instanceof Deno.errors.AddrInUse
      ? ["conflict", `Port ${port} is in use at ${host}; choose another with --listen`] as const
      : ["invalid_request", `Can't listen at ${host}:${port}; choose another address with --listen`] as const;
    throw new SqwishError(code, what, { cause });
  }
}
