/** An agent's executable reduced to its runner: what hosting tests start as child processes. */
import { runnerMain } from "../../lib/hosting/runner.ts";

if (import.meta.main && Deno.args[0] === "runner") await runnerMain();
