/**
 * `task vendor`: bundles the picture codecs of the examples from npm into one file of plain JavaScript, because a
 * module of a replicaSet may import only what is deployed with it. Writes the packages' licences beside it.
 */
import { join } from "node:path";

const root = join(import.meta.dirname!, "..");
const entry = join(root, ".ci/vendor_codecs.ts");
const outFolder = join(root, "examples/images/vendor");

interface ModuleGraph {
  npmPackages: Record<string, { name: string; version: string; localPath: string }>;
}

async function runDeno(args: string[]): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), { args, cwd: root, stderr: "piped", stdout: "piped" });
  const { success, stdout, stderr } = await command.output();
  if (!success) throw new Error(`deno ${args[0]} failed: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** The licence text of every package in the bundle, in one file. */
async function licences(): Promise<string> {
  const graph: ModuleGraph = JSON.parse(await runDeno(["info", "--no-config", "--json", entry]));
  const parts = ["codecs.js contains these packages, bundled by `deno task vendor`."];
  for (const { name, version, localPath } of Object.values(graph.npmPackages)) {
    const text = await licenceText(localPath);
    parts.push(`${name} ${version}\n${"=".repeat(name.length + version.length + 1)}\n\n${text.trim()}`);
  }
  return parts.join("\n\n\n") + "\n";
}

async function licenceText(folder: string): Promise<string> {
  for (const file of ["LICENSE", "LICENSE.md", "LICENCE", "README.md"]) {
    const text = await Deno.readTextFile(join(folder, file)).catch(() => "");
    const from = file === "README.md" ? text.search(/^#+ licen[cs]e/im) : 0;
    if (text && from >= 0) return text.slice(from);
  }
  throw new Error(`A vendored package must carry its licence, ${folder} has none`);
}

if (import.meta.main) {
  await Deno.mkdir(outFolder, { recursive: true });
  const out = join(outFolder, "codecs.js");
  await runDeno([
    "bundle",
    "--no-config",
    "--quiet",
    "--minify",
    "--platform",
    "browser",
    "--output",
    out,
    entry,
  ]);
  await Deno.writeTextFile(join(outFolder, "LICENCES.txt"), await licences());
  console.log(`examples/images/vendor/codecs.js: ${(await Deno.stat(out)).size} bytes`);
}
