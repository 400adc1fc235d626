import assert from "node:assert/strict";
import { SqwishError } from "../../lib/errors.ts";
import { Flag, type Frame, Op } from "../../lib/protocol/frame.ts";
import { eventually } from "../support/eventually.ts";
import type { ScriptedConnection } from "../client/scripted_manager.ts";
import { runClient } from "./command_line.ts";

const encoder = new TextEncoder();

function echo(frame: Frame, connection: ScriptedConnection): void {
  if (frame.op !== Op.request) return;
  const bytes = frame.flags & Flag.bytes;
  const input = bytes ? frame.body.slice() : JSON.parse(new TextDecoder().decode(frame.body));
  connection.reply(frame.id, input, { a: 2000, b: 500 });
}

Deno.test("a JSON reply is compact in a pipe and indented on a terminal", async () => {
  const piped = await runClient(["invoke", "a/b", '{"n": [1]}'], { onRequest: echo });
  assert.deepEqual([piped.code, piped.out, piped.error], [0, '{"n":[1]}\n', ""]);
  const shown = await runClient(["invoke", "a/b", '{"n": [1]}'], {
    onRequest: echo,
    terminal: { isOutTerminal: true },
  });
  assert.equal(shown.out, '{\n  "n": [\n    1\n  ]\n}\n');
  assert.equal(piped.terminal.interruptible, false);
  assert.equal(piped.manager.last.closed?.code, 1000);
});

Deno.test("input comes from standard input as JSON or bytes, or from a file", async () => {
  const json = await runClient(["invoke", "a/b", "-"], {
    onRequest: echo,
    terminal: { input: encoder.encode('"hi"') },
  });
  assert.equal(json.out, '"hi"\n');
  const bytes = await runClient(["invoke", "a/b", "@-"], {
    onRequest: echo,
    terminal: { input: new Uint8Array([1, 0, 255]) },
  });
  assert.deepEqual(bytes.terminal.outBytes, [new Uint8Array([1, 0, 255])]);
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeFile(file, new Uint8Array([9, 8]));
    const read = await runClient(["invoke", "a/b", `@${file}`], { onRequest: echo });
    assert.deepEqual(read.terminal.outBytes, [new Uint8Array([9, 8])]);
  } finally {
    await Deno.remove(file);
  }
  const none = await runClient(["invoke", "a/b"], { onRequest: echo });
  assert.equal(none.out, "null\n");
});

Deno.test("input that isn't JSON is wrong usage, and a missing file a failure; nothing is sent", async () => {
  const malformed = await runClient(["invoke", "a/b", "{oops"], { onRequest: echo });
  assert.equal(malformed.code, 2);
  assert.match(malformed.error, /^client: INPUT must be JSON \(.*@file.*\); it is not: [^\n]+\n$/);
  const missing = await runClient(["invoke", "a/b", "@/nowhere/at/all"], { onRequest: echo });
  assert.equal(missing.code, 1);
  assert.match(
    missing.error,
    /^client: The input file \/nowhere\/at\/all can't be read: .*\(invalid_request\)\n$/,
  );
  assert.equal(malformed.manager.dials + missing.manager.dials, 0);
});

