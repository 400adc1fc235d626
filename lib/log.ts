/**
 * Line logger: one line per record, `time level message key=value …` for people or JSON for machines.
 * Secrets are the caller's to leave out; error causes are printed here as a chain, and only here.
 */
import type { Clock } from "./clock.ts";
import { describeError } from "./errors.ts";

/** The least grave first. */
export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFields = Record<string, unknown>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** `write` receives one line with no line break at its end. */
export function createLog(
  options: { clock: Clock; write: (line: string) => void; level?: LogLevel; json?: boolean },
): Log {
  const threshold = logLevels.indexOf(options.level ?? "info");
  function emit(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (logLevels.indexOf(level) < threshold) return;
    const time = new Date(options.clock.nowMs()).toISOString();
    if (options.json) {
      options.write(JSON.stringify({ time, level, message, ...plainFields(fields) }));
      return;
    }
    const pairs = Object.entries(plainFields(fields)).map(([key, value]) => ` ${key}=${quoted(value)}`);
    options.write(`${time} ${level.padEnd(5)} ${oneLine(message)}${pairs.join("")}`);
  }
  return {
    debug: (message, fields) => emit("debug", message, fields),
    info: (message, fields) => emit("info", message, fields),
    warn: (message, fields) => emit("warn", message, fields),
    error: (message, fields) => emit("error", message, fields),
  };
}

/** A log that keeps nothing. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

function plainFields(fields: LogFields): LogFields {
  return Object.fromEntries(
    Object.entries(fields).map((
      [key, value],
    ) => [key, value instanceof Error ? describeError(value) : value]),
  );
}

/** Messages quote peers and modules, who must not be able to forge a line or to speak to the terminal. */
function oneLine(message: string): string {
  return message.replace(/[\p{Cc}\u2028\u2029]/gu, (char) => {
    return char === "\n" ? "\\n" : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function quoted(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? String(value);
  return /^[\w.:/@+-]+$/.test(text) ? text : oneLine(JSON.stringify(text));
}
