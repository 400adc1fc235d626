/** Where this manager can be reached: what the configuration advertises, else what the machine itself says. */
import { formatAddress } from "../address.ts";
import { parseAddress } from "../security/server_names.ts";
import { SqwishError } from "../errors.ts";

export interface Machine {
  hostname: string;
  /** Addresses of the network interfaces, loopback included. */
  addresses: string[];
}

/** Reads the machine's name and addresses. */
export function readMachine(): Machine {
  return {
    hostname: Deno.hostname(),
    addresses: Deno.networkInterfaces().map((at) => at.address.replace(/%.*$/, "")),
  };
}

/**
 * Host names and addresses for the certificate and the join tokens, the best first. Listening on one address only
 * leaves just that one, unless more are advertised (a forwarded port).
 */
export function reachableHosts(listenHost: string, advertise: readonly string[], machine: Machine): string[] {
  const everywhere = listenHost === "0.0.0.0" || listenHost === "::";
  const own = everywhere ? machineHosts(machine) : [listenHost];
  return [...new Set([...advertise, ...own])];
}

function machineHosts({ hostname, addresses }: Machine): string[] {
  const usable = addresses.filter((address) => !isLoopback(address) && !/^fe80:/i.test(address));
  const v4 = usable.filter((address) => !address.includes(":"));
  const v6 = usable.filter((address) => address.includes(":"));
  const names = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/i.test(hostname) ? [`${hostname.toLowerCase()}.local`] : [];
  return [...v4, ...names, ...v6, "127.0.0.1"];
}

function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}

/** `host:port` for tokens; an advertised name may bring a port of its own. */
export function reachableAddresses(hosts: readonly string[], port: number): string[] {
  return hosts.map((host) => /^(\[.*\]|[^:]+):\d+$/.test(host) ? host : formatAddress(host, port));
}

/** The names alone, for the certificate. */
export function certificateNames(hosts: readonly string[]): string[] {
  return hosts.map((host) => /^(\[.*\]|[^:]+):\d+$/.test(host) ? parseAddress(host).host : host);
}

/** `HOST:PORT` of `--listen` or the configuration; port 0 lets the system choose. */
export function parseListen(text: string): { host: string; port: number } {
  const match = /^(\[[0-9a-f:.]+\]|[^:\s]+):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[2]);
  if (!match || port > 65_535) {
    throw new SqwishError(
      "invalid_request",
      `listen must be HOST:PORT such as 0.0.0.0:7443, is ${JSON.stringify(text)}`,
    );
  }
  return { host: match[1].replace(/^\[|\]$/g, ""), port };
}
