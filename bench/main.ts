/** The command line: `task bench [scenario…] [options]`. Progress goes to stderr. */
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { programsFromFolder, programsFromSource } from "../examples/demo/programs.ts";
import { installed, peers } from "./peers/all.ts";
import { cases, compare } from "./scenarios/throughput.ts";
import { type Session, writeCertificate } from "./session.ts";

const { values } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "5" },
    peers: { type: "string" },
    cases: { type: "string", default: "" },
    concurrency: { type: "string" },
    binaries: { type: "string" },
  },
});

const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => interrupted.abort(new Error("The benchmark was interrupted")));
}
const folder = await Deno.makeTempDir({ prefix: "sqwish-bench-" });
try {
  const root = dirname(import.meta.dirname!);
  const session: Session = {
    rounds: Number(values.rounds),
    warmMs: 1500,
    windowMs: Number(values.seconds) * 1000,
    programs: values.binaries ? await programsFromFolder(values.binaries) : programsFromSource(root),
    concurrency: values.concurrency ? Number(values.concurrency) : undefined,
    certificate: await writeCertificate(folder),
    folder,
    interrupted: interrupted.signal,
    say: (line) => console.error(line),
  };
  const names = values.peers?.split(",");
  const wanted = peers.filter(({ name }) => !names || names.includes(name));
  const { present } = await installed(wanted, session.say);
  await compare(session, present, cases.filter(({ title }) => title.includes(values.cases)));
} finally {
  await Deno.remove(folder, { recursive: true });
}
Deno.exit(0);
