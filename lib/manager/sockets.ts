/**
 * What the runtime's TLS server has no settings for, asked for through the C library on Linux (docs/decisions/0025):
 * that small writes leave at once, and that a connection ends which never got through the TLS handshake.
 */
import { openCLibrary } from "../c_library.ts";

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
  /**
   * Ends the connections with these peers, in one look at all files of this process. For those that were closed within
   * their TLS handshake: the runtime keeps their sockets until the peer ends it.
   */
  cut(peers: readonly Deno.NetAddr[]): void;
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
  const library = openCLibrary(calls);
  return library && new LinuxSockets(library);
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

  cut(peers: readonly Deno.NetAddr[]): void {
    const { getpeername, shutdown } = this.#library.symbols;
    const byPort = new Map<number, Set<string>>();
    for (const { hostname, port } of peers) {
      byPort.set(port, (byPort.get(port) ?? new Set()).add(canonical(hostname)));
    }
    const address = new Uint8Array(addressBytes);
    const view = new DataView(address.buffer);
    const length = new Uint32Array(1);
    for (const file of openFiles()) {
      length[0] = address.length;
      if (getpeername(file, address, length) !== 0) continue;
      // The port stands at one place in the addresses of both kinds; few of them are asked for.
      if (byPort.get(view.getUint16(2))?.has(hostnameIn(view))) shutdown(file, SHUT_RDWR);
    }
  }

  close(): void {
    this.#library.close();
  }
}

/** Where no file is left to read their list with, each number below this may be one. */
const filesTriedMax = 65_536;

function openFiles(): number[] {
  try {
    return [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => Number(name));
  } catch {
    return Array.from({ length: filesTriedMax }, (_, file) => file);
  }
}

/** Of a `sockaddr`; empty for another kind than IP. */
function hostnameIn(view: DataView): string {
  const bytes = new Uint8Array(view.buffer);
  const [family] = new Uint16Array(view.buffer, 0, 1);
  if (family === AF_INET) return canonical(bytes.subarray(4, 8).join("."));
  if (family !== AF_INET6) return "";
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(8 + 2 * index).toString(16));
  return canonical(groups.join(":"));
}

/** One spelling for each address. */
function canonical(hostname: string): string {
  return new URL(`https://${hostname.includes(":") ? `[${hostname}]` : hostname}`).hostname;
}
