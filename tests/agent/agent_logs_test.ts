import assert from "node:assert/strict";
import { AgentLogs } from "../../lib/agent/agent_logs.ts";
import { limits } from "../../lib/limits.ts";
import { silentLog } from "../../lib/log.ts";
import type { LogLine } from "../../lib/protocol/messages.ts";

const line = (text: string): LogLine => ({ atMs: 1, replicaSet: "images", revision: 1, level: "info", text });

Deno.test("lines gather until they are taken, and go into the agent's own log", () => {
  const written: string[] = [];
  const logs = new AgentLogs({ ...silentLog, info: (text) => written.push(text) });
  logs.push(line("one"));
  logs.push(line("two"));
  assert.deepEqual(logs.take(), [line("one"), line("two")]);
  assert.deepEqual(logs.take(), []);
  assert.deepEqual(written, ["one", "two"]);
});

Deno.test("what is beyond a second's share is told in a line, in lines as in bytes, and the next second has its own", () => {
  const logs = new AgentLogs(silentLog);
  for (let index = 0; index < limits.logLinesPerSecondMax + 5; index++) logs.push(line("x"));
  const lines = logs.take();
  assert.equal(lines.length, limits.logLinesPerSecondMax + 1);
  assert.match(lines.at(-1)!.text, /^5 lines are only in the agent's own log/);
  const long = "x".repeat(limits.logBytesPerSecondMax / 4);
  for (let index = 0; index < 5; index++) logs.push(line(long));
  const taken = logs.take();
  assert.deepEqual([taken.length, taken.at(-1)!.text.split(" ")[0]], [3, "3"]);
});
