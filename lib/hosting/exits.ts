/**
 * Functions that would end the whole runner throw instead, so that a module that calls one fails its own request
 * and no other. What still gets through (a named import of `exit` from `node:process`) ends the runner, which
 * the agent replaces.
 */
import process from "node:process";

/** Must run before the first module is imported. */
export function blockExits(): void {
  block(Deno, "exit", "Deno.exit");
  block(Deno, "kill", "Deno.kill");
  block(globalThis, "close", "self.close");
  for (const name of ["exit", "reallyExit", "abort", "kill", "_kill"]) {
    block(process, name, `process.${name}`);
  }
}

function block(owner: object, name: string, shown: string): void {
  Object.defineProperty(owner, name, {
    value: () => {
      throw new Error(`${shown} is not available in a module: return from the function or throw instead`);
    },
    configurable: true,
    writable: true,
  });
}
