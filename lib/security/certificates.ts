/**
 * What everybody needs of certificates: the cluster's fingerprint, and whether the manager's own still fits. Every
 * agent and client has this; making certificates (`authority.ts`) needs a library that only the manager loads.
 */
import { Buffer } from "node:buffer";
import { SqwishError } from "../errors.ts";
import { managerServerName } from "../protocol/messages.ts";
import { sha256Hex } from "./digest.ts";
import { canonicalServerName } from "./server_names.ts";

/** Both parts as PEM; the key is PKCS #8 and never leaves the manager. */
export interface Authority {
  caCertPem: string;
  caKeyPem: string;
}

export interface ServerCertificate {
  /** The leaf, then the authority's certificate. */
  certPem: string;
  keyPem: string;
  /** Every name and address it is good for, canonical and sorted. */
  names: string[];
}

/** A server certificate's key is replaced after a year, ms. */
const serverKeyMsMax = 365 * 24 * 3600_000;

/** SHA-256 of the first certificate's DER bytes, in hexadecimal: what join tokens carry. */
export function fingerprintOf(certPem: string): string {
  return sha256Hex(firstCertificate(certPem));
}

/** The first certificate alone, written anew: whatever else the text held is gone. */
export function firstCertificatePem(certPem: string): string {
  return pemOf("CERTIFICATE", firstCertificate(certPem));
}

/** The DER bytes of the first certificate in a PEM text (RFC 7468). Throws `invalid_request` when there is none. */
export function firstCertificate(pem: string): Uint8Array<ArrayBuffer> {
  const block = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/.exec(pem);
  if (!block) {
    throw new SqwishError("invalid_request", "A PEM text must hold a certificate, this one holds none");
  }
  return new Uint8Array(Buffer.from(block[1], "base64"));
}

/** DER bytes as PEM, in lines of 64 characters. */
export function pemOf(label: "CERTIFICATE" | "PRIVATE KEY", der: Uint8Array | ArrayBuffer): string {
  const lines = Buffer.from(new Uint8Array(der)).toString("base64").replace(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

/**
 * Why the server certificate should be issued anew, in words for the log, or null. Its age is measured from
 * `issuedAtMs`, which is stored beside it: the certificate itself says 1970.
 */
export function shouldReissue(
  { certPem, names, issuedAtMs }: Pick<ServerCertificate, "certPem" | "names"> & { issuedAtMs: number },
  facts: { names: readonly string[]; nowMs: number },
): string | null {
  try {
    firstCertificate(certPem);
  } catch {
    return "it can't be read";
  }
  const wanted = certifiedNames(facts.names);
  const missing = wanted.filter((name) => !names.includes(name));
  if (missing.length > 0) return `it lacks ${missing.join(", ")}`;
  const stale = names.filter((name) => !wanted.includes(name));
  if (stale.length > 0) return `it still names ${stale.join(", ")}`;
  if (facts.nowMs - issuedAtMs > serverKeyMsMax) return "its key is older than a year";
  return null;
}

/** The names a server certificate gets for `names`: canonical, sorted, with those that every manager has. */
export function certifiedNames(names: readonly string[]): string[] {
  const always = [managerServerName, "localhost", "127.0.0.1", "::1"];
  return [...new Set([...always, ...names].map(canonicalServerName))].sort();
}
