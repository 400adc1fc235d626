/**
 * From what scenarios returned to the page, its pictures and the raw file. All of it is made anew from the raw file
 * each time, so that a scenario can be run again by itself and the others stay.
 */
import { join } from "node:path";
import { scenarios } from "./scenarios/all.ts";
import type { Goal, Section } from "./scenarios/scenario.ts";
import { table } from "./statistics.ts";

export interface Machine {
  cpu: string;
  cores: number;
  memoryGb: number;
  kernel: string;
  /** By program. */
  versions: Record<string, string>;
}

export interface RunRecord {
  /** Day of the run. */
  date: string;
  machine: Machine;
  rounds: number;
  seconds: number;
  /** Peers that are not installed. */
  missing: string[];
  result: unknown;
}

/** By scenario. */
export type Raw = Record<string, RunRecord>;

const folderName = "benchmarks";

/** Adds the records to those already in `out`, and writes everything there anew. */
export async function writeReport(out: string, records: Raw): Promise<void> {
  const pictures = join(out, folderName);
  await Deno.mkdir(pictures, { recursive: true });
  const rawFile = join(pictures, "raw.json");
  const before = await Deno.readTextFile(rawFile).then((text) => JSON.parse(text) as Raw, () => ({}));
  const raw: Raw = { ...before, ...records };
  await Deno.writeTextFile(rawFile, JSON.stringify(raw, null, 1) + "\n");
  const { markdown, plots } = render(raw);
  for (const { name, svg } of plots) await Deno.writeTextFile(join(pictures, `${name}.svg`), svg);
  await Deno.writeTextFile(join(out, "benchmarks.md"), markdown);
}

/** The page and its pictures. Pure. */
export function render(raw: Raw): { markdown: string; plots: Section["plots"] } {
  const done = scenarios.filter(({ name }) => raw[name]).map(({ name, title, section }) => ({
    title,
    record: raw[name],
    section: section(raw[name].result) as Section,
  }));
  const goals = done.flatMap(({ section }) => section.goals);
  const missing = [...new Set(done.flatMap(({ record }) => record.missing))];
  const parts = [
    `# Benchmarks`,
    `Made by \`deno task bench\`, which starts everything here on one machine: the systems that Sqwish is compared with run
in the same run as Sqwish, one after the other, in an order that turns from round to round. Each measurement gets fresh
processes, and a load generator of its own. What counts are the ratios; a machine that does something else at the same
time moves all figures. Every round is in [raw.json](${folderName}/raw.json).`,
    ...missing.map((line) => `**${line}**`),
    goals.length > 0 ? `## Goals\n\n${goalsTable(goals)}` : "",
    ...done.map(({ title, record, section }) => sectionText(title, record, section)),
  ];
  return {
    markdown: parts.filter((part) => part !== "").join("\n\n") + "\n",
    plots: done.flatMap(({ section }) => section.plots),
  };
}

export function goalsTable(goals: readonly Goal[]): string {
  const rows = goals.map(({ work, goal, measured, reached }) => [
    ...[work, goal, measured, reached ? "reached" : "**not reached**"],
  ]);
  return table(["work", "goal", "measured", ""], rows);
}

function sectionText(title: string, record: RunRecord, { text, plots }: Section): string {
  const { cpu, cores, memoryGb, kernel, versions } = record.machine;
  const programs = Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ");
  const rounds = record.rounds === 1 ? "1 round" : `${record.rounds} rounds`;
  return [
    `## ${title}`,
    text,
    ...plots.map((plot) => `![${plot.title}](${folderName}/${plot.name}.svg)`),
    `<sub>${record.date}, ${cpu}, ${cores} cores, ${memoryGb} GB, Linux ${kernel}; ${programs}; ${rounds}, windows of ${record.seconds} s</sub>`,
  ].join("\n\n");
}
