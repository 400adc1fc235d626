/**
 * The least that can stand between a client and two workers in this runtime, and so the limit for any broker in
 * it: no authentication, no queue, no deadlines, no counting. A client's number goes into the top byte of each
 * frame's id, frames go to the workers in runs, in turn, and come back by that byte.
 */
import { frameEnd, readFrames, Writer } from "./framing.ts";

/** Long enough to copy many small frames at once, short enough that both workers are at work. */
const runFramesMax = 32;

const { certFile, keyFile, clientPort, workerPort } = JSON.parse(Deno.args[0]);
const [cert, key] = await Promise.all([Deno.readTextFile(certFile), Deno.readTextFile(keyFile)]);
const workers: Writer[] = [];
const clients: Writer[] = [];
let turn = 0;

async function accept(port: number, serve: (connection: Deno.TlsConn) => void): Promise<void> {
  for await (const connection of Deno.listenTls({ hostname: "127.0.0.1", port, cert, key })) {
    serve(connection);
  }
}

function serveClient(connection: Deno.Conn): void {
  const number = clients.push(new Writer(connection)) - 1;
  readFrames(connection, (bytes, end) => {
    const half = Math.ceil(countFrames(bytes, end) / 2);
    let start = 0;
    let count = 0;
    for (let at = 0; at < end;) {
      bytes[at + 4] = number;
      at = frameEnd(bytes, at, end);
      count++;
      if (at < end && count < half && count < runFramesMax) continue;
      turn = (turn + 1) % workers.length;
      workers[turn].add(bytes.subarray(start, at));
      start = at;
      count = 0;
    }
  });
}

function countFrames(bytes: Uint8Array, end: number): number {
  let count = 0;
  for (let at = 0; at < end; at = frameEnd(bytes, at, end)) count++;
  return count;
}

function serveWorker(connection: Deno.Conn): void {
  workers.push(new Writer(connection));
  if (workers.length === 2) accept(clientPort, serveClient);
  readFrames(connection, (bytes, end) => {
    let start = 0;
    for (let at = 0; at < end;) {
      const number = bytes[start + 4];
      at = frameEnd(bytes, at, end);
      if (at < end && bytes[at + 4] === number) continue;
      clients[number].add(bytes.subarray(start, at));
      start = at;
    }
  });
}

accept(workerPort, serveWorker);
console.log("ready");
