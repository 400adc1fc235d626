/**
 * What manager, agents and runners run V8 with, compiled or from source. The young generation stays small: buffers
 * of bodies then end with the next of many cheap collections and their memory is used again while it is warm, instead
 * of gathering until a collection of everything. Of so little, one thread collects faster than several that have to be
 * woken for it (docs/performance.md).
 */
export const v8Flags = "--v8-flags=--max-semi-space-size=1,--no-parallel-scavenge";
