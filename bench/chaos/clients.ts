/** The compiled client as a process of its own, signed in as the admin. */
import { type Cluster, Program, programCommand } from "../../tests/support/cluster.ts";

export function runClient(cluster: Cluster, args: string[]): Program {
  return new Program(programCommand("client", cluster.options.binaries), args, {
    SQWISH_PROFILE: `${cluster.folder}/profile.json`,
    SQWISH_URL: cluster.url,
    SQWISH_USER: "admin",
    SQWISH_PASSWORD: cluster.adminPassword,
    SQWISH_FINGERPRINT: cluster.ready.fingerprint,
  });
}
