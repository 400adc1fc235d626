import assert from "node:assert/strict";
import { parseDiskWritten, readDiskWritten } from "../../lib/metrics/process_meter.ts";

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
  try {
    const before = readDiskWritten();
    // Elsewhere than on Linux nobody tells, and a folder in memory has no disk.
    if (before === undefined) return;
    Deno.writeFileSync(`${folder}/own`, new Uint8Array(size));
    const own = readDiskWritten()!;
    if (own < before + size) return;
    const write = `Deno.writeFileSync(${JSON.stringify(`${folder}/child`)}, new Uint8Array(${size}))`;
    const { success } = await new Deno.Command(Deno.execPath(), { args: ["eval", write] }).output();
    assert.ok(success);
    assert.ok(readDiskWritten()! >= own + size, `${own}, then ${readDiskWritten()}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
