import assert from "node:assert/strict";
import {
  addExamples,
  createProgram,
  durationMs,
  keyValue,
  runProgram,
  UsageError,
  wholeNumber,
} from "../../lib/cli/arguments.ts";
import { SqwishError } from "../../lib/errors.ts";

async function run(
  argv: string[],
  action: (kind: string, options: unknown) => void | Promise<void> = () => {},
) {
  const lines: string[] = [];
  let printed = "";
  const program = createProgram({
    name: "tool",
    description: "A tool.",
    version: "1.2.3",
    examples: ["tool get it"],
  });
  program.configureOutput({ writeOut: (text) => printed += text, writeErr: (text) => printed += text });
  const command = program.command("get").argument("<kind>").option("--json").option(
    "--wait <d>",
    "",
    durationMs(),
  )
    .action(action);
  addExamples(command, ["tool get agents"]);
  const nested = program.command("rollout");
  nested.command("undo").option("--version <v>").action(() => {});
  const code = await runProgram(program, argv, {
    writeError: (line) => lines.push(line),
    showCodes: true,
    advice: (thrown, command) => thrown instanceof SqwishError ? `do ${command} again` : undefined,
    more: (thrown) => thrown instanceof SqwishError ? "  a list" : undefined,
  });
  return { code, lines, printed };
}

Deno.test("`runProgram()` gives 0 when the action is done, and waits for it", async () => {
  let seen: unknown;
  const { code, lines } = await run(["get", "agents", "--json", "--wait", "1.5s"], async (kind, options) => {
    await Promise.resolve();
    seen = { kind, options };
  });
  assert.equal(code, 0);
  assert.deepEqual(seen, { kind: "agents", options: { json: true, wait: 1500 } });
  assert.deepEqual(lines, []);
});

Deno.test("`--help` and `--version` work on the program and on every command", async () => {
  for (const argv of [["--help"], ["get", "--help"], ["rollout", "undo", "--help"], ["help"]]) {
    const { code, printed, lines } = await run(argv);
    assert.equal(code, 0);
    assert.match(printed, /^Usage: tool/);
    assert.deepEqual(lines, []);
  }
  assert.match((await run(["get", "--help"])).printed, /Examples:\n {2}tool get agents/);
  assert.equal((await run(["--version"])).printed, "1.2.3\n");
  assert.equal((await run(["get", "--version"])).printed, "1.2.3\n");
});

Deno.test("an empty name of a file or folder is wrong usage, for options and arguments of every command", async () => {
  const ran: string[] = [];
  async function lineOf(argv: string[]): Promise<string> {
    const program = createProgram({ name: "tool", description: "A tool.", version: "1.2.3" })
      .option("--data <folder>").option("--text <text>").action(() => void ran.push("tool"));
    program.command("save").argument("<file>").option("-o, --out <file>").action(() => void ran.push("save"));
    program.command("load").argument("[path...]").action(() => void ran.push("load"));
    const lines: string[] = [];
    const code = await runProgram(program, argv, { writeError: (line) => lines.push(line) });
    return `${code} ${lines.join("|")}`;
  }
  assert.equal(await lineOf(["--data", ""]), "2 tool: --data must name a folder, is empty");
  assert.equal(await lineOf(["--data=", "load"]), "2 tool: --data must name a folder, is empty");
  assert.equal(await lineOf(["save", "x", "-o", ""]), "2 tool: --out must name a file, is empty");
  assert.equal(await lineOf(["save", ""]), "2 tool: <file> must name a file, is empty");
  assert.equal(await lineOf(["load", "a", ""]), "2 tool: <path> must name a file, is empty");
  assert.deepEqual(ran, []);
  assert.equal(await lineOf(["--text", ""]), "0 ");
  assert.equal(await lineOf(["load"]), "0 ");
  assert.deepEqual(ran, ["tool", "load"]);
});

Deno.test("a command's own `--version` option is its own", async () => {
  const { code, printed } = await run(["rollout", "undo", "--version", "7"]);
  assert.equal(code, 0);
  assert.equal(printed, "");
});

