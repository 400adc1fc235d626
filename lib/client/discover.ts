/**
 * Asks a manager that nobody has vouched for which certificate authority it has, so that a person can compare the
 * fingerprint with the one the manager printed. Nothing secret is sent and nothing is trusted yet.
 */
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import { fetchAuthority } from "../security/certificate_fetch.ts";
import { parseAddress } from "../security/server_names.ts";

/** Matches no certificate, so that the fetch says what it found instead. */
const noFingerprint = "0".repeat(64);

/** The fingerprint at `host:port`, 64 hexadecimal digits. Throws `manager_lost` when nobody answers there. */
export async function discoverFingerprint(address: string): Promise<string> {
  const { host, port } = parseAddress(address);
  try {
    await fetchAuthority({ host, port, fingerprint: noFingerprint, timeoutMs: limits.handshakeMsMax });
  } catch (thrown) {
    const found = thrown instanceof SqwishError ? thrown.details.found : undefined;
    if (typeof found === "string") return found;
    throw thrown;
  }
  throw new SqwishError("internal", "A certificate authority can't have a fingerprint of zeros");
}
