/** Many clients in a process of its own: started here, and run when this file is the main module. */
import { connect } from "../../client.ts";
import { Program } from "../../tests/support/cluster.ts";

export interface JoinJob {
  url: string;
  password: string;
  fingerprint: string;
  count: number;
  /** How many join at the same time. */
  atOnce: number;
}

/** It stays connected until it is ended. */
export function startJoining(job: JoinJob): Program {
  const args = ["run", "-A", "--quiet", "--no-check", import.meta.filename!];
  // Not an argument: others could read the password there.
  return new Program([Deno.execPath(), args], [], { SQWISH_JOIN_JOB: JSON.stringify(job) });
}

async function joinAll({ url, password, fingerprint, count, atOnce }: JoinJob): Promise<void> {
  let left = count;
  const joinSome = async () => {
    while (left-- > 0) {
      await connect({
        url,
        user: "admin",
        password,
        fingerprint,
        profileFile: false,
        connectTimeoutMs: 120_000,
      });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, joinSome));
}

if (import.meta.main) await joinAll(JSON.parse(Deno.env.get("SQWISH_JOIN_JOB")!));
