/** From the rounds of each fault to `docs/faults.md`: the table between its two marks is made anew, the words stay. */
import { join } from "node:path";
import type { Machine } from "../report.ts";
import { median, table } from "../statistics.ts";
import { faults } from "./all.ts";
import type { Round } from "./fault.ts";

export interface FaultRecord {
  date: string;
  machine: Machine;
  rounds: Round[];
}

/** By fault. */
export type Records = Record<string, FaultRecord>;

const begin = "<!-- table: made by task chaos -->";
const end = "<!-- end of table -->";

/** Adds the records to those in `out`, and puts the table of all into the page there. */
export async function writeFaults(out: string, records: Records): Promise<void> {
  const rawFile = join(out, "faults.json");
  const before = await Deno.readTextFile(rawFile).then((text) => JSON.parse(text) as Records, () => ({}));
  const all: Records = { ...before, ...records };
  await Deno.writeTextFile(rawFile, JSON.stringify(all, null, 1) + "\n");
  const page = join(out, "faults.md");
  const text = await Deno.readTextFile(page).catch(() => `${begin}\n${end}\n`);
  const [head, tail] = [text.slice(0, text.indexOf(begin)), text.slice(text.indexOf(end))];
  await Deno.writeTextFile(page, `${head}${begin}\n\n${renderFaults(all)}\n\n${tail}`);
  const config = join(import.meta.dirname!, "../../deno.json");
  const args = ["fmt", "--quiet", "--config", config, page, rawFile];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  if (!success) throw new Error(`deno fmt must succeed, it said:\n${new TextDecoder().decode(stderr)}`);
}

/** The table, and what it was measured on. Pure. */
export function renderFaults(records: Records): string {
  const done = faults.filter(({ name }) => records[name]);
  const rows = done.map(({ name, title, seen }) => row(title, seen, records[name].rounds));
  const head = [
    "fault",
    "what users see",
    "rounds",
    "noticed",
    "felt for",
    "sent",
    "replies",
    "errors",
    "lost",
    "doubled",
  ];
  return `${table(head, rows)}\n\n${footOf(done.map(({ name }) => records[name]))}`;
}

/** Faults are measured again one by one: a date, and a machine, of one of them is not that of all. */
function footOf(records: readonly FaultRecord[]): string {
  if (records.length === 0) return "";
  const dates = records.map(({ date }) => date).sort();
  const [first, last] = [dates[0], dates.at(-1)!];
  const machines = records.map(({ machine: { cpu, cores, memoryGb, kernel, versions } }) =>
    `${cpu}, ${cores} cores, ${memoryGb} GB, Linux ${kernel}; Sqwish ${versions.Sqwish}`
  );
  return `<sub>Times: median (worst). ${first === last ? first : `${first} to ${last}`}. ` +
    `${[...new Set(machines)].join("; or ")}.</sub>`;
}

function row(title: string, seen: string, rounds: readonly Round[]): string[] {
  const sum = (of: (round: Round) => number) => rounds.reduce((total, round) => total + of(round), 0);
  const errors: Record<string, number> = {};
  for (const round of rounds) {
    for (const [code, count] of Object.entries(round.errors)) errors[code] = (errors[code] ?? 0) + count;
  }
  const noticed = rounds.flatMap(({ noticedMs }) => noticedMs === undefined ? [] : [noticedMs]);
  return [
    title,
    seen,
    String(rounds.length),
    duration(noticed),
    duration(rounds.map(({ feltMs }) => feltMs)),
    String(sum(({ sent }) => sent)),
    String(sum(({ answered }) => answered)),
    Object.entries(errors).map(([code, count]) => `${count} \`${code}\``).join(", ") || "–",
    String(sum(({ lost }) => lost)),
    String(sum(({ doubled }) => doubled)),
  ];
}

/** The middle one, and the worst. */
function duration(ms: readonly number[]): string {
  if (ms.length === 0) return "–";
  return `${text(median(ms))} (${text(Math.max(...ms))})`;
}

function text(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
