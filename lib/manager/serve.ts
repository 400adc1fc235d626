/** `manager` itself: opens the store and the port, prints what a newcomer needs, and runs until it is told to stop. */
import type { Terminal } from "../cli/terminal.ts";
import { createSystemClock } from "../clock.ts";
import type { BuildModuleSets } from "../deployment/module_builder.ts";
import type { Configuration } from "../deployment/specification.ts";
import { limits } from "../limits.ts";
import { createLog, type Log } from "../log.ts";
import { createSystemRandom } from "../random.ts";
import { keepMemorySmall } from "../spare_memory.ts";
import { databasePath, fileExists } from "../store/data_folder.ts";
import { openStore, type Store } from "../store/store.ts";
import type { createManager, Manager } from "../../manager.ts";
import { parseListen } from "./addresses.ts";
import { parseOpenFilesMax } from "../open_files.ts";
import { connectionsMaxFor } from "./open_files.ts";
import { createProcessBuilder } from "./build_process.ts";
import { createProcessCertifier } from "./certificate_process.ts";
import { checkpointInProcess, keepLogShort } from "./checkpoint_process.ts";
import { checkConfiguration, readConfiguration } from "./configuration_file.ts";
import { type Greeting, greetingText } from "./greeting.ts";
import { requireReadyFile, writeReadyFile } from "./ready_file.ts";
import { SqwishError } from "../errors.ts";
import { dataFolderDefault, type StartSettings, startSettings } from "./start_settings.ts";
import { counted } from "../words.ts";

export type CreateManager = typeof createManager;

export interface ServeOptions {
  config?: string;
  data?: string;
  listen?: string;
  readyFile?: string;
  verbose?: boolean;
  logJson?: boolean;
}

/** Resolves when the manager was told to stop and has. */
export async function serve(options: ServeOptions, terminal: Terminal, create: CreateManager): Promise<void> {
  const clock = createSystemClock();
  const random = createSystemRandom();
  const build = createProcessBuilder(Deno.mainModule);
  const log = createLog({
    clock,
    write: (line) => terminal.writeError(`${line}\n`),
    level: options.verbose ? "debug" : "info",
    json: options.logJson,
  });
  // Before there is a cluster, whose first password is told only once.
  if (options.readyFile !== undefined) await requireReadyFile(options.readyFile);
  const configuration = options.config === undefined
    ? undefined
    : await readOrExplain(options.config, terminal);
  const settings = startSettings(options, configuration);
  const listen = parseListen(settings.listen);
  const folder = options.data ?? configuration?.data ?? dataFolderDefault;
  // A new cluster starts whole or not at all. One that ran before comes up with its last good sets, whatever has
  // become of a module since: a machine that restarts at night has nobody to mend it.
  if (options.config !== undefined && !fileExists(databasePath(folder))) {
    await requireGoodConfiguration(options.config, terminal, build);
  }
  const store = openStore({ folder, serving: true });
  let manager: Manager | undefined;
  const stopKeeping = keepLogShort({
    ...{ clock, log, store },
    checkpoint: () => checkpointInProcess(databasePath(folder), Deno.mainModule),
  });
  const stopGivingBack = keepMemorySmall({ clock, log });
  try {
    manager = await create({
      clock,
      random,
      log,
      store,
      build,
      certify: createProcessCertifier(Deno.mainModule),
      listen: { ...listen, connectionsMax: await connectionsMaxHere(log) },
      advertise: configuration?.advertise ?? [],
      cluster: configuration?.cluster,
      configurationFile: options.config,
      startSettings: settings,
    });
    const started = manager;
    store.settings.set("addresses", started.addresses());
    // Without a file the name is the stored one.
    const cluster = store.settings.get<string>("cluster");
    store.settings.set("startSettings", { ...settings, cluster } satisfies StartSettings);
    const dataOptions = { data: options.data, config: configuration?.data && options.config };
    await greet({ ...options, dataOptions }, terminal, started, store);
    log.info("serving", {
      listen: `${listen.host}:${started.port}`,
      addresses: started.addresses().join(" "),
    });
    const reload = () => void started.reload();
    Deno.addSignalListener("SIGHUP", reload);
    await new Promise<void>((resolve) => terminal.onInterrupt(resolve));
    // Whoever asks twice does not want to wait for whatever it is that takes so long.
    terminal.onInterrupt(() => Deno.exit(1));
    log.info("stopping");
  } finally {
    stopKeeping();
    stopGivingBack();
    await manager?.close();
    store.close();
  }
}

