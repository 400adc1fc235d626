/**
 * Who waits for what: each requester's unanswered requests by its own ids. On the way: beside the dispatcher.
 * The invariant: what is in here has no outcome yet, and an id is free again with its outcome.
 */
import type { Pending, Requester } from "./state.ts";

export class InFlight {
  #requesters = new Map<Requester, Map<number, Pending>>();

  /** All of one requester, for reading its size and ids. */
  of(requester: Requester): ReadonlyMap<number, Pending> {
    return this.#requesters.get(requester) ?? nothing;
  }

  add(pending: Pending): void {
    const own = this.#requesters.get(pending.requester);
    if (own) own.set(pending.clientId, pending);
    else this.#requesters.set(pending.requester, new Map([[pending.clientId, pending]]));
  }

  remove(pending: Pending): void {
    const own = this.#requesters.get(pending.requester);
    // Kept no longer than needed: each HTTP request is a requester of its own.
    if (own?.delete(pending.clientId) && own.size === 0) this.#requesters.delete(pending.requester);
  }

  /** Forgets a requester; what it waited for. */
  take(requester: Requester): Pending[] {
    const own = [...this.of(requester).values()];
    this.#requesters.delete(requester);
    return own;
  }

  /** Forgets everyone. */
  takeAll(): Pending[] {
    return [...this.#requesters.keys()].flatMap((requester) => this.take(requester));
  }
}

const nothing: ReadonlyMap<number, Pending> = new Map();
