/**
 * How many requests a replica takes at once, learned from its replies. Pure state of one replica: no clock, no timer,
 * no allocation per request. On the way: a reply → `observe` → `slots` → policy; `fleet` calls `configure`.
 * Little's law ("A proof for the queuing formula L = λW", 1961) turns times into slots; a standing queue at the replica
 * is bounded as in Vegas (Brakmo, Peterson, "TCP Vegas", 1994) and CoDel (Nichols, Jacobson, 2012); below that bound
 * it climbs as long as a step pays, with probes and holds as BBR has them (Cardwell and others, 2016). Netflix's
 * gradient limits are the nearest relative; they take all latency for queueing, which here may be run time.
 * The invariant: `slots` is 1 to `slotsMax`, at least the cores, and exactly what is configured if something is.
 * docs/decisions/0010 has the reasons and figures.
 */

export interface CapacityFacts {
  /** What the agent reported for this replica. */
  reportedSlots: number;
}

/** More than any machine has use for; a wrong report must not empty the queue onto one agent. */
const reportedSlotsMax = 4096;
/** As far as adapting goes; who needs more configures it. */
export const adaptiveSlotsMax = 1024;

/** A step must give this share of its slots as throughput: +10 % slots are kept for +1 % requests. */
const elasticityMin = 0.1;
/** A standing queue at the replica up to this long lets frames gather into batches; longer is only latency. */
const queueMsTolerated = 8;
/** The same for long functions, as a share of their run time: with less, cores go idle between two of them. */
const queueRunShare = 1.5;
/** A level is judged by at least this time and, up to a bound, by one round of its slots. */
const levelMsMin = 20;
/** However long its round trips, a level is judged after this time if there are samples: it may be far too high. */
const levelMsMax = 1000;
const levelSamplesMax = 256;
/** Once it goes in small steps, chance must not decide: so many samples, and this many round trips. */
const carefulSamples = 24;
const carefulRoundTrips = 4;
/** What is usual is smoothed over so many replies. */
const typicalSamples = 128;
const strideSmall = 1.5;
const strideLarge = 4;
/** How long a limit that turned out best is kept before the next probe; doubles as long as it stays best. */
const holdMsMin = 500;
const holdMsMax = 8_000;
/** Round trips shorter than before by this are no chance. */
const recoveredFactor = 1.5;
/** Shorter runs than this may differ by anything, for the clock's sake. */
const runMsTold = 0.1;
/** Runs longer than the shortest by this may wait for each other inside of the runner. */
const crowdedFactor = 1.5;
/** The round trip without a queue is remembered this long, then for as long again unless seen anew. */
const baseMsMax = 10_000;
/** Unused for this long, half of what was learned above the cores is forgotten, and so on. */
const idleHalfLifeMs = 60_000;

/** Slots as the agent reported them: a whole number, 0 to 4096. */
export function slotsOf(facts: CapacityFacts): number {
  return Math.max(0, Math.min(reportedSlotsMax, Math.floor(facts.reportedSlots)));
}

/** Times of one level of slots, in ms per request. */
interface Level {
  slots: number;
  /** In flight when its requests were sent, themselves included: on the way to a new level that is less than it. */
  sentInto: number;
  waitMs: number;
  runMs: number;
}

export class Capacity {
  /** Requests it takes at once. */
  slots = 0;
  /** What was configured stays as it is. */
  adaptive = false;
  #floor = 0;

  // Sums over the requests that were dispatched and answered at the present level.
  #sinceMs = -Infinity;
  #count = 0;
  #lost = 0;
  #full = 0;
  #sentInto = 0;
  #waitMs = 0;
  #runMs = 0;
  #runSquares = 0;

  /** The level is judged with at least so many samples and after at least this time. */
  #samples = 1;
  #judgedMs = -Infinity;
  /** From then on replies show the level; before, some are still from the one before. */
  #settledMs = -Infinity;

  /** Smoothed over the last replies. */
  #seen = 0;
  #roundTripMs = 0;
  #typicalRunMs = 0;
  #lastMs = -Infinity;
  #baseWaitMs = Infinity;
  #baseBeforeMs = Infinity;
  #baseSinceMs = -Infinity;

  /** The mean run time of the level where it was least, or where fewer in flight cost throughput. */
  #leastRunMs = Infinity;
  /** The level that a probe is compared with. */
  #reference: Level | null = null;
  #stride = 2;
  #hasSettled = false;
  #direction: 1 | -1 = 1;
  #holdMs = holdMsMin;
  #holdUntilMs = -Infinity;

