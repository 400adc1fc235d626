/**
 * A `.wasm` module is an Extism plug-in: each function it exports is an endpoint that takes the input's bytes and
 * returns its output's bytes. Runs in the same permissioned Worker as JavaScript; plug-ins get no network and no
 * files. WASI plug-ins get clocks, random numbers and output to the log through a shim.
 */
import { createPlugin, type Plugin } from "@extism/extism";
import { ConsoleStdout, File as WasiFile, OpenFile, WASI } from "@bjorn3/browser_wasi_shim";

const wasiModule = "wasi_snapshot_preview1";

/** Entry points of the language's runtime and the plug-in kit, not the author's functions. */
const internal = /^(_.*|memory|malloc|free|calloc|realloc|asyncify_.*|hs_init|extism_.*|cabi_.*)$/;

/** The names of the functions a plug-in's author exports. Extism calls take no parameters. */
export function pluginFunctions(module: WebAssembly.Module): string[] {
  return WebAssembly.Module.exports(module)
    .filter((item) => item.kind === "function" && !internal.test(item.name))
    .map((item) => item.name);
}

/** The plug-in's functions by name, each from the input's bytes to the output's. `print` gets what WASI code prints. */
export async function loadWasm(
  bytes: Uint8Array<ArrayBuffer>,
  print: (line: string) => void,
): Promise<Record<string, (input: Uint8Array) => Promise<Uint8Array>>> {
  const module = await WebAssembly.compile(bytes);
  const wasi = WebAssembly.Module.imports(module).some((item) => item.module === wasiModule)
    ? createWasi(print)
    : undefined;
  const plugin = await createPlugin(module, {
    useWasi: false,
    runInWorker: false,
    allowedHosts: [],
    ...(wasi ? { functions: { [wasiModule]: wasi.imports } } : {}),
  });
  if (wasi) await wasi.initialize(plugin);

  // A plug-in has one memory: calls go one after the other, and each starts with its blocks freed.
  let last: Promise<unknown> = Promise.resolve();
  function call(name: string, input: Uint8Array): Promise<Uint8Array> {
    const result = last.then(async () => {
      const output = await plugin.call(name, input.slice());
      const copy = output === null ? new Uint8Array(0) : output.bytes().slice();
      await plugin.reset();
      return copy;
    });
    last = result.catch(() => plugin.reset());
    return result;
  }
  return Object.fromEntries(
    pluginFunctions(module).map((name) => [name, (input: Uint8Array) => call(name, input)]),
  );
}

// deno-lint-ignore no-explicit-any -- WebAssembly imports take numbers of any kind and count
type HostFunction = (context: unknown, ...numbers: any[]) => unknown;

function createWasi(print: (line: string) => void) {
  const output = () => ConsoleStdout.lineBuffered(print);
  const wasi = new WASI([], [], [new OpenFile(new WasiFile([])), output(), output()], { debug: false });
  // Extism hands its own context to host functions first; WASI doesn't want it.
  const imports = Object.fromEntries(
    Object.entries(wasi.wasiImport as Record<string, HostFunction>)
      .map((
        [name, run],
      ): [string, HostFunction] => [
        name,
        (_context, ...numbers) => (run as (...all: unknown[]) => unknown)(...numbers),
      ]),
  );
  async function initialize(plugin: Plugin): Promise<void> {
    const instance = await plugin.getInstance() as WasiInstance;
    if (instance.exports._initialize) wasi.initialize(instance);
    else wasi.inst = instance;
  }
  return { imports, initialize };
}

/** What a WASI reactor's instance exports. */
type WasiInstance = { exports: { memory: WebAssembly.Memory; _initialize?: () => unknown } };
