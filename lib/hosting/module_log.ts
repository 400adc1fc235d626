/**
 * What a module prints: `console.*` and `ctx.log` become log lines with the id of the request they belong to.
 * Lines are bounded in length and rate; how many were dropped is said once a second.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";
import type { LogLine } from "../protocol/messages.ts";
import { counted, cut } from "../words.ts";
import type { ContextLog } from "./context.ts";

type Level = LogLine["level"];
export type WriteLine = (level: Level, text: string, requestId?: string) => void;

const linesPerSecond = 100;
const linesAtOnce = 500;
/** How often at most a flood is told of. */
const droppedAfterMs = 1000;

/** Its id is asked for only when something is printed. */
export interface LoggedRequest {
  readonly requestId: string;
}

export interface ModuleLog {
  /** Calls `action` so that everything it prints, now or later, carries the id of `request`. */
  within<A extends unknown[], T>(request: LoggedRequest, action: (...args: A) => T, ...args: A): T;
  /** Calls `action`, which may use `during`. */
  batch(action: () => void): void;
  /**
   * As `within`, many times cheaper, for what is over when it returns; what it leaves behind prints without an id.
   * Only inside of `batch`, which all its calls share a context of.
   */
  during<A extends unknown[], T>(request: LoggedRequest, action: (...args: A) => T, ...args: A): T;
  /** What `during` called last was not over after all: its context stays its own. */
  keep(): void;
  write(level: Level, parts: unknown[]): void;
  /** The `ctx.log` of every request. */
  contextLog: ContextLog;
}

/** Whose lines are printed in one asynchronous context. */
interface Scope {
  request: LoggedRequest | null;
}

/** A token bucket: `linesAtOnce` in a burst, `linesPerSecond` for ever. */
export function createModuleLog(clock: Clock, writeLine: WriteLine): ModuleLog {
  const scopes = new AsyncLocalStorage<Scope>();
  let shared: Scope = { request: null };
  let tokens = linesAtOnce;
  let filledAtMs = clock.monotonicMs();
  let dropped = 0;

  function allowed(): boolean {
    const nowMs = clock.monotonicMs();
    tokens = Math.min(linesAtOnce, tokens + (nowMs - filledAtMs) * linesPerSecond / 1000);
    filledAtMs = nowMs;
    if (tokens < 1) return false;
    tokens--;
    return true;
  }

  function tellDropped(): void {
    const lines = counted(dropped, "log line was", "log lines were");
    writeLine("warn", `${lines} dropped: more than ${linesPerSecond} per second`);
    dropped = 0;
  }

  function write(level: Level, parts: unknown[]): void {
    if (!allowed()) {
      // Told also when the module falls silent after its flood.
      if (dropped++ === 0) clock.after(droppedAfterMs, tellDropped);
      return;
    }
    const text = parts.map(show).join(" ");
    // Characters, not bytes: at most four times as many bytes, which the channel takes too.
    writeLine(level, cut(text, limits.logLineBytesMax), scopes.getStore()?.request?.requestId);
  }

  return {
    within: (request, action, ...args) => scopes.run({ request }, action, ...args),
    batch(action) {
      scopes.run(shared, action);
      shared.request = null;
    },
    during(request, action, ...args) {
      shared.request = request;
      return action(...args);
    },
    keep() {
      shared = { request: null };
      scopes.enterWith(shared);
    },
    write,
    contextLog: Object.freeze({
      debug: (...parts: unknown[]) => write("debug", parts),
      info: (...parts: unknown[]) => write("info", parts),
      warn: (...parts: unknown[]) => write("warn", parts),
      error: (...parts: unknown[]) => write("error", parts),
    }),
  };
}

/** Sends `console.debug`, `log`, `info`, `warn`, `error` and `trace` of this realm to `log`. */
export function captureConsole(log: ModuleLog): void {
  const levels: Record<string, Level> = {
    debug: "debug",
    log: "info",
    info: "info",
    warn: "warn",
    error: "error",
    trace: "debug",
  };
  for (const [method, level] of Object.entries(levels)) {
    Object.defineProperty(console, method, {
      value: (...parts: unknown[]) => log.write(level, parts),
      configurable: true,
      writable: true,
    });
  }
}

function show(part: unknown): string {
  if (typeof part === "string") return part;
  if (part instanceof Error) return part.stack ?? part.message;
  try {
    return JSON.stringify(part) ?? String(part);
  } catch {
    return String(part);
  }
}
