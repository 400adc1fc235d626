import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { concatBytes, encodeFrame, Op } from "../../lib/protocol/frame.ts";
import {
  deadlineAt,
  refuseFrame,
  refuseQueue,
  refuseRequester,
  refuseShare,
} from "../../lib/scheduling/admission.ts";
import type { SetState } from "../../lib/scheduling/state.ts";
import { requesterNamed } from "./rig.ts";

Deno.test("`refuseFrame()` reads a frame anywhere in its message", () => {
  const good = encodeFrame({ op: Op.request, id: 1, name: "a/b", meta: "{}", body: new Uint8Array(7) });
  const nameless = encodeFrame({ op: Op.request, id: 2, body: new Uint8Array(7) });
  const message = concatBytes([good, nameless, good]);
  assert.equal(refuseFrame(message, 0, good.length), null);
  assert.equal(refuseFrame(message, good.length, good.length + nameless.length)?.code, "invalid_request");
  assert.equal(refuseFrame(message, good.length + nameless.length, message.length), null);
});

Deno.test("`refuseFrame()` takes bodies and headers of exactly the limit", () => {
  const meta = "x".repeat(limits.frameMetaBytesMax);
  const frame = encodeFrame({
    op: Op.request,
    id: 1,
    name: "a/b",
    meta,
    body: new Uint8Array(limits.bodyBytesMax),
  });
  assert.equal(refuseFrame(frame, 0, frame.length), null);
  const longer = concatBytes([frame, new Uint8Array(1)]);
  assert.equal(refuseFrame(longer, 0, longer.length)?.code, "too_large");
});

Deno.test("`refuseRequester()` says who may not invoke what", () => {
  const nobody = requesterNamed("c1", () => false);
  assert.equal(refuseRequester(requesterNamed("c1"), "a/b", 1, false), null);
  assert.equal(refuseRequester(nobody, "a/b", 1, false)?.message, "user-c1 may not invoke a/b");
});

Deno.test("`deadlineAt()` takes the default for 0 and cuts at the cap", () => {
  assert.equal(deadlineAt(0, 500, 1000), 1500);
  assert.equal(deadlineAt(20, 500, 1000), 1020);
  assert.equal(deadlineAt(0xffff_ffff, 500, 1000), 1000 + limits.timeoutMsMax);
});

Deno.test("`refuseShare()` lets in exactly as many as a connection may have", () => {
  assert.equal(refuseShare(limits.requestsPerConnectionMax - 1), null);
  const refusal = refuseShare(limits.requestsPerConnectionMax);
  assert.equal(refusal?.code, "queue_full");
  assert.equal(refusal?.details.retryAfterMs, limits.retryAfterMsMin);
});

Deno.test("`refuseQueue()` bounds a queue in requests, and in bytes when they are few and large", () => {
  const setWith = (size: number, bytes: number) =>
    ({
      routed: { name: "set", queueMax: 10 },
      queue: { size, bytes },
      replicas: new Map(),
    }) as unknown as SetState;
  assert.equal(refuseQueue(setWith(9, limits.queueBytesMax - 1)), null);
  assert.match(refuseQueue(setWith(10, 0))!.message, /takes 10 requests, it has 10/);
  const large = refuseQueue(setWith(3, limits.queueBytesMax));
  assert.equal(large?.code, "queue_full");
  assert.match(large!.message, /takes 268435456 bytes, it has 268435456/);
});
