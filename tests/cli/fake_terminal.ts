/** A terminal for tests: keeps what is written, answers what is asked, and can press Ctrl-C. */
import type { Terminal } from "../../lib/cli/terminal.ts";

export class FakeTerminal implements Terminal {
  isOutTerminal = false;
  isErrorTerminal = false;
  isInteractive = false;
  colours = false;
  columns = Infinity;
  rows = Infinity;
  input: Uint8Array = new Uint8Array(0);
  answers: string[] = [];
  readonly questions: { question: string; secret: boolean }[] = [];
  out = "";
  readonly outBytes: Uint8Array[] = [];
  error = "";
  #interrupts = new Set<() => void>();

  width(): number {
    return this.columns;
  }

  height(): number {
    return this.rows;
  }

  writeOut(text: string): void {
    this.out += text;
  }

  writeOutBytes(bytes: Uint8Array): void {
    this.outBytes.push(bytes);
  }

  writeError(text: string): void {
    this.error += text;
  }

  readInput(): Promise<Uint8Array> {
    return Promise.resolve(this.input);
  }

  ask(question: string, options?: { secret?: boolean }): string | null {
    this.questions.push({ question, secret: options?.secret ?? false });
    return this.answers.shift() ?? null;
  }

  onInterrupt(action: () => void): () => void {
    this.#interrupts.add(action);
    return () => void this.#interrupts.delete(action);
  }

  get interruptible(): boolean {
    return this.#interrupts.size > 0;
  }

  interrupt(): void {
    for (const action of this.#interrupts) action();
  }
}
