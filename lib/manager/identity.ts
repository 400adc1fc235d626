/**
 * What makes this manager this cluster: its authority, server certificate, session key and the number of its start.
 * Made at the first start, kept in the store, checked for renewal at every start and once an hour after.
 */
import type { Clock } from "../clock.ts";
import { describeError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Random } from "../random.ts";
import {
  type Authority,
  fingerprintOf,
  type ServerCertificate,
  shouldReissue,
} from "../security/certificates.ts";
import type { SettingStore } from "../store/settings.ts";
import type { RecordEvent } from "./events.ts";
import type { Listener } from "./listener.ts";

export interface Identity {
  cluster: string;
  authority: Authority;
  fingerprint: string;
  certificate: ServerCertificate;
  /** Signs dashboard sessions. */
  sessionKey: Uint8Array;
  /** Counts the starts of this manager; half of every request id. */
  bootEpoch: number;
  /** True when this start made the cluster. */
  firstStart: boolean;
}

interface StoredCertificate extends ServerCertificate {
  issuedAtMs: number;
}

/** `names`: what the certificate must be good for now. */
export async function openIdentity(
  { settings, synced }: { settings: SettingStore; synced(): Promise<void> },
  options: { cluster?: string; names: readonly string[]; clock: Clock; random: Random },
): Promise<Identity> {
  const known = settings.get<Authority>("authority");
  const cluster = options.cluster ?? settings.get<string>("cluster") ?? "sqwish";
  const authority = known ??
    await (await certificateMaker()).createAuthority({ cluster, random: options.random });
  // Each on its own: a first start may have been cut short between them.
  if (!known) settings.set("authority", authority);
  const sessionKey = settings.get<number[]>("sessionKey") ?? Array.from(options.random.secret(32));
  settings.set("sessionKey", sessionKey);
  if (settings.get<string>("cluster") !== cluster) settings.set("cluster", cluster);
  const bootEpoch = ((settings.get<number>("bootEpoch") ?? 0) + 1) >>> 0;
  settings.set("bootEpoch", bootEpoch);
  const certificate = await renewCertificate(settings, authority, options) ??
    settings.get<StoredCertificate>("certificate")!;
  // Keys made twice would lock every agent out, and an epoch given twice would make two requests one.
  await synced();
  return {
    cluster,
    authority,
    fingerprint: fingerprintOf(authority.caCertPem),
    certificate,
    sessionKey: Uint8Array.from(sessionKey),
    bootEpoch,
    firstStart: !known,
  };
}

/** Only a first start and a renewal make certificates, and what that takes is the largest library of the manager. */
function certificateMaker() {
  return import("../security/authority.ts");
}

/** Issues the server certificate anew when its names have changed or it is a year old; null when it is still right. */
export async function renewCertificate(
  settings: SettingStore,
  authority: Authority,
  options: { names: readonly string[]; clock: Clock },
): Promise<ServerCertificate | null> {
  const stored = settings.get<StoredCertificate>("certificate");
  const nowMs = options.clock.nowMs();
  if (stored && shouldReissue(stored, { names: options.names, nowMs }) === null) return null;
  const { issueServerCertificate } = await certificateMaker();
  const certificate = await issueServerCertificate(authority, { names: options.names });
  settings.set("certificate", { ...certificate, issuedAtMs: nowMs } satisfies StoredCertificate);
  return certificate;
}

const renewalCheckMs = 3600_000;

export interface KeepCertificateOptions {
  store: { settings: SettingStore };
  clock: Clock;
  log: Log;
  record: RecordEvent;
  identity: Identity;
  /** What the certificate must be good for now; addresses change. */
  names(): string[];
  listener: Pick<Listener, "renew">;
}

/** Looks once an hour whether the certificate is still right, and renews it while everything runs. Returns the stop. */
export function keepCertificate(options: KeepCertificateOptions): () => void {
  const { store, clock, log, record, identity, listener } = options;
  let served = identity.certificate;
  let stopped = false;
  async function check(): Promise<void> {
    await renewCertificate(store.settings, identity.authority, { names: options.names(), clock });
    // One that could not be served last time is tried again.
    const certificate = store.settings.get<StoredCertificate>("certificate")!;
    if (certificate.certPem === served.certPem || stopped) return;
    await listener.renew(certificate);
    served = certificate;
    record(
      "info",
      "certificate_renewed",
      "",
      `The server certificate was renewed; it is good for ${certificate.names.join(", ")}`,
    );
  }
  const stop = clock.every(renewalCheckMs, () => {
    check().catch((thrown) =>
      log.error("the certificate could not be renewed", { error: describeError(thrown) })
    );
  });
  return () => {
    stopped = true;
    stop();
  };
}
