import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { X509Certificate } from "@peculiar/x509";
import { createSystemRandom } from "../../lib/random.ts";
import { managerServerName } from "../../lib/protocol/messages.ts";
import { createAuthority, issueServerCertificate } from "../../lib/security/authority.ts";
import {
  type Authority,
  fingerprintOf,
  firstCertificatePem,
  type ServerCertificate,
  shouldReissue,
} from "../../lib/security/certificates.ts";
import { rejectsWith } from "./rejects_with.ts";

const random = createSystemRandom();
const authority = await createAuthority({ cluster: "attic", random });
const other = await createAuthority({ cluster: "attic", random });
const issued = await issueServerCertificate(authority, { names: ["Attic.local", "192.168.1.10", "fe80::1"] });

/**
 * Serves one TLS connection with `server`, dials it trusting `trusted` alone, and resolves with what the
 * client read.
 */
async function greet(server: ServerCertificate, trusted: Authority, hostname: string): Promise<string> {
  const listener = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    cert: server.certPem,
    key: server.keyPem,
  });
  const serving = (async () => {
    const accepted = await listener.accept();
    try {
      await accepted.write(new TextEncoder().encode("hello"));
    } catch {
      // The client refused the certificate.
    } finally {
      accepted.close();
    }
  })();
  const plain = await Deno.connect({ hostname: "127.0.0.1", port: (listener.addr as Deno.NetAddr).port });
  let dialled: Deno.TlsConn | undefined;
  try {
    dialled = await Deno.startTls(plain, { hostname, caCerts: [trusted.caCertPem] });
    await dialled.handshake();
    const buffer = new Uint8Array(16);
    const length = await dialled.read(buffer);
    return new TextDecoder().decode(buffer.subarray(0, length ?? 0));
  } finally {
    dialled?.close();
    await serving;
    listener.close();
  }
}

Deno.test("a peer that pins the authority accepts the manager by its fixed name, whatever address it dials", async () => {
  assert.equal(await greet(issued, authority, managerServerName), "hello");
});

Deno.test("the certificate is good for every name it was asked for, and for loopback", async () => {
  for (const name of ["attic.local", "192.168.1.10", "localhost", "127.0.0.1"]) {
    assert.equal(await greet(issued, authority, name), "hello");
  }
  assert.deepEqual(issued.names, [
    "127.0.0.1",
    "192.168.1.10",
    "::1",
    "attic.local",
    "fe80::1",
    "localhost",
    "manager.sqwish",
  ]);
});

Deno.test("a server of another authority is refused, even of a cluster with the same name", async () => {
  const stranger = await issueServerCertificate(other, { names: [] });
  await assert.rejects(() => greet(stranger, authority, managerServerName), /UnknownIssuer/);
});

Deno.test("a name that the certificate doesn't hold is refused", async () => {
  await assert.rejects(() => greet(issued, authority, "cellar.local"), /not valid for name/i);
});

Deno.test("a server that shows the right authority with somebody else's leaf is refused", async () => {
  const stranger = await issueServerCertificate(other, { names: [] });
  const mixed = { ...stranger, certPem: firstCertificatePem(stranger.certPem) + authority.caCertPem };
  await assert.rejects(() => greet(mixed, authority, managerServerName), /UnknownIssuer/);
});

Deno.test("authority and leaf are valid from 1970 to the end of 9999, so that no clock can break a join", () => {
  for (const pem of [authority.caCertPem, firstCertificatePem(issued.certPem)]) {
    const certificate = new X509Certificate(pem);
    assert.equal(certificate.notBefore.toISOString(), "1970-01-01T00:00:00.000Z");
    assert.equal(certificate.notAfter.toISOString(), "9999-12-31T23:59:59.000Z");
  }
});

Deno.test("the leaf was signed by the authority, is none itself, and the chain follows it", async () => {
  const ca = new X509Certificate(authority.caCertPem);
  const leaf = new X509Certificate(firstCertificatePem(issued.certPem));
  assert.equal(await leaf.verify({ publicKey: ca.publicKey, signatureOnly: true }), true);
  assert.equal(leaf.issuer, ca.subject);
  assert.equal(issued.certPem, firstCertificatePem(issued.certPem) + authority.caCertPem);
  // The leaf's key must not be able to sign for others.
  const forged = { caCertPem: firstCertificatePem(issued.certPem), caKeyPem: issued.keyPem };
  const forgery = await issueServerCertificate(forged, { names: [] });
  const chain = forgery.certPem + authority.caCertPem;
  await assert.rejects(
    () => greet({ ...forgery, certPem: chain }, authority, managerServerName),
    /invalid peer/,
  );
});

Deno.test("`fingerprintOf()` is the digest of the first certificate's bytes", async () => {
  const fingerprint = fingerprintOf(authority.caCertPem);
  const certificate = new X509Certificate(authority.caCertPem);
  assert.equal(fingerprint, Buffer.from(await certificate.getThumbprint("SHA-256")).toString("hex"));
  assert.equal(fingerprintOf(authority.caCertPem + other.caCertPem), fingerprint);
  assert.notEqual(fingerprintOf(other.caCertPem), fingerprint);
  for (const text of ["", "garbage", authority.caKeyPem]) {
    await rejectsWith(() => fingerprintOf(text), "invalid_request", "must hold a certificate");
  }
});

Deno.test("`shouldReissue()` keeps a certificate whose names are right, however they are written", () => {
  const names = ["FE80::1%eth0", "192.168.1.10", "attic.local."];
  assert.equal(shouldReissue({ ...issued, issuedAtMs: 0 }, { names, nowMs: 0 }), null);
});

Deno.test("`shouldReissue()` says which name is missing or no longer wanted", () => {
  const certificate = { ...issued, issuedAtMs: 0 };
  const names = ["attic.local", "192.168.1.10", "fe80::1"];
  assert.match(
    shouldReissue(certificate, { names: [...names, "10.0.0.2"], nowMs: 0 })!,
    /lacks 10\.0\.0\.2/,
  );
  assert.match(shouldReissue(certificate, { names: names.slice(1), nowMs: 0 })!, /still names attic\.local/);
});

Deno.test("`shouldReissue()` replaces a key after a year, but not because the clock went back", () => {
  const names = ["attic.local", "192.168.1.10", "fe80::1"];
  const issuedAtMs = 1_700_000_000_000;
  const yearMs = 365 * 24 * 3600_000;
  const certificate = { ...issued, issuedAtMs };
  assert.equal(shouldReissue(certificate, { names, nowMs: issuedAtMs + yearMs }), null);
  assert.match(shouldReissue(certificate, { names, nowMs: issuedAtMs + yearMs + 1 })!, /a year/);
  assert.equal(shouldReissue(certificate, { names, nowMs: 0 }), null);
});

Deno.test("`shouldReissue()` replaces what can't be read", () => {
  const facts = { names: [], nowMs: 0 };
  assert.match(shouldReissue({ ...issued, certPem: "garbage", issuedAtMs: 0 }, facts)!, /can't be read/);
});

Deno.test("`issueServerCertificate()` refuses a name that no certificate can hold, and a key that is damaged", async () => {
  await rejectsWith(() => issueServerCertificate(authority, { names: ["a b"] }), "invalid_request", '"a b"');
  const damaged = { ...authority, caKeyPem: "garbage" };
  await rejectsWith(
    () => issueServerCertificate(damaged, { names: [] }),
    "internal",
    "key could not be read",
  );
});
