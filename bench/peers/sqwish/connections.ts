/** Holds idle connections of the client library open until it is ended. */
import { connect, type Sqwish } from "../../../client.ts";
import { parseToken } from "../../../lib/security/token.ts";

interface Job {
  token: string;
  count: number;
}

/** Dialled at once, so that neither side is flooded with handshakes. */
const dialledMax = 16;

const { token, count }: Job = JSON.parse(Deno.args[0]);
// The token's own credentials are enough: enrolling would make a user per connection.
const { addresses, fingerprint, user, password } = parseToken(token);
const open: Sqwish[] = [];
let started = 0;

async function dialSome(): Promise<void> {
  while (started < count) {
    started++;
    open.push(await connect({ addresses, fingerprint, user, password, profileFile: false }));
  }
}

await Promise.all(Array.from({ length: dialledMax }, dialSome));
console.log("ready");
