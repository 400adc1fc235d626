/**
 * Names a manager can be reached by: DNS names and IP addresses, in one spelling each, so that what a
 * certificate holds and what the configuration asks for can be compared as strings.
 */
import { isIP, isIPv6 } from "node:net";
import { SqwishError } from "../errors.ts";

// Underscores are not for host names (RFC 952), but home networks have them and TLS libraries accept them.
const label = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
const dnsName = new RegExp(`^${label}(?:\\.${label})*$`);
const dnsNameCharactersMax = 253;

/**
 * The canonical spelling: lower case, no final dot, IPv6 compressed (RFC 5952) without brackets and zone.
 * Throws `invalid_request` when it is neither a DNS name nor an IP address.
 */
export function canonicalServerName(name: string): string {
  const bare = name.trim().toLowerCase().replace(/^\[(.*)\]$/, "$1").replace(/%.*$/, "");
  // The URL parser writes IPv6 in its one canonical form.
  if (isIPv6(bare)) return new URL(`https://[${bare}]`).hostname.slice(1, -1);
  if (isIP(bare)) return bare;
  const dns = bare.replace(/\.$/, "");
  // Only digits and dots would be read as an address by every dialler.
  if (dns.length > dnsNameCharactersMax || !dnsName.test(dns) || /^[\d.]+$/.test(dns)) {
    throw new SqwishError(
      "invalid_request",
      `A server name must be a DNS name or an IP address, is ${JSON.stringify(name.slice(0, 300))}`,
    );
  }
  return dns;
}

/** True for IPv4 and IPv6 addresses, without brackets. */
export function isAddress(name: string): boolean {
  return isIP(name) !== 0;
}

/**
 * Splits `host:port` (`[::1]:7443` for IPv6) into a canonical host and the port's number.
 * Throws `invalid_request` naming the text.
 */
export function parseAddress(address: string): { host: string; port: number } {
  const match = /^(\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(address.trim());
  const port = match ? Number(match[2]) : 0;
  if (!match || port < 1 || port > 65_535) {
    throw new SqwishError(
      "invalid_request",
      `An address must be host:port with a port of 1 to 65535, is ${JSON.stringify(address.slice(0, 300))}`,
    );
  }
  return { host: canonicalServerName(match[1]), port };
}
