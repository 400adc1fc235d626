/**
 * What happened in a run, in order: a hash of it always, the lines themselves when a seed is replayed. Two runs with
 * the same hash went the same way.
 */
import type { Timeline } from "./timeline.ts";

type Field = string | number;

export class Trace {
  readonly lines: string[] = [];
  readonly #timeline: Timeline;
  readonly #keep: boolean;
  #low = 0x811c9dc5;
  #high = 0x01000193;

  constructor(timeline: Timeline, keep: boolean) {
    this.#timeline = timeline;
    this.#keep = keep;
  }

  get keeps(): boolean {
    return this.#keep;
  }

  get hash(): string {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
  }

  note(what: string, ...fields: Field[]): void {
    this.#mix(Math.round(this.#timeline.nowMs * 1000));
    this.#mixText(what);
    for (const field of fields) {
      if (typeof field === "number") this.#mix(field);
      else this.#mixText(field);
    }
    if (!this.#keep) return;
    this.lines.push(`${this.#timeline.nowMs.toFixed(2).padStart(9)}  ${what} ${fields.join(" ")}`);
  }

  #mix(value: number): void {
    this.#low = Math.imul(this.#low ^ value, 0x01000193);
    this.#high = Math.imul(this.#high ^ this.#low ^ (value / 0x1_0000_0000), 0x85ebca6b) + 1;
  }

  #mixText(text: string): void {
    for (let i = 0; i < text.length; i++) this.#low = Math.imul(this.#low ^ text.charCodeAt(i), 0x01000193);
    this.#mix(text.length);
  }
}
