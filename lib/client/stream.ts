/**
 * A streamed reply as an async iterable with credit flow control: the producer may be `limits.streamWindowParts`
 * parts ahead of the consumer, and gets half of that again each time the consumer has taken that many.
 * Leaving the loop early cancels the request.
 */
import type { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import { Flag, type Frame, type FrameParts } from "../protocol/frame.ts";
import { decodeBody } from "./body.ts";
import type { RequestOptions, Requests } from "./requests.ts";

const creditAtOnce = limits.streamWindowParts / 2;

/** Nothing is sent before the first part is asked for. */
export async function* streamParts(
  requests: Requests,
  parts: Omit<FrameParts, "id">,
  options: RequestOptions,
): AsyncGenerator<unknown, void, undefined> {
  const arrived: Frame[] = [];
  let ended = false;
  let failure: SqwishError | null = null;
  let wake = () => {};
  let taken = 0;
  const handle = requests.start(
    { ...parts, flags: (parts.flags ?? 0) | Flag.stream },
    options,
    {
      onPart(frame) {
        // Copied out of its message: parts may lie here while the consumer works.
        arrived.push({ ...frame, body: frame.body.slice() });
        wake();
      },
      onReply() {
        ended = true;
        wake();
      },
      onError(error) {
        ended = true;
        failure = error;
        wake();
      },
    },
  );
  try {
    for (;;) {
      const frame = arrived.shift();
      if (frame) {
        taken++;
        if (taken === creditAtOnce) {
          taken = 0;
          handle.credit(creditAtOnce);
        }
        yield decodeBody(frame);
      } else if (ended) {
        // What arrived before a failure has been handed out by now.
        if (failure) throw failure;
        return;
      } else {
        await new Promise<void>((resolve) => wake = resolve);
      }
    }
  } finally {
    if (!ended) handle.cancel();
  }
}
