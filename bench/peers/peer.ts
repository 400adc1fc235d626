/**
 * What every system under test looks like to the benchmark: it starts as processes of its own on loopback, tells
 * where to send requests and which processes to watch, and echoes bodies. Whoever started the `ProgramGroup` ends it.
 */
import type { ProgramGroup, Programs } from "../../examples/demo/programs.ts";

export interface Peer {
  readonly name: string;
  /** As the tables call it. */
  readonly title: string;
  /** Programs of the system that must be installed. */
  readonly needs: readonly string[];
  start(context: PeerContext): Promise<RunningPeer>;
}

export interface RunningPeer {
  /** Process ids by role: "broker" is what all requests pass through, and empty where there is none. */
  readonly pids: Readonly<Record<string, readonly number[]>>;
  readonly target: Target;
  /** For what isn't in the context's group. */
  close?(): Promise<void>;
}

/** Where requests go: through a client library (`clients/…` of the peer), or over HTTP by wrk. */
export type Target =
  | { kind: "library"; client: string; address: unknown }
  | HttpTarget;

export interface HttpTarget {
  kind: "http";
  url: string;
  headers: Record<string, string>;
  /** The authority behind its certificate. */
  caPem: string;
}

/** What a peer's client module exports as `open`: a connection that takes a body and resolves with the reply's. */
export interface EchoClient {
  ask(body: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface PeerContext {
  /** Everything started in it is ended by the caller. */
  readonly group: ProgramGroup;
  /** For configuration and data; removed by the caller. */
  readonly folder: string;
  readonly certificate: CertificateFiles;
  /** How to start Sqwish. */
  readonly programs: Programs;
  /** Slots per replica of Sqwish's echo; adaptive when left out. */
  readonly concurrency?: number;
  readonly interrupted: AbortSignal;
}

/** PEM files of one authority and of the certificate it has given to 127.0.0.1. */
export interface CertificateFiles {
  caFile: string;
  certFile: string;
  keyFile: string;
  /** Certificate and key in one, as HAProxy reads them. */
  bothFile: string;
}
