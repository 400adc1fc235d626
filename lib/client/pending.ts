/**
 * One request on its way, and the table of all that are: what `requests.ts` keeps. What becomes of an answer is said
 * by the subclass: a value for `invoke`, a part of a stream, an API reply.
 */
import { SqwishError } from "../errors.ts";
import { IdTable } from "../id_table.ts";
import { limits } from "../limits.ts";
import { WheelEntry } from "../timer_wheel.ts";

export interface RequestOptions {
  /** The whole budget; the endpoint's own when left out. */
  timeoutMs?: number;
  /** May be sent again when the connection is lost before its outcome is known. */
  idempotent?: boolean;
  signal?: AbortSignal;
}

/** Exactly one of `onReply` and `onError` is called, once; `onPart` only before it. */
export abstract class PendingRequest extends WheelEntry {
  /** 0: the endpoint's own. */
  readonly timeoutMs: number;
  readonly idempotent: boolean;
  readonly signal: AbortSignal | undefined;
  /** Its id on the wire, from the table. */
  id = 0;
  /** In a buffer of its own while it may have to be sent (again). */
  frame: Uint8Array | null = null;
  /** On the present connection. */
  sent = false;
  /** Sent at least once, perhaps on an earlier connection: it may have run. */
  everSent = false;
  /** On more than one connection: what the last manager says of it is not all that may have happened. */
  sentAgain = false;
  partsSeen = false;
  /** Monotonic; `Infinity` for a request without a budget of its own. */
  endMs = Infinity;
  onAbort: (() => void) | null = null;

  /** Throws `invalid_request` for a budget that can't be. */
  constructor(options: RequestOptions) {
    // Set when it is known what is waited for.
    super(Infinity);
    this.timeoutMs = budgetOf(options.timeoutMs);
    this.idempotent = options.idempotent ?? false;
    this.signal = options.signal;
  }

  /** The reply is the frame `bytes[at, end)`; the bytes are only lent. */
  abstract onReply(bytes: Uint8Array, at: number, end: number): void;
  abstract onError(error: SqwishError): void;
  onPart(_bytes: Uint8Array, _at: number, _end: number): void {}
}

function budgetOf(timeoutMs: number | undefined): number {
  if (timeoutMs === undefined) return 0;
  if (timeoutMs > 0 && timeoutMs <= limits.timeoutMsMax) return timeoutMs;
  throw new SqwishError(
    "invalid_request",
    `\`timeoutMs\` must be more than 0 and at most ${limits.timeoutMsMax}, is ${timeoutMs}`,
  );
}

/** Ids stay small integers, which cost no memory of their own. */
const idMax = 0x3fff_ffff;

/** Requests by id, and the ids: they count up and leave out those in use. */
export class RequestTable {
  readonly #requests = new IdTable<PendingRequest>();
  #nextId = 1;

  get size(): number {
    return this.#requests.size;
  }

  /** The id that `add` gives to the next request. */
  takeId(): number {
    while (this.#requests.has(this.#nextId)) this.#nextId = idAfter(this.#nextId);
    const id = this.#nextId;
    this.#nextId = idAfter(id);
    return id;
  }

  add(request: PendingRequest, id: number): void {
    request.id = id;
    this.#requests.add(id, request);
  }

  get(id: number): PendingRequest | null {
    return this.#requests.get(id);
  }

  /** False when it is not (any more) in the table. */
  delete(request: PendingRequest): boolean {
    return this.get(request.id) === request && this.#requests.delete(request.id);
  }

  /** All of them, in the order of their calls. */
  list(): PendingRequest[] {
    // Seen from the next id, the oldest is the one furthest behind, also when the ids have come round.
    const age = (request: PendingRequest) => (this.#nextId - request.id + idMax) % idMax;
    return this.#requests.values().sort((a, b) => age(b) - age(a));
  }
}

/** Ids are 1 to `idMax`, then from the start again. */
function idAfter(id: number): number {
  return id >= idMax ? 1 : id + 1;
}
