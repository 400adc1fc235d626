/** Addresses in one spelling, for messages, tokens and profiles; `security/server_names` reads them. */
import { isIPv6 } from "node:net";

/** `host:port`, IPv6 hosts in brackets. */
export function formatAddress(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}
