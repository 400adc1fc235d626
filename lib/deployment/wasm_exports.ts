/**
 * What a WebAssembly file offers: the names of its functions, read without running it.
 * Only functions a plug-in's author exported count; those of the language's runtime and of the plug-in kit don't.
 */

/** The same names that agents pass over when they load a plug-in. */
const internal = /^(_.*|memory|malloc|free|calloc|realloc|asyncify_.*|hs_init|extism_.*|cabi_.*)$/;

export type ReadWasm = { ok: true; functions: string[] } | { ok: false; message: string };

/** Compiles the file and lists its endpoints; the message says what is wrong in words. */
export async function readWasm(bytes: Uint8Array): Promise<ReadWasm> {
  if (bytes[0] !== 0 || bytes[1] !== 0x61 || bytes[2] !== 0x73 || bytes[3] !== 0x6d) {
    return { ok: false, message: "is not WebAssembly: it must start with the bytes 00 61 73 6d" };
  }
  let module: WebAssembly.Module;
  try {
    module = await WebAssembly.compile(new Uint8Array(bytes));
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return {
      ok: false,
      message: `is damaged WebAssembly: ${reason.replace(/^WebAssembly\.compile\(\): /, "")}`,
    };
  }
  const functions = WebAssembly.Module.exports(module)
    .filter((item) => item.kind === "function" && !internal.test(item.name))
    .map((item) => item.name);
  if (functions.length === 0) return { ok: false, message: "exports no functions, so it has no endpoints" };
  return { ok: true, functions };
}
