import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type AgentIdentity,
  agentNameOf,
  identityFromToken,
  nameProblem,
  readIdentity,
  removeIdentity,
  writeIdentity,
} from "../../lib/agent/identity.ts";
import { createSeededRandom } from "../../lib/random.ts";
import { encodeToken } from "../../lib/security/token.ts";
import { rejectsWith } from "../security/rejects_with.ts";
import { withFolder } from "../store/support.ts";

const identity: AgentIdentity = {
  name: "pi-1",
  identity: "0123456789abcdef",
  addresses: ["10.0.0.1:7443"],
  fingerprint: "f".repeat(64),
  user: "pi-1-own",
  password: "secret words",
  enroll: false,
};

Deno.test("an identity is read as it was written, by its owner only", () =>
  withFolder(async (folder) => {
    assert.equal(await readIdentity(`${folder}/new`), undefined);
    await writeIdentity(`${folder}/new`, identity);
    await writeIdentity(`${folder}/new`, { ...identity, name: "pi-2" });
    assert.deepEqual(await readIdentity(`${folder}/new`), { ...identity, name: "pi-2" });
    assert.equal((await Deno.stat(`${folder}/new/identity.json`)).mode! & 0o777, 0o600);
    assert.deepEqual([...Deno.readDirSync(`${folder}/new`)].map(({ name }) => name), ["identity.json"]);
    await removeIdentity(`${folder}/new`);
    assert.equal(await readIdentity(`${folder}/new`), undefined);
  }));

Deno.test("a damaged identity is refused without quoting its password", () =>
  withFolder(async (folder) => {
    for (const text of ['{"password":"secret words"', '{"name":"pi-1","password":"secret words"}', ""]) {
      await Deno.writeTextFile(`${folder}/identity.json`, text);
      const error = await rejectsWith(
        () => readIdentity(folder),
        "invalid_request",
        "damaged; remove the file",
      );
      assert.equal(error.cause, undefined);
    }
  }));

Deno.test("a folder that can't be written is refused with what to do", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/file`, "");
    await rejectsWith(() => writeIdentity(`${folder}/file`, identity), "invalid_request", "--data");
  }));

Deno.test("a token makes an identity; the folder's own name for itself stays", () => {
  const fingerprint = "a".repeat(64);
  const facts = { addresses: ["10.0.0.9:7443"], fingerprint, user: "join-agent-1", password: "p".repeat(43) };
  const random = createSeededRandom(1);
  const token = encodeToken({ ...facts, role: "agent" });
  const fresh = identityFromToken(token, { name: "pi-1", random });
  assert.match(fresh.identity, /^[0-9a-f]{32}$/);
  assert.deepEqual(fresh, { name: "pi-1", identity: fresh.identity, ...facts, enroll: true });
  assert.equal(
    identityFromToken(token, { name: "pi-1", known: identity, random }).identity,
    identity.identity,
  );
  const clients = encodeToken({ ...facts, role: "client" });
  assert.throws(() => identityFromToken(clients, { name: "pi-1", random }), /needs an agent's join token/);
});

Deno.test("any host name becomes a name that an agent may have", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (hostname) => {
    assert.equal(nameProblem(agentNameOf(hostname)), undefined);
  }));
  assert.equal(agentNameOf("Raspberry_Pi 4.local"), "raspberry-pi-4.local");
  assert.equal(agentNameOf("___"), "agent");
});