Deno.test("bytes are refused on a terminal with a hint, unless `--raw`", async () => {
  const terminal = { isOutTerminal: true, input: new Uint8Array([7]) };
  const refused = await runClient(["invoke", "a/b", "@-"], { onRequest: echo, terminal });
  assert.equal(refused.code, 1);
  assert.match(refused.error, /reply is 1 bytes, which a terminal can't show.*--raw/);
  const raw = await runClient(["invoke", "a/b", "@-", "--raw"], { onRequest: echo, terminal });
  assert.deepEqual(raw.terminal.outBytes, [new Uint8Array([7])]);
  const text = await runClient(["invoke", "a/b", '"two words"', "--raw"], { onRequest: echo });
  assert.equal(text.out, "two words\n");
});

Deno.test("options reach the request", async () => {
  const argv = [
    "invoke",
    "a/b",
    "1",
    "--timeout",
    "5s",
    "--idempotent",
    "-H",
    "Lang=cy",
    "--header",
    "x=1=2",
  ];
  const { manager, code } = await runClient(argv, { onRequest: echo });
  assert.equal(code, 0);
  const [frame] = manager.last.ofOp(Op.request);
  assert.ok(frame.a > 4000 && frame.a <= 5000);
  assert.equal(frame.flags, Flag.idempotent);
  assert.deepEqual(JSON.parse(frame.meta), { lang: "cy", x: "1=2" });
});

Deno.test("`--verbose` says where the time went, on standard error", async () => {
  const { out, error } = await runClient(["invoke", "a/b", "1", "--verbose"], { onRequest: echo });
  assert.equal(out, "1\n");
  assert.match(error, /^queue 0\.5 ms · run 2 ms · network .+ · total .+ · request 00000001000000ff\n$/);
});

Deno.test("`--verbose` has the time and the request's id of a failure, too", async () => {
  for (const how of [[], ["--stream"]]) {
    const { code, error } = await runClient(["invoke", "a/b", "1", "--verbose", ...how], {
      onRequest: (frame, connection) => connection.error(frame.id, new SqwishError("module_failed", "no")),
    });
    assert.equal(code, 1);
    assert.match(
      error,
      /^failed after .+ · request 00000001000000ff\nclient: no; request 00000001000000ff \(module_failed\)\n$/,
    );
  }
});

Deno.test("`--stream` prints each part as a line", async () => {
  const { out, error, code } = await runClient(["invoke", "a/b", "--stream", "-v"], {
    onRequest(frame, connection) {
      assert.equal(frame.flags, Flag.stream);
      for (const part of [{ n: 2 }, "one"]) connection.part(frame.id, part);
      connection.end(frame.id);
    },
  });
  assert.deepEqual([code, out], [0, '{"n":2}\n"one"\n']);
  assert.match(error, /^2 parts · first after .+ · total .+\n$/);
});

Deno.test("an error is one line with its code; a module's own stack follows it", async () => {
  const { code, out, error } = await runClient(["invoke", "a/b"], {
    onRequest: (frame, connection) =>
      connection.error(
        frame.id,
        new SqwishError("module_failed", "Division by zero", {
          details: {
            stack:
              "Error: Division by zero\n    at divide (modules/maths.ts:3:9)\n    at run (modules/maths.ts:9:1)",
          },
        }),
      ),
  });
  assert.deepEqual([code, out], [1, ""]);
  assert.equal(
    error,
    "client: Division by zero; request 00000001000000ff (module_failed)\n  at divide (modules/maths.ts:3:9)\n  at run (modules/maths.ts:9:1)\n",
  );
});

Deno.test("a module's text and errors can't move a terminal, and a pipe gets them as they are", async () => {
  const wild = "\x1b[2Jred\u009b31m\tand\r\nmore";
  const fail = (frame: Frame, connection: ScriptedConnection) =>
    connection.error(frame.id, new SqwishError("module_failed", "bad \x1b[2J"));
  const shown = { isOutTerminal: true, isErrorTerminal: true };
  const text = async (terminal: object, ...options: string[]) =>
    (await runClient(["invoke", "a/b", JSON.stringify(wild), ...options], { onRequest: echo, terminal })).out;
  assert.equal(await text(shown, "--raw"), "�[2Jred�31m\tand�\nmore\n");
  assert.equal(await text({}, "--raw"), `${wild}\n`);
  assert.equal(JSON.parse(await text(shown)), wild);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(await text(shown), /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
  const failed = async (terminal: object) =>
    (await runClient(["invoke", "a/b"], { onRequest: fail, terminal })).error;
  assert.match(await failed(shown), /^client: bad �\[2J; request/);
  assert.ok((await failed({})).startsWith("client: bad \x1b[2J; request"));
});

Deno.test("Ctrl-C cancels the request in the cluster and ends with `cancelled`", async () => {
  const { code, error, manager } = await runClient(["invoke", "a/b"], {
    async meanwhile({ terminal, manager }) {
      await eventually("the request arrived", () => manager.connections[0]?.ofOp(Op.request).length);
      terminal.interrupt();
    },
  });
  assert.equal(code, 1);
  assert.match(error, /cancelled/);
  assert.equal(manager.last.ofOp(Op.cancel)[0].id, manager.last.ofOp(Op.request)[0].id);
});
