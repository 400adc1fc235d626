/** Filters that let nothing through, and options that a command doesn't take. */
import assert from "node:assert/strict";
import { SqwishError } from "../../lib/errors.ts";
import type { EventView } from "../../lib/protocol/views.ts";
import { runClient } from "./command_line.ts";

const event: EventView = {
  id: 1,
  atMs: 0,
  level: "info",
  kind: "agent_joined",
  subject: "old-pi",
  message: "in",
};

Deno.test("a filter by a name that isn't there is an error, and by one that a kind doesn't take wrong usage", async () => {
  const missing = new SqwishError("not_found", "There is no replicaSet image; did you mean images?");
  const unknown = {
    "GET /v1/replicasets/image": missing,
    "GET /v1/revisions?replicaSet=image": { revisions: [] },
    "GET /v1/rollouts?replicaSet=image": { rollouts: [] },
  };
  for (const kind of ["revisions", "rollouts"]) {
    const { code, out, error } = await runClient(["get", kind, "--replicaset", "image"], {
      answers: unknown,
    });
    assert.deepEqual([code, out, error], [1, "", `client: ${missing.message} (not_found)\n`]);
  }
  const refused = await runClient(["get", "endpoints", "--replicaset", "images"]);
  assert.equal(refused.code, 2);
  assert.equal(refused.error, "client: --replicaset is for revisions and rollouts, not for endpoints\n");
});

Deno.test("`events` of a name that nobody has is an error; of one that has none it says so", async () => {
  const overview = { agents: [], replicaSets: [{ name: "images" }] };
  const none = { events: [] };
  const empty = {
    "GET /v1/overview": overview,
    "GET /v1/events?subject=image&limit=50": none,
    "GET /v1/events?subject=image&limit=1": none,
    "GET /v1/events?subject=images&limit=50": none,
    "GET /v1/events?subject=images&limit=1": none,
    "GET /v1/events?level=error&subject=old-pi&limit=50": none,
    "GET /v1/events?subject=old-pi&limit=1": { events: [event] },
  };
  const unknown = await runClient(["events", "--subject", "image"], { answers: empty });
  assert.equal(unknown.code, 1);
  assert.match(
    unknown.error,
    /No event is about image, and no agent or .*, did you mean `images`\? \(not_found\)/,
  );
  const quiet = await runClient(["events", "--subject", "images"], { answers: empty });
  assert.deepEqual([quiet.code, quiet.out], [0, "no event matches the filter\n"]);
  const removed = await runClient(["events", "--subject", "old-pi", "--level", "error"], { answers: empty });
  assert.deepEqual([removed.code, removed.out], [0, "no event matches the filter\n"]);
});

Deno.test("`events --kind` of what is no kind is wrong usage, and `describe revision` says how one is named", async () => {
  const near = await runClient(["events", "--kind", "agent_lots"]);
  assert.equal(near.code, 2);
  assert.match(near.error, /no kind of event, did you mean `agent_lost`/);
  const far = await runClient(["events", "--kind", "agent_lost,foo"]);
  assert.equal(far.code, 2);
  assert.match(far.error, /Kinds are agent_cordoned, .*, rolled_back/);
  for (const name of ["images", "images/", "images/two"]) {
    const { code, error } = await runClient(["describe", "revision", name]);
    assert.deepEqual([code, error], [
      2,
      "client: a revision is named by its replicaSet and number, images/3\n",
    ]);
  }
});
