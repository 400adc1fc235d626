/**
 * The terminal as commands need it: text out, errors out, input in, Ctrl-C. The only file of the command line that
 * touches the process's streams; tests hand commands a terminal of their own.
 */

export interface Terminal {
  /** Standard output is a terminal, not a file or a pipe. */
  readonly isOutTerminal: boolean;
  /** Standard error is one: progress may be drawn there. */
  readonly isErrorTerminal: boolean;
  /** A person can be asked. */
  readonly isInteractive: boolean;
  /** Colours are wanted: a terminal, and NO_COLOR (no-color.org) is not set. */
  readonly colours: boolean;
  /** Columns of the terminal; `Infinity` when output is no terminal. */
  width(): number;
  /** Its rows; `Infinity` when output is no terminal. */
  height(): number;
  writeOut(text: string): void;
  writeOutBytes(bytes: Uint8Array): void;
  writeError(text: string): void;
  /** All of standard input. */
  readInput(): Promise<Uint8Array>;
  /** One line from a person; null when they gave none. `secret`: without echo. */
  ask(question: string, options?: { secret?: boolean }): string | null;
  /** Calls back on Ctrl-C or SIGTERM instead of ending the process. Returns the function that undoes it. */
  onInterrupt(action: () => void): () => void;
}

export function createTerminal(): Terminal {
  const isOutTerminal = Deno.stdout.isTerminal();
  const isErrorTerminal = Deno.stderr.isTerminal();
  const encoder = new TextEncoder();
  return {
    isOutTerminal,
    isErrorTerminal,
    isInteractive: Deno.stdin.isTerminal() && isErrorTerminal,
    colours: isOutTerminal && !Deno.env.get("NO_COLOR") && Deno.env.get("TERM") !== "dumb",
    width: () => isOutTerminal ? consoleSize().columns || 80 : Infinity,
    height: () => isOutTerminal ? consoleSize().rows || 24 : Infinity,
    writeOut: (text) => writeAll(Deno.stdout, encoder.encode(text)),
    writeOutBytes: (bytes) => writeAll(Deno.stdout, bytes),
    writeError: (text) => writeAll(Deno.stderr, encoder.encode(text)),
    readInput: async () => new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer()),
    ask: (question, options) => askLine(question, options?.secret ?? false),
    onInterrupt(action) {
      const signals = ["SIGINT", "SIGTERM"] as const;
      for (const signal of signals) Deno.addSignalListener(signal, action);
      return () => {
        for (const signal of signals) Deno.removeSignalListener(signal, action);
      };
    },
  };
}

function consoleSize(): { columns: number; rows: number } {
  try {
    return Deno.consoleSize();
  } catch {
    return { columns: 80, rows: 24 };
  }
}

function writeAll(stream: { writeSync(bytes: Uint8Array): number }, bytes: Uint8Array): void {
  try {
    for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
  } catch (thrown) {
    // `client get agents | head -1`: the reader has what it wanted, as with any tool that SIGPIPE ends.
    if (thrown instanceof Deno.errors.BrokenPipe) Deno.exit(0);
    throw thrown;
  }
}

/** Reads byte by byte, so that nothing typed ahead is swallowed. Questions go to standard error. */
function askLine(question: string, secret: boolean): string | null {
  Deno.stderr.writeSync(new TextEncoder().encode(question));
  const typed: number[] = [];
  const byte = new Uint8Array(1);
  if (secret) Deno.stdin.setRaw(true);
  try {
    for (;;) {
      if (Deno.stdin.readSync(byte) === null) return null;
      const [code] = byte;
      if (code === 10 || code === 13) break;
      // Raw mode hands out Ctrl-C and Ctrl-D as bytes.
      if (secret && (code === 3 || (code === 4 && typed.length === 0))) return null;
      if (secret && (code === 127 || code === 8)) eraseCharacter(typed);
      else typed.push(code);
    }
  } finally {
    if (secret) {
      Deno.stdin.setRaw(false);
      Deno.stderr.writeSync(new TextEncoder().encode("\n"));
    }
  }
  return new TextDecoder().decode(new Uint8Array(typed));
}

/** A character of UTF-8 may be several bytes: its continuation bytes start with the bits 10. */
function eraseCharacter(typed: number[]): void {
  while (typed.length > 0 && ((typed.pop() ?? 0) & 0xc0) === 0x80);
}
