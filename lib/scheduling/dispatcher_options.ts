/** What a dispatcher is given: its seams, the routing table in force, and who hears of outcomes. */
import type { Clock } from "../clock.ts";
import type { RoutingTable } from "../cluster/routing.ts";
import type { Random } from "../random.ts";
import type { RequestOutcome } from "../request_outcome.ts";

export interface DispatcherOptions {
  clock: Clock;
  random: Random;
  /** Upper half of every request id; another one with every start of the manager (u32). */
  bootEpoch: number;
  /** The table now in force; read at the start and by `routesChanged`. */
  routes(): RoutingTable;
  /**
   * Called once per request, refused ones included. The object is only lent: the next request's is written into it.
   * `request` is its frame, absent when it was refused. Must not call back into the dispatcher.
   */
  onOutcome(outcome: RequestOutcome, request?: RequestFrame): void;
  /** A request waits for a set of which nothing is ready. Must not call back into the dispatcher. */
  onStarved?(replicaSet: string): void;
}

/** Where a request's frame starts; for those who look at its headers. */
export interface RequestFrame {
  readonly bytes: Uint8Array;
  readonly at: number;
}
