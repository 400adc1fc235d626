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
import {
  type Authority,
  certifiedNames,
  firstCertificate,
  pemOf,
  type ServerCertificate,
} from "./certificates.ts";
import { sha256Hex } from "./digest.ts";
import { isAddress } from "./server_names.ts";

const keyAlgorithm = { name: "ECDSA", namedCurve: "P-256" } as const;
const signingAlgorithm = { name: "ECDSA", hash: "SHA-256" } as const;

// RFC 5280, section 4.1.2.5: 99991231235959Z says "has no well-defined expiration date".
const validity = { notBefore: new Date(0), notAfter: new Date("9999-12-31T23:59:59Z") };

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
  return {
    caCertPem: pemOf("CERTIFICATE", certificate.rawData),
    caKeyPem: await privateKeyPem(keys.privateKey),
  };
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
    certPem: pemOf("CERTIFICATE", leaf.rawData) + pemOf("CERTIFICATE", issuer.rawData),
    keyPem: await privateKeyPem(keys.privateKey),
    names: all,
  };
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

async function privateKeyPem(key: CryptoKey): Promise<string> {
  const der = await crypto.subtle.exportKey("pkcs8", key);
  return pemOf("PRIVATE KEY", der);
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
