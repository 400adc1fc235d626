/** One connection to the bare relay. */
import type { EchoClient } from "../peer.ts";
import { dial, frameEnd, headerBytes, readFrames, readU32, Writer } from "./framing.ts";

/** The top byte of an id is the relay's. */
const idMask = 0xff_ffff;

export async function open(address: { port: number; caFile: string }): Promise<EchoClient> {
  const connection = await dial(address);
  const writer = new Writer(connection);
  // By id; ids are used again as soon as they are free, so that the array stays short.
  const waiting: ((body: Uint8Array) => void)[] = [];
  const free: number[] = [];
  readFrames(connection, (buffer, end) => {
    // One copy for all replies of a read, each of which then is a view.
    const bytes = buffer.slice(0, end);
    for (let at = 0; at < end;) {
      const id = readU32(bytes, at + 4) & idMask;
      const next = frameEnd(bytes, at, end);
      free.push(id);
      waiting[id](bytes.subarray(at + headerBytes, next));
      at = next;
    }
  });
  return {
    ask: (body) =>
      new Promise((resolve) => {
        const id = free.pop() ?? waiting.length;
        waiting[id] = resolve;
        writer.addFrame(id, body);
      }),
    close: () => Promise.resolve(connection.close()),
  };
}
