/** What `builder.ts` asks of the build's process and what that answers, with their form as text. */
import { Buffer } from "node:buffer";
import type { BuildResult, ModuleSource } from "./modules.ts";

/** One set: its sources, or the files and folders that hold them, relative to `baseFolder`. */
export type BuildJob = { sources: ModuleSource[] } | { paths: string[]; baseFolder: string };

export interface Built {
  result: BuildResult;
  /** Absolute paths of the files that were read, imported ones included. */
  files: string[];
}

export function encodeJobs(jobs: BuildJob[]): string {
  return encode(jobs);
}

export function decodeJobs(text: string): BuildJob[] {
  return decode(text) as BuildJob[];
}

export function encodeBuilt(built: Built[]): string {
  return encode(built);
}

export function decodeBuilt(text: string): Built[] {
  return decode(text) as Built[];
}

/** JSON, with bytes as `{"base64": …}` and maps as `{"map": [[key, value], …]}`. */
function encode(value: unknown): string {
  return JSON.stringify(value, (_key, item) => {
    if (item instanceof Uint8Array) {
      return { base64: Buffer.from(item.buffer, item.byteOffset, item.length).toString("base64") };
    }
    return item instanceof Map ? { map: [...item] } : item;
  });
}

function decode(text: string): unknown {
  return JSON.parse(text, (_key, item) => {
    if (typeof item?.base64 === "string") return new Uint8Array(Buffer.from(item.base64, "base64"));
    return Array.isArray(item?.map) ? new Map(item.map) : item;
  });
}
