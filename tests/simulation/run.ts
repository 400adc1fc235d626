/** Runs seeds one after the other, each in a turn of the real event loop of its own. */
import { SimulatedCrash } from "./manager.ts";
import { type RunOptions, type RunResult, runSeed } from "./world.ts";

/** Errors that nobody caught. In a real program each would end it. */
class StrayErrors {
  first: string | null = null;
  readonly #onError = (event: Event) => this.#note(event, (event as ErrorEvent).error);
  readonly #onRejection = (event: Event) => this.#note(event, (event as PromiseRejectionEvent).reason);

  constructor() {
    globalThis.addEventListener("error", this.#onError);
    globalThis.addEventListener("unhandledrejection", this.#onRejection);
  }

  close(): void {
    globalThis.removeEventListener("error", this.#onError);
    globalThis.removeEventListener("unhandledrejection", this.#onRejection);
  }

  #note(event: Event, thrown: unknown): void {
    event.preventDefault();
    // The process that this happens in has ended already.
    for (let at = thrown; at instanceof Error; at = at.cause) if (at instanceof SimulatedCrash) return;
    this.first ??= thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown);
  }
}

export async function simulate(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const errors = new StrayErrors();
  const { stackTraceLimit } = Error;
  // Modules fail all the time; where in the simulator they do is of interest to nobody but who replays a seed.
  if (!options.trace) Error.stackTraceLimit = 0;
  try {
    const result = await new Promise<RunResult>((resolve) =>
      setTimeout(() => resolve(runSeed(seed, options)), 0)
    );
    // Rejections that nobody handles are told at the end of the turn.
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (errors.first === null) return result;
    return {
      ...result,
      failure: result.failure ?? { checker: "no stray errors", message: errors.first, atMs: 0 },
    };
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    errors.close();
  }
}
