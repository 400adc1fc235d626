/**
 * Aligned tables for terminals, and the words for numbers in them. Pure: width and colours are given.
 * Too wide for the terminal, the columns that may be cut lose their ends; into a pipe everything is whole.
 */

export type Tone = "good" | "warn" | "bad" | "faint";

export interface Column<Row> {
  title: string;
  text(row: Row): string;
  right?: boolean;
  /** May be cut with "…" when the terminal is too narrow. */
  flexible?: boolean;
  tone?(row: Row): Tone | undefined;
}

export interface Look {
  /** Columns of the terminal, or `Infinity`. */
  width: number;
  colours: boolean;
}

const codes: Record<Tone | "bold", string> = { good: "32", warn: "33", bad: "31", faint: "2", bold: "1" };
const gap = "  ";
const flexibleWidthMin = 8;

export function paint(text: string, tone: Tone | "bold" | undefined, colours: boolean): string {
  return colours && tone && text !== "" ? `\x1b[${codes[tone]}m${text}\x1b[0m` : text;
}

/** The table's lines, each with a line break; `empty` alone when there are no rows. */
export function formatTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  look: Look,
  empty = "none",
): string {
  if (rows.length === 0) return `${empty}\n`;
  const cells = rows.map((row) => columns.map((column) => printable(column.text(row))));
  const natural = columns.map((column, index) =>
    Math.max(displayWidth(column.title), ...cells.map((line) => displayWidth(line[index])))
  );
  const widths = fit(natural, columns.map((column) => column.flexible ?? false), look.width);
  const line = (texts: string[], tones: (Tone | "bold" | undefined)[]): string =>
    texts.map((text, index) => {
      const cut = truncate(text, widths[index]);
      const padding = " ".repeat(Math.max(0, widths[index] - displayWidth(cut)));
      const painted = paint(cut, tones[index], look.colours);
      return columns[index].right ? padding + painted : painted + padding;
    }).join(gap).trimEnd() + "\n";
  const head = line(columns.map((column) => column.title), columns.map(() => "bold" as const));
  return head +
    rows.map((row, index) => line(cells[index], columns.map((column) => column.tone?.(row)))).join("");
}

/** `key:  value` lines, aligned; a value of several lines goes on under its first. */
export function formatFields(fields: readonly [string, string][], look: Look): string {
  const width = Math.max(0, ...fields.map(([key]) => displayWidth(key) + 1));
  return fields.map(([key, value]) => {
    const padding = " ".repeat(width - displayWidth(key) - 1);
    const lines = value.split("\n").map(printable);
    return `${paint(`${key}:`, "bold", look.colours)}${padding}${gap}${
      lines.join(`\n${" ".repeat(width)}${gap}`)
    }\n`;
  }).join("");
}

/** Shrinks flexible columns, the widest first, until the line fits or none can shrink any more. */
function fit(natural: readonly number[], flexible: readonly boolean[], width: number): number[] {
  const widths = [...natural];
  const total = () => widths.reduce((sum, each) => sum + each, 0) + gap.length * (widths.length - 1);
  while (total() > width) {
    let widest = -1;
    widths.forEach((each, index) => {
      const shrinks = flexible[index] && each > flexibleWidthMin;
      if (shrinks && (widest < 0 || each > widths[widest])) widest = index;
    });
    if (widest < 0) break;
    widths[widest]--;
  }
  return widths;
}

function truncate(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  return [...text].slice(0, Math.max(0, width - 1)).join("") + "…";
}

/** Code points; wide scripts are rare in names of machines, and only alignment suffers. */
function displayWidth(text: string): number {
  return text.length < 64 && /^[ -~]*$/.test(text) ? text.length : [...text].length;
}

/** Messages come from modules and other machines: no control character of theirs may reach the terminal. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (control) => control === "\n" || control === "\t" ? " " : "�");
}

/** Like `printable`, for texts of several lines: line breaks and tabs stay. */
export function harmless(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "�");
}

/** "1.5 GiB", "312 MiB", "17 B". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** "0.42 ms", "17 ms", "2.5 s", "3m20s", "5h02m", "12d". */
export function formatMs(ms: number): string {
  if (ms < 10) return `${Number(ms.toFixed(2))} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(1))} s`;
  const seconds = Math.floor(ms / 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${two(Math.floor(seconds / 60) % 60)}m`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** "0", "0.3", "12", "1200". */
export function formatRate(perSecond: number): string {
  return perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : String(Math.round(perSecond));
}

/** A share of 0 to 1 as "37 %". */
export function formatShare(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** A moment as "2026-11-23 03:22:57" in UTC: comparable with the logs of every machine. */
export function formatMoment(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 19).replace("T", " ");
}

/** `a=1,b=2`, or "-" for none. */
export function formatPairs(pairs: Record<string, string | string[]>): string {
  const parts = Object.entries(pairs).map(([key, value]) =>
    `${key}=${Array.isArray(value) ? value.join("|") : value}`
  );
  return parts.join(",") || "-";
}