Deno.test("wrong usage is one line with a suggestion, and exit code 2", async () => {
  const cases: [string[], RegExp][] = [
    [["gte"], /^tool: unknown command 'gte' \(did you mean get\?\); see `tool --help`$/],
    [
      ["get", "x", "--jsno"],
      /^tool: unknown option '--jsno' \(did you mean --json\?\); see `tool get --help`$/,
    ],
    [["get"], /^tool: missing required argument 'kind'; see `tool get --help`$/],
    [["get", "x", "y"], /^tool: too many arguments/],
    [["get", "x", "--wait", "5"], /^tool: .*'5' is invalid.*e\.g\. 5s; see `tool get --help`$/],
    [["rollout", "undo", "--all"], /^tool: unknown option '--all'; see `tool rollout undo --help`$/],
  ];
  for (const [argv, expected] of cases) {
    const { code, lines } = await run(argv);
    assert.equal(code, 2, argv.join(" "));
    assert.equal(lines.length, 1);
    assert.match(lines[0], expected);
  }
});

Deno.test("no command at all prints the help and is wrong usage", async () => {
  const { code, printed, lines } = await run([]);
  assert.equal(code, 2);
  assert.match(printed, /^Usage: tool/);
  assert.deepEqual(lines, []);
});

Deno.test("a failure is one line with its causes and code, what to do, and its code; then its lists, and exit code 1", async () => {
  const { code, lines } = await run(["get", "x"], () => {
    throw new SqwishError("manager_lost", "The manager can't be reached", {
      cause: new Error("refused\nby it"),
    });
  });
  assert.equal(code, 1);
  assert.deepEqual(lines, [
    "tool: The manager can't be reached: refused by it; do get again (manager_lost)",
    "  a list",
  ]);
});

Deno.test("a `UsageError` of an action is exit code 2", async () => {
  const { code, lines } = await run(["get", "x"], () => Promise.reject(new UsageError("get needs more")));
  assert.equal(code, 2);
  assert.deepEqual(lines, ["tool: get needs more"]);
});

Deno.test("`durationMs()` reads every unit and refuses the rest", () => {
  const parse = durationMs({ max: 24 * 3600_000 });
  assert.deepEqual(["250ms", "5s", "1.5m", "24h", "1d"].map(parse), [
    250,
    5000,
    90_000,
    86_400_000,
    86_400_000,
  ]);
  for (const text of ["", "5", "s", "-5s", "5 s", "1e3s", "0s", "25h", "5w"]) {
    assert.throws(() => parse(text), { code: "commander.invalidArgument" }, text);
  }
});

Deno.test("`wholeNumber()` holds its bounds", () => {
  const parse = wholeNumber({ min: 1, max: 10 });
  assert.deepEqual(["1", "10"].map(parse), [1, 10]);
  for (const text of ["0", "11", "1.5", "x", "", "-1", "1e1"]) {
    assert.throws(() => parse(text), /whole number, 1 to 10/, text);
  }
});

Deno.test("`keyValue()` gathers pairs, and values may hold an equals sign", () => {
  assert.deepEqual(keyValue("b=2=3", keyValue("a=1")), { a: "1", b: "2=3" });
  assert.deepEqual(keyValue("a="), { a: "" });
  assert.throws(() => keyValue("=1"), /key=value/);
  assert.throws(() => keyValue("a"), /key=value/);
});

Deno.test("an option of a command that stands before it is wrong usage, not passed over", async () => {
  const ran: unknown[] = [];
  async function lineOf(...argv: string[]): Promise<string> {
    const program = createProgram({ name: "tool", description: "A tool.", version: "1.2.3" })
      .option("--data <folder>").option("--text <text>").action(() => {});
    program.command("token").argument("<kind>").option("--data <folder>").action((...given) =>
      void ran.push(given[1])
    );
    const lines: string[] = [];
    const code = await runProgram(program, argv, { writeError: (line) => lines.push(line) });
    return `${code} ${lines.join("|")}`;
  }
  assert.equal(
    await lineOf("--data", "x", "token", "agent"),
    "2 tool: --data must follow token, stands before it",
  );
  assert.equal(await lineOf("--text", "x", "token", "agent"), "2 tool: token takes no --text");
  assert.deepEqual(ran, []);
  assert.equal(await lineOf("token", "--data", "x", "agent"), "0 ");
  assert.equal(await lineOf("token", "agent", "--data", "x"), "0 ");
  assert.deepEqual(ran, [{ data: "x" }, { data: "x" }]);
});
