/**
 * The agent: joins a cluster and runs its modules. The same program, started by itself with the argument `runner`, is the
 * process that a module runs in; what only the agent needs is not loaded there.
 */
if (import.meta.main) {
  if (Deno.args[0] === "runner") {
    const { runnerMain } = await import("./lib/hosting/runner.ts");
    await runnerMain();
  } else {
    const { main } = await import("./lib/agent/command_line.ts");
    Deno.exit(await main(Deno.args, import.meta.url));
  }
}
