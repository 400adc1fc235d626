/** Certificates made by the program itself, in a process that ends with them. */
import assert from "node:assert/strict";
import { createProcessCertifier } from "../../lib/manager/certificate_process.ts";
import { runInOwnProcess } from "../../lib/manager/own_process.ts";
import { fingerprintOf } from "../../lib/security/certificates.ts";
import { rejectsWith } from "../security/rejects_with.ts";

const certify = createProcessCertifier(new URL("../../manager.ts", import.meta.url).href);

Deno.test("another process makes an authority once, its certificates as often as asked, and says what it can't", async () => {
  const first = await certify({ cluster: "attic", names: ["attic.local"] });
  assert.ok(first.certificate.names.includes("attic.local"));
  const second = await certify({ cluster: "attic", authority: first.authority, names: ["shed.local"] });
  assert.deepEqual(second.authority, first.authority);
  assert.ok(second.certificate.names.includes("shed.local"));
  // The server sends its authority along.
  const [, issuer] = second.certificate.certPem.split(/(?=-----BEGIN)/);
  assert.equal(fingerprintOf(issuer), fingerprintOf(first.authority.caCertPem));
  await rejectsWith(
    () => certify({ cluster: "attic", authority: first.authority, names: ["a b"] }),
    "invalid_request",
    '"a b"',
  );
});

Deno.test("a process that breaks is told of with its own words", async () => {
  const broken = createProcessCertifier(new URL("./no_such_program.ts", import.meta.url).href);
  await rejectsWith(
    () => broken({ cluster: "attic", names: [] }),
    "internal",
    "Making certificates failed: error: Module not found",
  );
});

Deno.test("a process that takes too long is ended, and that is said", async () => {
  const endless = "data:text/javascript,setInterval(() => {}, 1000)";
  await rejectsWith(
    () => runInOwnProcess(endless, { what: "Waiting", args: [], msMax: 200 }),
    "internal",
    "Waiting failed: not done within 200 ms",
  );
});
