import assert from "node:assert/strict";
import { agentHealthTone, agentKind } from "../../../lib/cli/views.ts";
import { explainAgent } from "../../../lib/cli/why/explain.ts";
import type { AgentView, EventView } from "../../../lib/protocol/views.ts";
import { agentView as agent } from "./views.ts";

const damped = { damped: { untilMs: Date.UTC(2026, 10, 30, 6, 0, 7) }, flapPenalty: 3.41 };
const health = (view: AgentView) => agentKind.columns.find(({ title }) => title === "HEALTH")!.text(view);

Deno.test("a damped agent says so, with figures and until when, and tells the decisions", () => {
  const event: EventView = {
    id: 1,
    atMs: Date.UTC(2026, 10, 30, 5, 59, 7),
    level: "warn",
    kind: "agent_damped",
    subject: "pi-1",
    message: "Agent pi-1 is damped",
  };
  assert.deepEqual(explainAgent(agent(damped), [event]), [
    "pi-1 is ready and runs 0 replicas",
    "It is damped: it was lost again and again (weight 3.41, used again at 2.5); " +
    "it gets requests only where nobody else can serve, until 2026-11-30 06:00:07 if it is not lost again",
    "Decided:",
    "  2026-11-30 05:59:07  Agent pi-1 is damped",
  ]);
});

Deno.test("an agent that was lost of late, and not too often, says so too", () => {
  assert.deepEqual(explainAgent(agent({ flapPenalty: 1.7 }), []), [
    "pi-1 is ready and runs 0 replicas",
    "It was lost of late (weight 1.7); beyond 3 others are asked first",
  ]);
  assert.deepEqual(explainAgent(agent(), []), ["pi-1 is ready and runs 0 replicas"]);
});

Deno.test("the table of agents shows damping beside what people have decided", () => {
  assert.equal(health(agent()), "ready");
  assert.equal(health(agent(damped)), "ready,damped");
  assert.equal(health(agent({ ...damped, cordoned: true, draining: true })), "ready,damped,drained");
  assert.equal(health(agent({ ...damped, health: "lost", cordoned: true })), "lost,damped,cordoned");
  assert.deepEqual(
    [agent(), agent(damped), agent({ ...damped, health: "lost" })].map(agentHealthTone),
    ["good", "warn", "bad"],
  );
});
