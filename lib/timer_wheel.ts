/**
 * Many deadlines behind one timer: hierarchical timing wheels, scheme 7 of Varghese and Lauck, "Hashed and
 * hierarchical timing wheels" (SOSP 1987). Adding and removing cost O(1) and allocate nothing: entries are linked
 * into their slot. The invariants: an entry is due exactly once, or removed; never early, and late by no more than a
 * ms and what the timer itself is late.
 */
import type { Clock } from "./clock.ts";

/** To be extended by what has a deadline. */
export class WheelEntry {
  /** Monotonic ms. Not to be changed while it is in a wheel. */
  deadlineMs: number;
  /** Kept by the wheel; null: in none. */
  wheelPrevious: WheelEntry | null = null;
  wheelNext: WheelEntry | null = null;

  constructor(deadlineMs: number) {
    this.deadlineMs = deadlineMs;
  }
}

const slotsPerLevel = 64;
/** Ticks of 1 ms in a slot of each level; the slots of the last one span 64 ** 6 ms, 2.2 years. */
const slotTicks = [1, 64, 64 ** 2, 64 ** 3, 64 ** 4, 64 ** 5];
/** What is due later, or never, is put into the last slot there is, and from there into the next last one. */
const ticksAheadMax = (slotsPerLevel - 1) * 64 ** 5;
/** While anything is in the wheel it is looked at this often, so that its own time never lags far behind. */
const lookMsMax = 1000;

export class TimerWheel<Entry extends WheelEntry> {
  #clock: Clock;
  #onDue: (entry: Entry) => void;
  /** Circular lists; the slot's own entry is the end of both. */
  #slots: WheelEntry[];
  /** What a slot held whose time has come. */
  #leaving = emptySlot();
  #size = 0;
  /** All slots before this tick are empty. */
  #tick = 0;
  #cancelTimer: (() => void) | null = null;
  #timerDueMs = Infinity;

  /** `onDue` is called with each entry at its deadline, after it has left. */
  constructor(clock: Clock, onDue: (entry: Entry) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
    this.#slots = slotTicks.flatMap(() => Array.from({ length: slotsPerLevel }, emptySlot));
  }

  get size(): number {
    return this.#size;
  }

  /** `nowMs` saves a look at the clock. */
  add(entry: Entry, nowMs: number = this.#clock.monotonicMs()): void {
    if (this.#size++ === 0) this.#tick = Math.max(this.#tick, Math.floor(nowMs));
    this.#link(entry);
    if (entry.deadlineMs < this.#timerDueMs) this.#arm(Math.min(entry.deadlineMs, nowMs + lookMsMax), nowMs);
  }

  /** Nothing happens when it isn't in. A timer that was set for it stays and finds nothing due: cheaper than resetting. */
  remove(entry: Entry): void {
    if (entry.wheelNext === null) return;
    unlink(entry);
    this.#size--;
  }

  /** Forgets all entries and stops the timer. */
  close(): void {
    for (const slot of [...this.#slots, this.#leaving]) {
      while (slot.wheelNext !== slot) unlink(slot.wheelNext!);
    }
    this.#size = 0;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#timerDueMs = Infinity;
  }

  #link(entry: WheelEntry): void {
    const tick = Math.max(this.#tick, Math.min(Math.ceil(entry.deadlineMs), this.#tick + ticksAheadMax));
    let level = 0;
    while (slotNumber(tick, level) - slotNumber(this.#tick, level) >= slotsPerLevel) level++;
    const slot = this.#slots[level * slotsPerLevel + slotNumber(tick, level) % slotsPerLevel];
    const last = slot.wheelPrevious!;
    entry.wheelPrevious = last;
    entry.wheelNext = slot;
    last.wheelNext = slot.wheelPrevious = entry;
  }

  #arm(dueMs: number, nowMs: number): void {
    this.#cancelTimer?.();
    this.#timerDueMs = dueMs;
    // Whole ms, rounded up: a timer that comes a fraction too early would only have to be set again.
    this.#cancelTimer = this.#clock.after(Math.max(0, Math.ceil(dueMs - nowMs)), () => this.#fire());
  }

  #fire(): void {
    this.#cancelTimer = null;
    // While this runs, `add` must not set timers of its own.
    this.#timerDueMs = -Infinity;
    const nowMs = this.#clock.monotonicMs();
    const nowTick = Math.floor(nowMs);
    let nextTick = this.#nextTick();
    for (; this.#size > 0 && nextTick <= nowTick; nextTick = this.#nextTick()) {
      this.#tick = nextTick;
      this.#empty(nextTick);
    }
    this.#timerDueMs = Infinity;
    if (this.#size === 0) return;
    this.#tick = Math.max(this.#tick, nowTick);
    this.#arm(Math.min(nextTick, nowMs + lookMsMax), nowMs);
  }

  /** The earliest start of a slot that has something in it. */
  #nextTick(): number {
    let earliest = Infinity;
    for (let level = 0; level < slotTicks.length; level++) {
      const first = slotNumber(this.#tick, level);
      for (let number = first; number < first + slotsPerLevel; number++) {
        const slot = this.#slots[level * slotsPerLevel + number % slotsPerLevel];
        if (slot.wheelNext === slot) continue;
        earliest = Math.min(earliest, Math.max(this.#tick, number * slotTicks[level]));
        break;
      }
    }
    return earliest;
  }

  /** Gives out what is due at `tick` and spreads what only comes near over the levels below. */
  #empty(tick: number): void {
    for (let level = slotTicks.length - 1; level >= 0; level--) {
      this.#take(this.#slots[level * slotsPerLevel + slotNumber(tick, level) % slotsPerLevel]);
      // What is due may add and remove others.
      for (let entry = this.#leaving.wheelNext!; entry !== this.#leaving; entry = this.#leaving.wheelNext!) {
        unlink(entry);
        if (Math.ceil(entry.deadlineMs) > tick) {
          this.#link(entry);
        } else {
          this.#size--;
          this.#onDue(entry as Entry);
        }
      }
    }
  }

  #take(slot: WheelEntry): void {
    if (slot.wheelNext === slot) return;
    const leaving = this.#leaving;
    leaving.wheelNext = slot.wheelNext;
    leaving.wheelPrevious = slot.wheelPrevious;
    leaving.wheelNext!.wheelPrevious = leaving.wheelPrevious!.wheelNext = leaving;
    slot.wheelNext = slot.wheelPrevious = slot;
  }
}

function slotNumber(tick: number, level: number): number {
  return level === 0 ? tick : Math.floor(tick / slotTicks[level]);
}

function emptySlot(): WheelEntry {
  const slot = new WheelEntry(0);
  slot.wheelNext = slot.wheelPrevious = slot;
  return slot;
}

function unlink(entry: WheelEntry): void {
  entry.wheelPrevious!.wheelNext = entry.wheelNext;
  entry.wheelNext!.wheelPrevious = entry.wheelPrevious;
  entry.wheelPrevious = entry.wheelNext = null;
}
