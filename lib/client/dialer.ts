/**
 * Finds the manager among its known addresses: the one that answered last first, then the others. Pins the cluster's
 * authority before anything secret is sent, and keeps the addresses and credentials the manager hands out.
 */
import { Buffer } from "node:buffer";
import { asSqwishError, type ErrorCode, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Channel } from "../protocol/channel.ts";
import { joinPath, type Welcome } from "../protocol/messages.ts";
import { dialWebSocket } from "../protocol/websocket_dial.ts";
import { fetchAuthority } from "../security/certificate_fetch.ts";
import { parseAddress } from "../security/server_names.ts";
import { addressOf, type Target } from "./options.ts";

/** More than any manager has; bounds what a wrong one could make us remember. */
const addressesMax = 16;

/** The network, as the dialer needs it. */
export interface Network {
  dialWebSocket: typeof dialWebSocket;
  fetchAuthority: typeof fetchAuthority;
}

export const realNetwork: Network = { dialWebSocket, fetchAuthority };

/** What a manager says on purpose; it would say the same at its other addresses. */
const refusals: ReadonlySet<ErrorCode> = new Set(["unauthenticated", "forbidden", "version_mismatch"]);

export class Dialer {
  readonly #network: Network;
  #target: Target;

  constructor(target: Target, network: Network = realNetwork) {
    this.#target = target;
    this.#network = network;
  }

  /** As it stands now: what a profile should remember. */
  get target(): Readonly<Target> {
    return this.#target;
  }

  /**
   * One round over the addresses. Rejects with a refusal by the right manager at once, otherwise, when none
   * answered, with the most telling failure: a wrong authority before one that can't be reached. `signal` ends it.
   */
  async dial(signal?: AbortSignal): Promise<Channel> {
    const failures: SqwishError[] = [];
    for (const address of this.#target.addresses) {
      try {
        const channel = await this.#dialOne(address, signal);
        this.#remember([address]);
        return channel;
      } catch (thrown) {
        const error = asSqwishError(thrown, `Connecting to ${address}`);
        if (signal?.aborted || (refusals.has(error.code) && error.details.found === undefined)) throw error;
        failures.push(error);
      }
    }
    throw failures.find((error) => error.code === "unauthenticated") ?? failures[0];
  }

  /** Takes over what the manager hands out: credentials of its own, and where it can be reached. */
  welcomed(welcome: Welcome): void {
    if (welcome.credentials) {
      this.#target = { ...this.#target, ...welcome.credentials, enroll: false };
    }
    const [first, ...others] = this.#target.addresses;
    this.#remember([first, ...welcome.addresses.flatMap(readable), ...others]);
  }

  async #dialOne(address: string, signal: AbortSignal | undefined): Promise<Channel> {
    const { host, port } = parseAddress(address);
    const { user, password, fingerprint } = this.#target;
    const timeoutMs = limits.handshakeMsMax;
    let { caPem } = this.#target;
    if (caPem === undefined) {
      if (fingerprint === undefined) throw new Error("a target has an authority or its fingerprint");
      caPem = await this.#network.fetchAuthority({ host, port, fingerprint, timeoutMs });
      this.#target = { ...this.#target, caPem };
    }
    const basic = Buffer.from(`${user}:${password}`).toString("base64");
    return await this.#network.dialWebSocket({
      host,
      port,
      caPem,
      path: joinPath,
      headers: { authorization: `Basic ${basic}` },
      timeoutMs,
      signal,
    });
  }

  /** Puts `addresses` in front of those known. */
  #remember(addresses: string[]): void {
    const all = new Set([...addresses, ...this.#target.addresses]);
    this.#target = { ...this.#target, addresses: [...all].slice(0, addressesMax) };
  }
}

function readable(address: string): string[] {
  try {
    return [addressOf(address)];
  } catch {
    // One address that can't be read is no reason to lose the others.
    return [];
  }
}
