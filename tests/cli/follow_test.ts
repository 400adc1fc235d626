import assert from "node:assert/strict";
import { follow, type Page } from "../../lib/cli/follow.ts";
import { SqwishError } from "../../lib/errors.ts";
import { settle } from "../client/scripted_manager.ts";
import { ManualClock } from "../support/manual_clock.ts";

type Item = { id: number };

/** Follows until all answers have been given. */
async function followed(answers: (Page<Item> | SqwishError)[]) {
  const clock = new ManualClock();
  const end = new AbortController();
  const seen = { asked: [] as number[], written: [] as number[], notes: [] as string[] };
  const following = follow<Item>(
    {
      first: { items: [{ id: 3 }], lastId: 3 },
      readAfter(id) {
        seen.asked.push(id);
        const next = answers.shift();
        if (answers.length === 0) end.abort();
        return next instanceof SqwishError ? Promise.reject(next) : Promise.resolve(next!);
      },
      write: ({ id }) => void seen.written.push(id),
      note: (text) => void seen.notes.push(text),
    },
    clock,
    end.signal,
  );
  let isOver = false;
  const ended = following.then(() => undefined, (thrown) => thrown).finally(() => isOver = true);
  while (!isOver) {
    await settle();
    clock.advance(500);
  }
  return { ...seen, thrown: await ended };
}

Deno.test("`follow()` goes on where it was once the manager is back, and says once that it was away", async () => {
  const away = new SqwishError("manager_lost", "The connection was lost");
  const late = new SqwishError("deadline_exceeded", "No answer within 30000 ms");
  const { asked, written, notes, thrown } = await followed([
    { items: [{ id: 4 }], lastId: 4 },
    away,
    late,
    { items: [{ id: 4 }, { id: 9 }], lastId: 9 },
    { items: [], lastId: 12 },
    { items: [], lastId: 12 },
  ]);
  assert.deepEqual(asked, [3, 4, 4, 4, 9, 12]);
  assert.deepEqual([written, notes.length, thrown], [[3, 4, 9], 1, undefined]);
});

Deno.test("`follow()` ends with what does not pass by itself", async () => {
  const refused = new SqwishError("forbidden", "Reading logs needs the role operator");
  const { thrown, notes } = await followed([refused, { items: [], lastId: 3 }]);
  assert.deepEqual([thrown, notes], [refused, []]);
});
