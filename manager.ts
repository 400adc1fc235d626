/**
 * The manager: everyone connects to it; it routes and queues requests, deploys modules, watches health and shows.
 * `createManager(deps)` wires the parts; its command line is in `lib/manager/command_line.ts`.
 */
import { createDashboard } from "./dashboard/serve.ts";
import type { Clock } from "./lib/clock.ts";
import { buildInWorker, type BuildModuleSets } from "./lib/deployment/module_builder.ts";
import type { Log } from "./lib/log.ts";
import { Accounts, type TokenWish } from "./lib/manager/accounts.ts";
import {
  certificateNames,
  reachableAddresses,
  reachableHosts,
  readMachine,
} from "./lib/manager/addresses.ts";
import { main } from "./lib/manager/command_line.ts";
import { ConfigurationFile } from "./lib/manager/configuration_file.ts";
import { type Certify, certifyHere } from "./lib/manager/certificate_process.ts";
import { type Core, createCore } from "./lib/manager/core.ts";
import { Deployments } from "./lib/manager/deployments.ts";
import { createFront } from "./lib/manager/front.ts";
import { keepCertificate, openIdentity } from "./lib/manager/identity.ts";
import { type ListenerOptions, openListener } from "./lib/manager/listener.ts";
import { createSignIn } from "./lib/manager/sign_in.ts";
import { type StartSettings, waitingChanges, waitingInWords } from "./lib/manager/start_settings.ts";
import type { Random } from "./lib/random.ts";
import type { Store } from "./lib/store/store.ts";
import { version } from "./lib/version.ts";

export interface ManagerDeps {
  clock: Clock;
  random: Random;
  log: Log;
  store: Store;
  /** How modules are built; absent: in a Worker. */
  build?: BuildModuleSets;
  /** How certificates are made; absent: here. */
  certify?: Certify;
  listen: Pick<ListenerOptions, "host" | "port" | "connectionsMax">;
  advertise: string[];
  /** Absent: the name stored at the first start, or "sqwish". */
  cluster?: string;
  /** Its replicaSets are applied, now and after every change. */
  configurationFile?: string;
  /** What the file is held against for changes that only the next start takes over. */
  startSettings: StartSettings;
}

export interface Manager {
  readonly port: number;
  readonly fingerprint: string;
  readonly caPem: string;
  /** True when this start made the cluster. */
  readonly firstStart: boolean;
  readonly accounts: Accounts;
  addresses(): string[];
  createToken(token: TokenWish): Promise<string>;
  /** Reads the configuration file again. */
  reload(): Promise<void>;
  close(): Promise<void>;
}

/** Opens the port and resolves when it serves. Throws one clear error when it can't. */
export async function createManager(deps: ManagerDeps): Promise<Manager> {
  const { clock, random, log, store, certify = certifyHere(random) } = deps;
  const hosts = () => reachableHosts(deps.listen.host, deps.advertise, readMachine());
  const names = () => certificateNames(hosts());
  const identity = await openIdentity(store, { ...deps, certify, names: names() });
  const core = createCore({ ...deps, ...identity, version });
  const { record } = core.events;
  const accounts = new Accounts({ users: store.users, clock, random });
  const signIn = createSignIn({ users: store.users, clock, random, sessionKey: identity.sessionKey, record });
  const deployments = createDeployments(deps, core);
  const configuration = deps.configurationFile === undefined ? null : new ConfigurationFile({
    file: deps.configurationFile,
    clock,
    deployments,
    record,
    applied: core.telling.configure,
    waiting: (file) => waitingInWords(waitingChanges(deps.startSettings, file), addresses()),
  });
  const addresses = (): string[] => reachableAddresses(hosts(), listener.port);
  const createToken: Manager["createToken"] = (token) =>
    accounts.createToken({ ...token, addresses: addresses(), fingerprint: identity.fingerprint });
  const front = createFront({
    ...deps,
    version,
    identity,
    core,
    accounts,
    signIn,
    deployments,
    addresses,
    createToken,
    configurationErrors: () => configuration?.errors ?? [],
    dashboard: createDashboard(),
  });
  const { certificate } = identity;
  const listener = await openListener({ ...deps.listen, ...certificate, ...front, clock, log }).catch(
    (thrown) => {
      front.close();
      void core.close();
      throw thrown;
    },
  );
  await configuration?.start();
  const stopRenewing = keepCertificate({ store, clock, certify, record, log, identity, names, listener });
  return {
    port: listener.port,
    fingerprint: identity.fingerprint,
    caPem: identity.authority.caCertPem,
    firstStart: identity.firstStart,
    accounts,
    addresses,
    createToken,
    reload: () => configuration?.reload() ?? Promise.resolve(),
    async close() {
      stopRenewing();
      await configuration?.close();
      front.close();
      await core.close();
      await listener.close();
    },
  };
}

function createDeployments({ clock, store, build = buildInWorker }: ManagerDeps, core: Core): Deployments {
  return new Deployments({
    clock,
    store,
    build,
    record: core.events.record,
    dropped: core.dropped,
    changed: () => core.controller.reload(),
  });
}

if (import.meta.main) Deno.exit(await main(Deno.args, createManager));
