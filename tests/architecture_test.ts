/**
 * The house rules as code: who may import whom, what may touch the outside world, how large things get.
 * A rule that stands in somebody's way is changed here, in the same commit and with the reason.
 */
import assert from "node:assert/strict";
import {
  functionsOf,
  importsOf,
  readSourceFiles,
  repositoryRoot,
  resolveImport,
  type SourceFile,
} from "./support/source_files.ts";

const fileLinesMax = 400;
const functionLinesMax = 70;
const headerLinesMax = 12;

const files = readSourceFiles([".ts", ".js"]);
const product = files.filter(({ path }) => !path.startsWith("tests/") && !path.endsWith(".d.ts"));

/** For each folder of lib/, the folders it may import besides itself; "base" is the files directly in lib/. */
const mayImport: Record<string, string[]> = {
  base: [],
  protocol: ["base"],
  security: ["base", "protocol"],
  cluster: ["base", "protocol"],
  store: ["base", "protocol"],
  metrics: ["base", "protocol"],
  scheduling: ["base", "protocol", "cluster"],
  deployment: ["base", "protocol", "cluster", "metrics"],
  hosting: ["base", "protocol"],
  // What the three programs are made of: these put the domains together.
  client: ["base", "protocol", "security"],
  cli: ["base", "protocol", "client", "deployment", "metrics", "security"],
  // An agent dials as a client does.
  agent: ["base", "protocol", "security", "hosting", "metrics", "client", "cli"],
  manager: ["base", "protocol", "security", "cluster", "store", "metrics", "scheduling", "deployment", "cli"],
};

