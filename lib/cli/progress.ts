/**
 * How far a longer task is: one line drawn over and over on a terminal, plain lines elsewhere. On standard error, so
 * that standard output holds results only.
 */
import type { Clock } from "../clock.ts";
import { paint, printable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

const barCells = 24;
const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const frameMs = 100;
const hideCursor = "\x1b[?25l";
const showCursor = "\x1b[?25h";
const clearLine = "\r\x1b[2K";

export interface Progress {
  /** `share` is 0 to 1; left out while nobody knows. */
  update(text: string, share?: number): void;
  /** Ends it with a line that stays. Idempotent: the first end counts. */
  done(text: string): void;
  failed(text: string): void;
  /** Ends it and leaves nothing. */
  clear(): void;
}

/** `[########········]`, one cell for each 1/24. */
export function progressBar(share: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, share || 0)) * barCells);
  return "█".repeat(filled) + "░".repeat(barCells - filled);
}

export function createProgress(terminal: Terminal, clock: Clock): Progress {
  return terminal.isErrorTerminal ? new DrawnProgress(terminal, clock) : new PrintedProgress(terminal);
}

class DrawnProgress implements Progress {
  readonly #terminal: Terminal;
  readonly #stopTicks: () => void;
  #text = "";
  #share: number | undefined;
  #frame = 0;
  #ended = false;

  constructor(terminal: Terminal, clock: Clock) {
    this.#terminal = terminal;
    terminal.writeError(hideCursor);
    this.#stopTicks = clock.every(frameMs, () => {
      this.#frame++;
      this.#draw();
    });
  }

  update(text: string, share?: number): void {
    if (this.#ended) return;
    this.#text = text;
    this.#share = share;
    this.#draw();
  }

  done(text: string): void {
    this.#end(`${paint("✓", "good", this.#terminal.colours)} ${printable(text)}\n`);
  }

  failed(text: string): void {
    this.#end(`${paint("✗", "bad", this.#terminal.colours)} ${printable(text)}\n`);
  }

  clear(): void {
    this.#end("");
  }

  #draw(): void {
    const bar = this.#share === undefined
      ? ""
      : `${progressBar(this.#share)} ${Math.round(this.#share * 100)} %  `;
    const line = `${frames[this.#frame % frames.length]} ${bar}${printable(this.#text)}`;
    // A line that wraps can't be drawn over, and standard output's width says nothing when that is a pipe.
    const width = Math.min(this.#terminal.width(), 80) - 1;
    this.#terminal.writeError(clearLine + [...line].slice(0, width).join(""));
  }

  #end(line: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stopTicks();
    this.#terminal.writeError(clearLine + showCursor + line);
  }
}

/** Into a log every change is a line, and a repeated text is none. */
class PrintedProgress implements Progress {
  readonly #terminal: Terminal;
  #last = "";
  #ended = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  update(text: string): void {
    if (this.#ended || text === this.#last) return;
    this.#last = text;
    this.#terminal.writeError(`${printable(text)}\n`);
  }

  done(text: string): void {
    this.#end(text);
  }

  failed(text: string): void {
    this.#end(text);
  }

  clear(): void {
    this.#ended = true;
  }

  #end(text: string): void {
    this.update(text);
    this.#ended = true;
  }
}
