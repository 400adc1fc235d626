/** Which files are modules, by their names. */

/** The endings of what agents can run. */
export const moduleFilePattern = /\.(m?[jt]s|wasm)$/;

/** Declarations end like modules, and are none. */
export function isModuleFile(path: string): boolean {
  return moduleFilePattern.test(path) && !/\.d\.m?ts$/.test(path);
}
