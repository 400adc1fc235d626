import assert from "node:assert/strict";
import { SqwishError } from "../../lib/errors.ts";
import { limits } from "../../lib/limits.ts";
import { decodeFrame, encodeFrame, Op } from "../../lib/protocol/frame.ts";
import { Replica } from "../../lib/scheduling/state.ts";
import { errorFrame, readError, retryAfterMs } from "../../lib/scheduling/outcomes.ts";

function replica(slots: number, runUs: number): Replica {
  const replica = new Replica("a", "s", 1);
  replica.capacity.configure(slots, false);
  replica.runUs = runUs;
  return replica;
}

Deno.test("`errorFrame()` carries code, message, details and the request id", () => {
  const error = new SqwishError("queue_full", "full", { details: { retryAfterMs: 5 } });
  const frame = decodeFrame(errorFrame(9, error, 0xabcd, 0xffff_ffff));
  assert.deepEqual([frame.op, frame.id, frame.requestId], [Op.error, 9, "0000abcdffffffff"]);
  assert.deepEqual(JSON.parse(frame.meta), {
    code: "queue_full",
    message: "full",
    details: { retryAfterMs: 5 },
  });
});

Deno.test("`readError()` trusts nothing that it can't read", () => {
  const read = (meta: string) => readError(encodeFrame({ op: Op.error, id: 1, meta }), 0);
  assert.deepEqual(
    read('{"code":"no_ready_replica","message":"stopping"}'),
    { code: "no_ready_replica", unrun: true, message: "stopping" },
  );
  assert.deepEqual(
    read('{"code":"no_ready_replica","details":{"mayHaveRun":"maybe"}}'),
    { code: "no_ready_replica", unrun: false, message: "" },
  );
  assert.equal(read('{"code":"made_up"}').code, "internal");
  for (const meta of ["", "null", "{", "7"]) assert.equal(read(meta).code, "internal");
});

Deno.test("`retryAfterMs()` is what the replicas need for the queue, within bounds", () => {
  assert.equal(retryAfterMs(100, [replica(2, 10_000), replica(2, 10_000)]), 250);
  assert.equal(retryAfterMs(1, [replica(4, 10)]), limits.retryAfterMsMin);
  assert.equal(retryAfterMs(1_000_000, [replica(1, 1_000_000)]), limits.retryAfterMsMax);
  assert.equal(retryAfterMs(5, []), limits.retryAfterMsMax);
});
