/** Many clients in a process of its own: started here, and run when this file is the main module. */
import { connect } from "../../client.ts";
import { Program } from "../../tests/support/cluster.ts";

export interface JoinJob {
  url: string;
  password: string;
  caPem: string;
  count: number;
  /** How many join at the same time. */
  atOnce: number;
}

/** Open files that all of its connections need. */
export const filesMax = 16_384;

/** It stays connected until it is ended. */
export function startJoining(job: JoinJob): Program {
  const args = [`--nofile=${filesMax}`, Deno.execPath(), "run", "-A", "--quiet", "--no-check"];
  // Not an argument: others could read the password there.
  return new Program(["prlimit", args], [import.meta.filename!], { SQWISH_JOIN_JOB: JSON.stringify(job) });
}

async function joinAll({ url, password, caPem, count, atOnce }: JoinJob): Promise<void> {
  let left = count;
  const joinSome = async () => {
    while (left-- > 0) {
      await connect({
        url,
        user: "admin",
        password,
        caPem,
        profileFile: false,
        connectTimeoutMs: 120_000,
      });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, joinSome));
}

if (import.meta.main) await joinAll(JSON.parse(Deno.env.get("SQWISH_JOIN_JOB")!));
