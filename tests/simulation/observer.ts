/** What checkers see of a run. They only look; what they find is a failure of the run. */
import type { SimulatedAgent } from "./agent.ts";
import type { MayHaveRun } from "../../lib/errors.ts";
import type { MessageToManager, MessageToPeer } from "../../lib/protocol/messages.ts";
import type { Run } from "./module_host.ts";
import type { World } from "./world.ts";

/** A request as its client asked for it, or as a module did. */
export interface Operation {
  readonly n: number;
  /** The client's name, or the agent's whose module asks. */
  readonly by: string;
  readonly endpoint: string;
  /** May be run and sent again. */
  readonly idempotent: boolean;
  readonly startedMs: number;
  /** Its whole budget. */
  readonly timeoutMs: number;
  readonly runs: Run[];
  /** "ok" or an error's code; null: none yet. */
  outcome: string | null;
  mayHaveRun: MayHaveRun;
  /** Whoever asked is gone, and waits for nothing. */
  orphaned: boolean;
}

/** A connection as its manager sees it. */
export interface Connection {
  readonly id: number;
  readonly kind: "agent" | "client";
  readonly name: string;
  readonly openedMs: number;
  /** It does not read what it gets. */
  isJammed(): boolean;
  /** Goodbye was said to it: it is told nothing more. */
  isClosing(): boolean;
}

export interface RecordedEvent {
  kind: string;
  subject: string;
  message: string;
}

export interface Checker {
  readonly name: string;
  operationStarted?(operation: Operation): void;
  operationEnded?(operation: Operation): void;
  runStarted?(run: Run, operation: Operation): void;
  connectionOpened?(connection: Connection): void;
  connectionClosed?(connection: Connection): void;
  managerGot?(connection: Connection, bytes: Uint8Array, at: number): void;
  managerSent?(connection: Connection, bytes: Uint8Array, at: number): void;
  managerGotMessage?(connection: Connection, message: MessageToManager): void;
  managerSentMessage?(connection: Connection, message: MessageToPeer): void;
  /** Its machine is suspended, with all that runs there; it goes on. */
  agentSlept?(agent: SimulatedAgent): void;
  agentWoke?(agent: SimulatedAgent): void;
  managerStarted?(): void;
  managerEnded?(): void;
  eventRecorded?(event: RecordedEvent): void;
  /** Each simulated second. */
  tick?(): void;
  /** Faults have ended long enough ago. */
  converged?(): void;
}

export type MakeChecker = (world: World) => Checker;
