/** What every route of the HTTP API shares: the signed-in principal, and how bodies and errors are read and written. */
import type { Context } from "hono";
import * as v from "valibot";
import { SqwishError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { Principal } from "../../security/access.ts";

/** `env`: a request that comes over a joined socket brings its principal along; one over HTTP must sign in. */
export interface ApiEnv {
  Bindings: { principal?: Principal; remoteAddress: string };
  Variables: { principal: Principal };
}

export type ApiContext = Context<ApiEnv>;

/** A problem may quote what was sent, which may be long. */
const problemCharactersMax = 500;

/** The request's JSON body, validated. Throws `invalid_request` naming the first wrong path, or `too_large`. */
export async function readJson<Schema extends v.GenericSchema>(
  c: ApiContext,
  schema: Schema,
  bytesMax: number = limits.controlBytesMax,
): Promise<v.InferOutput<Schema>> {
  const text = await c.req.text();
  if (text.length > bytesMax) {
    throw new SqwishError("too_large", `This request takes at most ${bytesMax} bytes, it has ${text.length}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SqwishError("invalid_request", `The body of ${c.req.method} ${c.req.path} must be JSON`, {
      cause,
    });
  }
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const problem = `${v.getDotPath(issue) ?? "body"}: ${wording(issue)}`;
  throw new SqwishError("invalid_request", problem.slice(0, problemCharactersMax));
}

function wording(issue: v.BaseIssue<unknown>): string {
  if (issue.expected === "never") return "is not a known key";
  return issue.received === "undefined" ? "is missing" : issue.message;
}

/** A whole number from the query. Throws `invalid_request` when it is anything else. */
export function queryNumber(c: ApiContext, name: string): number | undefined {
  const text = c.req.query(name);
  if (text === undefined || text === "") return undefined;
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0) return Math.floor(value);
  throw new SqwishError(
    "invalid_request",
    `Query parameter ${name} must be a number from 0, is ${JSON.stringify(text)}`,
  );
}

/** One of some words from the query. Throws `invalid_request` when it is anything else. */
export function queryWord<Word extends string>(
  c: ApiContext,
  name: string,
  words: readonly Word[],
): Word | undefined {
  const text = c.req.query(name);
  if (text === undefined || text === "") return undefined;
  const word = words.find((known) => known === text);
  if (word !== undefined) return word;
  throw new SqwishError(
    "invalid_request",
    `Query parameter ${name} must be one of ${words.join(", ")}, is ${JSON.stringify(text.slice(0, 60))}`,
  );
}
