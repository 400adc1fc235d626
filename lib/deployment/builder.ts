/**
 * Builds sets in a process of its own: deployment or configuration file → here → `build_process.ts` → revision.
 * A build is slow, may need more memory than there is, and its compilers take more than the rest of the manager:
 * the process ends with the build, and all of it with the process.
 */
import { SqwishError } from "../errors.ts";
import { type BuildJob, type Built, decodeBuilt, encodeJobs } from "./build_job.ts";

/** The argument on which a compiled program must call `buildMain()`. */
export const buildArgument = "build-modules";

export class Builder {
  /** One at a time: whoever deploys often must not fill the machine with compilers. */
  #last: Promise<void> = Promise.resolve();

  /** Resolves with a result for each job, errors of a set included; rejects with `internal` when nothing was built. */
  build(jobs: BuildJob[]): Promise<Built[]> {
    const built = this.#last.then(() => runBuild(jobs));
    this.#last = built.then(() => {}, () => {});
    return built;
  }
}

async function runBuild(jobs: BuildJob[]): Promise<Built[]> {
  const args = Deno.build.standalone
    ? [buildArgument]
    : ["run", "-A", "--quiet", "--no-prompt", new URL("./build_process.ts", import.meta.url).href];
  const child = new Deno.Command(Deno.execPath(), {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [, { success, code, signal, stdout, stderr }] = await Promise.all([
    // A process that ended early says why on standard error.
    new Blob([encodeJobs(jobs)]).stream().pipeTo(child.stdin).catch(() => {}),
    child.output(),
  ]);
  if (success) return decodeBuilt(new TextDecoder().decode(stdout));
  const reason = new TextDecoder().decode(stderr).trim().slice(-500) || "it said nothing";
  throw new SqwishError("internal", "The modules could not be built; see the manager's log", {
    cause: new Error(`the build ended with ${signal ?? `status ${code}`}: ${reason}`),
  });
}
