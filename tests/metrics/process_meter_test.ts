import assert from "node:assert/strict";
import { runProgram } from "../../examples/demo/programs.ts";
import { parseDiskWritten } from "../../lib/metrics/process_meter.ts";
import { repositoryRoot } from "../support/source_files.ts";

/** As the kernel tells it (proc_pid_io(5)). */
const io = [
  ...["rchar: 323934931", "wchar: 323929600", "syscr: 632687", "syscw: 632675"],
  ...["read_bytes: 0", "write_bytes: 81920", "cancelled_write_bytes: 4096", ""],
].join("\n");

Deno.test("what was written to disks leaves out what was taken back before it got there", () => {
  assert.equal(parseDiskWritten(io), 77_824);
  assert.equal(parseDiskWritten(io.replace("81920", "0")), 0);
  assert.equal(parseDiskWritten("nothing of the kind"), undefined);
});

Deno.test("what a child wrote counts once it has ended", async () => {
  const folder = await Deno.makeTempDir();
  const size = 1 << 20;
  // In a process of its own: tests that run beside this one write, and take back what they have written.
  const write = (name: string) => `Deno.writeFileSync("${folder}/${name}", new Uint8Array(${size}));`;
  const text = `
    import { readDiskWritten } from "${repositoryRoot}/lib/metrics/process_meter.ts";
    const written = [readDiskWritten()];
    ${write("own")}
    written.push(readDiskWritten());
    const child = await new Deno.Command(Deno.execPath(), { args: ["eval", ${
    JSON.stringify(write("child"))
  }] }).output();
    written.push(readDiskWritten());
    console.log(JSON.stringify([child.success, ...written]));`;
  try {
    const { code, stdout, stderr } = await runProgram([Deno.execPath(), "eval"], [
      "--no-check",
      "--ext=ts",
      text,
    ]);
    assert.equal(code, 0, stderr);
    const [success, before, own, both] = JSON.parse(new TextDecoder().decode(stdout));
    assert.ok(success);
    // Elsewhere than on Linux nobody tells, and a folder in memory has no disk.
    if (before === null || own < before + size) return;
    assert.ok(both >= own + size, `${own}, then ${both}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
