/**
 * Imports a replica's modules inside the Worker and lists what they export: every exported function of an entry
 * module is an endpoint, except `ready` and `stop`; `endpoints` describes them. WebAssembly comes in by `wasm.ts`.
 * Two modules that export the same endpoint are refused, naming both.
 */
import { Validator } from "@cfworker/json-schema";
import type { EndpointDescription, ModuleFile } from "../protocol/messages.ts";
import { problemOfEndpointName } from "../endpoint_name.ts";
import { limits } from "../limits.ts";
import type { Context, EndpointOptions } from "./context.ts";

export type EndpointFunction = (input: unknown, context: Context) => unknown;

export interface LoadedEndpoint {
  description: EndpointDescription;
  run: EndpointFunction;
  /** Checks an input against the endpoint's JSON Schema. */
  validator?: Validator;
  /** Takes the input's bytes as they came, JSON or not. */
  raw: boolean;
  source: string;
  /** Its work isn't over when the function returns: it is asynchronous or a generator, or has turned out to be. */
  goesOn: boolean;
}

/** A hook of one module, `ready` or `stop`, with the user's name of its file. */
export interface Hook {
  source: string;
  run: () => unknown;
}

export interface LoadedModules {
  endpoints: Map<string, LoadedEndpoint>;
  ready: Hook[];
  stop: Hook[];
}

/** What is wrong with what a module exports; the message is for its author. */
export class ModuleRefused extends Error {
  override readonly name = "ModuleRefused";
}

type Exports = Record<string, unknown>;

/** `importModule` gives the exports of one file: of JavaScript by `import()`, of WebAssembly by `wasm.ts`. */
export async function loadModules(
  modules: ModuleFile[],
  importModule: (module: ModuleFile) => Promise<Exports>,
): Promise<LoadedModules> {
  const loaded: LoadedModules = { endpoints: new Map(), ready: [], stop: [] };
  for (const module of modules) {
    if (!module.entry) continue;
    addExports(loaded, module, await importModule(module));
  }
  if (loaded.endpoints.size === 0) {
    throw new ModuleRefused(
      `${modules.map((module) => module.source).join(", ")}: exports no function to invoke`,
    );
  }
  if (loaded.endpoints.size > limits.endpointsPerSetMax) {
    throw new ModuleRefused(
      `A replicaSet has at most ${limits.endpointsPerSetMax} endpoints, this one exports ${loaded.endpoints.size}`,
    );
  }
  checkSize([...loaded.endpoints.values()]);
  return loaded;
}

/** What can't be told to the manager must not run: the agent would have to hide it. */
function checkSize(endpoints: LoadedEndpoint[]): void {
  const encoder = new TextEncoder();
  let totalBytes = 0;
  let largest = { name: "", bytes: 0 };
  for (const { description } of endpoints) {
    const bytes = encoder.encode(JSON.stringify(description)).length;
    totalBytes += bytes;
    if (bytes > largest.bytes) largest = { name: description.name, bytes };
  }
  if (totalBytes <= limits.endpointsBytesMax) return;
  throw new ModuleRefused(
    `The descriptions and input schemas of a replicaSet's functions take at most ${limits.endpointsBytesMax} ` +
      `bytes together, these have ${totalBytes}; ${largest.name} has the most, ${largest.bytes}`,
  );
}

function addExports(loaded: LoadedModules, module: ModuleFile, exports: Exports): void {
  const options = readOptions(module, exports);
  for (const [name, value] of Object.entries(exports)) {
    if (typeof value !== "function" || isClass(value)) continue;
    if (name === "ready" || name === "stop") {
      loaded[name].push({ source: module.source, run: value as () => unknown });
      continue;
    }
    const problem = problemOfEndpointName(name);
    if (problem !== null) throw new ModuleRefused(`${module.source}: ${problem}`);
    const other = loaded.endpoints.get(name);
    if (other) {
      throw new ModuleRefused(`${other.source} and ${module.source} both export ${name}: rename one of them`);
    }
    loaded.endpoints.set(
      name,
      createEndpoint(name, value as EndpointFunction, module, options.get(name) ?? {}),
    );
  }
}

