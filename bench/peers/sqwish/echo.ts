/** The endpoint under test. */
export function echo(input: unknown): unknown {
  return input;
}
