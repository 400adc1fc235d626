/** The library and the command line against a real manager, over real TLS. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { connect, SqwishError } from "../../client.ts";
import type { Profile } from "../../lib/client/profile.ts";
import { programCommand, startCluster } from "../support/cluster.ts";

async function client(args: string[], environment: Record<string, string>) {
  const [command, before] = programCommand("client");
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args: [...before, ...args],
    env: { NO_COLOR: "1", ...environment },
    stdin: "null",
  }).output();
  return { code, out: new TextDecoder().decode(stdout), error: new TextDecoder().decode(stderr) };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const thrown = await promise.then(() => assert.fail("must reject"), (reason) => reason);
  assert.ok(thrown instanceof SqwishError, String(thrown));
  return thrown.code;
}

Deno.test("a client joins by token, comes back by its profile, and is refused with anything wrong", async () => {
  const cluster = await startCluster({ agents: 0 });
  const folder = await Deno.makeTempDir();
  const profileFile = join(folder, "profile.json");
  try {
    const { url, fingerprint, adminPassword, clientToken: token } = cluster.ready;
    const first = await connect({ token, profileFile });
    assert.deepEqual((await first.call("GET", "/v1/agents")).json, { agents: [] });
    assert.equal(await codeOf(first.invoke("no/such", 1, { timeoutMs: 5000 })), "not_found");
    await first.close();
    const stored: Profile = JSON.parse(await Deno.readTextFile(profileFile));
    const second = await connect({ token, profileFile });
    await second.close();
    assert.deepEqual(JSON.parse(await Deno.readTextFile(profileFile)), stored, "it joined once");

    const admin = { url, user: "admin", fingerprint, connectTimeoutMs: 0 };
    await (await connect({ ...admin, password: adminPassword })).close();
    assert.equal(await codeOf(connect({ ...admin, password: "wrong password" })), "unauthenticated");
    const stranger = "ab".repeat(32);
    assert.equal(
      await codeOf(connect({ ...admin, fingerprint: stranger, password: adminPassword })),
      "unauthenticated",
    );

    const environment = { SQWISH_PROFILE: join(folder, "cli.json"), SQWISH_PASSWORD: adminPassword };
    const login = ["login", "--manager", url, "--user", "admin"];
    const unknown = await client(login, environment);
    assert.equal(unknown.code, 2);
    assert.match(unknown.error, new RegExp(fingerprint));
    const signedIn = await client([...login, "--fingerprint", fingerprint], environment);
    assert.deepEqual([signedIn.code, signedIn.error], [0, ""]);
    const users = await client(["get", "users", "--json"], { SQWISH_PROFILE: environment.SQWISH_PROFILE });
    assert.ok(JSON.parse(users.out).users.some((user: { name: string }) => user.name === "admin"));
  } finally {
    await cluster.close();
    await Deno.remove(folder, { recursive: true });
  }
});
