/**
 * How many requests a replica takes at once. Pure: facts of finished requests → slots.
 * On the way: a reply → `dispatcher` → here; the slots are read by `policy` with the next request.
 * Hill climbing (Heiss & Wagner, "Adaptive load control in transaction processing systems", VLDB 1991): a step up or
 * down is a trial, kept or taken back by what came of it. What is climbed is throughput / inFlight^θ, the generalised
 * power of Kleinrock (1979). Which step to try is told by the wait, round trip less run time, much as in TCP Vegas
 * (Brakmo & Peterson, 1994). docs/decisions/0010 has the reasons and the figures.
 * The invariant: 1 ≤ slots ≤ `adaptiveSlotsMax`, and a configured concurrency never changes.
 */
import { ReplyWindow } from "./reply_window.ts";

/** More than any machine has use for; a wrong report must not empty the queue onto one agent. */
const slotsMax = 4096;
/** What is in flight is in the agent's memory, and no longer the manager's to place or to drop. */
export const adaptiveSlotsMax = 1024;

/** A wait in front of a replica that is nobody's loss: CoDel's target (Nichols & Jacobson, 2012). */
const waitTargetMs = 5;
/** Nor is one that is a small part of the run. */
const waitTargetOfRun = 1 / 16;
/** With more wait than that, twice as many in flight must give 2^θ times the throughput. */
const theta = 0.2;
/** With so much more there is no question. */
const thetaClear = 0.6;
/** What fewer in flight may cost. */
const lossTolerated = 0.08;
/** Of n times as many in flight, run times may grow by n to this power before a step up must show its gain. */
const runGrowthTolerated = 0.5;

/** A step up: the first, each next one that succeeds at once, and the one after a failure. */
const climbFirst = 2;
const climbMax = 4;
const climbCareful = 1.5;
/** Steps that fail are tried again after this, doubling, about as often as BBR probes (Cardwell and others, 2016). */
const backoffMsMin = 500;
const backoffMsMax = 8000;
/** Round trips that are that much shorter or longer than before are of a replica that has changed. */
const changeFactor = 1.4;
/** Round trips that are that much longer than the shortest may come from crowding: fewer are tried, this often. */
const crowdedFactor = 1.5;
const crowdedMs = 10_000;
/** What nothing has asked for in this long is given back. */
const restMs = 30_000;
/** How fast an observed rate is forgotten. */
const rateMemoryMs = 2000;

/** Slots as the agent reports them, within reason: a whole number, 0 to 4096. */
export function slotsOf({ reportedSlots }: { reportedSlots: number }): number {
  return Math.max(0, Math.min(slotsMax, Math.floor(reportedSlots)));
}

type Trial = "none" | "up" | "down";

/** One replica's limit. Times are monotonic ms and come with each reply, so that no timer is needed. */
export class Capacity {
  slots: number;
  readonly adaptive: boolean;
  /** Replies per ms with every slot taken, smoothed; 0: it has not had that much to do lately. */
  servedPerMs = 0;
  readonly #start: number;
  readonly #window = new ReplyWindow();

  #trial: Trial = "none";
  /** The limit that a trial goes back to, and what it did: how many were in flight, and a request's mean times. */
  #keptSlots: number;
  #keptInFlight = 0;
  #keptRunMs = 0;
  #keptRunError2 = 0;
  #keptWaitMs = 0;
  /** The wait without a queue. */
  #baseWaitMs = Infinity;
  /** The longest wait that fewer in flight have shown to be worth its throughput. */
  #worthMs = 0;
  /** What is left of the throughput after steps down that each cost little: many must not add up. */
  #owed = 1;
  /** The shortest round trip, or the one that fewer in flight could not better. */
  #uncrowdedMs = Infinity;

  #climb = climbFirst;
  #backoffMs = backoffMsMin;
  #nextTrialMs = -Infinity;
  #nextCrowdedMs = -Infinity;

  #restedMs: number;
  #usedLately = 0;

  /** `reportedSlots`: the core count, or the configured concurrency, which is then not `adaptive`. */
  constructor(reportedSlots: number, adaptive: boolean, nowMs: number) {
    this.adaptive = adaptive;
    const reported = slotsOf({ reportedSlots });
    this.#start = adaptive ? Math.max(1, Math.min(adaptiveSlotsMax, reported)) : reported;
    this.slots = this.#keptSlots = this.#start;
    this.#restedMs = nowMs;
  }

