/**
 * Lists that grow, as `-f` shows them: what was asked for of the old, then what comes, until Ctrl-C. Nothing twice,
 * nothing skipped, and nothing old: whoever was cut off goes on where it was.
 */
import type { Clock } from "../clock.ts";
import { SqwishError } from "../errors.ts";
import { pause } from "./commands/context.ts";

const pollMs = 500;
/** The manager can't be reached for a while; the connection comes back by itself. */
const away = new Set<string>(["manager_lost", "deadline_exceeded"]);

export interface Page<Item> {
  /** In the order in which they are shown. */
  items: readonly Item[];
  /** How far this page has come; smaller than the last one's when the manager counts anew. */
  lastId: number;
}

export interface Followed<Item> {
  first: Page<Item>;
  /** Those next after an id. */
  readAfter(id: number): Promise<Page<Item>>;
  write(item: Item): void;
  /** The manager is away; said once each time. */
  note(text: string): void;
}

export async function follow<Item extends { id: number }>(
  { first, readAfter, write, note }: Followed<Item>,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  let { lastId } = first;
  let isAway = false;
  for (const item of first.items) write(item);
  while (!signal.aborted) {
    await pause(clock, pollMs, signal);
    const page = await readAfter(lastId).catch((thrown) => {
      // Ctrl-C while the manager is asked is as good an end as between two questions.
      if (signal.aborted) return null;
      if (!(thrown instanceof SqwishError && away.has(thrown.code))) throw thrown;
      if (!isAway) note("The manager is away; new lines follow once it is back");
      isAway = true;
      return null;
    });
    if (!page) continue;
    isAway = false;
    for (const item of page.items) if (item.id > lastId) write(item);
    lastId = page.lastId;
  }
}
