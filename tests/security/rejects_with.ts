/** Asserts on refusals: the code, what the message has to say, and that it ends without a period. */
import assert from "node:assert/strict";
import { type ErrorCode, SqwishError } from "../../lib/errors.ts";

/**
 * Runs `action`, which must throw or reject with `code` and a message holding `says`; resolves with the
 * error.
 */
export async function rejectsWith(
  action: () => unknown,
  code: ErrorCode,
  says: string | RegExp,
): Promise<SqwishError> {
  let thrown: unknown;
  try {
    await action();
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown instanceof SqwishError, `expected a SqwishError, got ${String(thrown)}`);
  assert.equal(thrown.code, code, thrown.message);
  if (typeof says === "string") assert.ok(thrown.message.includes(says), thrown.message);
  else assert.match(thrown.message, says);
  assert.doesNotMatch(thrown.message, /\.$/);
  return thrown;
}