/** What reaches outside of the process or makes a run unrepeatable. */
const outsideWorld: Record<string, RegExp> = {
  Deno: /\bDeno\./,
  timers: /\bset(?:Timeout|Interval|Immediate)\(/,
  time: /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(/,
  randomness: /\bMath\.random\(|\brandomUUID\(|\bgetRandomValues\(/,
};

/** The files of lib/ that may, and what. Everything else gets it handed in through a seam. */
const allowedOutside: Record<string, (keyof typeof outsideWorld)[]> = {
  "lib/clock.ts": ["timers", "time"],
  "lib/random.ts": ["randomness"],
  // Sockets, and the bounds on dialling and closing one.
  "lib/protocol/websocket.ts": ["timers"],
  "lib/protocol/websocket_dial.ts": ["Deno", "timers"],
  "lib/protocol/conn_stream.ts": ["Deno"],
  // Files that outlive the program.
  "lib/store/backup.ts": ["Deno"],
  "lib/store/data_folder.ts": ["Deno"],
  "lib/agent/command_line.ts": ["Deno"],
  "lib/agent/data_lock.ts": ["Deno"],
  "lib/agent/identity.ts": ["Deno"],
  "lib/deployment/watch.ts": ["Deno"],
  "lib/manager/own_process.ts": ["Deno"],
  "lib/manager/configuration_file.ts": ["Deno"],
  // Runner processes, and what runs inside of one.
  "lib/hosting/host.ts": ["Deno"],
  "lib/hosting/open_files.ts": ["Deno"],
  "lib/hosting/runner.ts": ["Deno"],
  "lib/hosting/runner_process.ts": ["Deno"],
  "lib/hosting/runner_user.ts": ["Deno"],
  "lib/hosting/runner_worker.ts": ["Deno"],
  "lib/hosting/scratch.ts": ["Deno"],
  // The machine, the process and the terminal.
  "lib/c_library.ts": ["Deno"],
  "lib/agent/machine.ts": ["Deno"],
  "lib/cli/terminal.ts": ["Deno"],
  "lib/manager/addresses.ts": ["Deno"],
  "lib/manager/listener.ts": ["Deno"],
  "lib/manager/sockets.ts": ["Deno"],
  "lib/manager/serve.ts": ["Deno"],
  "lib/manager/ready_file.ts": ["Deno"],
  "lib/metrics/host_sampler.ts": ["Deno"],
  "lib/metrics/process_meter.ts": ["Deno"],
};

/** What lib/ may import from outside of itself. */
function mayImportOutside(from: string, target: string, onlyTypes: boolean): boolean {
  return from === "manager" && (target.startsWith("dashboard/") || (target === "manager.ts" && onlyTypes));
}

function folderOf(path: string): string | null {
  const parts = path.split("/");
  if (parts[0] !== "lib") return null;
  return parts.length === 2 ? "base" : parts[1];
}

/** Paths in the repository; data such as deno.json has no direction. */
function relativeImports(file: SourceFile, options: { types: boolean } = { types: true }): string[] {
  return importsOf(file, options)
    .filter((specifier) => specifier.startsWith(".") && !specifier.endsWith(".json"))
    .map((specifier) => resolveImport(file.path, specifier));
}

/** Fails with every finding at once, so that one run shows all there is to do. */
function assertNone(findings: string[]): void {
  assert.equal(findings.length, 0, `\n${findings.join("\n")}`);
}

Deno.test("imports in lib/ point only in the directions of the table", () => {
  const findings: string[] = [];
  for (const file of product) {
    const from = folderOf(file.path);
    if (from === null) continue;
    if (!mayImport[from]) findings.push(`${file.path}: the table has no row for the folder ${from}`);
    const loaded = relativeImports(file, { types: false });
    for (const target of relativeImports(file)) {
      const to = folderOf(target);
      const allowed = to === null
        ? mayImportOutside(from, target, !loaded.includes(target))
        : to === from || mayImport[from]?.includes(to);
      if (!allowed) findings.push(`${file.path} must not import ${target}`);
    }
  }
  assertNone(findings);
});

Deno.test("no file loads itself by way of others", () => {
  const graph = new Map(product.map((file) => [file.path, relativeImports(file, { types: false })]));
  const done = new Set<string>();
  const findings: string[] = [];
  const visit = (path: string, trail: string[]) => {
    if (trail.includes(path)) {
      findings.push([...trail.slice(trail.indexOf(path)), path].join(" → "));
      return;
    }
    if (done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  assertNone(findings);
});

/** What a program must do without: lazy imports count too, since a bundle holds their text as well. */
const notLoadedBy: Record<string, string[]> = {
  // The compilers' text alone would take 14 MB of the manager's memory for good.
  "manager.ts": ["@swc/wasm-typescript", "acorn"],
  // An agent, and with it every runner, compares fingerprints; only the manager makes certificates.
  "agent.ts": ["@peculiar/x509", "@swc/wasm-typescript", "acorn", "drizzle-orm", "hono"],
};

Deno.test("programs do without the packages that would cost them the most memory", () => {
  const byPath = new Map(product.map((file) => [file.path, file]));
  for (const [program, unwanted] of Object.entries(notLoadedBy)) {
    const reached = new Set([program]);
    const packages = new Map<string, string>();
    // The set grows while it is walked.
    for (const path of reached) {
      const file = byPath.get(path);
      if (!file) continue;
      for (const specifier of importsOf(file, { types: false })) {
        if (!specifier.startsWith(".")) packages.set(specifier, path);
      }
      for (const target of relativeImports(file, { types: false })) reached.add(target);
    }
    assert.ok(packages.has("valibot"), `${program} is followed through its imports`);
    assertNone(
      unwanted.filter((name) => packages.has(name))
        .map((name) => `${program} loads ${name} by way of ${packages.get(name)}`),
    );
  }
});

Deno.test("the manager loads what makes certificates only when it makes one", () => {
  const importers = product.filter((file) => file.path.startsWith("lib/")).filter((file) =>
    importsOf(file, { types: false }).includes("../security/authority.ts")
  );
  assert.deepEqual(importers.map((file) => file.path), ["lib/manager/certificate_process.ts"]);
  assert.doesNotMatch(importers[0].code, /from "\.\.\/security\/authority\.ts"/);
});

Deno.test("relative imports name files of the repository", () => {
  const known = new Set(files.map(({ path }) => path));
  const findings = product.flatMap((file) =>
    relativeImports(file)
      .filter((target) => /\.(ts|js)$/.test(target) && !known.has(target) && !target.includes("/vendor/"))
      .map((target) => `${file.path} imports ${target}, which does not exist`)
  );
  assertNone(findings);
});

Deno.test("packages come from npm, in lib/ only by names of the import map", () => {
  const configuration = JSON.parse(Deno.readTextFileSync(`${repositoryRoot}/deno.json`));
  const mapped = Object.keys(configuration.imports);
  const isMapped = (specifier: string) =>
    mapped.some((name) => specifier === name || specifier.startsWith(name.endsWith("/") ? name : `${name}/`));
  const findings = product.flatMap((file) =>
    importsOf(file)
      .filter((specifier) => !specifier.startsWith(".") && !specifier.startsWith("node:"))
      .filter((specifier) =>
        !(specifier.startsWith("npm:") && !file.path.startsWith("lib/")) && !isMapped(specifier)
      )
      .map((specifier) => `${file.path} must not import "${specifier}"`)
  );
  assertNone(findings);
});

Deno.test("only the listed files of lib/ touch Deno, timers, the time or randomness", () => {
  const findings = product.filter((file) => file.path.startsWith("lib/")).flatMap((file) => {
    const used = Object.keys(outsideWorld).filter((what) => outsideWorld[what].test(file.code));
    const allowed = allowedOutside[file.path] ?? [];
    return [
      ...used.filter((what) => !allowed.includes(what)).map((what) => `${file.path} must not touch ${what}`),
      ...allowed.filter((what) => !used.includes(what)).map((what) => `${file.path} no longer needs ${what}`),
    ];
  });
  const gone = Object.keys(allowedOutside).filter((path) => !product.some((file) => file.path === path));
  assertNone([...findings, ...gone.map((path) => `${path} is listed but does not exist`)]);
});

Deno.test(`files have at most ${fileLinesMax} lines, and functions at most ${functionLinesMax}`, () => {
  const findings = files.flatMap((file) => {
    const lines = file.text.split("\n").length - 1;
    const long = functionsOf(file).filter((found) => found.lines > functionLinesMax);
    return [
      ...(lines > fileLinesMax ? [`${file.path} has ${lines} lines`] : []),
      ...long.map(({ name, lines: count }) => `${file.path}: ${name} has ${count} lines`),
    ];
  });
  assertNone(findings);
});

Deno.test(`every file begins with a header comment of at most ${headerLinesMax} lines`, () => {
  const findings = product.flatMap((file) => {
    const header = /^(?:#!.*\n)?(?:\/\/ @ts-check\n)?\/\*\*([\s\S]*?)\*\//.exec(file.text);
    if (!header) return [`${file.path} has no header`];
    const lines = header[1].split("\n").filter((line) => line.trim() !== "").length;
    return lines > headerLinesMax ? [`${file.path} has a header of ${lines} lines`] : [];
  });
  assertNone(findings);
});

Deno.test("no file names a folder of the machine it was written on", () => {
  const home = Deno.env.get("HOME");
  const everything = readSourceFiles([".ts", ".js", ".json", ".jsonc", ".md", ".css", ".html", ".sh"]);
  const findings = everything.flatMap((file) =>
    [repositoryRoot, home]
      .filter((folder): folder is string => folder !== undefined && folder.length > 4)
      .filter((folder) => file.text.includes(`${folder}/`))
      .map((folder) => `${file.path} names ${folder}`)
  );
  assertNone(findings);
});

Deno.test("nothing is left for later", () => {
  // Written in two halves, so that this file does not find itself.
  const marks = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"].join("|")})\\b`);
  assertNone(
    files.filter((file) => marks.test(file.text)).map((file) => `${file.path} has something left open`),
  );
});

Deno.test("`functionsOf()` counts a function's own lines, not those of functions inside it", () => {
  const text = [
    "export async function outer(",
    "  first: number,",
    "): Promise<void> {",
    "  function inner() {",
    "    return 1;",
    "  }",
    "  await call(inner, () => {",
    "  });",
    "}",
    "class Thing {",
    "  async #method(value: number): Promise<void> {",
    "    if (value > 0) {",
    "    }",
    "  }",
    "}",
  ].join("\n");
  assert.deepEqual(functionsOf({ path: "a.ts", text, code: text }), [
    { name: "outer", lines: 6 },
    { name: "inner", lines: 3 },
    { name: "#method", lines: 4 },
  ]);
});

Deno.test("`importsOf()` tells what is loaded from what are only types", () => {
  const text = [
    'import { a, type B } from "./a.ts";',
    'import type { C } from "./c.ts";',
    "import {",
    "  type D,",
    '} from "./d.ts";',
    '// import "./comment.ts";',
    'const e = await import("./e.ts");',
  ].join("\n");
  const file = { path: "x.ts", text, code: text };
  assert.deepEqual(importsOf(file), ["./a.ts", "./c.ts", "./d.ts", "./e.ts"]);
  assert.deepEqual(importsOf(file, { types: false }), ["./a.ts", "./e.ts"]);
});
