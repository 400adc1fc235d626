/**
 * The command line of the faults: `task chaos [fault…]`. Does each to a cluster of compiled programs under load, several
 * rounds, and with `--out` writes the page and all rounds. Fails when a round broke the promise.
 */
import { parseArgs } from "node:util";
import { faults } from "./chaos/all.ts";
import { runFault } from "./chaos/fault.ts";
import { type Records, renderFaults, writeFaults } from "./chaos/report.ts";
import { choose, positive, runProgram } from "./command_line.ts";
import { describeMachine } from "./machine.ts";

const usage = `task chaos [fault…] [options]
  faults       ${faults.map(({ name }) => name).join(", ")}; all when left out
  --rounds N   how often each is done (3)
  --out DIR    where faults.md and faults.json are written
  --render DIR only make the page of DIR anew`;

const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "3" },
    out: { type: "string" },
    render: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

async function main(): Promise<void> {
  if (values.help) return console.log(usage);
  if (values.render !== undefined) return await writeFaults(values.render, {});
  const chosen = choose("fault", faults, positionals);
  const rounds = positive("--rounds", values.rounds);
  const machine = await describeMachine();
  const date = new Date().toISOString().slice(0, 10);
  const records: Records = {};
  const broken: string[] = [];
  for (const fault of chosen) {
    console.error(`— ${fault.title}`);
    const done = await runFault(fault, rounds, (round) => console.error(JSON.stringify(round)));
    records[fault.name] = { date, machine, rounds: done };
    broken.push(...done.flatMap((round) => round.broken.map((what) => `${fault.name}: ${what}`)));
    if (values.out !== undefined) await writeFaults(values.out, { [fault.name]: records[fault.name] });
  }
  console.log(renderFaults(records));
  if (broken.length > 0) throw new Error(`the promise was broken:\n${broken.join("\n")}`);
}

await runProgram(main);
