/** Lines that modules print: into the agent's own log, and held until the next telemetry takes them to the manager. */
import { limits } from "../limits.ts";
import type { Log } from "../log.ts";
import type { LogLine } from "../protocol/messages.ts";
import { counted } from "../words.ts";

export class AgentLogs {
  readonly #log: Log;
  #lines: LogLine[] = [];
  #bytes = 0;
  /** By replicaSet: how many lines did not fit, and the last of them. */
  #dropped = new Map<string, { count: number; last: LogLine }>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Logs the line, and keeps it for the manager within the limits of one second. */
  push(line: LogLine): void {
    const { level, text, replicaSet, requestId } = line;
    this.#log[level](text, { replicaSet, ...(requestId ? { requestId } : {}) });
    const bytes = text.length * 2;
    const isFull = this.#lines.length >= limits.logLinesPerSecondMax ||
      this.#bytes + bytes > limits.logBytesPerSecondMax;
    if (isFull) {
      const count = (this.#dropped.get(replicaSet)?.count ?? 0) + 1;
      this.#dropped.set(replicaSet, { count, last: line });
      return;
    }
    this.#lines.push(line);
    this.#bytes += bytes;
  }

  /**
   * What gathered since the last call, with a line for each replicaSet of which some did not fit. While no manager is
   * connected nothing takes it, and the limits hold.
   */
  take(): LogLine[] {
    const lines = this.#lines;
    for (const { count, last } of this.#dropped.values()) {
      const { atMs, replicaSet, revision } = last;
      const lost = counted(count, "line is", "lines are");
      const text = `${lost} only in the agent's own log: too many at once`;
      lines.push({ atMs, replicaSet, revision, level: "warn", text });
    }
    this.#lines = [];
    this.#bytes = 0;
    this.#dropped.clear();
    return lines;
  }
}
