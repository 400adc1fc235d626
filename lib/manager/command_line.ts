/**
 * The manager's command line: serve (the default), check, token, user, backup, restore. Commands beside `serve` open
 * the data folder next to a running manager, which sees their changes at once.
 */
import { type Command, createProgram, durationMs, runProgram, UsageError } from "../cli/arguments.ts";
import { formatTable } from "../cli/tables.ts";
import { userKind } from "../cli/views.ts";
import { createTerminal, type Terminal } from "../cli/terminal.ts";
import { createSystemClock } from "../clock.ts";
import { buildInWorker } from "../deployment/module_builder.ts";
import { describeError, SqwishError } from "../errors.ts";
import { createSystemRandom } from "../random.ts";
import { isRole, roles } from "../security/access.ts";
import { checkpoint } from "../store/checkpoint.ts";
import { requireStore } from "../store/data_folder.ts";
import { openStore, type Store } from "../store/store.ts";
import { restoreStore } from "../store/backup.ts";
import { fingerprintOf } from "../security/certificates.ts";
import { version } from "../version.ts";
import { Accounts } from "./accounts.ts";
import { parseListen } from "./addresses.ts";
import { answerBuildTask, buildArgument } from "./build_process.ts";
import { answerCertificateTask, certifyArgument } from "./certificate_process.ts";
import { diffConfiguration } from "./configuration_diff.ts";
import { History } from "../metrics/history.ts";
import { wasCalledBefore } from "./endpoint_guard.ts";
import { checkpointArgument } from "./checkpoint_process.ts";
import { readConfiguration } from "./configuration_file.ts";
import { dataFolderDefault, type StartSettings, waitingChanges, waitingLines } from "./start_settings.ts";
import { type CreateManager, requireGoodConfiguration, serve, type ServeOptions } from "./serve.ts";

interface DataOptions {
  data?: string;
  config?: string;
}

export async function main(
  argv: string[],
  createManager: CreateManager,
  terminal: Terminal = createTerminal(),
): Promise<number> {
  if (argv[0] === buildArgument) {
    await answerBuildTask();
    return 0;
  }
  if (argv[0] === certifyArgument) {
    await answerCertificateTask();
    return 0;
  }
  if (argv[0] === checkpointArgument) {
    checkpoint(argv[1]);
    return 0;
  }
  const program = createProgram({
    name: "manager",
    description: "Runs a Sqwish cluster: agents and clients connect to it.",
    version,
    examples: [
      "manager                                    start a cluster here, on port 7443",
      "manager --config cluster.jsonc             with replicaSets from a file",
      "manager token agent --expires 24h --once   a join token for one more machine",
      "manager user add ada --role operator",
    ],
  });
  program
    .option("--config <file>", "configuration file (JSON with comments); watched for changes")
    .option("--data <folder>", `where the cluster's state is kept (default: ${dataFolderDefault})`)
    .option("--listen <host:port>", "address to listen at (default: 0.0.0.0:7443)", listenText)
    .option("--ready-file <file>", "write the address and join tokens to a file once ready, for scripts")
    .option("--verbose", "log more")
    .option("--log-json", "log lines as JSON")
    .action((options: ServeOptions) => serve(options, terminal, createManager));
  addCheck(program, terminal);
  addDiff(program, terminal);
  addToken(program, terminal);
  addUser(program, terminal);
  addBackup(program, terminal);
  return await runProgram(program, argv, {
    writeError: (line) => terminal.writeError(`${line}\n`),
    showCodes: true,
  });
}

/** Checked while the command line is read: a mistake in it is wrong usage, one in a file is not. */
function listenText(text: string): string {
  try {
    parseListen(text);
    return text;
  } catch (thrown) {
    throw new UsageError(`--${describeError(thrown)}`);
  }
}

function withData(command: Command): Command {
  return command
    .option("--data <folder>", `the cluster's data folder (default: ${dataFolderDefault})`)
    .option("--config <file>", "configuration file that names the data folder");
}

function addCheck(program: Command, terminal: Terminal): void {
  program.command("check")
    .description("Validates a configuration file and its modules; starts nothing.")
    .requiredOption("--config <file>", "the file to check")
    .action(async ({ config }: { config: string }) => {
      terminal.writeOut(
        `${config} is good: ${await requireGoodConfiguration(config, terminal, buildInWorker)}\n`,
      );
    });
}

function addDiff(program: Command, terminal: Terminal): void {
  withData(
    program.command("diff").description("Prints what a configuration file would change; changes nothing."),
  )
    .action((options: DataOptions) => {
      const { config } = options;
      if (config === undefined) throw new UsageError("diff needs --config FILE");
      return withStore(options, async (store) => {
        const nowMs = createSystemClock().nowMs();
        const history = new History(store.samples);
        const wasCalled = (endpoint: string) => wasCalledBefore(history, endpoint, nowMs);
        const { text, refusals } = await diffConfiguration(
          config,
          store.deployments,
          buildInWorker,
          wasCalled,
        );
        terminal.writeOut(text);
        terminal.writeOut(await waitingText(config, store));
        if (refusals.length > 0) {
          throw new SqwishError("conflict", `It would be refused: ${refusals.join("; ")}`);
        }
      });
    });
}

/** Lines for what the file changes that the manager takes over at its next start only. */
async function waitingText(file: string, { settings }: Store): Promise<string> {
  const started = settings.get<StartSettings>("startSettings");
  if (started === undefined) return "";
  const changes = waitingChanges(started, await readConfiguration(file));
  const lines = waitingLines(changes, settings.get<string[]>("addresses") ?? []);
  return lines.map((line) => `${line}\n`).join("");
}

