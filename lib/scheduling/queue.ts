/**
 * The queue of one replicaSet: first in first out per client, fair between clients, every step O(1) in its length.
 * On the way: admission → here → dispatch, when a replica has a free slot.
 * Fairness is deficit round robin (Shreedhar & Varghese, "Efficient fair queuing using deficit round robin", 1995).
 * A client's requests wait in one lane per endpoint, so that what no free replica can serve (two revisions with
 * different endpoints) never blocks what one can. The invariant: between two turns of a client that waits for an
 * endpoint, no other has more than one there. The bound is the admission's to keep; deadlines live in `deadlines`.
 */

/** One waiting entry; whoever pushed it may remove it by this. */
export interface QueueNode<Entry> {
  readonly entry: Entry;
  /** Lower is earlier, within a client. */
  readonly order: number;
  readonly cost: number;
  readonly lane: Lane<Entry>;
  previous: QueueNode<Entry> | null;
  next: QueueNode<Entry> | null;
}

/** What all clients have waiting for one endpoint, and whether it can be served in this round. */
interface Topic {
  readonly endpoint: string;
  waiting: number;
  /** For clients' requests. */
  readonly plain: Answer;
  /** For those that modules make themselves. */
  readonly nested: Answer;
}

/** Whether something can be served, and in which round that was asked. */
interface Answer {
  round: number;
  isServable: boolean;
}

/** One client's requests for one endpoint, in order. */
interface Lane<Entry> {
  readonly flow: Flow<Entry>;
  readonly topic: Topic;
  head: QueueNode<Entry> | null;
  tail: QueueNode<Entry> | null;
}

/** One client; the flows form a ring, in the order of their turns. */
interface Flow<Entry> {
  readonly client: string;
  readonly lanes: Map<string, Lane<Entry>>;
  waiting: number;
  deficit: number;
  /** How many of its requests have been taken, and all clients' until it began to count; see `aheadOf`. */
  taken: number;
  allTakenBefore: number;
  previous: Flow<Entry>;
  next: Flow<Entry>;
}

/** What a client may take per turn; requests cost 1 unless said otherwise. */
const quantum = 1;
/** A client's share of the turns is known from so many of its own on, and older ones count half after so many. */
const shareTurnsMin = 8;
const shareTurnsMax = 128;

const never = () => false;

export type CanServe = (endpoint: string, isNested: boolean) => boolean;

export class FairQueue<Entry> {
  #flows = new Map<string, Flow<Entry>>();
  #topics = new Map<string, Topic>();
  /** Who is first; the one before it in the ring is last. */
  #first: Flow<Entry> | null = null;
  /** The one that has had its quantum for this turn and has some of it left. */
  #credited: Flow<Entry> | null = null;
  #size = 0;
  #bytes = 0;
  #allTaken = 0;
  readonly #bytesOf: (entry: Entry) => number;
  readonly #isHeld: (entry: Entry) => boolean;
  readonly #isNested: (entry: Entry) => boolean;
  #round = 0;
  #lastOrder = 0;
  #firstOrder = 0;

  /**
   * `bytesOf` tells what an entry keeps in memory; it must not change while the entry waits. `isHeld`: its client
   * takes no answers at present, so that its turn is passed over. `isNested`: a module made it.
   */
  constructor(
    bytesOf: (entry: Entry) => number = () => 0,
    isHeld: (entry: Entry) => boolean = never,
    isNested: (entry: Entry) => boolean = never,
  ) {
    this.#bytesOf = bytesOf;
    this.#isHeld = isHeld;
    this.#isNested = isNested;
  }

  get size(): number {
    return this.#size;
  }

  /** What all that waits keeps in memory. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many wait for this endpoint. */
  waiting(endpoint: string): number {
    return this.#topics.get(endpoint)?.waiting ?? 0;
  }

