/**
 * `task wasm`: assembles the WebAssembly of the examples and the tests from its committed text, file.wat → file.wasm.
 * Names are left out, so the same text gives the same bytes everywhere.
 */
import { join } from "node:path";
import wabt from "npm:wabt@1.0.39";

const root = join(import.meta.dirname!, "..");

/** The bytes of one WebAssembly text file. Throws with the file, line and column of what is wrong. */
export async function assemble(path: string): Promise<Uint8Array> {
  const assembler = await wabt();
  const parsed = assembler.parseWat(path, await Deno.readTextFile(path));
  try {
    parsed.resolveNames();
    parsed.validate();
    return parsed.toBinary({ write_debug_names: false }).buffer;
  } finally {
    parsed.destroy();
  }
}

if (import.meta.main) {
  const text = join(root, "examples/wordcount/wordcount.wat");
  const bytes = await assemble(text);
  await Deno.writeFile(text.replace(/\.wat$/, ".wasm"), bytes);
  console.log(`examples/wordcount/wordcount.wasm: ${bytes.length} bytes`);
}
