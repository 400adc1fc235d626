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
import type { Certify } from "./certificate_process.ts";
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

export interface IdentityOptions {
  /** What the certificate must be good for now. */
  names: readonly string[];
  clock: Clock;
  certify: Certify;
}

export async function openIdentity(
  { settings, synced }: { settings: SettingStore; synced(): Promise<void> },
  options: IdentityOptions & { cluster?: string; random: Random },
): Promise<Identity> {
  const firstStart = settings.get<Authority>("authority") === undefined;
  const cluster = options.cluster ?? settings.get<string>("cluster") ?? "sqwish";
  await renewCertificate(settings, cluster, options);
  // Each on its own: a first start may have been cut short between them.
  const sessionKey = settings.get<number[]>("sessionKey") ?? Array.from(options.random.secret(32));
  settings.set("sessionKey", sessionKey);
  if (settings.get<string>("cluster") !== cluster) settings.set("cluster", cluster);
  const bootEpoch = ((settings.get<number>("bootEpoch") ?? 0) + 1) >>> 0;
  settings.set("bootEpoch", bootEpoch);
  const authority = settings.get<Authority>("authority")!;
  // Keys made twice would lock every agent out, and an epoch given twice would make two requests one.
  await synced();
  return {
    cluster,
    authority,
    fingerprint: fingerprintOf(authority.caCertPem),
    certificate: settings.get<StoredCertificate>("certificate")!,
    sessionKey: Uint8Array.from(sessionKey),
    bootEpoch,
    firstStart,
  };
}

/** Issues the server certificate anew when its names have changed or it is a year old, and the authority when there is none. */
async function renewCertificate(
  settings: SettingStore,
  cluster: string,
  { names, clock, certify }: IdentityOptions,
): Promise<void> {
  const known = settings.get<Authority>("authority");
  const stored = settings.get<StoredCertificate>("certificate");
  const nowMs = clock.nowMs();
  if (known && stored && shouldReissue(stored, { names, nowMs }) === null) return;
  const { authority, certificate } = await certify({ cluster, authority: known, names });
  if (!known) settings.set("authority", authority);
  settings.set("certificate", { ...certificate, issuedAtMs: nowMs } satisfies StoredCertificate);
}

const renewalCheckMs = 3600_000;

export interface KeepCertificateOptions {
  store: { settings: SettingStore };
  clock: Clock;
  certify: Certify;
  log: Log;
  record: RecordEvent;
  identity: Identity;
  /** What the certificate must be good for now; addresses change. */
  names(): string[];
  listener: Pick<Listener, "renew">;
}

/** Looks once an hour whether the certificate is still right, and renews it while everything runs. Returns the stop. */
export function keepCertificate(options: KeepCertificateOptions): () => void {
  const { store, clock, certify, log, record, identity, listener } = options;
  let served = identity.certificate;
  let stopped = false;
  async function check(): Promise<void> {
    await renewCertificate(store.settings, identity.cluster, { names: options.names(), clock, certify });
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
