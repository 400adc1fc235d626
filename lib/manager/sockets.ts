/**
 * What the runtime's TLS server has no settings for, asked for through the C library on Linux (docs/decisions/0025):
 * that small writes leave at once, and that a connection ends which never got through the TLS handshake.
 */

/** Of <sys/socket.h>, <netinet/in.h> and <netinet/tcp.h> on Linux. */
const SOL_SOCKET = 1;
const SO_ACCEPTCONN = 30;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SHUT_RDWR = 2;
/** As large as any socket's address. */
const addressBytes = 128;

export interface Sockets {
  /**
   * Switches Nagle's algorithm off for what the open ports of this process accept from now on: it is inherited from
   * the listening socket. Otherwise small writes wait for the peer's acknowledgements, up to 40 ms. False: it can't be.
   */
  switchDelayOff(): boolean;
  /** Ends the connection with this peer; to be called after `close()`, which waits for the handshake to end. */
  cut(peer: Deno.NetAddr): void;
  close(): void;
}

const calls = {
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
} as const;

/** Null where there is no such library, or no permission to call it. */
export function openSockets(): Sockets | null {
  if (Deno.build.os !== "linux" || Deno.permissions.querySync({ name: "ffi" }).state !== "granted") {
    return null;
  }
  try {
    return new LinuxSockets(Deno.dlopen("libc.so.6", calls));
  } catch {
    return null;
  }
}

class LinuxSockets implements Sockets {
  readonly #library: Deno.DynamicLibrary<typeof calls>;

  constructor(library: Deno.DynamicLibrary<typeof calls>) {
    this.#library = library;
  }

  switchDelayOff(): boolean {
    const { getsockopt, setsockopt } = this.#library.symbols;
    const value = new Int32Array(1);
    let wasSet = false;
    for (const file of openFiles()) {
      // Files are no sockets, and sockets other than of TCP refuse the option.
      value[0] = 0;
      const length = new Uint32Array([value.byteLength]);
      const isListening = getsockopt(file, SOL_SOCKET, SO_ACCEPTCONN, value, length) === 0 && value[0] === 1;
      if (isListening && setsockopt(file, IPPROTO_TCP, TCP_NODELAY, value, value.byteLength) === 0) {
        wasSet = true;
      }
    }
    return wasSet;
  }

  cut(peer: Deno.NetAddr): void {
    const { getpeername, shutdown } = this.#library.symbols;
    const address = new Uint8Array(addressBytes);
    const wanted = canonical(peer.hostname);
    for (const file of openFiles()) {
      if (getpeername(file, address, new Uint32Array([address.length])) !== 0) continue;
      const { hostname, port } = addressIn(address);
      if (port === peer.port && hostname === wanted) shutdown(file, SHUT_RDWR);
    }
  }

  close(): void {
    this.#library.close();
  }
}

function openFiles(): number[] {
  return [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => Number(name));
}

/** Of a `sockaddr`; another kind than IP has port 0. */
function addressIn(bytes: Uint8Array): { hostname: string; port: number } {
  const view = new DataView(bytes.buffer);
  const family = new Uint16Array(bytes.buffer, 0, 1)[0];
  const port = view.getUint16(2);
  if (family === AF_INET) return { hostname: canonical(bytes.subarray(4, 8).join(".")), port };
  if (family !== AF_INET6) return { hostname: "", port: 0 };
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(8 + 2 * index).toString(16));
  return { hostname: canonical(groups.join(":")), port };
}

/** One spelling for each address. */
function canonical(hostname: string): string {
  return new URL(`https://${hostname.includes(":") ? `[${hostname}]` : hostname}`).hostname;
}
