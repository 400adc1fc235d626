import assert from "node:assert/strict";
import fc from "fast-check";
import { judge, ownPauseMs } from "../../lib/cluster/liveness.ts";

const at = (lastTelemetryMs: number, nowMs: number) => judge({ connected: true, lastTelemetryMs, nowMs });

Deno.test("two missed telemetries make an agent suspect, three lost, one nothing", () => {
  assert.equal(at(0, 1999).health, "ready");
  assert.equal(at(0, 2000).health, "suspect");
  assert.equal(at(0, 2999).health, "suspect");
  assert.equal(at(0, 3000).health, "lost");
});

Deno.test("a closed connection is lost at once", () => {
  const verdict = judge({ connected: false, lastTelemetryMs: 100, nowMs: 100 });
  assert.equal(verdict.health, "lost");
  assert.match(verdict.reason, /^dead/);
  assert.equal(verdict.nextChangeMs, null);
});

Deno.test("busy, stalled and dead read differently", () => {
  assert.match(
    judge({ connected: true, lastTelemetryMs: 0, nowMs: 500, cpu: 0.99 }).reason,
    /^busy: CPU at 99 %$/,
  );
  const late = judge({ connected: true, lastTelemetryMs: 0, lastHeardMs: 2400, nowMs: 2500 });
  assert.match(late.reason, /^busy: it answers requests, but its telemetry is 2\.5 s old$/);
  assert.match(at(0, 2500).reason, /^stalled: connected, but silent for 2\.5 s$/);
  assert.match(at(0, 3500).reason, /^stalled: .*silent for 3\.5 s/);
  assert.equal(at(0, 500).reason, "");
});

Deno.test("an agent that still answers requests is suspect, not lost, until it falls silent", () => {
  const facts = { connected: true, lastTelemetryMs: 0, lastHeardMs: 5000 };
  assert.equal(judge({ ...facts, nowMs: 5100 }).health, "suspect");
  assert.equal(judge({ ...facts, nowMs: 8000 }).health, "lost");
});

Deno.test("the verdict changes at `nextChangeMs` and not before", () => {
  fc.assert(
    fc.property(fc.nat(4000), fc.nat(4000), fc.nat(4000), (telemetryMs, heardMs, laterMs) => {
      const facts = { connected: true, lastTelemetryMs: telemetryMs, lastHeardMs: heardMs };
      const nowMs = Math.max(telemetryMs, heardMs) + laterMs;
      const verdict = judge({ ...facts, nowMs });
      if (verdict.nextChangeMs === null) {
        assert.equal(judge({ ...facts, nowMs: nowMs + 100_000 }).health, verdict.health);
        return;
      }
      assert.ok(verdict.nextChangeMs > nowMs);
      assert.equal(judge({ ...facts, nowMs: verdict.nextChangeMs - 1 }).health, verdict.health);
      assert.notEqual(judge({ ...facts, nowMs: verdict.nextChangeMs }).health, verdict.health);
    }),
  );
});

Deno.test("`ownPauseMs()` forgives timers their usual lateness and counts the rest", () => {
  assert.equal(ownPauseMs(1000, 1250, 250), 0);
  assert.equal(ownPauseMs(1000, 1750, 250), 0);
  assert.equal(ownPauseMs(1000, 1751, 250), 501);
  assert.equal(ownPauseMs(1000, 61_250, 250), 60_000);
});
