/**
 * The build's process: jobs on standard input, what was built on standard output. From source it is a program by
 * itself; compiled, it is the manager's executable started again (`builder.ts`).
 */
import { type Built, encodeBuilt } from "./build_job.ts";

/** Reads, builds, answers, ends. */
export async function buildMain(): Promise<never> {
  const jobs = await new Response(Deno.stdin.readable).text();
  // A Worker's code is a file of its own in a compiled program; any other import would put the compilers' megabytes
  // of text into the manager's. The literal form below is what `deno compile --bundle` looks for to embed it.
  const worker = new Worker(new URL("./build_worker.ts", import.meta.url), { type: "module" });
  const built = await new Promise<Built[]>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<Built[]>) => resolve(data);
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(jobs);
  });
  await new Blob([encodeBuilt(built)]).stream().pipeTo(Deno.stdout.writable);
  Deno.exit(0);
}

if (import.meta.main) await buildMain();
