/** The parts in C, compiled when they are needed: `shim.c` for clocks and disks, `wire.c` for networks. */
import { join } from "node:path";

/** Compiles into `folder`; resolves with the path. Throws an Error of one line when there is no compiler. */
export async function compileNative(name: "shim" | "wire", folder: string): Promise<string> {
  const source = join(import.meta.dirname!, "native", `${name}.c`);
  const path = join(folder, name === "shim" ? "shim.so" : name);
  const shared = name === "shim" ? ["-shared", "-fPIC"] : [];
  const args = ["-O2", "-Wall", ...shared, "-o", path, source];
  const output = await new Deno.Command("gcc", { args }).output().catch((cause) => {
    throw new Error("These faults need gcc; on Debian: apt-get install gcc libc6-dev", { cause });
  });
  if (!output.success) throw new Error(new TextDecoder().decode(output.stderr));
  return path;
}

/** The clock and the disk of every program that is started with `env`. */
export class Shim {
  readonly env: Record<string, string>;
  readonly #file: string;

  private constructor(library: string, file: string) {
    this.env = { LD_PRELOAD: library, SQWISH_FAULTS: file };
    this.#file = file;
  }

  static async make(folder: string): Promise<Shim> {
    const library = await compileNative("shim", folder);
    const shim = new Shim(library, join(folder, "faults"));
    await Deno.writeFile(shim.#file, new Uint8Array(24));
    // Runners of a root agent are nobody's.
    await Deno.chmod(shim.#file, 0o666);
    return shim;
  }

  /** Takes effect at once, in programs that run. */
  async set(faults: { clockOffsetMs?: number; syncDelayMs?: number }): Promise<void> {
    const words = new BigInt64Array([BigInt(faults.clockOffsetMs ?? 0), BigInt(faults.syncDelayMs ?? 0)]);
    using file = await Deno.open(this.#file, { write: true });
    await file.write(new Uint8Array(words.buffer));
  }

  /** How many syncs have been delayed to their end, by all programs. */
  async slowSyncs(): Promise<number> {
    const bytes = await Deno.readFile(this.#file);
    return Number(new BigInt64Array(bytes.buffer)[2]);
  }
}
