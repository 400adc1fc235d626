import assert from "node:assert/strict";
import { SqwishError } from "../../lib/errors.ts";
import { limits } from "../../lib/limits.ts";
import { createSystemRandom } from "../../lib/random.ts";
import {
  createAuthenticator,
  type CredentialStore,
  type StoredCredential,
} from "../../lib/security/authenticator.ts";
import { Lockout } from "../../lib/security/lockout.ts";
import {
  generateSecret,
  hashPassword,
  personCost,
  secretCost,
  verifyPassword,
} from "../../lib/security/passwords.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { rejectsWith } from "./rejects_with.ts";

const random = createSystemRandom();
const address = "10.0.0.1";
const secret = generateSecret(random);
const adaHash = await hashPassword("adas password", { random });
const secretHash = await hashPassword(secret, { random, cost: secretCost });

function person(changed: Partial<StoredCredential> = {}): StoredCredential {
  return { name: "ada", role: "operator", endpoints: [], passwordHash: adaHash, once: false, ...changed };
}
function token(changed: Partial<StoredCredential> = {}): StoredCredential {
  return { name: "join-1", role: "agent", endpoints: [], passwordHash: secretHash, once: false, ...changed };
}

function setUp(users: StoredCredential[], verify?: typeof verifyPassword) {
  const table = new Map(users.map((user) => [user.name, user]));
  const credentials: CredentialStore = {
    find: (name) => table.get(name),
    markUsed: (name, nowMs) => void table.set(name, { ...table.get(name)!, usedAtMs: nowMs }),
  };
  const clock = new ManualClock();
  const authenticator = createAuthenticator({ credentials, clock, random, lockout: new Lockout(), verify });
  function signIn(user: string, password: string, from = address) {
    return authenticator.authenticate({ user, password, address: from });
  }
  return { table, clock, authenticator, signIn };
}

async function failTimes(signIn: (user: string, password: string) => Promise<unknown>, times: number) {
  for (let count = 0; count < times; count++) {
    await rejectsWith(() => signIn("ada", `guess ${count}`), "unauthenticated", "is wrong");
  }
}

Deno.test("the right password gives the principal", async () => {
  const { signIn } = setUp([person({ role: "client", endpoints: ["images/*"] }), token()]);
  assert.deepEqual(await signIn("ada", "adas password"), {
    name: "ada",
    role: "client",
    endpoints: ["images/*"],
  });
  assert.deepEqual(await signIn("join-1", secret), { name: "join-1", role: "agent", endpoints: [] });
});

Deno.test("a wrong password and an unknown user get the same words", async () => {
  const { signIn } = setUp([person(), token()]);
  const errors: SqwishError[] = [];
  for (const [user, password] of [["ada", "no"], ["join-1", "no"], ["eve", "no"], ["", ""]]) {
    errors.push(
      await rejectsWith(() => signIn(user, password), "unauthenticated", "user name or password is wrong"),
    );
  }
  for (const error of errors) assert.deepEqual(error.toJSON(), errors[0].toJSON());
});

Deno.test("an unknown user, and a token with a cheap hash, cost one check of a person's price", async () => {
  for (const user of ["ada", "stranger", "join-1"]) {
    const prices: string[] = [];
    const { signIn } = setUp([person(), token()], (password, stored) => {
      prices.push(stored.split("$")[1]);
      return verifyPassword(password, stored);
    });
    await signIn(user, "wrong").catch(() => {});
    assert.deepEqual(prices.filter((price) => price === String(personCost.N)), [String(personCost.N)], user);
  }
});

Deno.test("five failures lock the address for a minute, and the refusal says for how long", async () => {
  const { signIn, clock } = setUp([person()]);
  await failTimes(signIn, limits.loginFailuresMax);
  clock.advance(15_000);
  const error = await rejectsWith(
    () => signIn("ada", "adas password"),
    "unauthenticated",
    "try again in 45 s",
  );
  assert.equal(error.details.retryAfterMs, 45_000);
  assert.equal((await signIn("ada", "adas password", "10.0.0.2")).name, "ada");
  clock.advance(45_000);
  assert.equal((await signIn("ada", "adas password")).name, "ada");
});

Deno.test("a locked address can't find out a password that was verified before", async () => {
  const { signIn } = setUp([person()]);
  await signIn("ada", "adas password");
  await failTimes(signIn, limits.loginFailuresMax);
  await rejectsWith(() => signIn("ada", "adas password"), "unauthenticated", "locked");
});

Deno.test("a jump of the wall clock neither ends nor prolongs a lock", async () => {
  const { signIn, clock } = setUp([person()]);
  await failTimes(signIn, limits.loginFailuresMax);
  clock.jumpWall(10 * 365 * 24 * 3600_000);
  await rejectsWith(() => signIn("ada", "adas password"), "unauthenticated", "try again in 60 s");
});

