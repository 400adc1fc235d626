import assert from "node:assert/strict";
import { formatAddress } from "../../lib/address.ts";
import { canonicalServerName, parseAddress } from "../../lib/security/server_names.ts";
import { rejectsWith } from "./rejects_with.ts";

Deno.test("`canonicalServerName()` writes one name always the same way", () => {
  const cases = [
    ["Attic.Local.", "attic.local"],
    [" 192.168.1.10 ", "192.168.1.10"],
    ["[2001:DB8:0:0:0:0:0:1]", "2001:db8::1"],
    ["fe80::1%eth0", "fe80::1"],
    ["my_pi", "my_pi"],
  ];
  for (const [given, expected] of cases) assert.equal(canonicalServerName(given), expected);
});

Deno.test("`canonicalServerName()` refuses what no certificate can hold, naming it", async () => {
  for (
    const given of [
      "",
      "a b",
      "-pi",
      "pi-",
      "*.local",
      "300.1.1.1",
      "1.2.3",
      "a..b",
      "x".repeat(64),
      "größe.de",
    ]
  ) {
    await rejectsWith(() => canonicalServerName(given), "invalid_request", JSON.stringify(given));
  }
});

Deno.test("`parseAddress()` and `formatAddress()` are each other's inverse", () => {
  for (const address of ["attic.local:7443", "10.0.0.1:1", "[::1]:65535"]) {
    const { host, port } = parseAddress(address);
    assert.equal(formatAddress(host, port), address);
  }
  assert.deepEqual(parseAddress("[::1]:7443"), { host: "::1", port: 7443 });
});

Deno.test("`parseAddress()` refuses addresses without a host or a usable port", async () => {
  for (const given of ["attic", ":7443", "attic:", "attic:0", "attic:65536", "::1:7443", "attic:74x"]) {
    await rejectsWith(() => parseAddress(given), "invalid_request", /must be/);
  }
});
