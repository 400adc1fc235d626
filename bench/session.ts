/**
 * What a whole benchmark run shares: options, certificates, the scratch folder; and how one measurement is made:
 * a peer started anew, loaded by a fresh process, and ended, whatever happens.
 */
import { join } from "node:path";
import { ProgramGroup, type Programs } from "../examples/demo/programs.ts";
import { createSystemRandom } from "../lib/random.ts";
import { createAuthority, issueServerCertificate } from "../lib/security/authority.ts";
import type { LoadJob, Measurement } from "./load.ts";
import type { CertificateFiles, Peer, PeerContext, RunningPeer } from "./peers/peer.ts";

export interface Session {
  readonly rounds: number;
  readonly warmMs: number;
  readonly windowMs: number;
  readonly programs: Programs;
  /** Of the soak. */
  readonly soakMs: number;
  /** Only whether everything works: the smallest numbers, and figures that mean nothing. */
  readonly quick: boolean;
  /** Slots per replica of Sqwish's echo; adaptive when left out. */
  readonly concurrency?: number;
  readonly certificate: CertificateFiles;
  readonly folder: string;
  readonly interrupted: AbortSignal;
  /** Whether a part of a scenario was asked for, by its title. */
  wants(title: string): boolean;
  /** Those that can be started here; the others are told to the reader of the page. */
  installed(peers: readonly Peer[]): Promise<Peer[]>;
  /** One line of progress. */
  say(line: string): void;
}

/** Runs `work` with processes and a folder that are gone afterwards. */
export async function withContext<T>(
  session: Session,
  work: (context: PeerContext) => Promise<T>,
): Promise<T> {
  const folder = await Deno.makeTempDir({ dir: session.folder });
  const group = new ProgramGroup();
  try {
    return await work({ ...session, group, folder });
  } finally {
    await group.endAll();
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs `work` against a peer that was started for it alone. */
export async function withPeer<T>(
  session: Session,
  peer: Peer,
  work: (running: RunningPeer, context: PeerContext) => Promise<T>,
): Promise<T> {
  return await withContext(session, async (context) => {
    const running = await peer.start(context);
    try {
      return await work(running, context);
    } finally {
      await running.close?.();
    }
  });
}

type OpenJob = Omit<LoadJob, "warmMs" | "windowMs" | "resultFile">;

/** Runs the load generator to its end. */
export async function runLoad(session: Session, context: PeerContext, job: OpenJob): Promise<Measurement> {
  const { warmMs, windowMs } = session;
  const resultFile = join(context.folder, `${crypto.randomUUID()}.json`);
  const command = [Deno.execPath(), "run", "--quiet", "-A", join(import.meta.dirname!, "load.ts")];
  const args = JSON.stringify({ ...job, warmMs, windowMs, resultFile });
  await runToEnd(context, "load", command, [args]);
  return JSON.parse(await Deno.readTextFile(resultFile));
}

/** Runs a program of the context's group to its end and returns the last it wrote; throws when it fails. */
export async function runToEnd(
  context: PeerContext,
  name: string,
  command: string[],
  args: string[],
): Promise<string> {
  const program = context.group.start(name, command, args);
  await untilAborted(context.interrupted, program.ended);
  if (program.exitCode() !== 0) {
    throw new Error(`${name} ended with code ${program.exitCode()}:\n${program.tail()}`);
  }
  return program.tail();
}

/** Waits; throws at once when the run is interrupted. */
export async function pause({ interrupted }: Session, ms: number): Promise<void> {
  const waited = Promise.withResolvers<void>();
  const timer = setTimeout(waited.resolve, ms);
  try {
    await untilAborted(interrupted, waited.promise);
  } finally {
    clearTimeout(timer);
  }
}

async function untilAborted(signal: AbortSignal, done: Promise<void>): Promise<void> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    await Promise.race([done, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** A certificate for loopback, as PEM files. */
export async function writeCertificate(folder: string): Promise<CertificateFiles> {
  const authority = await createAuthority({ cluster: "bench", random: createSystemRandom() });
  const { certPem, keyPem } = await issueServerCertificate(authority, { names: [] });
  const write = async (name: string, text: string) => {
    const file = join(folder, name);
    await Deno.writeTextFile(file, text, { mode: 0o600 });
    return file;
  };
  return {
    caFile: await write("ca.pem", authority.caCertPem),
    certFile: await write("cert.pem", certPem),
    keyFile: await write("key.pem", keyPem),
    bothFile: await write("both.pem", certPem + keyPem),
  };
}
