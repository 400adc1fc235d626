/** `deno task sim [SEED]`. */
import { simulate } from "./run.ts";
const [from, to, trace] = Deno.args;
const started = performance.now();
let failed = 0;
for (let seed = Number(from); seed <= Number(to ?? from); seed++) {
  const t0 = performance.now();
  const r = await simulate(seed, { trace: trace !== undefined });
  if (r.failure) failed++;
  if (r.failure || Deno.env.get("V")) {
    console.log(
      seed,
      r.hash,
      r.plan.agents,
      r.plan.clients,
      "events",
      r.events,
      "ops",
      r.operations,
      `${(performance.now() - t0).toFixed(0)} ms`,
      JSON.stringify(Object.fromEntries(r.outcomes)),
      r.failure ? `FAIL ${r.failure.checker}: ${r.failure.message} at ${r.failure.atMs}` : "",
    );
  }
  if (trace) { for (const line of r.lines.slice(-Number(trace))) console.log(line); }
}
console.log((performance.now() - started).toFixed(0), "ms", failed, "failed");
