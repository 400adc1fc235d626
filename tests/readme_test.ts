/**
 * README's commands, executed as a reader would type them, in order, in a copy of this checkout (`readme_blocks.ts`
 * tells how blocks are read). The world around the reader is played by small programs in front of the PATH: `npx`,
 * `scp`, `ssh`, `sudo` and `curl`'s downloads; other machines are folders. What a reader copies from the screen, such as
 * a token, is put in by `substitutions()`.
 */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { ProgramGroup, runProgram } from "../examples/demo/programs.ts";
import { eventually } from "./support/eventually.ts";
import { readSteps, substitute, type Substitution } from "./support/readme_blocks.ts";
import { repositoryRoot } from "./support/source_files.ts";

/** Commands that `.ci/run` executes as steps of their own, because here they would run this test again or take long. */
const executedByCi = [/^npx -y deno@[\d.]+ task test$/];

/** Until a program that stays may be used. */
const startMsMax = 90_000;

const targets = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

interface World {
  /** The checkout the reader is in. */
  checkout: string;
  /** Stand-ins for programs of the reader's machine. */
  bin: string;
  env: Record<string, string>;
  readyFile: string;
}

Deno.test("every command of README.md does what it says", async () => {
  const markdown = await Deno.readTextFile(join(repositoryRoot, "README.md"));
  const folder = await Deno.makeTempDir({ prefix: "sqwish-readme-" });
  const programs = new ProgramGroup();
  try {
    const world = await createWorld(folder);
    const steps = readSteps(markdown);
    assert.ok(steps.length > 3, "README.md must show commands");
    let where = world.checkout;
    for (const step of steps) {
      if (step.kind === "file") {
        await Deno.writeTextFile(join(where, step.name), step.text);
        continue;
      }
      for (const written of step.commands) {
        if (executedByCi.some((pattern) => pattern.test(written))) continue;
        const told = `README.md, line ${step.line}: ${written}`;
        const command = substitute(written, await substitutions(world));
        if (step.kind === "stays") await startProgram(programs, world, where, command, told);
        else where = await runCommand(world, where, command, told);
        programs.assertRunning();
      }
    }
  } finally {
    await programs.endAll();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("what README.md leaves to CI is in .ci/run", async () => {
  const script = await Deno.readTextFile(join(repositoryRoot, ".ci/run"));
  assert.match(script, /step .* readme_tests/);
});

/** What a reader replaces by what they see on their own screen. */
async function substitutions(world: World): Promise<Substitution[]> {
  const ready = await Deno.readTextFile(world.readyFile).then(JSON.parse).catch(() => undefined);
  const table: Substitution[] = [
    // No test may take a fixed port or listen to the network.
    { from: /^\.\/manager(?=$| --)/, to: `./manager --listen 127.0.0.1:0 --ready-file ${world.readyFile}` },
  ];
  if (!ready) return table;
  const host = `127.0.0.1:${ready.port}`;
  return [
    ...table,
    { from: /(?<=client login --join )\S+/, to: ready.clientToken },
    { from: /(?<=agent --join )[^\s'"]+/, to: ready.agentToken },
    { from: /(?:attic\.local|192\.168\.1\.10):7443/, to: host },
    { from: "ADMIN_PASSWORD", to: ready.adminPassword },
  ];
}

/** Starts a program that stays, and waits for its sign of life where later commands rely on one. */
async function startProgram(
  programs: ProgramGroup,
  world: World,
  where: string,
  command: string,
  told: string,
): Promise<void> {
  const isManager = command.startsWith("./manager");
  if (isManager) await Deno.remove(world.readyFile).catch(() => {});
  const shell = ["bash", "-c", `cd "$1" && exec ${command}`, "readme", where];
  const program = programs.start(told, shell, [], world.env);
  const isUp = async () => {
    if (isManager) return await Deno.stat(world.readyFile).then(() => true, () => false);
    return !command.includes("task demo") || program.tail().includes("Dashboard");
  };
  await eventually(told, async () => program.exitCode() !== null || await isUp(), startMsMax);
  programs.assertRunning();
}

/** Runs one command to its end, and returns the folder the reader is in then. */
async function runCommand(world: World, where: string, command: string, told: string): Promise<string> {
  const marker = join(world.bin, "where");
  const script = `cd "$1" && { ${command}\n} && pwd >"$2"`;
  const finished = await runProgram(["bash", "-c", script, "readme"], [where, marker], world.env);
  const output = new TextDecoder().decode(finished.stdout) + finished.stderr;
  assert.equal(finished.code, 0, `${told}\nended with ${finished.code}:\n${output}`);
  return (await Deno.readTextFile(marker)).trim();
}

async function createWorld(folder: string): Promise<World> {
  const [home, checkout, bin, machines] = ["home", "sqwish", "bin", "machines"].map((name) =>
    join(folder, name)
  );
  for (const path of [home, checkout, bin, machines]) await Deno.mkdir(path);
  await copyCheckout(checkout);
  const own = [Deno.execPath(), "run", "--quiet", "-A"].join(" ");
  const compiled = join(repositoryRoot, "dist", Deno.build.target);
  // The compiled programs when they have been built, or else small ones that run the source: installed by copying alike.
  const programs = await Deno.stat(join(compiled, "agent")).then(() => true, () => false);
  for (const name of ["manager", "agent", "client"]) {
    const text = programs
      ? `exec ${join(compiled, name)} "$@"`
      : `exec ${own} ${join(repositoryRoot, `${name}.ts`)} "$@"`;
    await writeProgram(join(bin, `sqwish-${name}`), text);
  }
  await writeStandIns(bin, machines);
  const cache = JSON.parse(
    new TextDecoder().decode((await runProgram([Deno.execPath()], ["info", "--json"])).stdout),
  );
  return {
    checkout,
    bin,
    readyFile: join(folder, "ready.json"),
    env: { HOME: home, PATH: `${bin}:${Deno.env.get("PATH")}`, DENO_DIR: cache.denoDir, NO_COLOR: "1" },
  };
}

/** Everything that would be in a clone, with what is not committed yet. */
async function copyCheckout(to: string): Promise<void> {
  const listed = await runProgram(["git"], [
    "-C",
    repositoryRoot,
    "ls-files",
    "-z",
    "-co",
    "--exclude-standard",
  ]);
  assert.equal(listed.code, 0, listed.stderr);
  for (const path of new TextDecoder().decode(listed.stdout).split("\0").filter((each) => each !== "")) {
    await Deno.mkdir(join(to, dirname(path)), { recursive: true });
    await Deno.copyFile(join(repositoryRoot, path), join(to, path)).catch((thrown) => {
      // Deleted, but not committed as such.
      if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
    });
  }
}

/** The reader's world outside of the cluster. */
async function writeStandIns(bin: string, machines: string): Promise<void> {
  const build = targets.map((target) =>
    `mkdir -p dist/${target} && for name in manager agent client; do ` +
    `cp ${bin}/sqwish-$name dist/${target}/$name; done`
  ).join("\n");
  const standIns: Record<string, string> = {
    npx: `shift 2; case "$1 $2" in "task build") ${build} ;; *) exec ${Deno.execPath()} "$@" ;; esac`,
    scp: `eval to=\\\${$#}; mkdir -p "${machines}/\${to%%:*}"
for file; do [ "$file" = "$to" ] || cp "$file" "${machines}/\${to%%:*}/\${to#*:}"; done`,
    ssh: `mkdir -p "${machines}/$1"; cd "${machines}/$1"; shift; exec sh -c "exec $*"`,
    sudo: `exec "$@"`,
    // A release is not on the network yet when its README is tested.
    curl: `for word; do case "$word" in
*/releases/*) name=$(basename "$word"); cp "${bin}/sqwish-\${name%%-*}" "$name"; exit ;; esac; done
exec /usr/bin/curl "$@"`,
  };
  for (const [name, text] of Object.entries(standIns)) await writeProgram(join(bin, name), text);
}

async function writeProgram(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
}
