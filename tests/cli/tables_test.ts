import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Column,
  formatBytes,
  formatFields,
  formatMoment,
  formatMs,
  formatPairs,
  formatTable,
  printable,
} from "../../lib/cli/tables.ts";

interface Row {
  name: string;
  count: number;
  note: string;
}

const columns: Column<Row>[] = [
  { title: "NAME", text: (row) => row.name },
  {
    title: "COUNT",
    right: true,
    text: (row) => String(row.count),
    tone: (row) => row.count > 5 ? "bad" : undefined,
  },
  { title: "NOTE", flexible: true, text: (row) => row.note },
];
const rows: Row[] = [
  { name: "attic-pi", count: 3, note: "a note that goes on for quite a while" },
  { name: "shed", count: 12, note: "short" },
];
const plain = { width: Infinity, colours: false };

Deno.test("`formatTable()` aligns columns and leaves no trailing spaces", () => {
  assert.equal(
    formatTable(rows, columns, plain),
    "NAME      COUNT  NOTE\n" +
      "attic-pi      3  a note that goes on for quite a while\n" +
      "shed         12  short\n",
  );
});

Deno.test("`formatTable()` cuts only flexible columns to the terminal's width", () => {
  const lines = formatTable(rows, columns, { width: 30, colours: false }).trimEnd().split("\n");
  assert.equal(lines[1], "attic-pi      3  a note that …");
  assert.ok(lines.every((line) => line.length <= 30));
  assert.match(formatTable(rows, columns, { width: 5, colours: false }), /attic-pi {6}3 {2}a note …/);
});

Deno.test("`formatTable()` colours only when asked, without changing the alignment", () => {
  const painted = formatTable(rows, columns, { width: Infinity, colours: true });
  assert.ok(painted.includes("\x1b[31m12\x1b[0m"));
  // deno-lint-ignore no-control-regex
  const bare = painted.replace(/\x1b\[\d+m/g, "").replace(/ +\n/g, "\n");
  assert.equal(bare, formatTable(rows, columns, plain));
});

Deno.test("`formatTable()` says so when there is nothing", () => {
  assert.equal(formatTable([], columns, plain, "no agents have joined"), "no agents have joined\n");
});

Deno.test("control characters from elsewhere never reach the terminal", () => {
  assert.equal(printable("a\x1b[2Jb\nc\td\x9b"), "a\ufffd[2Jb c d\ufffd");
  fc.assert(fc.property(fc.string({ unit: "binary" }), fc.integer({ min: 1, max: 60 }), (note, width) => {
    const text = formatTable([{ name: "x", count: 1, note }], columns, { width, colours: false });
    assert.equal(text.split("\n").length, 3);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(text.replaceAll("\n", ""), /[\x00-\x1f\x7f-\x9f]/);
  }));
});

Deno.test("`formatFields()` aligns values and indents their further lines", () => {
  assert.equal(
    formatFields([["Name", "x"], ["Endpoints", "a\nb"]], plain),
    "Name:       x\nEndpoints:  a\n            b\n",
  );
});

Deno.test("numbers read well at every size", () => {
  assert.deepEqual([0, 17, 1536, 20 * 1024, 3.5 * 1024 ** 3].map(formatBytes), [
    "0 B",
    "17 B",
    "1.5 KiB",
    "20 KiB",
    "3.5 GiB",
  ]);
  assert.deepEqual([0.4219, 17.4, 2500, 200_000, 18_120_000, 1_036_800_000].map(formatMs), [
    "0.42 ms",
    "17 ms",
    "2.5 s",
    "3m20s",
    "5h02m",
    "12d",
  ]);
  assert.equal(formatMoment(0), "1970-01-01 00:00:00");
  assert.equal(formatPairs({ arch: "aarch64", zone: ["attic", "shed"] }), "arch=aarch64,zone=attic|shed");
  assert.equal(formatPairs({}), "-");
});
