/** One connection to the bare relay. */
import type { EchoClient } from "../peer.ts";
import { dial, frameEnd, headerBytes, readFrames, readU32, Writer } from "./framing.ts";

/** The top byte of an id is the relay's. */
const idMask = 0xff_ffff;

export async function open(address: { port: number; caFile: string }): Promise<EchoClient> {
  const connection = await dial(address);
  const writer = new Writer(connection);
  const waiting = new Map<number, (body: Uint8Array) => void>();
  let lastId = 0;
  readFrames(connection, (bytes, end) => {
    for (let at = 0; at < end;) {
      const id = readU32(bytes, at + 4) & idMask;
      const next = frameEnd(bytes, at, end);
      const resolve = waiting.get(id)!;
      waiting.delete(id);
      resolve(bytes.slice(at + headerBytes, next));
      at = next;
    }
  });
  return {
    ask: (body) =>
      new Promise((resolve) => {
        lastId = (lastId + 1) & idMask;
        waiting.set(lastId, resolve);
        writer.addFrame(lastId, body);
      }),
    close: () => Promise.resolve(connection.close()),
  };
}
