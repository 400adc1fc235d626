/**
 * The settings that a manager takes over only when it starts. While it runs, a configuration file that has others is
 * told of: from the file's reload → here → an event, and for `manager diff`. Pure.
 */
import { resolve } from "node:path";
import { diffLines } from "../deployment/difference.ts";
import type { Configuration } from "../deployment/specification.ts";
import type { ChangeView } from "../protocol/views.ts";

export const dataFolderDefault = "./sqwish-data";
const listenDefault = "0.0.0.0:7443";

type FromCommandLine = "listen" | "data";
type FromFile = Partial<Pick<Configuration, "listen" | "advertise" | "data" | "cluster">>;

/** As a manager has started with them. */
export interface StartSettings {
  listen: string;
  advertise: string[];
  /** Absolute, as is what it would be if nobody named one: that goes by where the manager was started. */
  data: string;
  dataDefault: string;
  /** Absent: as it is stored. A file always has one. */
  cluster?: string;
  /** Those that the command line gave: the file's don't count. */
  fromCommandLine: FromCommandLine[];
}

export function startSettings(
  options: { [Key in FromCommandLine]?: string },
  file: FromFile | undefined,
): StartSettings {
  return {
    listen: options.listen ?? file?.listen ?? listenDefault,
    advertise: file?.advertise ?? [],
    data: resolve(options.data ?? file?.data ?? dataFolderDefault),
    dataDefault: resolve(dataFolderDefault),
    ...(file?.cluster === undefined ? {} : { cluster: file.cluster }),
    fromCommandLine: (["listen", "data"] as const).filter((key) => options[key] !== undefined),
  };
}

/** What the same command line would start differently with this file. */
export function waitingChanges(started: StartSettings, file: FromFile): ChangeView[] {
  const kept = Object.fromEntries(started.fromCommandLine.map((key) => [key, started[key]]));
  const next = startSettings(kept, { ...file, data: file.data ?? started.dataDefault });
  return (["cluster", "listen", "advertise", "data"] as const).flatMap((path): ChangeView[] => {
    const [before, after] = [JSON.stringify(started[path]), JSON.stringify(next[path])];
    return before === after || after === undefined ? [] : [{ path, ...(before ? { before } : {}), after }];
  });
}

/** For the event; "" when nothing waits. */
export function waitingInWords(changes: readonly ChangeView[], addresses: readonly string[]): string {
  if (changes.length === 0) return "";
  const told = changes.map(({ path, before, after }) => `${path} ${before ? `${before} → ` : ""}${after}`);
  return [
    `The configuration file has changes that take effect at the next start: ${told.join(", ")}`,
    ...consequences(changes, addresses),
  ].join("; ");
}

/** For `manager diff`. */
export function waitingLines(changes: readonly ChangeView[], addresses: readonly string[]): string[] {
  if (changes.length === 0) return [];
  return [
    "the manager: takes effect at its next start",
    ...diffLines(changes),
    ...consequences(changes, addresses),
  ];
}

function consequences(changes: readonly ChangeView[], addresses: readonly string[]): string[] {
  const changed = new Set(changes.map(({ path }) => path));
  return [
    ...(changed.has("listen") || changed.has("advertise")
      ? [`agents and clients that have joined know only ${addresses.join(", ")}`]
      : []),
    ...(changed.has("data") ? ["the cluster does not move along; copy its folder while it is stopped"] : []),
  ];
}
