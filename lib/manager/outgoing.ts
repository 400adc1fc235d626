/** What a failed request of the manager's own says in its log: the reason, but not the address, which may be a secret. */
import { describeError } from "../errors.ts";

/** The causes of a failed `fetch` hold the whole address; of that only the host is told. */
export function describeOutgoing(thrown: unknown, url: string): string {
  const { href, host } = new URL(url);
  return describeError(thrown).replaceAll(href, host).replaceAll(url, host);
}
