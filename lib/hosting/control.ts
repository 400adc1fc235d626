/**
 * The JSON lines between an agent and the main thread of one of its runners, one object per line:
 * agent → runner on standard input (`start` first, once), runner → agent on standard output.
 * The same messages pass between that main thread and its Worker. Requests never go this way: they are frames on
 * the unix socket that the Worker opens itself. A line of standard output that is none of these was printed by a module.
 */
import type { EndpointDescription, LogLine, ModuleFile, Permissions } from "../protocol/messages.ts";
import { limits } from "../limits.ts";
import { type LogLevel, logLevels } from "../log.ts";

/** What a runner needs to serve one replica. Carries the module's `env`; never put into arguments or the environment. */
export interface StartMessage {
  type: "start";
  replicaSet: string;
  /** The agent's unix socket, and what the Worker says on it first. */
  socketPath: string;
  secret: string;
  /** Absolute; holds the modules by their `path`. */
  folder: string;
  modules: ModuleFile[];
  permissions: Permissions;
  env: Record<string, string>;
}

export type MessageToRunner =
  | StartMessage
  /** Take back the requests up to this number that have not started; answered by `revoked`. */
  | { type: "revoke"; through: number }
  /** Run the modules' `stop()` and exit. */
  | { type: "stop" };

export type MessageFromRunner =
  /** The Worker is up and about to import the first module: the moment to take the memory baseline. */
  | { type: "online" }
  /** All modules are imported; their `ready()` runs now. */
  | { type: "imported" }
  | { type: "loaded"; endpoints: EndpointDescription[] }
  | { type: "failed"; reason: string }
  | { type: "revoked"; through: number; claimed: number }
  | { type: "stopped" }
  | { type: "log"; level: LogLine["level"]; text: string; requestId?: string };

export function encodeLine(message: MessageToRunner | MessageFromRunner): string {
  return JSON.stringify(message) + "\n";
}

/** The message of a line from a runner; what a module printed by itself becomes a `log`. */
export function parseRunnerLine(line: string): MessageFromRunner {
  if (line.startsWith('{"type":"')) {
    try {
      const value = JSON.parse(line);
      if (isMessage(value)) return value;
    } catch {
      // A module printed something that only looks like one of ours.
    }
  }
  return { type: "log", level: "info", text: line.slice(0, limits.logLineBytesMax) };
}

/** All fields are as they should be: JSON that a module logs may have a `type`, too, and must not harm the agent. */
function isMessage(value: Record<string, unknown>): value is MessageFromRunner {
  switch (value.type as MessageFromRunner["type"]) {
    case "online":
    case "imported":
    case "stopped":
      return true;
    case "loaded":
      return Array.isArray(value.endpoints);
    case "failed":
      return typeof value.reason === "string";
    case "revoked":
      return Number.isInteger(value.through) && Number.isInteger(value.claimed);
    case "log":
      return typeof value.text === "string" && logLevels.includes(value.level as LogLevel) &&
        ["string", "undefined"].includes(typeof value.requestId);
    default:
      return false;
  }
}

/** Yields each line of a byte stream without its line break. A longer line than a control message may be is cut. */
export async function* readLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = (lines.pop() ?? "").slice(0, limits.controlBytesMax);
    yield* lines;
  }
  if (rest) yield rest;
}
