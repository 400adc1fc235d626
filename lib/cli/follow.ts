/** Lists that grow, as `-f` shows them: what there is, then what comes, until Ctrl-C. Nothing twice, nothing skipped. */
import type { Clock } from "../clock.ts";
import { pause } from "./commands/context.ts";

const pollMs = 500;

export interface Followed<Item> {
  /** The newest there are. */
  first: Item[];
  /** Those next after an id. */
  readAfter(id: number): Promise<Item[]>;
  write(item: Item): void;
}

export async function follow<Item extends { id: number }>(
  { first, readAfter, write }: Followed<Item>,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  let lastId = 0;
  let batch = first;
  while (!signal.aborted) {
    for (const item of batch.toSorted((left, right) => left.id - right.id)) {
      if (item.id <= lastId) continue;
      lastId = item.id;
      write(item);
    }
    await pause(clock, pollMs, signal);
    // Ctrl-C while the manager is asked is as good an end as between two questions.
    batch = await readAfter(lastId).catch((thrown) => {
      if (signal.aborted) return [];
      throw thrown;
    });
  }
}
