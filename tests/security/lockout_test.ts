import assert from "node:assert/strict";
import fc from "fast-check";
import { limits } from "../../lib/limits.ts";
import { Lockout, lockoutKey } from "../../lib/security/lockout.ts";

const { loginFailuresMax, loginWindowMs, loginLockMs, loginLockMsMax } = limits;

function failTimes(lockout: Lockout, address: string, times: number, nowMs: number): void {
  for (let count = 0; count < times; count++) lockout.observeFailure(address, nowMs);
}

Deno.test("the fifth failure within a minute locks the address for a minute, and only that address", () => {
  const lockout = new Lockout();
  failTimes(lockout, "10.0.0.1", loginFailuresMax - 1, 1000);
  assert.equal(lockout.check("10.0.0.1", 1000), 0);
  lockout.observeFailure("10.0.0.1", 2000);
  assert.equal(lockout.check("10.0.0.1", 2000), loginLockMs);
  assert.equal(lockout.check("10.0.0.1", 2000 + loginLockMs - 1), 1);
  assert.equal(lockout.check("10.0.0.1", 2000 + loginLockMs), 0);
  assert.equal(lockout.check("10.0.0.2", 2000), 0);
});

Deno.test("failures further apart than the window never lock", () => {
  const lockout = new Lockout();
  for (let count = 0; count < 50; count++) {
    lockout.observeFailure("10.0.0.1", count * loginWindowMs / (loginFailuresMax - 1));
    assert.equal(lockout.check("10.0.0.1", count * loginWindowMs / (loginFailuresMax - 1)), 0);
  }
});

Deno.test("each lock lasts twice as long as the one before, up to the maximum, and a quiet time resets it", () => {
  const lockout = new Lockout();
  let nowMs = 0;
  const locks: number[] = [];
  for (let round = 0; round < 9; round++) {
    failTimes(lockout, "10.0.0.1", loginFailuresMax, nowMs);
    const lockMs = lockout.check("10.0.0.1", nowMs);
    locks.push(lockMs / loginLockMs);
    nowMs += lockMs;
  }
  assert.deepEqual(locks, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
  nowMs += loginLockMsMax + 1;
  failTimes(lockout, "10.0.0.1", loginFailuresMax, nowMs);
  assert.equal(lockout.check("10.0.0.1", nowMs), loginLockMs);
});

Deno.test("failures during a lock don't prolong it, and a success forgets everything", () => {
  const lockout = new Lockout();
  failTimes(lockout, "10.0.0.1", 100, 0);
  assert.equal(lockout.check("10.0.0.1", 0), loginLockMs);
  lockout.observeSuccess("10.0.0.1");
  assert.equal(lockout.check("10.0.0.1", 0), 0);
  assert.equal(lockout.size, 0);
});

Deno.test("the table stays within its bound, and forgets the address that failed longest ago", () => {
  const lockout = new Lockout({ addressesMax: 3 });
  failTimes(lockout, "10.0.0.1", loginFailuresMax, 0);
  failTimes(lockout, "10.0.0.2", loginFailuresMax, 0);
  for (const last of [3, 4, 2, 5]) lockout.observeFailure(`10.0.0.${last}`, 1);
  assert.equal(lockout.size, 3);
  assert.equal(lockout.check("10.0.0.1", 1), 0);
  assert.ok(lockout.check("10.0.0.2", 1) > 0);
});

Deno.test("no history of failures and successes locks longer than the maximum or outgrows the table", () => {
  const step = fc.record({
    address: fc.integer({ min: 1, max: 6 }).map((last) => `10.0.0.${last}`),
    isFailure: fc.boolean(),
    times: fc.integer({ min: 1, max: 6 }),
    laterMs: fc.integer({ min: 0, max: 2 * loginLockMsMax }),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const lockout = new Lockout({ addressesMax: 4 });
    let nowMs = 0;
    for (const { address, isFailure, times, laterMs } of steps) {
      nowMs += laterMs;
      if (isFailure) failTimes(lockout, address, times, nowMs);
      else lockout.observeSuccess(address);
      const waitMs = lockout.check(address, nowMs);
      assert.ok(waitMs >= 0 && waitMs <= loginLockMsMax);
      assert.ok(lockout.size <= 4);
    }
  }));
});

Deno.test("`lockoutKey()` takes a machine's many IPv6 addresses for one, and mapped IPv4 for IPv4", () => {
  const same = [
    ["2001:db8::1", "2001:db8:0:0:ffff:1:2:3"],
    ["2001:db8:1:2::", "2001:DB8:1:2:3:4:5:6"],
    ["::1", "0:0:0:0:0:0:0:1"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
    ["10.0.0.1:5000", "10.0.0.1:5001"],
    ["[2001:db8::1]:5000", "2001:db8::1"],
    ["fe80::1%eth0", "fe80::1"],
  ];
  for (const [a, b] of same) assert.equal(lockoutKey(a), lockoutKey(b));
  const different = [["10.0.0.1", "10.0.0.2"], ["2001:db8:0:1::1", "2001:db8:0:2::1"], ["a", "b"]];
  for (const [a, b] of different) assert.notEqual(lockoutKey(a), lockoutKey(b));
});
