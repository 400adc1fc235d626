/**
 * Makes certificates in a process of its own: only a first start and a renewal need them, and what that takes is the
 * largest library of the manager. `identity` → here → the same program with `certifyArgument`.
 */
import { deserialize, serialize } from "node:v8";
import { asSqwishError, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import { createSystemRandom, type Random } from "../random.ts";
import type { Authority, ServerCertificate } from "../security/certificates.ts";
import { answer, runInOwnProcess } from "./own_process.ts";

export interface CertificateTask {
  cluster: string;
  /** Made as well when it is missing. */
  authority?: Authority;
  /** What the certificate must be good for. */
  names: readonly string[];
}

export interface Certified {
  authority: Authority;
  certificate: ServerCertificate;
}

/** Rejects with `invalid_request` for names that can't stand in a certificate. */
export type Certify = (task: CertificateTask) => Promise<Certified>;

/** The program's first argument when it is to do one task. */
export const certifyArgument = "certify";

/** `mainModule`: of the program, for when it runs from source. */
export function createProcessCertifier(mainModule: string): Certify {
  return async (task) => {
    const outcome = await runInOwnProcess(mainModule, {
      what: "Making certificates",
      args: [certifyArgument],
      input: new Uint8Array(serialize(task)),
      msMax: limits.certifyMsMax,
    });
    const { certified, error } = deserialize(outcome);
    if (error) throw new SqwishError(error.code, error.message);
    return certified;
  };
}

/** The child's whole work. */
export function answerCertificateTask(): Promise<void> {
  return answer(async (task) => {
    const outcome = await certifyHere(createSystemRandom())(deserialize(task)).then(
      (certified) => ({ certified }),
      (thrown) => {
        const { code, message } = asSqwishError(thrown, "Making a certificate");
        return { error: { code, message } };
      },
    );
    return new Uint8Array(serialize(outcome));
  });
}

/** In this very process, whose memory then holds the library for good. */
export function certifyHere(random: Random): Certify {
  return async ({ cluster, authority: known, names }) => {
    const { createAuthority, issueServerCertificate } = await import("../security/authority.ts");
    const authority = known ?? await createAuthority({ cluster, random });
    return { authority, certificate: await issueServerCertificate(authority, { names }) };
  };
}
