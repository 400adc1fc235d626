/**
 * `connect`: from options, environment and profile to an open connection. The effects that the rest of the library
 * is kept free of are gathered here: reading the environment, reading and writing the profile.
 */
import process from "node:process";
import { version } from "../version.ts";
import { createSystemClock } from "../clock.ts";
import { createSystemRandom } from "../random.ts";
import { fingerprintOf } from "../security/certificates.ts";
import { Dialer } from "./dialer.ts";
import { type ConnectOptions, isComplete, resolveTarget, type Target } from "./options.ts";
import { type Profile, profilePath, readProfile, writeProfile } from "./profile.ts";
import { Sqwish } from "./sqwish.ts";

const connectTimeoutMsDefault = 10_000;

/**
 * Connects to a cluster. With no options: as the environment (`SQWISH_URL`, `SQWISH_USER`, `SQWISH_PASSWORD`,
 * `SQWISH_FINGERPRINT`) and the profile of `client login` say. Rejects with `unauthenticated`, `forbidden`,
 * `version_mismatch` or `invalid_request` at once, with `manager_lost` when nobody answered in time.
 */
export async function connect(options: ConnectOptions = {}): Promise<Sqwish> {
  const environment = (name: string) => process.env[name];
  // With everything given, neither the environment nor a file is touched: no permission is needed for them.
  const complete = isComplete(options);
  const file = options.profileFile === false || (complete && options.profileFile === undefined)
    ? undefined
    : options.profileFile ?? profilePath(environment);
  const profile = file === undefined ? undefined : await readProfile(file);
  const target = profile && isSameCluster(profile, options)
    ? { ...profile, enroll: false }
    : resolveTarget(options, complete ? () => undefined : environment, profile);
  // A password from the environment or the options is not the profile's to keep.
  const ownsFile = options.token !== undefined ||
    (profile?.user === target.user && profile.password === target.password);
  return await connectTo(target, {
    connectTimeoutMs: options.connectTimeoutMs,
    stored: profile,
    store: file !== undefined && ownsFile ? (changed) => writeProfile(file, changed) : undefined,
  });
}

/** A stored profile is better than the token it was made with, which may have expired. */
function isSameCluster(profile: Profile, options: ConnectOptions): boolean {
  if (options.token === undefined) return false;
  return fingerprintOf(profile.caPem) === resolveTarget(options, () => undefined, undefined).fingerprint;
}

export interface ConnectToOptions {
  connectTimeoutMs?: number;
  /** What the profile holds now. */
  stored?: Profile;
  /** Called with the profile when it differs from `stored`. */
  store?: (profile: Profile) => Promise<void>;
}

/** Connects to a known target: what `connect` and `client login` end in. */
export async function connectTo(target: Target, options: ConnectToOptions = {}): Promise<Sqwish> {
  const dialer = new Dialer(target);
  let known = JSON.stringify(options.stored);
  let storing = Promise.resolve();
  let storeFailure: unknown;
  const sqwish = new Sqwish({
    clock: createSystemClock(),
    random: createSystemRandom(),
    version,
    dial: (signal) => dialer.dial(signal),
    enroll: () => dialer.target.enroll,
    onWelcome(welcome) {
      dialer.welcomed(welcome);
      const { addresses, caPem, user, password } = dialer.target;
      if (!options.store || caPem === undefined) return;
      const profile: Profile = { cluster: welcome.cluster, addresses, caPem, user, password };
      const text = JSON.stringify(profile);
      if (text === known) return;
      known = text;
      // One after the other; the first failure is told to whoever connects, later ones must not end the connection.
      storing = storing.then(() => options.store?.(profile)).catch((thrown) =>
        void (storeFailure ??= thrown)
      );
    },
  });
  await sqwish.open(options.connectTimeoutMs ?? connectTimeoutMsDefault);
  await storing;
  if (storeFailure !== undefined) {
    await sqwish.close();
    throw storeFailure;
  }
  return sqwish;
}
