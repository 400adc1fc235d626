/** What `client why` looks at in its tests: one machine in whose way nothing stands. */
import type { AgentView } from "../../../lib/protocol/views.ts";

export function agentView(change: Partial<AgentView> = {}): AgentView {
  return {
    name: "pi-1",
    health: "ready",
    cordoned: false,
    draining: false,
    address: "10.0.0.2:4711",
    version: "1",
    labels: {},
    cores: 4,
    slots: 4,
    outstanding: 0,
    agentCpuCores: 0,
    agentMemoryBytes: 0,
    replicas: [],
    joinedAtMs: 0,
    lastSeenAtMs: 0,
    ...change,
  };
}
