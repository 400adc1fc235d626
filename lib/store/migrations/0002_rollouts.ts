/** Format 2: canary stages, what a rollout goes back to, scaling by load, agents that are drained. */
export const rollouts = `
ALTER TABLE rollouts ADD COLUMN fallback INTEGER;
ALTER TABLE rollouts ADD COLUMN step INTEGER;
ALTER TABLE replica_sets ADD COLUMN scaled_to INTEGER;
ALTER TABLE agents ADD COLUMN draining INTEGER NOT NULL DEFAULT 0;
`;