function createEndpoint(
  name: string,
  run: EndpointFunction,
  module: ModuleFile,
  options: EndpointOptions,
): LoadedEndpoint {
  const { description = module.docs?.[name], input, timeoutMs, idempotent } = options;
  return {
    description: {
      name,
      ...(description === undefined ? {} : { description: description.slice(0, 4096) }),
      ...(input === undefined ? {} : { input }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(idempotent === undefined ? {} : { idempotent }),
      stream: isGenerator(run),
    },
    run,
    raw: module.kind === "wasm",
    source: module.source,
    goesOn: isGenerator(run) || Object.prototype.toString.call(run) === "[object AsyncFunction]",
    ...(input === undefined ? {} : { validator: createValidator(name, module, input) }),
  };
}

function createValidator(name: string, module: ModuleFile, schema: Record<string, unknown>): Validator {
  try {
    const validator = new Validator(schema, "2020-12", true);
    // A schema that is itself wrong shows only when it is used.
    validator.validate(null);
    return validator;
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new ModuleRefused(`${module.source}: endpoints.${name}.input is not a JSON Schema: ${why}`);
  }
}

function readOptions(module: ModuleFile, exports: Exports): Map<string, EndpointOptions> {
  const { endpoints } = exports;
  if (endpoints === undefined || typeof endpoints === "function") return new Map();
  if (!isRecord(endpoints)) {
    throw new ModuleRefused(`${module.source}: endpoints must be an object of descriptions`);
  }
  const options = new Map<string, EndpointOptions>();
  for (const [name, value] of Object.entries(endpoints)) {
    if (typeof exports[name] !== "function") {
      throw new ModuleRefused(
        `${module.source}: endpoints.${name} describes a function that is not exported`,
      );
    }
    options.set(name, checkOptions(`${module.source}: endpoints.${name}`, value));
  }
  return options;
}

function checkOptions(where: string, value: unknown): EndpointOptions {
  if (!isRecord(value)) throw new ModuleRefused(`${where} must be an object`);
  const { description, input, timeoutMs, idempotent, ...unknown } = value;
  const strange = Object.keys(unknown)[0];
  if (strange) {
    throw new ModuleRefused(
      `${where}.${strange} is not known: description, input, timeoutMs, idempotent are`,
    );
  }
  if (description !== undefined && typeof description !== "string") {
    throw new ModuleRefused(`${where}.description must be a string`);
  }
  if (input !== undefined && !(isRecord(input) && isObjectInJson(input))) {
    throw new ModuleRefused(`${where}.input must be a JSON Schema object`);
  }
  if (timeoutMs !== undefined && (!Number.isInteger(timeoutMs) || (timeoutMs as number) < 1)) {
    throw new ModuleRefused(
      `${where}.timeoutMs must be a whole number from 1, is ${JSON.stringify(timeoutMs)}`,
    );
  }
  if (idempotent !== undefined && typeof idempotent !== "boolean") {
    throw new ModuleRefused(`${where}.idempotent must be true or false`);
  }
  return { description, input, timeoutMs, idempotent } as EndpointOptions;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A date or a BigInt inside of it would only show when it is told to the manager. */
function isObjectInJson(value: object): boolean {
  try {
    return JSON.stringify(value)?.startsWith("{") === true;
  } catch {
    return false;
  }
}

function isClass(value: object): boolean {
  return /^class\b/.test(Function.prototype.toString.call(value));
}

function isGenerator(value: object): boolean {
  const kind = Object.prototype.toString.call(value);
  return kind === "[object AsyncGeneratorFunction]" || kind === "[object GeneratorFunction]";
}
