/**
 * The compiled programs: made by the same code as `task build`, then put to the demo's whole work; and an agent on an
 * ARM64 machine that joins an x86-64 manager. Needs the tools of `build_tools.ts`.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { build, compileFailure, loadsLibraries, programNames, runtimeVariable } from "../../.ci/build.ts";
import { DemoCluster } from "../../examples/demo/cluster.ts";
import { checkFactors } from "../../examples/demo/number_jobs.ts";
import { programsFromFolder, runProgram } from "../../examples/demo/programs.ts";
import { arm64Deno, x64Runtime } from "../support/build_tools.ts";
import { startCluster } from "../support/cluster.ts";
import { repositoryRoot } from "../support/source_files.ts";

const x64 = "x86_64-unknown-linux-gnu";
const arm64 = "aarch64-unknown-linux-gnu";

/** The emulated machine is ten times slower than a real one. */
const arm64StepMsMax = 240_000;

/** Compiled once for all tests of this file. */
let compiled: Promise<string> | undefined;
const outFolder = await Deno.makeTempDir({ prefix: "sqwish-binaries-" });
Deno.test.afterAll(() => Deno.remove(outFolder, { recursive: true }));

function x64Binaries(): Promise<string> {
  compiled ??= (async () => {
    const runtimes = new Map([[runtimeVariable(x64), await x64Runtime()]]);
    await build([x64], outFolder, (name) => runtimes.get(name));
    return join(outFolder, x64);
  })();
  return compiled;
}

Deno.test("`task build` makes three programs that run alone, with right checksums", async () => {
  const folder = await x64Binaries();
  const { version } = JSON.parse(await Deno.readTextFile(join(repositoryRoot, "deno.json")));
  const sums = await Deno.readTextFile(join(outFolder, "SHA256SUMS"));
  for (const name of programNames) {
    const path = join(folder, name);
    const told = await runProgram([path], ["--version"], { PATH: "/nowhere" });
    assert.equal(new TextDecoder().decode(told.stdout).trim(), version);
    const digest = createHash("sha256").update(await Deno.readFile(path)).digest("hex");
    assert.ok(sums.includes(`${digest}  ${x64}/${name}\n`));
  }
});

Deno.test("a compiled manager tells who may not join why", async () => {
  const cluster = await startCluster({ binaries: await x64Binaries() });
  try {
    const refused = await cluster.client(["get", "agents"], { SQWISH_PASSWORD: "a wrong one" });
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      /^client: The user name or password is wrong; sign in with `client login` \(unauthenticated\)\n$/,
    );
  } finally {
    await cluster.close();
  }
});

Deno.test("`task build` makes ARM64 programs on an x86-64 machine", async () => {
  const { deno } = await arm64Deno();
  const folder = await Deno.makeTempDir();
  try {
    const built = await build([arm64], folder, (name) => name === runtimeVariable(arm64) ? deno : undefined);
    assert.deepEqual(built.map(({ program }) => program), [...programNames]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("`task build` refuses a runtime of another machine, and names it", async () => {
  const runtime = await x64Runtime();
  const folder = await Deno.makeTempDir();
  try {
    await assert.rejects(
      build([arm64], folder, (name) => name === runtimeVariable(arm64) ? runtime : undefined),
      /runtime for aarch64-unknown-linux-gnu must be of that machine, it is of x86_64/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("`compileFailure()` names the variable to set when the runtime can't be downloaded", () => {
  const output =
    "error: sending request for url (https://dl.deno.land/release/v2.9.6/denort-x.zip): dns error";
  assert.match(
    compileFailure("agent", Deno.build.target, output),
    /could not be downloaded .* set DENORT_BIN to/,
  );
  assert.match(
    compileFailure("agent", "x86_64-apple-darwin", output),
    /set DENORT_BIN_X86_64_APPLE_DARWIN to/,
  );
  assert.match(compileFailure("agent", x64, "error: The module's source code could not be parsed"), /parsed/);
});

Deno.test("a program whose `require` the compiler has missed is known by what the bundler left in it", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const shim = `throw Error('Dynamic require of "'+s+'" is not supported')`;
  const compiler = `of its own: Dynamic require of "`;
  assert.equal(loadsLibraries(bytes(`runtime, var $e=(s=>${shim})`), bytes("runtime")), false);
  assert.equal(loadsLibraries(bytes("runtime, var $e=createRequire(x)"), bytes("runtime")), true);
  assert.equal(loadsLibraries(bytes(`${compiler} and createRequire(x)`), bytes(compiler)), true);
  assert.equal(loadsLibraries(bytes(`${compiler} and ${shim}`), bytes(compiler)), false);
});

Deno.test("the demo's work is all right with compiled programs", async () => {
  const demo = [Deno.execPath(), "run", "-A", join(repositoryRoot, "examples/demo.ts")];
  const finished = await runProgram(demo, ["--exit", "--binaries", await x64Binaries()]);
  assert.equal(finished.code, 0, finished.stderr);
  assert.match(new TextDecoder().decode(finished.stdout), /wordcount\/count/);
});

Deno.test("an ARM64 agent joins a compiled x86-64 manager and runs a request", async () => {
  const { deno, sysroot } = await arm64Deno();
  const folder = await Deno.makeTempDir();
  const configuration = join(folder, "cluster.jsonc");
  const modules = join(repositoryRoot, "examples/maths");
  const set = {
    name: "maths",
    version: "1",
    modules: [modules],
    replicas: 1,
    placement: { arch: "aarch64" },
  };
  await Deno.writeTextFile(configuration, JSON.stringify({ replicaSets: [set] }));
  const machine = [join(repositoryRoot, "tests/binaries/arm64_machine"), sysroot, deno];
  let cluster: DemoCluster | undefined;
  try {
    cluster = await DemoCluster.start({
      programs: await programsFromFolder(await x64Binaries()),
      folder,
      configuration,
      agents: [{
        name: "pi-1",
        labels: {},
        // The code cache holds machine code, and is one for all machines.
        command: [...machine, "run", "-A", "--no-code-cache", "--no-check", join(repositoryRoot, "agent.ts")],
      }],
      stepMsMax: arm64StepMsMax,
    });
    const overview = await cluster.ready();
    assert.deepEqual(overview.agents.map(({ labels }) => labels.arch), ["aarch64"]);
    const n = "600851475143";
    checkFactors(n, await cluster.sqwish.invoke("maths/factors", { n }, { timeoutMs: 60_000 }));
  } finally {
    await cluster?.close();
    await Deno.remove(folder, { recursive: true });
  }
});
