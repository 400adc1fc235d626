import assert from "node:assert/strict";
import { Dialer, type Network } from "../../lib/client/dialer.ts";
import type { Target } from "../../lib/client/options.ts";
import { SqwishError } from "../../lib/errors.ts";
import { createMemoryChannelPair } from "../../lib/protocol/memory_channel.ts";
import { welcome } from "./scripted_manager.ts";

const target: Target = {
  addresses: ["a:1", "b:2", "c:3"],
  caPem: "PEM",
  user: "ada",
  password: "pw",
  enroll: false,
};

/** A network in which each host answers as told; unknown ones can't be reached. */
function networkOf(hosts: Record<string, "ok" | SqwishError>) {
  const dialled: string[] = [];
  const authorizations: string[] = [];
  const authorities: string[] = [];
  const network: Network = {
    dialWebSocket({ host, headers, caPem }) {
      dialled.push(host);
      authorizations.push(headers.authorization);
      authorities.push(caPem);
      const answer = hosts[host] ?? new SqwishError("manager_lost", `${host} can't be reached`);
      if (answer !== "ok") return Promise.reject(answer);
      return Promise.resolve(createMemoryChannelPair().left);
    },
    fetchAuthority({ host, fingerprint }) {
      const answer = hosts[host] ?? new SqwishError("manager_lost", `${host} can't be reached`);
      if (answer !== "ok") return Promise.reject(answer);
      return Promise.resolve(`PEM of ${fingerprint}`);
    },
  };
  return { network, dialled, authorizations, authorities };
}

Deno.test("`Dialer` tries every address, and the one that answered first the next time", async () => {
  const { network, dialled, authorizations } = networkOf({ b: "ok" });
  const dialer = new Dialer(target, network);
  await dialer.dial();
  assert.deepEqual(dialled, ["a", "b"]);
  await dialer.dial();
  assert.deepEqual(dialled, ["a", "b", "b"]);
  assert.equal(authorizations[0], `Basic ${btoa("ada:pw")}`);
});

Deno.test("`Dialer` gives the first failure when nobody answers", async () => {
  const { network, dialled } = networkOf({});
  await assert.rejects(new Dialer(target, network).dial(), /a can't be reached/);
  assert.deepEqual(dialled, ["a", "b", "c"]);
});

Deno.test("a refusal by the manager ends the round: a wrong password is not tried three times", async () => {
  const { network, dialled } = networkOf({
    a: new SqwishError("unauthenticated", "User name or password is wrong"),
  });
  await assert.rejects(new Dialer(target, network).dial(), { code: "unauthenticated" });
  assert.deepEqual(dialled, ["a"]);
});

Deno.test("another cluster at one address doesn't hide the right one, but is the reason when there is none", async () => {
  const stranger = new SqwishError("unauthenticated", "another certificate authority", {
    details: { found: "ff" },
  });
  const unpinned = { ...target, caPem: undefined, fingerprint: "ab" };
  const { network, dialled, authorities } = networkOf({ a: stranger, c: "ok" });
  const dialer = new Dialer(unpinned, network);
  await dialer.dial();
  assert.deepEqual(dialled, ["c"], "no password goes to a stranger");
  assert.deepEqual(authorities, ["PEM of ab"]);
  assert.equal(dialer.target.caPem, "PEM of ab");
  await assert.rejects(
    new Dialer(unpinned, networkOf({ b: stranger }).network).dial(),
    /another certificate authority/,
  );
});

Deno.test("`Dialer` takes over credentials and addresses from the welcome, and drops what can't be an address", async () => {
  const { network, authorizations } = networkOf({ b: "ok" });
  const dialer = new Dialer({ ...target, enroll: true }, network);
  await dialer.dial();
  dialer.welcomed({
    ...welcome,
    addresses: ["new.local:7443", "not an address", "a:1"],
    credentials: { user: "machine-7", password: "own" },
  });
  assert.deepEqual(dialer.target.addresses, ["b:2", "new.local:7443", "a:1", "c:3"]);
  assert.equal(dialer.target.enroll, false);
  await dialer.dial();
  assert.equal(authorizations.at(-1), `Basic ${btoa("machine-7:own")}`);
});

Deno.test("`Dialer` remembers a bounded number of addresses", async () => {
  const { network } = networkOf({ a: "ok" });
  const dialer = new Dialer(target, network);
  await dialer.dial();
  dialer.welcomed({ ...welcome, addresses: Array.from({ length: 100 }, (_, i) => `host${i}:1`) });
  assert.equal(dialer.target.addresses.length, 16);
  assert.equal(dialer.target.addresses[0], "a:1");
});
