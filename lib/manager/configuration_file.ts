/**
 * The configuration file in force: read at the start, watched, read again on SIGHUP. A good change is applied; a bad
 * one is refused whole, told in the log, the events and the dashboard, and what was in force stays.
 */
import { dirname, resolve } from "node:path";
import type { BuildModuleSets } from "../deployment/module_builder.ts";
import {
  type Configuration,
  describeConfigurationError,
  parseConfiguration,
} from "../deployment/specification.ts";
import { type ConfigurationWatch, watchConfiguration } from "../deployment/watch.ts";
import { describeError, SqwishError } from "../errors.ts";
import type { Clock } from "../clock.ts";
import { buildSets } from "./build_sets.ts";
import type { Deployments } from "./deployments.ts";
import type { RecordEvent } from "./events.ts";
import { counted } from "../words.ts";

export interface ConfigurationFileOptions {
  file: string;
  clock: Clock;
  deployments: Deployments;
  record: RecordEvent;
  /** Everything but the replicaSets of a file that is now in force. */
  applied(configuration: Configuration): void;
  /** What of such a file takes effect at the next start only, in words; "": nothing. */
  waiting(configuration: Configuration): string;
}

/** Reads and validates the file. Throws `invalid_request` with every error in `details.errors`. */
export async function readConfiguration(file: string): Promise<Configuration> {
  let text: string;
  try {
    text = await Deno.readTextFile(file);
  } catch (cause) {
    throw new SqwishError("invalid_request", `The configuration file ${file} can't be read`, { cause });
  }
  const parsed = parseConfiguration(text, { file });
  if (parsed.ok) return parsed.configuration;
  const lines = parsed.errors.map((error) => describeConfigurationError(error, file));
  throw new SqwishError(
    "invalid_request",
    `The configuration file ${file} has ${counted(lines.length, "error")}`,
    {
      details: { errors: lines },
    },
  );
}

/** Validates the file and its modules without effect: every error in words, and what it holds when there is none. */
export async function checkConfiguration(
  file: string,
  build: BuildModuleSets,
): Promise<{ errors: string[]; summary: string }> {
  try {
    const configuration = await readConfiguration(file);
    const { errors } = await buildSets(build, configuration.replicaSets, dirname(resolve(file)));
    const names = configuration.replicaSets.map((set) => `${set.name} ${set.version}`);
    return { errors, summary: names.length === 0 ? "no replicaSets" : names.join(", ") };
  } catch (thrown) {
    if (!(thrown instanceof SqwishError)) throw thrown;
    return { errors: thrown.details.errors as string[] | undefined ?? [describeError(thrown)], summary: "" };
  }
}

export class ConfigurationFile {
  readonly #options: ConfigurationFileOptions;
  #errors: string[] = [];
  #waiting = "";
  #watched = new Set<string>();
  #watcher: ConfigurationWatch | null = null;
  /** Applying is slow (types are stripped); changes that come meanwhile make it run once more. */
  #running: Promise<void> | null = null;
  #again = false;
  #closed = false;

  constructor(options: ConfigurationFileOptions) {
    this.#options = options;
  }

  /** Of the last file that was refused; empty when the newest is in force. */
  get errors(): readonly string[] {
    return this.#errors;
  }

  /** Reads and applies the file, and does so again after each change of it or of a module that it uses. */
  async start(): Promise<void> {
    const { clock, record } = this.#options;
    this.#watcher = watchConfiguration({
      clock,
      onChange: () => void this.reload(),
      onError: (folder) =>
        record(
          "warn",
          "configuration_unwatched",
          "",
          `${folder} can't be watched; send SIGHUP after a change`,
        ),
    });
    // Before it is read, so that an edit meanwhile is not missed.
    this.#watcher.watch([this.#options.file]);
    await this.reload();
  }

  /** Reads and applies the file now. Never throws: a refusal is recorded. */
  reload(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    if (this.#running) {
      this.#again = true;
      return this.#running;
    }
    this.#running = this.#reloadUntilQuiet().finally(() => this.#running = null);
    return this.#running;
  }

  /** Stops watching; what is being applied is waited for, so that nothing is stored later. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#watcher?.close();
    await this.#running;
  }

  async #reloadUntilQuiet(): Promise<void> {
    do {
      this.#again = false;
      await this.#reloadOnce();
    } while (this.#again && !this.#closed);
  }

  async #reloadOnce(): Promise<void> {
    const file = resolve(this.#options.file);
    const base = dirname(file);
    const watched = [file];
    let errors: string[];
    try {
      const configuration = await readConfiguration(file);
      const { replicaSets } = configuration;
      const applied = await this.#options.deployments.applyFile(replicaSets, base);
      errors = applied.errors;
      if (errors.length === 0 && !this.#closed) {
        this.#options.applied(configuration);
        this.#tellWaiting(this.#options.waiting(configuration));
      }
      watched.push(
        ...replicaSets.flatMap((set) => set.modules).map((path) => resolve(base, path)),
        ...applied.files,
      );
    } catch (thrown) {
      const told = thrown instanceof SqwishError ? thrown.details.errors as string[] | undefined : undefined;
      // A full disk for instance: what was in force stays, as with any other refusal.
      errors = told ?? [describeError(thrown)];
    }
    if (this.#closed) return;
    // A refused file doesn't tell all that it needs, a vanished library for instance: what was watched before still counts.
    this.#watched = new Set(errors.length > 0 ? [...this.#watched, ...watched] : watched);
    this.#watcher?.watch([...this.#watched]);
    this.#tell(errors);
  }

  /** Told when it changes, so that nobody is surprised at the next start. */
  #tellWaiting(waiting: string): void {
    if (waiting === this.#waiting) return;
    this.#waiting = waiting;
    const { record } = this.#options;
    if (waiting === "") {
      record(
        "info",
        "configuration_waiting",
        "",
        "No change of the configuration file waits for a start any more",
      );
    } else record("warn", "configuration_waiting", "", waiting);
  }

  #tell(errors: string[]): void {
    const { record } = this.#options;
    if (errors.length === 0) {
      if (this.#errors.length > 0) {
        record("info", "configuration_accepted", "", "The configuration file is good again and in force");
      }
    } else if (errors.join("\n") !== this.#errors.join("\n")) {
      record(
        "error",
        "configuration_refused",
        "",
        `The configuration file is refused, the last good one stays: ${errors.join(" · ")}`,
      );
    }
    this.#errors = errors;
  }
}
