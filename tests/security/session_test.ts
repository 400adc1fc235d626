import assert from "node:assert/strict";
import fc from "fast-check";
import { createSystemRandom } from "../../lib/random.ts";
import { credentialTag, issueSession, verifySession } from "../../lib/security/session.ts";
import { rejectsWith } from "./rejects_with.ts";

const key = createSystemRandom().secret(32);
const tag = credentialTag("scrypt$16$8$1$salt$hash");
const nowMs = 1_700_000_000_000;
const session = issueSession({ name: "ada", key, nowMs, lifetimeMs: 1000, credentialTag: tag });

function verify(text: string, changed: Partial<Parameters<typeof verifySession>[1]> = {}) {
  return verifySession(text, {
    key,
    nowMs,
    credentialTagOf: (name) => name === "ada" ? tag : undefined,
    ...changed,
  });
}

Deno.test("a session gives its user back until its time is over", async () => {
  assert.deepEqual(verify(session), { name: "ada", expiresAtMs: nowMs + 1000 });
  assert.deepEqual(verify(session, { nowMs: nowMs + 999 }).name, "ada");
  await rejectsWith(
    () => verify(session, { nowMs: nowMs + 1000 }),
    "unauthenticated",
    "ended at 2023-11-14T22:13:21",
  );
});

Deno.test("a session is safe in a cookie and in a header", () => {
  const text = issueSession({ name: 'ö";, ', key, nowMs, lifetimeMs: 1, credentialTag: tag });
  assert.match(text, /^[\w.-]+$/);
  assert.equal(verify(text, { credentialTagOf: () => tag }).name, 'ö";, ');
});

Deno.test("a changed password or a removed user ends the session", async () => {
  const changed = credentialTag("scrypt$16$8$1$salt$other");
  assert.notEqual(changed, tag);
  await rejectsWith(
    () => verify(session, { credentialTagOf: () => changed }),
    "unauthenticated",
    "another password",
  );
  await rejectsWith(
    () => verify(session, { credentialTagOf: () => undefined }),
    "unauthenticated",
    "removed",
  );
});

Deno.test("a session signed with another key, or changed in any character, is refused", async () => {
  const otherKey = createSystemRandom().secret(32);
  await rejectsWith(() => verify(session, { key: otherKey }), "unauthenticated", "this manager signed");
  for (let at = 0; at < session.length; at++) {
    const changed = session.slice(0, at) + (session[at] === "A" ? "B" : "A") + session.slice(at + 1);
    await rejectsWith(() => verify(changed), "unauthenticated", "this manager signed");
  }
});

Deno.test("`verifySession()` refuses anything else as `unauthenticated`", async () => {
  for (
    const text of ["", ".", "s1.", "s1..", session.slice(0, -1), `${session}.x`, "s1." + "a".repeat(5000)]
  ) {
    await rejectsWith(() => verify(text), "unauthenticated", "this manager signed");
  }
  await fc.assert(fc.asyncProperty(fc.string(), async (text) => {
    await rejectsWith(() => verify(text), "unauthenticated", "this manager signed");
  }));
});
