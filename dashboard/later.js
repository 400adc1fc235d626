// @ts-check
/** Work in turns: each piece is a task of its own, so that a click or a key never waits for all charts of a page. */

/** @type {Set<() => void>} */
const waiting = new Set();
const channel = new MessageChannel();
channel.port1.onmessage = () => {
  const [next] = waiting;
  if (!next) return;
  waiting.delete(next);
  if (waiting.size > 0) channel.port2.postMessage(null);
  next();
};

/** Runs a piece soon, and once, however often it is asked for until then. @param {() => void} piece */
export function later(piece) {
  if (waiting.size === 0) channel.port2.postMessage(null);
  waiting.add(piece);
}

/** It is not wanted any more. @param {() => void} piece */
export function never(piece) {
  waiting.delete(piece);
}
