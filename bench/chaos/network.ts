/**
 * One agent behind a cable of its own: a network namespace that reaches this one through `wire`, which delays and
 * loses packets as told. A process, because the kernels this must run on have no netem.
 */
import { compileNative } from "./native.ts";
import { run } from "./system.ts";

/** From the block for benchmarks of networks (RFC 2544), which no network uses. */
const [here, hereLater] = ["198.18.77.1", "198.18.77.11"];
const [there, thereLater] = ["198.18.77.2", "198.18.77.12"];
const device = "sqwish-wire";

export class Cable {
  /** Where the agent behind the cable finds the manager, now and after `renumberHere`. */
  readonly managerAddresses = ["127.0.0.1", here, hereLater];
  #here = [here, hereLater];
  #there = [there, thereLater];
  readonly #namespace: string;
  readonly #wire: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #answers: ReadableStreamDefaultReader<string>;

  private constructor(namespace: string, wire: Deno.ChildProcess) {
    this.#namespace = namespace;
    this.#wire = wire;
    this.#input = wire.stdin.getWriter();
    this.#answers = wire.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  static async lay(folder: string): Promise<Cable> {
    const program = await compileNative("wire", folder);
    const namespace = `sqwish-${Deno.pid}`;
    await run(["ip", "netns", "add", namespace]);
    const wire = new Deno.Command(program, {
      args: [device, namespace],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const cable = new Cable(namespace, wire);
    try {
      await cable.#answer();
      await run(["ip", "addr", "add", `${here}/24`, "dev", device]);
      await run(["ip", "link", "set", device, "up"]);
      await cable.inside(["ip", "link", "set", "lo", "up"]);
      await cable.inside(["ip", "addr", "add", `${there}/24`, "dev", device]);
      await cable.inside(["ip", "link", "set", device, "up"]);
      return cable;
    } catch (thrown) {
      await cable.remove();
      throw thrown;
    }
  }

  /** What a program is started with to be behind the cable. */
  get prefix(): string[] {
    return ["ip", "netns", "exec", this.#namespace];
  }

  inside(command: string[]): Promise<string> {
    return run([...this.prefix, ...command]);
  }

  /**
   * Everything that is sent from now on; in force when it resolves. 100 % loss is a black hole: no end of any
   * connection gets through. Resolves with what became of the packets since it was last set.
   */
  async set({ delayMs = 0, lossPercent = 0 }): Promise<{ passed: number; lost: number }> {
    await this.#input.write(new TextEncoder().encode(`set ${delayMs} ${lossPercent}\n`));
    const [passed, lost] = (await this.#answer()).split(" ").map(Number);
    return { passed, lost };
  }

  /** The line that it answers an order with; orders are given one at a time. */
  async #answer(): Promise<string> {
    let line = "";
    while (!line.endsWith("\n")) {
      const { value, done } = await this.#answers.read();
      if (done) throw new Error("the wire ended");
      line += value;
    }
    return line.trimEnd();
  }

  async setUp(up: boolean): Promise<void> {
    await this.inside(["ip", "link", "set", device, up ? "up" : "down"]);
  }

  /** The agent's machine has another address from now on. */
  async renumberThere(): Promise<void> {
    const [before, after] = this.#there;
    this.#there = [after, before];
    // Taking the first address of a network away takes the others with it.
    await this.inside(["ip", "addr", "del", `${before}/24`, "dev", device]);
    await this.inside(["ip", "addr", "add", `${after}/24`, "dev", device]);
  }

  /** The manager's machine has another address from now on. */
  async renumberHere(): Promise<void> {
    const [before, after] = this.#here;
    this.#here = [after, before];
    await run(["ip", "addr", "del", `${before}/24`, "dev", device]);
    await run(["ip", "addr", "add", `${after}/24`, "dev", device]);
  }

  async remove(): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#answers.cancel().catch(() => {});
    await this.#wire.status;
    await run(["ip", "netns", "del", this.#namespace]);
  }
}
