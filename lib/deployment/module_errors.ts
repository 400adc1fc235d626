/** What is wrong with a set of modules, in words for people. Found by `collect.ts` and `modules.ts`. */
import { SqwishError } from "../errors.ts";

export interface ModuleError {
  /** The file as the user named it. */
  file: string;
  /** From 1; missing when the whole file is meant. */
  line?: number;
  column?: number;
  message: string;
}

/** One line for people: `modules/resize.ts:3:9: does not parse: …`. */
export function describeModuleError({ file, line, column, message }: ModuleError): string {
  return `${line === undefined ? file : `${file}:${line}:${column}`}: ${message}`;
}

/** The errors of a refused set as one error; each in `details.errors`. */
export function modulesRefused(replicaSet: string, errors: ModuleError[]): SqwishError {
  const lines = errors.map(describeModuleError);
  const more = lines.length > 1 ? ` (and ${lines.length - 1} more)` : "";
  return new SqwishError("invalid_request", `The modules of ${replicaSet} are refused: ${lines[0]}${more}`, {
    details: { errors: lines },
  });
}