/** What the limit on open files leaves room for; says so when that is less than the manager would take. */
async function connectionsMaxHere(log: Log): Promise<number> {
  // Elsewhere than on Linux nobody tells.
  const text = await Deno.readTextFile("/proc/self/limits").catch(() => "");
  const openFilesMax = parseOpenFilesMax(text);
  const openFiles = text === "" ? 0 : [...Deno.readDirSync("/proc/self/fd")].length;
  const connectionsMax = connectionsMaxFor(openFilesMax, openFiles);
  if (connectionsMax < limits.connectionsMax) {
    log.warn(
      "the limit on open files leaves room for few connections; raise it with LimitNOFILE= or ulimit -n",
      {
        openFilesMax,
        connectionsMax,
      },
    );
  }
  return connectionsMax;
}

/** The errors of a refused configuration, a line for each, before the one line of the failure itself. */
async function readOrExplain(file: string, terminal: Terminal): Promise<Configuration> {
  try {
    return await readConfiguration(file);
  } catch (thrown) {
    const errors = thrown instanceof SqwishError ? thrown.details.errors as string[] | undefined : undefined;
    for (const error of errors ?? []) terminal.writeError(`${error}\n`);
    throw thrown;
  }
}

/** Checks a configuration file with its modules; resolves with what it holds in words. Throws after telling every error. */
export async function requireGoodConfiguration(
  file: string,
  terminal: Terminal,
  build: BuildModuleSets,
): Promise<string> {
  const { errors, summary } = await checkConfiguration(file, build);
  if (errors.length === 0) return summary;
  for (const error of errors) terminal.writeError(`${error}\n`);
  throw new SqwishError(
    "invalid_request",
    `The configuration file ${file} has ${counted(errors.length, "error")}`,
  );
}

/** On the first start makes the admin and says everything once; a ready file gets the same for scripts. */
async function greet(
  options: Pick<ServeOptions, "readyFile"> & Pick<Greeting, "dataOptions">,
  terminal: Terminal,
  manager: Manager,
  store: Pick<Store, "synced">,
): Promise<void> {
  const [address] = manager.addresses();
  // Not only at the first start: one that was cut short right here has left nobody who could sign in.
  const needsAdmin = !manager.accounts.list().some((user) => user.role === "admin");
  if (!needsAdmin && options.readyFile === undefined) return;
  const admin = needsAdmin
    ? await manager.accounts.add({ name: "admin", role: "admin", endpoints: [] })
    : undefined;
  const agentToken = await manager.createToken({ role: "agent", once: false });
  const clientToken = await manager.createToken({ role: "client", access: "operator", once: false });
  await store.synced();
  if (admin) {
    const { fingerprint } = manager;
    const { password } = admin;
    const { dataOptions } = options;
    terminal.writeOut(
      greetingText({ address, password, fingerprint, agentToken, clientToken, dataOptions }),
    );
  }
  if (options.readyFile === undefined) return;
  const ready = {
    url: `https://${address}`,
    port: manager.port,
    fingerprint: manager.fingerprint,
    ...(admin ? { adminPassword: admin.password } : {}),
    agentToken,
    clientToken,
  };
  await writeReadyFile(options.readyFile, JSON.stringify(ready) + "\n");
}
