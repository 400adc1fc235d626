/** The errors that calls over a real cluster end in. */
import assert from "node:assert/strict";
import { SqwishError } from "../../lib/errors.ts";

/** The error that `promise` ends in; fails when it resolves or throws anything else. */
export async function failureOf(promise: Promise<unknown>): Promise<SqwishError> {
  let value: unknown;
  try {
    value = await promise;
  } catch (thrown) {
    if (thrown instanceof SqwishError) return thrown;
    throw thrown;
  }
  return assert.fail(`an error was expected, it resolved with ${JSON.stringify(value)?.slice(0, 200)}`);
}

/** The error in an HTTP answer. */
export function errorIn(answer: { text: string }): {
  code: string;
  message: string;
  details: Record<string, unknown>;
} {
  const { error } = JSON.parse(answer.text);
  return error;
}
