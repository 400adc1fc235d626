/** What a function may be called to be an endpoint: asked where modules are built, and again where they are loaded. Pure. */
import { limits } from "./limits.ts";

/** What is wrong with it, in words; null: nothing. */
export function problemOfEndpointName(name: string): string | null {
  const { endpointNameCharactersMax: max } = limits;
  if (name.length <= max) return null;
  return `a function's name has at most ${max} characters, ${name.slice(0, 40)}… has ${name.length}`;
}
