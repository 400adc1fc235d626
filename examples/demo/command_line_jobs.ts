/** The same cluster used by hand: commands of the client program, their output checked. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { checkFactors } from "./number_jobs.ts";
import { checkThumbnail } from "./picture_jobs.ts";
import { type Finished, runProgram } from "./programs.ts";
import { samplePictures } from "./pictures.ts";

interface CommandJob {
  args: string[];
  check(stdout: Uint8Array): void;
}

export interface CommandOutcome {
  /** As one would type it. */
  command: string;
  problem?: string;
}

/** Signs in with a token, then runs each command; its profile and files stay in `folder`. */
export async function runCommands(
  client: string[],
  token: string,
  folder: string,
  onOutcome: (outcome: CommandOutcome) => void = () => {},
): Promise<CommandOutcome[]> {
  const env = { SQWISH_PROFILE: join(folder, "profile.json") };
  const outcomes: CommandOutcome[] = [];
  const jobs = [{ args: ["login", "--join", token], check: () => {} }, ...await commandJobs(folder)];
  for (const { args, check } of jobs) {
    const shown = args.map((arg) => arg === token ? "TOKEN" : arg.replace(`${folder}/`, ""));
    const outcome: CommandOutcome = { command: ["client", ...shown].join(" ") };
    try {
      const finished = await runProgram(client, args, env);
      assertDone(finished);
      check(finished.stdout);
    } catch (thrown) {
      outcome.problem = (thrown as Error).message;
    }
    outcomes.push(outcome);
    onOutcome(outcome);
  }
  return outcomes;
}

async function commandJobs(folder: string): Promise<CommandJob[]> {
  const [picture] = samplePictures();
  const pictureFile = join(folder, picture.name);
  await Deno.writeFile(pictureFile, picture.file);
  return [
    {
      args: ["invoke", "maths/factors", '{"n":"600851475143"}'],
      check: (stdout) => checkFactors("600851475143", JSON.parse(new TextDecoder().decode(stdout))),
    },
    {
      args: ["invoke", "images/thumbnail", `@${pictureFile}`, "--header", "edge=96", "--raw"],
      check: (stdout) => checkThumbnail(picture, 96, stdout),
    },
    {
      args: ["get", "endpoints", "--json"],
      check(stdout) {
        const text = new TextDecoder().decode(stdout);
        for (const endpoint of ["images/thumbnail", "text/chapters", "maths/tile", "wordcount/count"]) {
          assert.ok(text.includes(`"${endpoint}"`), `The endpoints must include ${endpoint}`);
        }
      },
    },
  ];
}

function assertDone({ code, stderr }: Finished): void {
  if (code !== 0) throw new Error(`ended with code ${code}: ${stderr.trim()}`);
}
