/**
 * `task schema`: writes docs/cluster.schema.json, the JSON Schema of the configuration file, for editors. With
 * `--check` it writes nothing and ends with 1 when the file is not what it would write.
 */
import { join } from "node:path";
import process from "node:process";
import { configurationJsonSchema } from "../lib/deployment/specification.ts";

const path = join(import.meta.dirname!, "../docs/cluster.schema.json");
const text = `${JSON.stringify(configurationJsonSchema(), null, 2)}\n`;

if (Deno.args.includes("--check")) {
  const current = await Deno.readTextFile(path).catch(() => "");
  if (current !== text) {
    console.error(
      "docs/cluster.schema.json is older than the configuration it describes; run: deno task schema",
    );
    process.exitCode = 1;
  }
} else {
  await Deno.writeTextFile(path, text);
  console.log(`docs/cluster.schema.json: ${text.length} bytes`);
}
