import assert from "node:assert/strict";
import { addressOf, canonicalFingerprint, isComplete, resolveTarget } from "../../lib/client/options.ts";

const nothing = () => undefined;
const profile = {
  cluster: "attic",
  addresses: ["a:1", "b:2"],
  caPem: "PEM",
  user: "ada",
  password: "stored",
};

function environmentOf(values: Record<string, string>): (name: string) => string | undefined {
  return (name) => values[name];
}

Deno.test("`resolveTarget()` prefers options, then the environment, then the profile, field by field", () => {
  assert.deepEqual(resolveTarget({}, nothing, profile), {
    addresses: ["a:1", "b:2"],
    caPem: "PEM",
    fingerprint: undefined,
    user: "ada",
    password: "stored",
    enroll: false,
  });
  const environment = environmentOf({ SQWISH_URL: "https://c", SQWISH_PASSWORD: "from env" });
  const mixed = resolveTarget({ user: "bob" }, environment, profile);
  assert.deepEqual([mixed.addresses, mixed.caPem, mixed.user, mixed.password], [
    ["c:7443"],
    "PEM",
    "bob",
    "from env",
  ]);
  const said = resolveTarget({ url: "d:9", password: "said" }, environment, profile);
  assert.deepEqual([said.addresses, said.user, said.password], [["d:9"], "ada", "said"]);
});

Deno.test("`resolveTarget()` never uses one user's password for another", () => {
  assert.throws(() => resolveTarget({ user: "bob" }, nothing, profile), /needs the password of bob/);
});

Deno.test("`resolveTarget()` trusts a given fingerprint rather than the profile's authority", () => {
  const target = resolveTarget({ fingerprint: "AB".repeat(32) }, nothing, profile);
  assert.deepEqual([target.caPem, target.fingerprint], [undefined, "ab".repeat(32)]);
});

Deno.test("`resolveTarget()` names what is missing and how to give it", () => {
  assert.throws(() => resolveTarget({}, nothing, undefined), /SQWISH_URL/);
  assert.throws(() => resolveTarget({ url: "a" }, nothing, undefined), /SQWISH_USER/);
  assert.throws(() => resolveTarget({ url: "a", user: "u" }, nothing, undefined), /SQWISH_PASSWORD/);
  assert.throws(
    () => resolveTarget({ url: "a", user: "u", password: "p" }, nothing, undefined),
    /SQWISH_FINGERPRINT/,
  );
});

Deno.test("`isComplete()` is true only when nothing has to be looked up", () => {
  assert.equal(isComplete({ token: "x" }), true);
  assert.equal(isComplete({ url: "a", user: "u", password: "p", caPem: "PEM" }), true);
  assert.equal(isComplete({ url: "a", user: "u", password: "p" }), false);
  assert.equal(isComplete({}), false);
});

Deno.test("`addressOf()` reads every way to write an address", () => {
  const cases: Record<string, string> = {
    "https://attic.local:8443": "attic.local:8443",
    "wss://Attic.Local/": "attic.local:7443",
    "attic.local": "attic.local:7443",
    "10.0.0.7:1": "10.0.0.7:1",
    "[::1]": "[::1]:7443",
    "https://[FE80::1]:7444/v1": "[fe80::1]:7444",
  };
  for (const [url, address] of Object.entries(cases)) assert.equal(addressOf(url), address);
  for (
    const url of [
      "http://attic.local",
      "",
      "https://",
      "a b",
      "attic.local:0",
      "attic.local:70000",
      "ftp://x",
    ]
  ) {
    assert.throws(() => addressOf(url), { code: "invalid_request" }, url);
  }
});

Deno.test("`canonicalFingerprint()` takes what people copy", () => {
  assert.equal(canonicalFingerprint("AB:".repeat(31) + "AB"), "ab".repeat(32));
  assert.equal(canonicalFingerprint("abab ".repeat(16)), "ab".repeat(32));
  assert.throws(() => canonicalFingerprint("ab"), /64 hexadecimal/);
});
