/** The input of `invoke` and `bench`: JSON on the command line, standard input, or a file's bytes. */
import { readFile } from "node:fs/promises";
import { SqwishError } from "../errors.ts";
import { UsageError } from "./arguments.ts";

/**
 * `undefined` → none; `-` → JSON from standard input; `@-` → its bytes; `@file` → the file's bytes; else JSON.
 * Throws `UsageError` for what isn't JSON and `invalid_request` for a file that can't be read.
 */
export async function parseInput(
  text: string | undefined,
  readStandardInput: () => Promise<Uint8Array>,
): Promise<unknown> {
  if (text === undefined) return undefined;
  if (text === "-") {
    return parseJson(
      new TextDecoder().decode(await readStandardInput()),
      "Standard input",
      "use @- for bytes",
    );
  }
  if (text === "@-") return await readStandardInput();
  if (text.startsWith("@")) return await readBytes(text.slice(1));
  return parseJson(text, "INPUT", `a text needs quotes of its own: '"text"'; @file sends a file's bytes`);
}

function parseJson(text: string, what: string, hint: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.replace(/ in JSON at position.*$/, "") : "";
    throw new UsageError(`${what} must be JSON (${hint}); it is not: ${reason}`);
  }
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    throw new SqwishError("invalid_request", `The input file ${path} can't be read`, { cause });
  }
}
