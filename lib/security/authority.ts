/**
 * The cluster's own certificate authority: made at the manager's first start, it signs the manager's server
 * certificate, and every agent and client trusts it alone, by the fingerprint in their join token.
 * Invariant: no certificate ever ends or is "not yet valid", because no clock can be relied on. Keys are
 * rotated by issuing anew (`shouldReissue()`), trust ends with the authority (docs/decisions/0002).
 */
import * as x509 from "@peculiar/x509";
import { SqwishError } from "../errors.ts";
import { managerServerName } from "../protocol/messages.ts";
import type { Random } from "../random.ts";
import { canonicalServerName, isAddress } from "./server_names.ts";
import { sha256Hex } from "./digest.ts";

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

const keyAlgorithm = { name: "ECDSA", namedCurve: "P-256" } as const;
const signingAlgorithm = { name: "ECDSA", hash: "SHA-256" } as const;

// RFC 5280, section 4.1.2.5: 99991231235959Z says "has no well-defined expiration date".
const validity = { notBefore: new Date(0), notAfter: new Date("9999-12-31T23:59:59Z") };

/** A server certificate's key is replaced after a year, ms. */
const serverKeyMsMax = 365 * 24 * 3600_000;

/** Makes a new authority (ECDSA P-256). `cluster` only helps people to tell certificates apart. */
export async function createAuthority(
  { cluster, random }: { cluster: string; random: Random },
): Promise<Authority> {
  const keys = await crypto.subtle.generateKey(keyAlgorithm, true, ["sign", "verify"]);
  // Two clusters of one name must not have the same issuer name: TLS libraries would then take the wrong
  // authority and report a bad signature instead of an unknown issuer.
  const mark = sha256Hex(random.secret(16)).slice(0, 8);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(random),
    name: [{ O: [cluster] }, { CN: [`Sqwish authority ${mark}`] }],
    ...validity,
    keys,
    signingAlgorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { caCertPem: pemOf(certificate.rawData), caKeyPem: await privateKeyPem(keys.privateKey) };
}

/**
 * Issues a certificate with a new key for the manager's TLS port. `names` are DNS names and IP addresses; the
 * fixed server name and this machine's loopback names are always added.
 * Throws `invalid_request` for what can't stand in a certificate.
 */
export async function issueServerCertificate(
  authority: Authority,
  { names }: { names: readonly string[] },
): Promise<ServerCertificate> {
  const all = certifiedNames(names);
  const issuer = readCertificate(authority.caCertPem);
  const signingKey = await importPrivateKey(authority.caKeyPem);
  const keys = await crypto.subtle.generateKey(keyAlgorithm, true, ["sign", "verify"]);
  const leaf = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [managerServerName] }],
    issuer: issuer.subject,
    ...validity,
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        all.map((name) => ({ type: isAddress(name) ? "ip" as const : "dns" as const, value: name })),
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return {
    certPem: pemOf(leaf.rawData) + pemOf(issuer.rawData),
    keyPem: await privateKeyPem(keys.privateKey),
    names: all,
  };
}

/** SHA-256 of the first certificate's DER bytes, in hexadecimal: what join tokens carry. */
export function fingerprintOf(certPem: string): string {
  return sha256Hex(new Uint8Array(firstCertificate(certPem)));
}

/** The first certificate alone, written anew: whatever else the text held is gone. */
export function firstCertificatePem(certPem: string): string {
  return pemOf(firstCertificate(certPem));
}

/**
 * Why the server certificate should be issued anew, in words for the log, or null. Its age is measured from
 * `issuedAtMs`, which the caller stores: the certificate itself says 1970.
 */
export function shouldReissue(
  certPem: string,
  facts: { names: readonly string[]; issuedAtMs: number; nowMs: number },
): string | null {
  let present: string[];
  try {
    const alternative = readCertificate(certPem).getExtension(x509.SubjectAlternativeNameExtension);
    present = (alternative?.names.items ?? []).map((item) => canonicalServerName(item.value));
  } catch {
    return "it can't be read";
  }
  const wanted = certifiedNames(facts.names);
  const missing = wanted.filter((name) => !present.includes(name));
  if (missing.length > 0) return `it lacks ${missing.join(", ")}`;
  const stale = present.filter((name) => !wanted.includes(name));
  if (stale.length > 0) return `it still names ${stale.join(", ")}`;
  if (facts.nowMs - facts.issuedAtMs > serverKeyMsMax) return "its key is older than a year";
  return null;
}

function certifiedNames(names: readonly string[]): string[] {
  const always = [managerServerName, "localhost", "127.0.0.1", "::1"];
  return [...new Set([...always, ...names].map(canonicalServerName))].sort();
}

// Positive and at most 20 bytes (RFC 5280, section 4.1.2.2).
function serialNumber(random: Random): string {
  const bytes = random.secret(16);
  bytes[0] = (bytes[0] & 0x7f) | 0x40;
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function readCertificate(pem: string): x509.X509Certificate {
  return new x509.X509Certificate(firstCertificate(pem));
}

function firstCertificate(pem: string): ArrayBuffer {
  const block = x509.PemConverter.decodeWithHeaders(pem).find((found) => found.type === "CERTIFICATE");
  if (!block) {
    throw new SqwishError("invalid_request", "A PEM text must hold a certificate, this one holds none");
  }
  return block.rawData;
}

function pemOf(der: ArrayBuffer): string {
  return x509.PemConverter.encode(der, "CERTIFICATE").trimEnd() + "\n";
}

async function privateKeyPem(key: CryptoKey): Promise<string> {
  const der = await crypto.subtle.exportKey("pkcs8", key);
  return x509.PemConverter.encode(der, "PRIVATE KEY").trimEnd() + "\n";
}

async function importPrivateKey(pem: string): Promise<CryptoKey> {
  try {
    const der = x509.PemConverter.decodeFirst(pem);
    return await crypto.subtle.importKey("pkcs8", der, keyAlgorithm, false, ["sign"]);
  } catch (cause) {
    throw new SqwishError("internal", "The authority's key could not be read; restore it from a backup", {
      cause,
    });
  }
}
