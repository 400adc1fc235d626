/**
 * Everyone who has joined, by the user they joined as. A password opens a connection that then lasts for days, so
 * whoever is removed or gets another password must lose what is open, too: here, every few seconds and at once when
 * this manager made the change. On the way: join → here.
 */
import type { Clock } from "../clock.ts";
import { SqwishError } from "../errors.ts";
import type { Channel } from "../protocol/channel.ts";

export interface PeersOptions {
  clock: Clock;
  /** Another text for every password of a user; undefined when there is no such user. */
  credentialTag(user: string): string | undefined;
  /** Says why, then closes. */
  refuse(channel: Channel, error: SqwishError): void;
}

interface Peer {
  user: string;
  tag: string | undefined;
}

/** Commands beside the running manager change users too; it sees that within this time. */
const checkMs = 5000;

export class Peers {
  readonly #options: PeersOptions;
  readonly #peers = new Map<Channel, Peer>();
  readonly #stop: () => void;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#stop = options.clock.every(checkMs, () => this.check());
  }

  get size(): number {
    return this.#peers.size;
  }

  /** Whether someone is connected as this user. */
  has(user: string): boolean {
    return [...this.#peers.values()].some((peer) => peer.user === user);
  }

  /** It has been welcomed, and its user is from now on the one it may return as. */
  add(channel: Channel, user: string): void {
    this.#peers.set(channel, { user, tag: this.#options.credentialTag(user) });
  }

  remove(channel: Channel): void {
    this.#peers.delete(channel);
  }

  /** Closes the connections of users who are gone or have another password now. */
  check(): void {
    const tags = new Map<string, string | undefined>();
    for (const [channel, { user, tag }] of [...this.#peers]) {
      if (!tags.has(user)) tags.set(user, this.#options.credentialTag(user));
      if (tag !== undefined && tags.get(user) === tag) continue;
      this.#peers.delete(channel);
      const message = `User ${user} was removed or has another password now; join again`;
      this.#options.refuse(channel, new SqwishError("unauthenticated", message));
    }
  }

  /** Stops checking; connections are the listener's to end. */
  close(): void {
    this.#stop();
    this.#peers.clear();
  }
}