  /** Takes over what the agent reports; whatever was learned stays unless that is another value. */
  configure(reportedSlots: number, adaptive: boolean): void {
    const floor = slotsOf({ reportedSlots });
    if (floor === this.#floor && adaptive === this.adaptive) return;
    this.#floor = floor;
    this.adaptive = adaptive && floor > 0;
    this.slots = floor;
    this.#reference = null;
    this.#leastRunMs = Infinity;
    this.#hasSettled = false;
    this.#startAnew();
    this.#clear(-Infinity);
  }

  /** Whether more slots have been tried and did not pay: until then nobody knows what is possible. */
  get hasSettled(): boolean {
    return !this.adaptive || this.#hasSettled;
  }

  /** What it gets through per ms with all slots in use (Little); 0: nothing known. */
  get servedPerMs(): number {
    return this.#roundTripMs === 0 ? 0 : this.slots / this.#roundTripMs;
  }

  /**
   * One reply: dispatch to reply here, run time as the runner measured it, and how many were in flight at the
   * replica when it was sent and when its reply came, itself included. Returns whether `slots` has changed.
   */
  observe(nowMs: number, roundTripMs: number, runUs: number, sentInto: number, outstanding: number): boolean {
    const dispatchedMs = nowMs - roundTripMs;
    if (dispatchedMs - this.#lastMs > idleHalfLifeMs) this.#forget(dispatchedMs - this.#lastMs);
    this.#lastMs = nowMs;
    const runMs = runUs / 1000;
    const waitMs = roundTripMs > runMs ? roundTripMs - runMs : 0;
    if (this.#seen < typicalSamples) this.#seen++;
    this.#roundTripMs += (roundTripMs - this.#roundTripMs) / this.#seen;
    this.#typicalRunMs += (runMs - this.#typicalRunMs) / this.#seen;
    if (this.#sinceMs === -Infinity) this.#sinceMs = dispatchedMs;
    // Counted by when they end, or the short among them would seem to be all there are; only the first large steps,
    // which must be quick, go by when they were sent.
    if (this.#stride > strideSmall ? dispatchedMs < this.#sinceMs : nowMs < this.#settledMs) return false;
    this.#count++;
    if (outstanding >= this.slots) this.#full++;
    this.#sentInto += sentInto;
    this.#waitMs += waitMs;
    this.#runMs += runMs;
    this.#runSquares += runMs * runMs;
    if (waitMs < this.#baseWaitMs && sentInto <= this.#floor) this.#baseWaitMs = waitMs;
    const isJudged = this.#count >= this.#samples && nowMs >= this.#judgedMs;
    const isLate = this.#count >= carefulSamples && nowMs - this.#sinceMs >= levelMsMax;
    return isJudged || isLate ? this.#step(nowMs) : false;
  }

  /** A request that ran into its deadline here. When many do, the level is too high whatever the others took. */
  lose(): void {
    this.#lost++;
  }

  #step(nowMs: number): boolean {
    const before = this.slots;
    const count = this.#count;
    const waitMs = this.#waitMs / count;
    const runMs = this.#runMs / count;
    const roundTripMs = waitMs + runMs;
    const level: Level = { slots: before, sentInto: this.#sentInto / count, waitMs, runMs };
    if (this.adaptive) {
      if (runMs < this.#leastRunMs) this.#leastRunMs = runMs;
      const queueMs = waitMs - this.#baseMs(nowMs);
      const toleratedMs = Math.max(queueMsTolerated, Math.max(runMs, this.#typicalRunMs) * queueRunShare);
      if (this.#lost * 10 > count) this.#cut(0, before, nowMs);
      else if (queueMs > toleratedMs) {
        this.#cut(level.sentInto * (1 - (queueMs - toleratedMs) / roundTripMs), level.sentInto, nowMs);
      } else if (level.sentInto > before * 1.1) {
        // Still what was sent before the last step down.
      } else if (this.#full * 2 >= count) this.#climb(level, nowMs);
      else this.#unasked(level, nowMs);
    }
    this.#clear(nowMs);
    return this.slots !== before;
  }

  /** Down to what keeps the queue within its bound, by at most half at once: one bad moment isn't the rule. */
  #cut(target: number, sentInto: number, nowMs: number): void {
    this.#set(Math.min(this.slots, Math.max(target, Math.min(this.slots, sentInto) / 2)));
    this.#reference = null;
    this.#stride = strideSmall;
    this.#direction = -1;
    this.#hold(nowMs, holdMsMin);
  }

  /** Steps on while steps pay; back to the level before, and to rest there for a while, when one doesn't. */
  #climb(level: Level, nowMs: number): void {
    const reference = this.#reference;
    if (reference === null || reference.slots === level.slots) {
      if (reference !== null && hasRecovered(reference, level)) this.#startAnew();
      const isHeld = nowMs < this.#holdUntilMs && (reference === null || !isOther(reference, level));
      this.#reference = reference === null ? level : blend(reference, level);
      if (!isHeld) this.#probe();
      return;
    }
    const direction = this.#elasticity(reference, level) > elasticityMin ? 1 : -1;
    if (direction === this.#direction) {
      this.#reference = level;
      this.#holdMs = holdMsMin;
      this.#stride = Math.min(direction === 1 ? strideLarge : 2, this.#stride * 2);
      return this.#probe();
    }
    this.#set(reference.slots);
    if (this.#direction === -1) this.#leastRunMs = Math.max(this.#leastRunMs, reference.runMs);
    if (this.#stride > strideSmall) {
      // Overshot: the best is between, and smaller steps go there from where it was still good.
      this.#stride = strideSmall;
      this.#reference = null;
      return;
    }
    this.#direction = direction;
    this.#hold(nowMs, this.#holdMs);
    this.#holdMs = Math.min(holdMsMax, this.#holdMs * 2);
  }

  /**
   * Nobody asks for more, and a probe under way has no answer. Unless runs have grown with what is in flight: then the
   * limit comes down to what is used, so that a step below it shows whether that many are of any use.
   */
  #unasked(level: Level, nowMs: number): void {
    this.#reference = null;
    const isCrowded = level.runMs > crowdedFactor * this.#leastRunMs && level.sentInto > this.#floor;
    if (!isCrowded || nowMs < this.#holdUntilMs) return;
    this.#set(Math.min(this.slots, level.sentInto));
    this.#stride = strideSmall;
    this.#direction = -1;
  }

  /** What was learned while it was slow says nothing of now: up at once, in large steps. */
  #startAnew(): void {
    this.#stride = 2;
    this.#direction = 1;
    this.#holdMs = holdMsMin;
    this.#holdUntilMs = -Infinity;
  }

  /** Another level, compared with `#reference` when it has been measured. */
  #probe(): void {
    if (this.slots <= this.#floor) this.#direction = 1;
    else if (this.slots >= adaptiveSlotsMax) this.#direction = -1;
    this.#set(this.#direction === 1 ? this.slots * this.#stride : this.slots / this.#stride);
  }

  /** d ln(throughput) / d ln(slots) between two levels: 1, each slot brings its share; 0, only latency. */
  #elasticity(from: Level, to: Level): number {
    const count = this.#count;
    const variance = Math.max(0, this.#runSquares / count - to.runMs * to.runMs);
    // Functions of several kinds make the mean run time jump; only what is no chance (three standard errors) counts.
    const grownMs = to.runMs - from.runMs;
    const runGrownMs = grownMs * grownMs > (9 * variance) / count ? grownMs : 0;
    const fromMs = from.waitMs + from.runMs;
    const toMs = Math.max(fromMs / 1000, fromMs + to.waitMs - from.waitMs + runGrownMs);
    if (to.sentInto === from.sentInto) return 0;
    return 1 - Math.log(toMs / fromMs) / Math.log(to.sentInto / from.sentInto);
  }

  /** The way there and back without a queue: the least of what few in flight took, which every deep cut renews. */
  #baseMs(nowMs: number): number {
    const baseMs = Math.min(this.#baseWaitMs, this.#baseBeforeMs);
    if (nowMs - this.#baseSinceMs > baseMsMax && this.#baseWaitMs < Infinity) {
      this.#baseBeforeMs = this.#baseWaitMs;
      this.#baseWaitMs = Infinity;
      this.#baseSinceMs = nowMs;
    }
    return baseMs === Infinity ? 0 : baseMs;
  }

  #forget(idleMs: number): void {
    if (!this.adaptive) return;
    const kept = 0.5 ** (idleMs / idleHalfLifeMs);
    this.#set(this.#floor + (this.slots - this.#floor) * kept);
    this.#reference = null;
  }

  #hold(nowMs: number, holdMs: number): void {
    this.#holdUntilMs = nowMs + holdMs;
  }

  #set(slots: number): void {
    // Rounding away from the present value, so that a small stride is one.
    const whole = slots > this.slots ? Math.ceil(slots) : Math.floor(slots);
    this.slots = Math.max(this.#floor, Math.min(adaptiveSlotsMax, whole));
  }

  #clear(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#count = this.#lost = this.#full = 0;
    this.#sentInto =
      this.#waitMs =
      this.#runMs =
      this.#runSquares =
        0;
    const isCareful = this.#stride <= strideSmall;
    this.#hasSettled ||= isCareful;
    this.#samples = Math.min(levelSamplesMax, isCareful ? Math.max(carefulSamples, this.slots) : this.slots);
    this.#settledMs = nowMs + Math.min(levelMsMax / 2, this.#roundTripMs);
    this.#judgedMs = nowMs + Math.max(levelMsMin, this.#roundTripMs * (isCareful ? carefulRoundTrips : 1));
  }
}

/** Other functions are asked for than when the reference was measured. */
function isOther(reference: Level, level: Level): boolean {
  return level.runMs > 2 * (reference.runMs + reference.waitMs) ||
    (level.runMs < reference.runMs / 2 && reference.runMs > runMsTold);
}

/** The same takes so much less than it did that the replica must have been slow before. */
function hasRecovered(reference: Level, level: Level): boolean {
  return (level.waitMs + level.runMs) * recoveredFactor < reference.waitMs + reference.runMs;
}

function blend(older: Level, newer: Level): Level {
  const blended = (from: number, to: number) => from + (to - from) / 4;
  return {
    slots: newer.slots,
    sentInto: blended(older.sentInto, newer.sentInto),
    waitMs: blended(older.waitMs, newer.waitMs),
    runMs: blended(older.runMs, newer.runMs),
  };
}
