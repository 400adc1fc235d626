import assert from "node:assert/strict";
import { inTimeOrder } from "../../lib/cli/commands/logs.ts";
import { SqwishError } from "../../lib/errors.ts";
import type { LogLineView } from "../../lib/protocol/views.ts";
import { eventually } from "../support/eventually.ts";
import { runClient } from "./command_line.ts";

Deno.test("`logs -f` asks by its filters and goes on with new lines only", async () => {
  const line = {
    atMs: 0,
    agent: "attic-pi",
    revision: 3,
    replicaSet: "images",
    level: "warn",
    requestId: "ab",
  };
  let extra: unknown[] = [];
  const { code, out } = await runClient(
    ["logs", "images", "-f", "--agent", "attic-pi", "--since", "5m", "--level", "warn"],
    {
      answers: {
        "GET /v1/logs/images?agent=attic-pi&level=warn&lastMs=300000&limit=200": {
          lines: [{ ...line, id: 7, text: "first" }],
          lastId: 7,
        },
        "GET /v1/logs/images?agent=attic-pi&level=warn&limit=1000&afterId=7": () => ({
          lines: extra,
          lastId: 7 + extra.length,
        }),
        "GET /v1/logs/images?agent=attic-pi&level=warn&limit=1000&afterId=8": { lines: [], lastId: 8 },
      },
      async meanwhile({ terminal }) {
        await eventually("the old line", () => terminal.out.includes("first"));
        extra = [{ ...line, id: 8, text: "second\u001b[2J\nline" }];
        await eventually("the new line", () => terminal.out.includes("second"));
        terminal.interrupt();
      },
    },
  );
  assert.equal(code, 0);
  assert.match(out, /attic-pi {2}r3 {2}warn {3}ab {2}first\n/);
  assert.ok(!out.includes("\u001b"), "a module can't write to the terminal");
  assert.equal(out.split("first").length, 2, "nothing twice");
});

Deno.test("`logs -f` begins with nothing old, also where nothing was printed yet, nor when the manager counts anew", async () => {
  const line = { atMs: 0, agent: "attic-pi", revision: 3, replicaSet: "images", level: "info" };
  const path = "GET /v1/logs/images?limit=";
  let reads = 0;
  const { code, out } = await runClient(["logs", "images", "-f"], {
    answers: {
      [`${path}0`]: { lines: [], lastId: 40 },
      [`${path}1000&afterId=40`]: { lines: [{ ...line, id: 41, text: "new" }], lastId: 41 },
      // A manager from a backup, or with a new data folder: what it has is old, what comes is not.
      [`${path}1000&afterId=41`]: { lines: [{ ...line, id: 2, text: "old" }], lastId: 5 },
      [`${path}1000&afterId=5`]: () => {
        reads++;
        return { lines: [{ ...line, id: 6, text: "newer" }], lastId: 6 };
      },
      [`${path}1000&afterId=6`]: { lines: [], lastId: 6 },
    },
    async meanwhile({ terminal }) {
      await eventually("the newer line", () => terminal.out.includes("newer"));
      terminal.interrupt();
    },
  });
  assert.deepEqual([code, reads], [0, 1]);
  assert.equal(out.match(/new\w*|old/g)?.join(), "new,newer");
});

Deno.test("lines of several agents are merged by time, and each one's keep their order though its clock goes back", () => {
  const line = (agent: string, atMs: number, text: string): LogLineView => (
    { id: 0, agent, atMs, text, replicaSet: "images", revision: 1, level: "info" }
  );
  const lines = [
    line("pi-1", 10, "a"),
    line("pi-1", 40, "d"),
    line("pi-1", 5, "e, after its clock was set back"),
    line("pi-2", 20, "b"),
    line("pi-2", 30, "c"),
  ];
  assert.equal(inTimeOrder(lines).map(({ text }) => text[0]).join(""), "abcde");
});

Deno.test("`logs` of an agent or a revision that isn't there is an error, and a filter without a line says so", async () => {
  const path = "GET /v1/logs/images?";
  const none = { lines: [], lastId: 0 };
  const line = { id: 1, atMs: 0, agent: "gone", revision: 1, replicaSet: "images", level: "info", text: "x" };
  const refusal = (message: string) => new SqwishError("not_found", message);
  const answers = {
    [`${path}agent=nosuch&limit=200`]: none,
    [`${path}agent=nosuch&limit=1`]: none,
    [`${path}agent=gone&contains=boom&limit=200`]: none,
    [`${path}agent=gone&limit=1`]: { lines: [line], lastId: 1 },
    "GET /v1/agents/nosuch": refusal("There is no agent nosuch"),
    [`${path}revision=99&limit=200`]: none,
    [`${path}revision=99&limit=1`]: none,
    "GET /v1/revisions/images/99": refusal("There is no revision 99 of images; kept are 1"),
    [`${path}level=error&limit=200`]: none,
    [`${path}limit=200`]: none,
  };
  const logs = async (...options: string[]) => {
    const { code, out, error } = await runClient(["logs", "images", ...options], { answers });
    return [code, out, error];
  };
  const noAgent = "client: There is no agent nosuch (not_found)\n";
  assert.deepEqual(await logs("--agent", "nosuch"), [1, "", noAgent]);
  // Forgotten since, and what it said is kept.
  assert.deepEqual(await logs("--agent", "gone", "--grep", "boom"), [0, "", "no line matches the filter\n"]);
  assert.match(String(await logs("--revision", "99")), /^1,,client: There is no revision 99 of images/);
  assert.deepEqual(await logs("--level", "error"), [0, "", "no line matches the filter\n"]);
  assert.deepEqual(await logs(), [0, "", ""]);
});
