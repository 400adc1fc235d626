import assert from "node:assert/strict";
import { join } from "node:path";
import type { ConnectToOptions } from "../../lib/client/connect.ts";
import type { Target } from "../../lib/client/options.ts";
import type { Sqwish } from "../../lib/client/sqwish.ts";
import { SqwishError } from "../../lib/errors.ts";
import { encodeToken } from "../../lib/security/token.ts";
import { runClient, type RunOptions } from "./command_line.ts";

const fingerprint = "ab".repeat(32);
const token = encodeToken({
  addresses: ["attic.local:7443"],
  fingerprint,
  user: "token-1",
  password: "secret-of-the-token",
  role: "client",
});

/** Signs in somewhere that takes everybody; `target` is what would have been dialled. */
async function login(argv: string[], options: RunOptions = {}, folder?: string) {
  const home = folder ?? await Deno.makeTempDir();
  let target: Target | undefined;
  try {
    const run = await runClient(["login", ...argv], {
      ...options,
      environment: { XDG_CONFIG_HOME: home, ...options.environment },
      context: {
        async connectTo(wanted: Target, { store }: ConnectToOptions): Promise<Sqwish> {
          target = wanted;
          const own = wanted.enroll
            ? { user: "machine-7", password: "own" }
            : { user: wanted.user, password: wanted.password };
          await store?.({ cluster: "attic", addresses: wanted.addresses, caPem: "PEM", ...own });
          return { cluster: "attic", close: () => Promise.resolve() } as unknown as Sqwish;
        },
        discoverFingerprint: () => Promise.resolve(fingerprint),
      },
    });
    const file = join(home, "sqwish", "profile.json");
    const stored = await Deno.readTextFile(file).then(JSON.parse, () => undefined);
    const mode = stored && (await Deno.stat(file)).mode! & 0o777;
    return { ...run, target, stored, mode };
  } finally {
    if (!folder) await Deno.remove(home, { recursive: true });
  }
}

Deno.test("`login --join` enrols with the token and stores credentials of its own", async () => {
  const { code, out, target, stored, mode } = await login(["--join", token]);
  assert.equal(code, 0);
  assert.match(out, /^Signed in to attic as machine-7; stored in .*profile\.json\n$/);
  assert.equal(target?.enroll, true);
  assert.equal(target?.fingerprint, fingerprint);
  assert.deepEqual(target?.addresses, ["attic.local:7443"]);
  assert.equal(stored.user, "machine-7");
  assert.equal(mode, 0o600);
});

