/**
 * The manager's whole memory in one SQLite file: users, keys, agents, replicaSets with their modules, events,
 * logs and samples. `manager.ts` opens it once; everything else is handed the repository it needs.
 * Invariant: every write is a synchronous transaction, so what a method did is committed when it returns.
 */
import { AgentStore } from "./agents.ts";
import { backUp } from "./backup.ts";
import {
  databasePath,
  explain,
  fileBytes,
  lockFolder,
  logPath,
  makeDatabaseFile,
  makeFolder,
  removeEmptyDatabase,
} from "./data_folder.ts";
import { Database, type Durability } from "./database.ts";
import { DeploymentStore } from "./deployments.ts";
import { EventStore } from "./events.ts";
import { LogStore } from "./logs.ts";
import { ReplicaCountStore } from "./replica_counts.ts";
import { isCurrentFormat, migrate } from "./migrate.ts";
import { SampleStore, sampleTables } from "./samples.ts";
import { SettingStore } from "./settings.ts";
import { UserStore } from "./users.ts";

export interface Store {
  readonly settings: SettingStore;
  readonly users: UserStore;
  readonly agents: AgentStore;
  readonly deployments: DeploymentStore;
  readonly events: EventStore;
  readonly logs: LogStore;
  readonly samples: SampleStore;
  readonly replicaCounts: ReplicaCountStore;
  /** All of `work`'s writes, over any repositories, or none. `work` must be synchronous. */
  transaction<T>(work: () => T, durability?: Durability): T;
  /** Resolves when what durable writes did is on the disk. Before that nobody must be told that it is done. */
  synced(): Promise<void>;
  /** What the database takes of the disk, its log included; 0 in memory. */
  sizeBytes(): number;
  /** The log that a checkpoint must bring into the database: its size, and the rows changed since the start. */
  log(): { bytes: number; changes: number };
  /** Writes the whole cluster into the new file `path` (mode 0600) while everything goes on; see `backup.ts`. */
  backup(path: string): void;
  /** Ends all use; calling it again does nothing. */
  close(): void;
}

export interface StoreOptions {
  /** Made when missing, mode 0700. `null`: in memory, gone when closed. */
  folder: string | null;
  /**
   * True for commands that run beside a manager (`manager user add`): takes no lock, unless the data must
   * first be brought to this program's format, which needs the folder alone.
   */
  shared?: boolean;
  /** True for a manager that serves: its thread must not wait for a disk. See `checkpoint.ts`. */
  serving?: boolean;
}

/**
 * Opens the store and brings it to the current format. Throws `conflict` when another manager holds the folder or
 * the data is of a newer format, `invalid_request` when the folder can't be written, `internal` when the data is
 * damaged; each says what to do.
 */
export function openStore(options: StoreOptions): Store {
  const folder = options.folder;
  if (folder === null) {
    const database = new Database(":memory:");
    migrate(database, "memory");
    return assemble(database, null, () => {});
  }
  makeFolder(folder);
  let release = options.shared ? undefined : lockFolder(folder);
  let database: Database | undefined;
  let isNew = false;
  try {
    isNew = makeDatabaseFile(folder);
    database = new Database(databasePath(folder), options.serving);
    if (options.shared && !isCurrentFormat(database)) release = lockFolder(folder);
    if (options.serving) requireIntact(database);
    migrate(database, folder);
    if (options.shared) {
      release?.();
      release = undefined;
    }
    return assemble(database, databasePath(folder), release ?? (() => {}));
  } catch (thrown) {
    database?.close();
    if (isNew) removeEmptyDatabase(folder);
    release?.();
    throw explain(thrown, folder);
  }
}

/**
 * Reads once what the cluster stands on: half a one that seems to be whole would be worse than none. Not the samples,
 * which are most of a large database, and of which damage costs no more than a part of a chart.
 */
function requireIntact(database: Database): void {
  for (const table of database.tables()) {
    const found = sampleTables.includes(table)
      ? "ok"
      : database.scalar(`PRAGMA quick_check(${JSON.stringify(table)})`);
    if (found !== "ok") throw new Error(`database disk image is malformed: ${found}`);
  }
}

function assemble(database: Database, path: string | null, release: () => void): Store {
  let open = true;
  return {
    settings: new SettingStore(database),
    users: new UserStore(database),
    agents: new AgentStore(database),
    deployments: new DeploymentStore(database),
    events: new EventStore(database),
    logs: new LogStore(database),
    samples: new SampleStore(database),
    replicaCounts: new ReplicaCountStore(database),
    transaction: (work, durability) => database.transaction(work, durability),
    synced: () => database.synced(),
    sizeBytes: () => path === null ? 0 : fileBytes(path) + fileBytes(logPath(path)),
    log: () => ({ bytes: path === null ? 0 : fileBytes(logPath(path)), changes: database.changes }),
    backup: (path) => backUp(database, path),
    close() {
      if (!open) return;
      open = false;
      database.close();
      release();
    },
  };
}
