import assert from "node:assert/strict";
import { silentLog } from "../../lib/log.ts";
import { certifyHere } from "../../lib/manager/certificate_process.ts";
import { keepCertificate, openIdentity } from "../../lib/manager/identity.ts";
import { createSystemRandom } from "../../lib/random.ts";
import type { Authority } from "../../lib/security/certificates.ts";
import { openStore, type Store } from "../../lib/store/store.ts";
import { eventually } from "../support/eventually.ts";
import { ManualClock } from "../support/manual_clock.ts";

const hourMs = 3600_000;
const random = createSystemRandom();
const certify = certifyHere(random);

async function withStore(work: (store: Store, clock: ManualClock) => Promise<void>): Promise<void> {
  const store = openStore({ folder: null });
  try {
    await work(store, new ManualClock(Date.now()));
  } finally {
    store.close();
  }
}

const open = (store: Store, clock: ManualClock, names: string[] = ["attic.local"]) =>
  openIdentity(store, { names, clock, random, certify });

Deno.test("a cluster's authority, certificate and session key survive a restart; the start's number grows", () =>
  withStore(async (store, clock) => {
    const first = await open(store, clock);
    const second = await open(store, clock);
    assert.deepEqual([first.firstStart, second.firstStart], [true, false]);
    assert.deepEqual([first.bootEpoch, second.bootEpoch], [1, 2]);
    assert.equal(second.fingerprint, first.fingerprint);
    assert.deepEqual(second.sessionKey, first.sessionKey);
    assert.equal(second.certificate.certPem, first.certificate.certPem);
    assert.equal(first.sessionKey.length, 32);
  }));

Deno.test("a first start that was cut short is finished by the next", () =>
  withStore(async (store, clock) => {
    const first = await open(store, clock);
    await withStore(async (cut) => {
      cut.settings.set("authority", store.settings.get<Authority>("authority")!);
      const second = await open(cut, clock);
      assert.equal(second.fingerprint, first.fingerprint);
      assert.equal(second.sessionKey.length, 32);
    });
  }));

Deno.test("another address makes another certificate of the same authority", () =>
  withStore(async (store, clock) => {
    const first = await open(store, clock);
    const second = await open(store, clock, ["shed.local"]);
    assert.equal(second.fingerprint, first.fingerprint);
    assert.notEqual(second.certificate.certPem, first.certificate.certPem);
  }));

Deno.test("a certificate that could not be served is tried again, and nothing is served after the end", () =>
  withStore(async (store, clock) => {
    const identity = await open(store, clock);
    let names = ["attic.local"];
    let failures = 1;
    let tries = 0;
    const events: string[] = [];
    const stop = keepCertificate({
      store,
      clock,
      certify,
      log: silentLog,
      record: (_level, kind) => events.push(kind),
      identity,
      names: () => names,
      listener: {
        renew() {
          tries++;
          return failures-- > 0 ? Promise.reject(new Error("the port is taken")) : Promise.resolve();
        },
      },
    });
    clock.advance(hourMs);
    names = ["shed.local"];
    clock.advance(hourMs);
    await eventually("the first try", () => tries === 1);
    assert.deepEqual(events, []);
    clock.advance(hourMs);
    await eventually("the second try", () => events.length === 1);
    assert.deepEqual([tries, events], [2, ["certificate_renewed"]]);
    stop();
    assert.equal(clock.pendingTimers, 0);
  }));