function addToken(program: Command, terminal: Terminal): void {
  withData(
    program.command("token")
      .description("Prints a join token.")
      .argument("<role>", "agent or client")
      .option(
        "--expires <duration>",
        "how long it may be used, e.g. 24h (default: for ever)",
        durationMs({ min: 1000 }),
      )
      .option("--once", "good for one join")
      .option("--role <role>", "what a client may do: admin, operator, client, viewer", "client"),
  ).action((role: string, options: DataOptions & { expires?: number; once?: boolean; role: string }) => {
    const access = options.role;
    if (!isRole(access) || access === "agent") {
      throw new UsageError(`--role is admin, operator, client or viewer, not ${access}`);
    }
    if (role !== "agent" && role !== "client") {
      throw new UsageError(`a token is for agent or client, not ${role}`);
    }
    return withStore(options, async (store, accounts) => {
      const authority = store.settings.get<{ caCertPem: string }>("authority");
      const addresses = store.settings.get<string[]>("addresses");
      if (!authority || !addresses) {
        throw new SqwishError(
          "conflict",
          "There is no cluster in this data folder yet; start the manager once first",
        );
      }
      const fingerprint = fingerprintOf(authority.caCertPem);
      const token = {
        role,
        access,
        lifetimeMs: options.expires,
        once: options.once ?? false,
        addresses,
        fingerprint,
      } as const;
      terminal.writeOut(`${await accounts.createToken(token)}\n`);
    });
  });
}

function addUser(program: Command, terminal: Terminal): void {
  const user = program.command("user").description("Adds, lists and removes users.");
  withData(
    user.command("add").description(
      "Adds a user and prints the password, unless it is given on standard input.",
    )
      .argument("<name>")
      .requiredOption("--role <role>", roles.join(", "))
      .option("--endpoint <pattern...>", "what a client may invoke: *, set/*, set/function (default: *)")
      .option("--password-stdin", "read the password from standard input"),
  ).action(
    (name: string, options: DataOptions & { role: string; endpoint?: string[]; passwordStdin?: boolean }) => {
      const { role } = options;
      if (!isRole(role)) throw new UsageError(`a role is one of ${roles.join(", ")}, not ${role}`);
      return withStore(options, async (_store, accounts) => {
        const given = await readPassword(terminal, options.passwordStdin);
        const { password } = await accounts.add({
          name,
          role,
          endpoints: options.endpoint ?? [],
          password: given,
        });
        confirm(terminal, given === undefined ? password : undefined, `${name}: added as ${role}`);
      });
    },
  );
  withData(user.command("list").description("Lists users.").option("--json", "for machines"))
    .action((options: DataOptions & { json?: boolean }) =>
      withStore(options, (_store, accounts) => {
        const users = accounts.list();
        if (options.json) return terminal.writeOut(`${JSON.stringify({ users }, null, 2)}\n`);
        terminal.writeOut(
          formatTable(users, userKind.columns, { width: terminal.width(), colours: terminal.colours }),
        );
      })
    );
  withData(user.command("remove").description("Removes a user; its sessions end at once.").argument("<name>"))
    .action((name: string, options: DataOptions) =>
      withStore(options, (_store, accounts) => {
        accounts.remove(name);
        confirm(terminal, undefined, `${name}: removed`);
      })
    );
  withData(
    user.command("passwd").description(
      "Sets a new password and prints it, unless it is given on standard input.",
    )
      .argument("<name>")
      .option("--password-stdin", "read the password from standard input"),
  ).action((name: string, options: DataOptions & { passwordStdin?: boolean }) =>
    withStore(options, async (_store, accounts) => {
      const given = await readPassword(terminal, options.passwordStdin);
      const { password } = await accounts.setPassword(name, given);
      confirm(terminal, given === undefined ? password : undefined, `${name}: the password is changed`);
    })
  );
}

/** Says what was done. Where a password goes to standard output, a script's pipe gets it alone. */
function confirm(terminal: Terminal, password: string | undefined, done: string): void {
  if (password === undefined) return terminal.writeOut(`${done}\n`);
  terminal.writeOut(`${password}\n`);
  terminal.writeError(`${done}\n`);
}

function addBackup(program: Command, terminal: Terminal): void {
  withData(
    program.command("backup").description("Writes the whole cluster into one file, while it runs.").argument(
      "<file>",
    ),
  )
    .action((file: string, options: DataOptions) =>
      withStore(options, (store) => {
        store.backup(file);
        terminal.writeOut(
          `The cluster is in ${file}; it holds keys and passwords, keep it as safe as the data folder\n`,
        );
      })
    );
  withData(program.command("restore").description("Makes a data folder from a backup.").argument("<file>"))
    .action(async (file: string, options: DataOptions) => {
      const folder = await dataFolderOf(options);
      restoreStore(file, folder);
      terminal.writeOut(`The cluster of ${file} is in ${folder}; start it with --data ${folder}\n`);
    });
}

async function withStore(
  options: DataOptions,
  action: (store: Store, accounts: Accounts) => void | Promise<void>,
): Promise<void> {
  const folder = await dataFolderOf(options);
  requireStore(folder);
  const store = openStore({ folder, shared: true });
  try {
    await action(
      store,
      new Accounts({ users: store.users, clock: createSystemClock(), random: createSystemRandom() }),
    );
  } finally {
    store.close();
  }
}

async function dataFolderOf(options: DataOptions): Promise<string> {
  if (options.data !== undefined) return options.data;
  const configured = options.config === undefined
    ? undefined
    : (await readConfiguration(options.config)).data;
  return configured ?? dataFolderDefault;
}

async function readPassword(terminal: Terminal, wanted: boolean | undefined): Promise<string | undefined> {
  if (!wanted) return undefined;
  return new TextDecoder().decode(await terminal.readInput()).replace(/\r?\n$/, "");
}