  /**
   * A reply: its time since dispatch, its run time as the runner measured it, how many were outstanding with it, and
   * whether requests waited for a slot then. True: the slots have changed.
   */
  observe(roundTripMs: number, runUs: number, outstanding: number, waiting: boolean, nowMs: number): boolean {
    const full = waiting || outstanding >= this.slots;
    if (!this.#window.add(roundTripMs, runUs, outstanding, full, nowMs)) return false;
    const { slots } = this;
    this.#decide(nowMs);
    return slots !== this.slots;
  }

  /** To be called about once a second: gives back what nothing has asked for, by half at a time. */
  rest(nowMs: number): void {
    if (nowMs - this.#restedMs < restMs) return;
    this.#restedMs = nowMs;
    this.servedPerMs = 0;
    if (!this.adaptive) return;
    // As a TCP window that isn't used is validated anew (RFC 7661): neither forgotten nor trusted for ever.
    const slots = Math.max(this.#start, Math.min(this.#keptSlots, 2 * this.#usedLately));
    this.#usedLately >>= 1;
    this.#climb = climbFirst;
    this.#settle(slots, nowMs, 0);
  }

  #decide(nowMs: number): void {
    const window = this.#window;
    if (this.#baseWaitMs === Infinity) this.#baseWaitMs = window.shortestWaitMs;
    this.#usedLately = Math.max(this.#usedLately, window.peak);
    if (window.isFull) {
      this.#rememberRate();
      this.#restedMs = nowMs;
    }
    if (this.#trial === "up") this.#judgeUp(nowMs);
    else if (this.#trial === "down") this.#judgeDown(nowMs);
    else if (this.adaptive) this.#decideSteady(nowMs);
    if (window.isClosed) window.next(nowMs, this.slots);
  }

  /** No trial is under way: is one due, and in which direction? */
  #decideSteady(nowMs: number): void {
    const { isFull, roundTripMs, waitMs, runMs, peak, perMs } = this.#window;
    const change = roundTripMs / (this.#keptRunMs + this.#keptWaitMs);
    this.#keep(change < 1 / changeFactor || change > changeFactor ? 1 : 1 / 4);
    if (change < 1 / changeFactor || change > changeFactor) this.#forgetFailures(nowMs);
    if (change < 1 / changeFactor) this.#climb = climbFirst;
    this.#lowerBases();
    // With no more in flight than cores a longer wait is a longer way, and the base follows.
    if (!isFull && peak <= this.#start) this.#baseWaitMs += (waitMs - this.#baseWaitMs) / 8;
    if (nowMs < this.#nextTrialMs) return;
    if (waitMs > Math.max(this.#waitMsMax, this.#worthMs + waitTargetMs) && peak > this.#start) {
      // Little's law: so many are at work at this rate, beside those that wait no longer than is tolerated.
      const target = Math.max(this.#start, Math.floor(perMs * (runMs + this.#waitMsMax)));
      if (target < 0.9 * Math.min(peak, this.slots)) return this.#try("down", target, nowMs);
    }
    if (!isFull) return;
    const crowded = roundTripMs > crowdedFactor * this.#uncrowdedMs;
    if (crowded && nowMs >= this.#nextCrowdedMs && this.slots > 1) {
      this.#nextCrowdedMs = nowMs + crowdedMs;
      return this.#try("down", this.slots >> 1, nowMs);
    }
    if (this.slots < adaptiveSlotsMax) this.#try("up", Math.ceil(this.slots * this.#climb), nowMs);
  }

  #judgeUp(nowMs: number): void {
    const { isFull, peak } = this.#window;
    const isCalm = this.#isCalm;
    const growth = this.#inFlight / this.#keptInFlight;
    const gain = this.#gain();
    if (!isCalm && gain < growth ** theta) return this.#fail(nowMs);
    if (!isFull) {
      // More slots would not have been used, and what they would have done stays open.
      return this.#settle(Math.max(this.#keptSlots, Math.min(this.slots, Math.ceil(1.25 * peak))), nowMs);
    }
    this.#keep(1);
    this.#owed = 1;
    this.#backoffMs = backoffMsMin;
    // Where a queue builds up, the next question is whether as much comes with less.
    const isClear = isCalm || gain > growth ** thetaClear;
    if (!isClear || this.slots === adaptiveSlotsMax) {
      return this.#settle(this.slots, nowMs, Math.max(1, growth));
    }
    const queueing = this.#window.waitMs > (this.#baseWaitMs + this.#waitMsMax) / 2;
    this.#climb = queueing ? climbCareful : Math.min(climbMax, this.#climb * 2);
    this.#try("up", Math.ceil(this.slots * this.#climb), nowMs);
  }

  #judgeDown(nowMs: number): void {
    if (!this.#window.isFull) return this.#settle(this.slots, nowMs);
    const gain = this.#gain();
    if (gain < 0.7 * Math.min(1, this.slots / this.#keptInFlight)) {
      // Fewer in flight can't cost more than in proportion: the replica has changed, and what was before is void.
      this.#keep(1);
      this.#owed = 1;
      const { waitMs } = this.#window;
      return this.#settle(waitMs > this.#waitMsMax ? this.slots : this.#keptSlots, nowMs);
    }
    if (gain * this.#owed < 1 - lossTolerated) {
      // The wait was needed, so that it is no sign of a queue or a crowd as long as it gets no longer.
      this.#worthMs = Math.max(this.#worthMs, this.#keptWaitMs);
      this.#uncrowdedMs = Math.max(this.#uncrowdedMs, this.#keptRunMs + this.#keptWaitMs);
      return this.#fail(nowMs);
    }
    this.#owed = Math.min(1, this.#owed * gain);
    this.#lowerBases();
    this.#keep(1);
    this.#climb = climbCareful;
    this.#nextCrowdedMs = nowMs;
    this.#settle(this.slots, nowMs);
  }

  /** Throughput, as a multiple of that before the trial; by Little's law it is in-flight over round trip. */
  #gain(): number {
    const { waitMs, runMs } = this.#window;
    const more = this.#inFlight / this.#keptInFlight;
    // Runs that differ so little differ by the chance of which requests came, which must not decide.
    const alike = Math.abs(runMs - this.#keptRunMs) <= this.#chanceMs;
    const meanMs = (runMs + this.#keptRunMs) / 2;
    const nowMs = (alike ? meanMs : runMs) + waitMs;
    const keptMs = (alike ? meanMs : this.#keptRunMs) + this.#keptWaitMs;
    return more * keptMs / Math.max(nowMs, 1e-3);
  }

  /** How many there were at work and waiting at the replica. */
  get #inFlight(): number {
    const { isFull, isPatient, peak, perMs, roundTripMs } = this.#window;
    if (!isPatient) return Math.min(this.slots, isFull ? this.slots : peak);
    const counted = perMs * roundTripMs;
    // Replies that come slower than Little's law has it are of a replica whose queue still grows.
    return isFull && counted > 0.85 * this.slots ? this.slots : Math.min(this.slots, counted);
  }

  /** Waits up to this are not for a queue, or for one that matters. */
  get #waitMsMax(): number {
    return this.#baseWaitMs + Math.max(waitTargetMs, waitTargetOfRun * this.#window.runMs);
  }

  /** Neither a queue nor longer runs. */
  get #isCalm(): boolean {
    const { waitMs, runMs } = this.#window;
    return waitMs <= this.#waitMsMax &&
      runMs <= this.#keptRunMs * (this.slots / this.#keptSlots) ** runGrowthTolerated + this.#chanceMs;
  }

  /** Run times of before and now may differ by this much without a reason. */
  get #chanceMs(): number {
    return 2 * Math.sqrt(this.#keptRunError2 + this.#window.runError2);
  }

  #try(trial: Trial, slots: number, nowMs: number): void {
    this.#keptSlots = this.slots;
    this.slots = Math.max(1, Math.min(adaptiveSlotsMax, slots));
    this.#trial = trial;
    // While steps succeed, the first replies after one decide; later there is time to see the long ones too.
    const isHasty = trial === "up" && this.#climb >= climbFirst;
    this.#window.restart(nowMs, this.slots, isHasty ? 0 : Math.max(1, this.slots / this.#keptSlots));
  }

  #fail(nowMs: number): void {
    if (this.#trial === "up" && this.#climb > climbCareful) {
      // Too far; less may be right, and there is no reason to wait with it.
      this.#climb = climbCareful;
    } else {
      this.#nextTrialMs = nowMs + this.#backoffMs;
      this.#backoffMs = Math.min(backoffMsMax, 2 * this.#backoffMs);
    }
    this.#settle(this.#keptSlots, nowMs);
  }

  #settle(slots: number, nowMs: number, patience = 1): void {
    this.slots = this.#keptSlots = slots;
    this.#trial = "none";
    this.#window.restart(nowMs, slots, patience);
  }

  #forgetFailures(nowMs: number): void {
    this.#worthMs = 0;
    this.#nextTrialMs = nowMs;
    this.#backoffMs = backoffMsMin;
  }

  /** Remembers what the limit now in force does, with this weight against what is remembered already. */
  #keep(weight: number): void {
    const { runMs, runError2, waitMs } = this.#window;
    const inFlight = this.#inFlight;
    this.#keptInFlight += weight * (inFlight - this.#keptInFlight);
    this.#keptRunMs += weight * (runMs - this.#keptRunMs);
    this.#keptRunError2 = (1 - weight) ** 2 * this.#keptRunError2 + weight ** 2 * runError2;
    this.#keptWaitMs += weight * (waitMs - this.#keptWaitMs);
    this.#owed += weight * (1 - this.#owed) / 32;
  }

  #lowerBases(): void {
    const { waitMs, roundTripMs } = this.#window;
    if (waitMs < this.#baseWaitMs) this.#baseWaitMs = waitMs;
    if (roundTripMs < this.#uncrowdedMs) this.#uncrowdedMs = roundTripMs;
  }

  #rememberRate(): void {
    const { perMs, elapsedMs } = this.#window;
    const weight = perMs > this.servedPerMs ? 1 / 2 : Math.min(1, elapsedMs / rateMemoryMs);
    this.servedPerMs = this.servedPerMs === 0
      ? perMs
      : this.servedPerMs + weight * (perMs - this.servedPerMs);
  }
}
