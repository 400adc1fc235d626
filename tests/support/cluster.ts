/**
 * A real cluster for tests: one manager and any number of agents as processes of their own, over real TLS on loopback,
 * from source or from compiled binaries. Everything is ended and removed by `close()`.
 */
import { connect, type Sqwish } from "../../client.ts";
import { eventually } from "./eventually.ts";

export interface ClusterOptions {
  agents?: number;
  /** Text of a configuration file; `folder` is where its relative paths lead. */
  configuration?: string;
  folder?: string;
  /** Folder with `manager`, `agent` and `client`; from source when absent. */
  binaries?: string;
  /** Extra arguments of the manager, and of every agent. */
  managerArguments?: string[];
  agentArguments?: string[];
  /** The manager's data folder; one of its own when absent. */
  managerFolder?: string;
  /** The host the manager listens on; loopback when absent. */
  host?: string;
  /** Addresses in the certificate and the tokens, when there is no configuration. */
  advertise?: string[];
  /** What a program is started under: a command in front of it, and its environment. By "manager" or an agent's name. */
  under?(name: string): Under;
}

export interface Under {
  prefix?: string[];
  env?: Record<string, string>;
}

interface ReadyFile {
  url: string;
  port: number;
  fingerprint: string;
  adminPassword: string;
  agentToken: string;
  clientToken: string;
}

const root = new URL("../../", import.meta.url).pathname;

/** How to start one of the three programs. */
export function programCommand(name: "manager" | "agent" | "client", binaries?: string): [string, string[]] {
  if (binaries) return [`${binaries}/${name}`, []];
  return [Deno.execPath(), ["run", "-A", "--no-prompt", "--quiet", `${root}${name}.ts`]];
}

/** The command with another in front of it, which must end in an exec: the process id is the program's. */
function prefixed([program, args]: [string, string[]], prefix: string[] = []): [string, string[]] {
  const [first, ...rest] = [...prefix, program];
  return [first, [...rest, ...args]];
}

/** A running program and all that it said. */
export class Program {
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<unknown>;
  output = "";
  status: Deno.CommandStatus | null = null;

  constructor(command: [string, string[]], args: string[], env: Record<string, string> = {}) {
    this.#child = new Deno.Command(command[0], {
      args: [...command[1], ...args],
      env: { NO_COLOR: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#reading = Promise.all([this.#read(this.#child.stdout), this.#read(this.#child.stderr)]);
    void this.#child.status.then((status) => this.status = status);
  }

  get pid(): number {
    return this.#child.pid;
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) this.output += decoder.decode(chunk, { stream: true });
  }

  signal(signal: Deno.Signal): void {
    if (this.status === null) this.#child.kill(signal);
  }

  /** Ends it and waits for its last words. */
  async end(signal: Deno.Signal = "SIGTERM"): Promise<Deno.CommandStatus> {
    try {
      this.signal(signal);
    } catch {
      // It has just ended by itself.
    }
    const timer = setTimeout(() => this.signal("SIGKILL"), 10_000);
    const status = await this.#child.status;
    clearTimeout(timer);
    await this.#reading;
    return status;
  }

  /** Waits for it to end by itself. */
  async finished(): Promise<Deno.CommandStatus> {
    const status = await this.#child.status;
    await this.#reading;
    return status;
  }
}

export class Cluster {
  readonly folder: string;
  readonly options: ClusterOptions;
  manager!: Program;
  ready!: ReadyFile;
  readonly agents = new Map<string, Program>();
  readonly managerFolder: string;
  #connections: Sqwish[] = [];

  constructor(folder: string, options: ClusterOptions) {
    this.folder = folder;
    this.options = options;
    this.managerFolder = options.managerFolder ?? `${folder}/manager`;
  }

  get url(): string {
    return this.options.host === undefined ? this.ready.url : `https://127.0.0.1:${this.port}`;
  }

  get port(): number {
    return this.ready.port;
  }

  get adminPassword(): string {
    return this.ready.adminPassword;
  }

  get configurationFile(): string {
    return `${this.options.folder ?? this.folder}/cluster.jsonc`;
  }

  /** Starts the manager; again after `manager.end()`, on the port it had. */
  async startManager(extra: string[] = []): Promise<void> {
    const readyFile = `${this.folder}/ready-${crypto.randomUUID()}.json`;
    const listen = `${this.options.host ?? "127.0.0.1"}:${this.ready?.port ?? 0}`;
    const args = [
      "--data",
      this.managerFolder,
      "--listen",
      listen,
      "--ready-file",
      readyFile,
      ...extra,
      ...(this.options.managerArguments ?? []),
    ];
    if (this.options.configuration !== undefined) args.push("--config", this.configurationFile);
    const manager = this.#start("manager", "manager", args);
    this.manager = manager;
    await eventually("the manager is ready", async () => {
      if (manager.status) throw new Error(`the manager ended:\n${manager.output}`);
      const text = await Deno.readTextFile(readyFile).catch(() => "");
      if (text) this.ready = { ...this.ready, ...JSON.parse(text) };
      return text !== "";
    }, 60_000);
  }