Deno.test("many guesses at once are not more guesses than one after the other", async () => {
  const { signIn } = setUp([person()]);
  const outcomes = await Promise.allSettled(
    Array.from({ length: 40 }, (_, count) => signIn("ada", `guess ${count}`)),
  );
  const messages = outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason.message as string);
  const checked = messages.filter((message) => message.endsWith("is wrong")).length;
  // Two checks run at a time: one may already be under way when the fifth failure locks.
  assert.ok(
    checked >= limits.loginFailuresMax && checked <= limits.loginFailuresMax + 1,
    `${checked} were checked`,
  );
  assert.equal(messages.filter((message) => message.includes("locked")).length, 40 - checked);
});

Deno.test("a success forgets the failures before it", async () => {
  const { signIn } = setUp([person()]);
  await failTimes(signIn, limits.loginFailuresMax - 1);
  await signIn("ada", "adas password");
  await failTimes(signIn, limits.loginFailuresMax - 1);
  assert.equal((await signIn("ada", "adas password")).name, "ada");
});

Deno.test("an agent with its own secret gets in from an address that somebody's guesses have locked", async () => {
  const { signIn } = setUp([person(), token()]);
  await failTimes(signIn, limits.loginFailuresMax);
  assert.equal((await signIn("join-1", secret)).name, "join-1");
  await rejectsWith(() => signIn("join-1", "guess"), "unauthenticated", "locked");
});

Deno.test("a removed agent that retries for ever does not lock its address", async () => {
  const { signIn, table } = setUp([person(), token()]);
  await signIn("join-1", secret);
  table.delete("join-1");
  for (let count = 0; count < 20; count++) {
    await rejectsWith(() => signIn("join-1", secret), "unauthenticated", "is wrong");
  }
  assert.equal((await signIn("ada", "adas password")).name, "ada");
  table.set("join-1", token());
  assert.equal((await signIn("join-1", secret)).name, "join-1");
});

Deno.test("a pair that was verified is not checked again, also when it comes many times at once", async () => {
  let checks = 0;
  const { signIn } = setUp([person()], (password, stored) => {
    checks++;
    return verifyPassword(password, stored);
  });
  await Promise.all(Array.from({ length: 50 }, () => signIn("ada", "adas password")));
  for (let count = 0; count < 50; count++) await signIn("ada", "adas password");
  assert.equal(checks, 1);
});

Deno.test("a removed user and a changed password are refused at once, though verified before", async () => {
  const { signIn, table } = setUp([person()]);
  await signIn("ada", "adas password");
  table.set("ada", person({ passwordHash: await hashPassword("a new password", { random }) }));
  await rejectsWith(() => signIn("ada", "adas password"), "unauthenticated", "is wrong");
  assert.equal((await signIn("ada", "a new password")).name, "ada");
  table.delete("ada");
  await rejectsWith(() => signIn("ada", "a new password"), "unauthenticated", "is wrong");
});

Deno.test("a user who is removed while the password is checked does not get in", async () => {
  const { signIn, table } = setUp([person()]);
  const signingIn = signIn("ada", "adas password");
  table.delete("ada");
  await rejectsWith(() => signingIn, "unauthenticated", "is wrong");
});

Deno.test("a changed role counts from the next sign-in on", async () => {
  const { signIn, table } = setUp([person()]);
  await signIn("ada", "adas password");
  table.set("ada", person({ role: "viewer" }));
  assert.equal((await signIn("ada", "adas password")).role, "viewer");
});

Deno.test("an expired token says when it expired, but only to who has its password", async () => {
  const { signIn, clock } = setUp([token({ expiresAtMs: 1_700_000_060_000 })]);
  assert.equal((await signIn("join-1", secret)).name, "join-1");
  clock.advance(60_000);
  await rejectsWith(() => signIn("join-1", secret), "unauthenticated", "expired at 2023-11-14T22:14:20.000Z");
  await rejectsWith(() => signIn("join-1", "guess"), "unauthenticated", "user name or password is wrong");
});

Deno.test("a token for one use works until it is consumed, and says so afterwards", async () => {
  const { signIn, authenticator } = setUp([token({ once: true })]);
  // A join that broke off before its enrolment may be tried again.
  for (let count = 0; count < 2; count++) {
    assert.deepEqual(await signIn("join-1", secret), {
      name: "join-1",
      role: "agent",
      endpoints: [],
      once: true,
    });
  }
  authenticator.consume("join-1");
  await rejectsWith(
    () => signIn("join-1", secret),
    "unauthenticated",
    "was used at 2023-11-14T22:13:20.000Z",
  );
});

Deno.test("of two joins at once with a token for one use, one enrols", async () => {
  const { signIn, authenticator } = setUp([token({ once: true })]);
  const joins = [1, 2].map(async () => authenticator.consume((await signIn("join-1", secret)).name));
  const outcomes = await Promise.allSettled(joins);
  assert.deepEqual(outcomes.map((outcome) => outcome.status).sort(), ["fulfilled", "rejected"]);
  const refused = outcomes.find((outcome) => outcome.status === "rejected")!;
  assert.match(refused.reason.message, /for one use/);
});

Deno.test("`consume()` leaves other tokens as they are, and refuses one that is gone", async () => {
  const { authenticator, table } = setUp([token()]);
  authenticator.consume("join-1");
  assert.equal(table.get("join-1")!.usedAtMs, undefined);
  await rejectsWith(() => authenticator.consume("join-2"), "unauthenticated", "is wrong");
});
