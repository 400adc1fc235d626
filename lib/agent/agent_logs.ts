/** Lines that modules print: into the agent's own log, and held until the next telemetry takes them to the manager. */
import { limits } from "../limits.ts";
import type { Log } from "../log.ts";
import type { LogLine } from "../protocol/messages.ts";

export class AgentLogs {
  readonly #log: Log;
  #lines: LogLine[] = [];
  #bytes = 0;
  #dropped = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Keeps a line within the limits of one second; what doesn't fit is counted. */
  push(line: LogLine): void {
    const bytes = line.text.length * 2;
    if (
      this.#lines.length >= limits.logLinesPerSecondMax || this.#bytes + bytes > limits.logBytesPerSecondMax
    ) {
      this.#dropped++;
      return;
    }
    this.#log[line.level](line.text, {
      replicaSet: line.replicaSet,
      ...(line.requestId ? { requestId: line.requestId } : {}),
    });
    this.#lines.push(line);
    this.#bytes += bytes;
  }

  /** What gathered since the last call. While no manager is connected nothing takes it, and the limits hold. */
  take(): { lines: LogLine[]; dropped: number } {
    const taken = { lines: this.#lines, dropped: this.#dropped };
    this.#lines = [];
    this.#bytes = 0;
    this.#dropped = 0;
    return taken;
  }
}
