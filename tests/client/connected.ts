/** A client on a scripted manager and a manual clock, and what its tests have in common. */
import assert from "node:assert/strict";
import { Sqwish } from "../../lib/client/sqwish.ts";
import { type ErrorCode, SqwishError } from "../../lib/errors.ts";
import { Flag, type Frame, Op } from "../../lib/protocol/frame.ts";
import { createSeededRandom } from "../../lib/random.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { type ManagerScript, type ScriptedConnection, ScriptedManager } from "./scripted_manager.ts";

export async function connected(
  script: ManagerScript = {},
  dial = (manager: ScriptedManager, _signal: AbortSignal) => manager.dial(),
) {
  const clock = new ManualClock();
  const manager = new ScriptedManager(script);
  const sqwish = new Sqwish({
    clock,
    random: createSeededRandom(7),
    version: "0.1.0",
    dial: (signal) => dial(manager, signal),
    enroll: () => false,
  });
  await sqwish.open(0);
  return { clock, manager, sqwish };
}

/** Answers requests with their own input. */
export function echo(frame: Frame, connection: ScriptedConnection): void {
  if (frame.op !== Op.request) return;
  const input = frame.flags & Flag.bytes
    ? frame.body.slice()
    : JSON.parse(new TextDecoder().decode(frame.body));
  connection.reply(frame.id, input, { a: 2000, b: 500 });
}

export function rejectsWith(promise: Promise<unknown>, code: ErrorCode, mayHaveRun?: string): Promise<void> {
  return assert.rejects(promise, (thrown) => {
    assert.ok(thrown instanceof SqwishError, String(thrown));
    assert.equal(thrown.code, code, thrown.message);
    if (mayHaveRun) assert.equal(thrown.mayHaveRun, mayHaveRun);
    return true;
  });
}
