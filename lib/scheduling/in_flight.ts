/**
 * Who waits for what: each requester's unanswered requests by its own ids. On the way: beside the dispatcher.
 * The invariant: what is in here has no outcome yet, and an id is free again with its outcome.
 */
import { IdTable } from "../id_table.ts";
import type { Pending, Requester } from "./state.ts";

export class InFlight {
  #requesters = new Map<Requester, IdTable<Pending>>();
  /** Requests come in batches, so the one that is asked for is mostly the one before. */
  #last: Requester | null = null;
  #lastTable: IdTable<Pending> = nothing;

  get size(): number {
    let size = 0;
    for (const own of this.#requesters.values()) size += own.size;
    return size;
  }

  /** All of one requester, for reading its size and ids. */
  of(requester: Requester): Pick<IdTable<Pending>, "size" | "has" | "get"> {
    return this.#find(requester) ?? nothing;
  }

  add(pending: Pending): void {
    let own = this.#find(pending.requester);
    if (!own) {
      own = new IdTable();
      this.#requesters.set(pending.requester, own);
    }
    own.add(pending.clientId, pending);
  }

  remove(pending: Pending): void {
    const own = this.#find(pending.requester);
    if (!own?.delete(pending.clientId) || own.size > 0) return;
    // Kept no longer than needed: many HTTP requests are requesters of their own.
    this.#forget(pending.requester);
  }

  /** Forgets a requester; what it waited for. */
  take(requester: Requester): Pending[] {
    // In the order they came in.
    const own = (this.#find(requester)?.values() ?? []).sort((left, right) => left.number - right.number);
    this.#forget(requester);
    return own;
  }

  /** Forgets everyone. */
  takeAll(): Pending[] {
    return [...this.#requesters.keys()].flatMap((requester) => this.take(requester));
  }

  #find(requester: Requester): IdTable<Pending> | undefined {
    if (requester === this.#last) return this.#lastTable;
    const own = this.#requesters.get(requester);
    if (own) {
      this.#last = requester;
      this.#lastTable = own;
    }
    return own;
  }

  #forget(requester: Requester): void {
    this.#requesters.delete(requester);
    if (this.#last === requester) this.#last = null;
  }
}

const nothing = new IdTable<Pending>();
