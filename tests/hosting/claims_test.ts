import assert from "node:assert/strict";
import fc from "fast-check";
import { claim, createClaims, isLater, revoke } from "../../lib/hosting/claims.ts";

Deno.test("each request is either claimed once or taken back once, in any interleaving", () => {
  // true: the Worker comes to its next request; false: the main thread takes back all that has been sent.
  const steps = fc.array(fc.boolean(), { maxLength: 60 });
  fc.assert(fc.property(steps, fc.integer({ min: 0, max: 0xffff_ffff }), (plan, first) => {
    const claims = createClaims();
    claims[0] = first | 0;
    let sent = first;
    let seen = first;
    let open: number[] = [];
    const outcomes = new Map<number, string>();
    function send(): void {
      sent = (sent + 1) >>> 0;
      open.push(sent);
    }
    for (const workerMoves of plan) {
      send();
      send();
      if (workerMoves) {
        seen = (seen + 1) >>> 0;
        const ran = claim(claims, seen);
        assert.equal(outcomes.has(seen), !ran);
        if (ran) outcomes.set(seen, "ran");
      } else {
        const claimed = revoke(claims, sent);
        for (const sequence of open) {
          if (isLater(sequence, claimed)) assert.ok(!outcomes.has(sequence));
          if (!outcomes.has(sequence)) outcomes.set(sequence, "taken back");
        }
        open = [];
      }
    }
    for (; seen !== sent;) {
      seen = (seen + 1) >>> 0;
      if (claim(claims, seen)) {
        assert.ok(!outcomes.has(seen));
        outcomes.set(seen, "ran");
      } else assert.equal(outcomes.get(seen), "taken back");
    }
  }));
});

Deno.test("`revoke()` tells the last claimed request and leaves later ones claimable", () => {
  const claims = createClaims();
  assert.ok(claim(claims, 1) && claim(claims, 2));
  assert.equal(revoke(claims, 5), 2);
  assert.equal(claim(claims, 3), false);
  assert.equal(claim(claims, 5), false);
  assert.equal(claim(claims, 6), true);
  assert.equal(revoke(claims, 6), 6);
});
