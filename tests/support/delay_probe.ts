/** Accepts three TCP connections and prints whether the option that switches Nagle's algorithm off is set on each. */
import { openSockets } from "../../lib/manager/sockets.ts";

const TCP_LEVEL = 6;
const TCP_NODELAY = 1;

function socketNames(): string[] {
  const names = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => name);
  return names.filter((name) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${name}`).startsWith("socket:");
    } catch {
      return false;
    }
  });
}

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
const switchedOff = openSockets()?.switchDelayOff();
const { port } = listener.addr as Deno.NetAddr;
const library = Deno.dlopen("libc.so.6", {
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
});
const value = new Int32Array(1);
const accepted: number[] = [];
for (let index = 0; index < 3; index++) {
  await Deno.connect({ hostname: "127.0.0.1", port });
  const before = new Set(socketNames());
  await listener.accept();
  const [socket] = socketNames().filter((name) => !before.has(name));
  value[0] = -1;
  library.symbols.getsockopt(Number(socket), TCP_LEVEL, TCP_NODELAY, value, new Uint32Array([4]));
  accepted.push(value[0]);
}
console.log(JSON.stringify({ switchedOff, accepted }));
Deno.exit(0);
