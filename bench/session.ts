/**
 * What a whole benchmark run shares: options, certificates, the scratch folder; and how one measurement is made:
 * a system started anew for it, and ended, whatever happens.
 */
import { join } from "node:path";
import { ProgramGroup, type Programs } from "../examples/demo/programs.ts";
import { createSystemRandom } from "../lib/random.ts";
import { createAuthority, issueServerCertificate } from "../lib/security/authority.ts";
import type { CertificateFiles, Peer, PeerContext, RunningPeer } from "./peers/peer.ts";

export interface Session {
  readonly rounds: number;
  readonly warmMs: number;
  readonly windowMs: number;
  readonly programs: Programs;
  /** Slots per replica of Sqwish's echo; adaptive when left out. */
  readonly concurrency?: number;
  readonly certificate: CertificateFiles;
  readonly folder: string;
  readonly interrupted: AbortSignal;
  /** What had to be left out, and why; grows as the run goes on. */
  readonly notRun: string[];
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

/** Runs `work` with a session; its scratch folder is gone afterwards. */
export async function withSession<T>(
  options: Omit<Session, "certificate" | "folder" | "notRun">,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "sqwish-bench-" });
  try {
    return await work({ ...options, folder, certificate: await writeCertificate(folder), notRun: [] });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A certificate for loopback, as PEM files. */
async function writeCertificate(folder: string): Promise<CertificateFiles> {
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
