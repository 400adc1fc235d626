/**
 * What every system under test looks like to the benchmark: it starts as processes of its own on loopback, tells
 * where to send requests and which processes to watch, and echoes bodies. Whoever started the `ProgramGroup` ends it.
 */
import { join } from "node:path";
import type { Processes } from "../measure.ts";
import type { Program, ProgramGroup, Programs } from "../../examples/demo/programs.ts";

export interface Peer {
  readonly name: string;
  /** As the tables call it. */
  readonly title: string;
  /** Programs of the system that must be installed. */
  readonly needs: readonly string[];
  start(context: PeerContext): Promise<RunningPeer>;
}

export interface RunningPeer {
  readonly processes: Processes;
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

const readyMsMax = 20_000;

/** Starts a module of this folder as a process of its own; it prints "ready" when it is. */
export async function startModule(
  context: PeerContext,
  name: string,
  module: string,
  args: unknown,
  msMax = readyMsMax,
): Promise<Program> {
  const command = [Deno.execPath(), "run", "--quiet", "-A", join(import.meta.dirname!, module)];
  const program = context.group.start(name, command, [JSON.stringify(args)]);
  await untilSaid(context, program, "ready", msMax);
  return program;
}

/** Resolves once the program has written `words`. Throws with what it wrote instead. */
export async function untilSaid(
  context: PeerContext,
  program: Program,
  words: string,
  msMax = readyMsMax,
): Promise<void> {
  const endMs = performance.now() + msMax;
  while (!program.tail().includes(words)) {
    context.interrupted.throwIfAborted();
    if (program.exitCode() !== null || performance.now() > endMs) {
      throw new Error(`${program.name} must say "${words}", it said:\n${program.tail()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Resolves once the program accepts connections. */
export async function untilListening(context: PeerContext, program: Program, port: number): Promise<void> {
  const endMs = performance.now() + readyMsMax;
  for (;;) {
    context.interrupted.throwIfAborted();
    if (program.exitCode() !== null || performance.now() > endMs) {
      throw new Error(`${program.name} must listen on port ${port}, it said:\n${program.tail()}`);
    }
    const connection = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined);
    if (connection) return connection.close();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A port nobody listens on. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}