  /** Starts an agent (again) and does not wait for it to join. */
  startAgent(name: string, extra: string[] = []): Program {
    const args = ["--data", `${this.folder}/${name}`, ...extra, ...(this.options.agentArguments ?? [])];
    const known = this.agents.has(name);
    if (!known) args.push("--join", this.ready.agentToken, "--name", name);
    const agent = this.#start("agent", name, args);
    this.agents.set(name, agent);
    return agent;
  }

  #start(program: "manager" | "agent", name: string, args: string[]): Program {
    const { prefix, env } = this.options.under?.(name) ?? {};
    return new Program(prefixed(programCommand(program, this.options.binaries), prefix), args, env);
  }

  /** Runs the client with the admin's profile and waits for its end. */
  async client(
    args: string[],
    env: Record<string, string> = {},
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const [program, first] = programCommand("client", this.options.binaries);
    const { code, stdout, stderr } = await new Deno.Command(program, {
      args: [...first, ...args],
      stdin: "null",
      env: {
        NO_COLOR: "1",
        SQWISH_PROFILE: `${this.folder}/profile.json`,
        SQWISH_URL: this.url,
        SQWISH_USER: "admin",
        SQWISH_PASSWORD: this.adminPassword,
        SQWISH_FINGERPRINT: this.ready.fingerprint,
        ...env,
      },
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  /** A library connection as the admin, closed with the cluster. */
  async connect(): Promise<Sqwish> {
    const sqwish = await connect({
      url: this.url,
      user: "admin",
      password: this.adminPassword,
      fingerprint: this.ready.fingerprint,
      profileFile: false,
    });
    this.#connections.push(sqwish);
    return sqwish;
  }

  /** `fetch` on the manager as the admin, or as nobody with `user: null`. Trusts the cluster's own CA. */
  async http(
    path: string,
    init: RequestInit & { user?: string | null; password?: string } = {},
  ): Promise<{ status: number; headers: Headers; text: string; bytes: Uint8Array }> {
    const { user = "admin", password = this.adminPassword, ...rest } = init;
    const headers = new Headers(rest.headers);
    if (user !== null && !headers.has("authorization")) {
      headers.set("authorization", `Basic ${btoa(`${user}:${password}`)}`);
    }
    const client = Deno.createHttpClient({ caCerts: [await this.caPem()] });
    try {
      const response = await fetch(`${this.url}${path}`, { ...rest, headers, client } as RequestInit);
      const bytes = new Uint8Array(await response.arrayBuffer());
      return {
        status: response.status,
        headers: response.headers,
        text: new TextDecoder().decode(bytes),
        bytes,
      };
    } finally {
      client.close();
    }
  }

  #caPem: string | undefined;
  async caPem(): Promise<string> {
    const { fetchAuthority } = await import("../../lib/security/certificate_fetch.ts");
    return this.#caPem ??= await fetchAuthority({
      host: "127.0.0.1",
      port: this.port,
      fingerprint: this.ready.fingerprint,
      timeoutMs: 20_000,
    });
  }

  /** The overview as the API shows it. */
  async overview() {
    const { text } = await this.http("/v1/overview");
    return JSON.parse(text) as import("../../lib/protocol/views.ts").OverviewView;
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()));
    await Promise.all([...this.agents.values()].map((agent) => agent.end()));
    await this.manager?.end();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Starts a cluster and waits until every agent has joined and every configured replica is ready. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const cluster = new Cluster(await Deno.makeTempDir({ prefix: "sqwish-test-" }), options);
  try {
    options.configuration ??= options.advertise && JSON.stringify({ advertise: options.advertise });
    if (options.configuration !== undefined) {
      await Deno.writeTextFile(cluster.configurationFile, options.configuration);
    }
    await cluster.startManager();
    const names = Array.from({ length: options.agents ?? 0 }, (_, index) => `agent-${index + 1}`);
    for (const name of names) cluster.startAgent(name);
    await eventually("the cluster is ready", async () => {
      const { agents, replicaSets } = await cluster.overview();
      return agents.filter((agent) => agent.health === "ready").length === names.length &&
        (names.length === 0 ||
          replicaSets.every((set) => set.ready >= set.wanted && set.rollout?.state !== "progressing"));
    }, 120_000);
    return cluster;
  } catch (thrown) {
    const said = [cluster.manager?.output, ...[...cluster.agents.values()].map((agent) => agent.output)].join(
      "\n",
    );
    await cluster.close();
    throw new Error(`the cluster did not start:\n${said}`, { cause: thrown });
  }
}
