/** Which files can be modules, by their names alone. */

/** File names that agents can run. */
const moduleFilePattern = /\.(m?[jt]s|wasm)$/;

export function isModuleFile(path: string): boolean {
  return moduleFilePattern.test(path) && !/\.d\.m?ts$/.test(path);
}
