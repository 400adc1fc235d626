import assert from "node:assert/strict";
import {
  certificateNames,
  parseListen,
  reachableAddresses,
  reachableHosts,
} from "../../lib/manager/addresses.ts";

const machine = {
  hostname: "Attic",
  addresses: ["127.0.0.1", "::1", "192.168.1.10", "fe80::1", "fd00::10"],
};

Deno.test("a manager is reached at what is advertised, then at its addresses, its name, and on itself", () => {
  assert.deepEqual(reachableHosts("0.0.0.0", ["cluster.example:443", "192.168.1.10"], machine), [
    "cluster.example:443",
    "192.168.1.10",
    "attic.local",
    "fd00::10",
    "127.0.0.1",
  ]);
  assert.deepEqual(reachableHosts("::", [], { hostname: "not a name", addresses: ["::1"] }), ["127.0.0.1"]);
});

Deno.test("listening at one address leaves that one and what is advertised", () => {
  assert.deepEqual(reachableHosts("127.0.0.1", [], machine), ["127.0.0.1"]);
  assert.deepEqual(reachableHosts("10.0.0.1", ["cluster.example"], machine), ["cluster.example", "10.0.0.1"]);
});

Deno.test("tokens get a port with each host, certificates the hosts alone", () => {
  const hosts = ["cluster.example:443", "192.168.1.10", "fd00::10", "[fd00::11]:444"];
  assert.deepEqual(reachableAddresses(hosts, 7443), [
    "cluster.example:443",
    "192.168.1.10:7443",
    "[fd00::10]:7443",
    "[fd00::11]:444",
  ]);
  assert.deepEqual(certificateNames(hosts), ["cluster.example", "192.168.1.10", "fd00::10", "fd00::11"]);
});

Deno.test("`parseListen()` takes HOST:PORT and refuses the rest, quoting it", () => {
  assert.deepEqual(parseListen("0.0.0.0:7443"), { host: "0.0.0.0", port: 7443 });
  assert.deepEqual(parseListen("[::1]:0"), { host: "::1", port: 0 });
  for (const text of ["7443", "localhost", "a:b", "a:70000", "::1:80", "a b:1", ""]) {
    assert.throws(
      () => parseListen(text),
      { code: "invalid_request", message: /listen must be HOST:PORT/ },
      text,
    );
  }
});