Deno.test("`login --manager` takes the password from the environment and the trust from `--fingerprint` or `--ca`", async () => {
  const environment = { SQWISH_PASSWORD: "correct horse" };
  const person = ["--manager", "https://attic.local", "--user", "ada"];
  const colons = fingerprint.toUpperCase().match(/../g)!.join(":");
  const byHand = await login([...person, "--fingerprint", colons], { environment });
  assert.equal(byHand.code, 0, byHand.error);
  assert.deepEqual(byHand.target, {
    addresses: ["attic.local:7443"],
    fingerprint,
    user: "ada",
    password: "correct horse",
    enroll: false,
  });
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n");
    const byFile = await login([...person, "--ca", file], { environment });
    assert.match(byFile.target?.caPem ?? "", /BEGIN CERTIFICATE/);
    await Deno.writeTextFile(file, "not one");
    const wrong = await login([...person, "--ca", file], { environment });
    assert.deepEqual([wrong.code, wrong.target], [1, undefined]);
    assert.match(wrong.error, /must be a PEM certificate/);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("on a terminal an unknown authority is shown and confirmed before the password is asked for, unseen", async () => {
  const person = ["--manager", "attic.local:7443", "--user", "ada"];
  const yes = await login(person, { terminal: { isInteractive: true, answers: ["yes", "correct horse"] } });
  assert.equal(yes.code, 0, yes.error);
  assert.match(yes.error, /abab abab/);
  assert.deepEqual(yes.terminal.questions.map(({ secret }) => secret), [false, true]);
  assert.equal(yes.target?.fingerprint, fingerprint);
  assert.equal(yes.target?.password, "correct horse");
  assert.ok(!(yes.out + yes.error).includes("correct horse"));
  const no = await login(person, { terminal: { isInteractive: true, answers: ["no", "correct horse"] } });
  assert.deepEqual([no.code, no.target, no.terminal.questions.length], [1, undefined, 1]);
  assert.match(no.error, /was not confirmed; nothing was sent to it \(unauthenticated\)/);
});

Deno.test("without a terminal an unknown authority is refused, naming what was found", async () => {
  const { code, error, target } = await login(["--manager", "attic.local", "--user", "ada"], {
    environment: { SQWISH_PASSWORD: "correct horse" },
  });
  assert.deepEqual([code, target], [2, undefined]);
  assert.match(error, new RegExp(`${fingerprint}.*--fingerprint.*--ca`));
});

Deno.test("an authority known from an earlier login is not asked about again", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await login(["--join", token], {}, folder);
    const again = await login(["--manager", "attic.local", "--user", "ada"], {
      environment: { SQWISH_PASSWORD: "correct horse" },
    }, folder);
    assert.equal(again.code, 0, again.error);
    assert.equal(again.target?.caPem, "PEM");
    assert.equal(again.stored.user, "ada");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("`login` asks nobody for an account that it could not store", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(join(folder, "file"), "");
    for (const profile of [join(folder, "file", "profile.json"), folder]) {
      const { code, error, target } = await login(["--join", token], {
        environment: { SQWISH_PROFILE: profile },
      });
      assert.deepEqual([code, target], [1, undefined]);
      assert.match(error, /^client: The profile can't be written to .* \(invalid_request\)\n$/);
    }
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["file"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("`login` says what is missing or too much", async () => {
  const agentToken = encodeToken({
    addresses: ["a:1"],
    fingerprint,
    user: "u",
    password: "p",
    role: "agent",
  });
  const cases: [string[], number, RegExp][] = [
    [[], 2, /--join TOKEN, or --manager URL/],
    [["--manager", "attic.local"], 2, /--user NAME/],
    [["--join", token, "--user", "ada"], 2, /not both/],
    [["--join", "nonsense"], 1, /join token must start .*`manager token client` prints one/],
    [["--join", token.slice(0, -4)], 1, /join token/],
    [["--join", agentToken], 1, /this one is for agents/],
    [["--manager", "http://attic.local", "--user", "ada"], 1, /https/],
    [["--manager", "attic.local", "--user", "ada", "--fingerprint", "12"], 1, /64 hexadecimal/],
    [["--manager", "attic.local", "--user", "ada", "--fingerprint", fingerprint], 2, /SQWISH_PASSWORD/],
  ];
  for (const [argv, expected, pattern] of cases) {
    const { code, error, stored } = await login(argv);
    assert.equal(code, expected, `${argv.join(" ")}: ${error}`);
    assert.match(error, pattern);
    assert.equal(error.trimEnd().split("\n").length, 1, error);
    assert.equal(stored, undefined);
  }
});

Deno.test("who can't get in is told in one line what was wrong and what to do", async () => {
  const wrong = new SqwishError("unauthenticated", "The user name or password is wrong");
  const away = new SqwishError("manager_lost", "The manager at attic.local:7443 can't be reached", {
    cause: new Error("Connection refused (os error 111)"),
    details: { mayHaveRun: "no" },
  });
  const mayNot = new SqwishError("forbidden", "Reading logs needs the role operator, ada has client", {
    details: { operation: "logs", role: "client" },
  });
  const cases: [SqwishError, string][] = [
    [wrong, "client: The user name or password is wrong; sign in with `client login` (unauthenticated)\n"],
    [
      away,
      "client: The manager at attic.local:7443 can't be reached: Connection refused (os error 111); check that it " +
      "runs there and that the network lets you through, or sign in to another with `client login` (manager_lost)\n",
    ],
    [
      mayNot,
      "client: Reading logs needs the role operator, ada has client; join with a token that may: " +
      "`manager token client --role operator` prints one (forbidden)\n",
    ],
  ];
  for (const [failure, expected] of cases) {
    const { code, error } = await runClient(["get", "agents"], {
      context: { connect: () => Promise.reject(failure) },
    });
    assert.deepEqual([code, error], [1, expected]);
  }
  const signingIn = await runClient(["login", "--join", token], {
    context: { connectTo: () => Promise.reject(wrong) },
  });
  assert.equal(signingIn.error, "client: The user name or password is wrong (unauthenticated)\n");
});