  /**
   * How many are taken before one more of this client would be: its own, and what others have their turns with
   * meanwhile. How much that is shows in the client's share of late; until that is known, all who wait are taken to go on.
   */
  aheadOf(client: string): number {
    const flow = this.#flows.get(client);
    if (!flow) return Math.min(this.#size, this.#flows.size);
    const inTurn = (flow.waiting + 1) * this.#flows.size - 1;
    if (flow.taken < shareTurnsMin) return inTurn;
    const byShare = flow.waiting * (this.#allTaken - flow.allTakenBefore) / flow.taken;
    return Math.max(Math.min(this.#size, inTurn), byShare);
  }

  /** The endpoints that something waits for. */
  endpoints(): string[] {
    return [...this.#topics.keys()];
  }

  /** Adds behind all of this client's. `cost` is its share of the client's turn. */
  push(client: string, endpoint: string, entry: Entry, cost = 1): QueueNode<Entry> {
    const lane = this.#lane(client, endpoint, false);
    const node = { entry, order: ++this.#lastOrder, cost, lane, previous: lane.tail, next: null };
    if (lane.tail) lane.tail.next = node;
    else lane.head = node;
    lane.tail = node;
    return this.#added(node);
  }

  /** Adds before all of this client's, with the next turn if the client has none waiting: for what is run again. */
  pushFront(client: string, endpoint: string, entry: Entry, cost = 1): QueueNode<Entry> {
    const lane = this.#lane(client, endpoint, true);
    const node = { entry, order: --this.#firstOrder, cost, lane, previous: null, next: lane.head };
    if (lane.head) lane.head.previous = node;
    else lane.tail = node;
    lane.head = node;
    return this.#added(node);
  }

  /**
   * Takes the next entry among those whose endpoint can be served; `canServe` is asked at most once per endpoint,
   * and once for nested requests to it. One that `isOver` comes out as well, but will not be served: its client keeps its turn.
   */
  shift(canServe: CanServe, isOver: (entry: Entry) => boolean = never): Entry | null {
    this.#round++;
    let flow = this.#first;
    for (let blocked = 0; flow && blocked < this.#flows.size;) {
      const node = this.#firstServable(flow, canServe);
      if (!node || this.#isHeld(node.entry)) {
        // It keeps its place, so that whoever is served instead has no second turn before it; and it gets no credit,
        // which would come back as a burst.
        blocked++;
        flow = flow.next;
        continue;
      }
      if (isOver(node.entry)) {
        this.remove(node);
        return node.entry;
      }
      blocked = 0;
      if (this.#credited !== flow) flow.deficit += quantum;
      this.#credited = flow;
      if (flow.deficit >= node.cost) {
        flow.deficit -= node.cost;
        this.#countTurn(flow);
        this.remove(node);
        if (flow.waiting > 0 && flow.deficit <= 0) this.#endTurn(flow);
        return node.entry;
      }
      const { next }: Flow<Entry> = flow;
      this.#endTurn(flow);
      flow = next;
    }
    return null;
  }

  /** Takes one entry out. The node must be in this queue. */
  remove(node: QueueNode<Entry>): void {
    const { lane, previous, next } = node;
    if (previous) previous.next = next;
    else lane.head = next;
    if (next) next.previous = previous;
    else lane.tail = previous;
    node.previous = node.next = null;
    this.#size--;
    this.#bytes -= this.#bytesOf(node.entry);
    lane.flow.waiting--;
    if (--lane.topic.waiting === 0) this.#topics.delete(lane.topic.endpoint);
    if (lane.head) return;
    lane.flow.lanes.delete(lane.topic.endpoint);
    if (lane.flow.lanes.size === 0) this.#removeFlow(lane.flow);
  }

  /** Takes out everything that waits for this endpoint. */
  drain(endpoint: string): Entry[] {
    const drained: Entry[] = [];
    for (const flow of [...this.#flows.values()]) {
      const lane = flow.lanes.get(endpoint);
      while (lane?.head) {
        drained.push(lane.head.entry);
        this.remove(lane.head);
      }
    }
    return drained;
  }

  #countTurn(flow: Flow<Entry>): void {
    this.#allTaken++;
    if (++flow.taken < shareTurnsMax) return;
    flow.taken /= 2;
    flow.allTakenBefore = (flow.allTakenBefore + this.#allTaken) / 2;
  }

  #added(node: QueueNode<Entry>): QueueNode<Entry> {
    node.lane.topic.waiting++;
    node.lane.flow.waiting++;
    this.#size++;
    this.#bytes += this.#bytesOf(node.entry);
    return node;
  }

  #lane(client: string, endpoint: string, first: boolean): Lane<Entry> {
    const flow = this.#flows.get(client) ?? this.#addFlow(client, first);
    const existing = flow.lanes.get(endpoint);
    if (existing) return existing;
    let topic = this.#topics.get(endpoint);
    if (!topic) {
      const [plain, nested] = [{ round: 0, isServable: false }, { round: 0, isServable: false }];
      topic = { endpoint, waiting: 0, plain, nested };
      this.#topics.set(endpoint, topic);
    }
    const lane: Lane<Entry> = { flow, topic, head: null, tail: null };
    flow.lanes.set(endpoint, lane);
    return lane;
  }

  /** A new client waits for a whole round, unless it goes `first`. */
  #addFlow(client: string, first: boolean): Flow<Entry> {
    const counts = { waiting: 0, deficit: 0, taken: 0, allTakenBefore: this.#allTaken };
    const flow = { client, lanes: new Map(), ...counts } as unknown as Flow<Entry>;
    this.#link(flow);
    if (first) this.#first = flow;
    this.#flows.set(client, flow);
    return flow;
  }

  /** It goes behind all others. */
  #endTurn(flow: Flow<Entry>): void {
    this.#credited = null;
    this.#unlink(flow);
    this.#link(flow);
  }

  /** As the last one. */
  #link(flow: Flow<Entry>): void {
    const first = this.#first ??= flow;
    flow.next = first;
    flow.previous = first === flow ? flow : first.previous;
    flow.previous.next = flow;
    first.previous = flow;
  }

  #unlink(flow: Flow<Entry>): void {
    flow.previous.next = flow.next;
    flow.next.previous = flow.previous;
    if (this.#first === flow) this.#first = flow.next === flow ? null : flow.next;
  }

  #removeFlow(flow: Flow<Entry>): void {
    this.#flows.delete(flow.client);
    this.#unlink(flow);
    if (this.#credited === flow) this.#credited = null;
  }

  /** This client's earliest entry that can be served. */
  #firstServable(flow: Flow<Entry>, canServe: CanServe): QueueNode<Entry> | null {
    let first: QueueNode<Entry> | null = null;
    for (const { topic, head } of flow.lanes.values()) {
      if (!head) continue;
      const isNested = this.#isNested(head.entry);
      const answer = isNested ? topic.nested : topic.plain;
      if (answer.round !== this.#round) {
        answer.round = this.#round;
        answer.isServable = canServe(topic.endpoint, isNested);
      }
      if (answer.isServable && (!first || head.order < first.order)) first = head;
    }
    return first;
  }
}
