/**
 * TypeScript → JavaScript in place: types become spaces, so lines and columns in stack traces stay the user's own.
 * Syntax that can't be blanked out (enums, namespaces, parameter properties) is transformed instead and carries
 * an inline source map, which the agents' runtime applies to stack traces by itself.
 */
import { Buffer } from "node:buffer";
import { transformSync } from "@swc/wasm-typescript";

export interface SyntaxProblem {
  message: string;
  /** From 1. */
  line: number;
  column: number;
}

export type Stripped =
  | { ok: true; code: string; /** Lines and columns are those of the source. */ inPlace: boolean }
  | { ok: false; problem: SyntaxProblem };

/** What the compiler throws: a plain object, positions from line 1 and column 0. */
interface CompilerError {
  code: string;
  message: string;
  startLine?: number;
  startColumn?: number;
}

/** JavaScript of one TypeScript file; `javascriptPath` is the file's name from then on (for the source map). */
export function stripTypes(source: string, javascriptPath: string): Stripped {
  try {
    const { code } = transformSync(source, { mode: "strip-only", module: true });
    return { ok: true, code, inPlace: true };
  } catch (thrown) {
    if ((thrown as CompilerError)?.code !== "UnsupportedSyntax") return refused(thrown);
  }
  try {
    const filename = javascriptPath.slice(javascriptPath.lastIndexOf("/") + 1);
    const { code, map } = transformSync(source, {
      mode: "transform",
      module: true,
      filename,
      sourceMap: true,
    });
    return { ok: true, code: `${code}\n${inlineMap(map ?? "")}`, inPlace: false };
  } catch (thrown) {
    return refused(thrown);
  }
}

function inlineMap(map: string): string {
  return `//# sourceMappingURL=data:application/json;base64,${Buffer.from(map).toString("base64")}\n`;
}

function refused(thrown: unknown): Stripped {
  const error = thrown as CompilerError;
  if (typeof error?.message !== "string" || error.startLine === undefined) throw thrown;
  const message = error.message.charAt(0).toLowerCase() + error.message.slice(1);
  return { ok: false, problem: { message, line: error.startLine, column: (error.startColumn ?? 0) + 1 } };
}
