import assert from "node:assert/strict";
import { cpuUsOf, descendantsOf, memoryOf } from "../../bench/measure.ts";
import { barPlot, linePlot } from "../../bench/plot.ts";
import { type Raw, render, type RunRecord } from "../../bench/report.ts";
import type { Comparison } from "../../bench/scenarios/comparison.ts";
import { median, short, slope, table } from "../../bench/statistics.ts";

const machine = { cpu: "a CPU", cores: 2, memoryGb: 4, kernel: "6", versions: { Deno: "2" } };

function record(result: unknown, missing: string[] = []): RunRecord {
  return { date: "2026-01-01", machine, rounds: 1, seconds: 1, missing, result };
}

/** One sample per number, of requests in one second. */
function comparison(perSecond: Record<string, number[]>, title = "64 B, 64 outstanding"): Comparison {
  const names = Object.keys(perSecond);
  return {
    peers: names.map((name) => ({ name, title: `system ${name}` })),
    samples: names.flatMap((peer) =>
      perSecond[peer].map((requests, index) => ({
        ...{ peer, case: title, round: index + 1 },
        measurement: {
          ...{ requests, seconds: 1, p50Us: 1000, p99Us: 2000 },
          cpuUs: { broker: 4, agents: 3, workers: 2, client: 1 },
          memory: { rssMb: 10, pssMb: 5 },
        },
      }))
    ),
  };
}

Deno.test("a goal is judged by the ratio of the medians", () => {
  const page = (sqwish: number[]): string => {
    const raw: Raw = { throughput: record(comparison({ nats: [100, 200, 9000], sqwish })) };
    return render(raw).markdown;
  };
  assert.match(page([1, 600, 700]), /at least 3 × NATS \| 3\.00 × \(600 to 200\) \| reached/);
  assert.match(page([1, 590, 9000]), /at least 3 × NATS \| 2\.95 × \(590 to 200\) \| \*\*not reached\*\*/);
});

Deno.test("a goal that was not measured is not judged, and what was not run is named", () => {
  const raw = {
    throughput: record(comparison({ sqwish: [100] }), ["NATS: NOT RUN, nats-server must be installed"]),
  };
  const { markdown } = render(raw);
  assert.doesNotMatch(markdown, /reached/);
  assert.match(markdown, /\*\*NATS: NOT RUN, nats-server must be installed\*\*/);
});

Deno.test("the page says which of Sqwish's processes takes how much of the time", () => {
  const { markdown } = render({ throughput: record(comparison({ sqwish: [100] })) });
  assert.match(
    markdown,
    /by process, µs\/request: manager 4\.00, agents 3\.00, runners 2\.00, load generator 1\.00/,
  );
});

Deno.test("the manager's CPU is the broker's alone", () => {
  const raw = { throughput: record(comparison({ sqwish: [100] }, "64 B, 256 outstanding")) };
  assert.match(render(raw).markdown, /under 5 µs per request \| 4\.00 µs \| reached/);
});

Deno.test("pictures have colours for light and dark, and are XML whatever the names are", () => {
  const pictures = [
    barPlot('a < b & "c"', "u", [{ title: "<g>", bars: [{ series: "&", value: 0 }] }]),
    linePlot("t", { x: "x", y: "y", logX: true }, [{
      series: "<",
      points: [{ x: 0, y: 0 }, { x: 10, y: 5 }],
    }]),
    linePlot("t", { x: "x", y: "y" }, [{ series: "one point", points: [{ x: 3, y: 7 }] }]),
  ];
  for (const svg of pictures) {
    assert.match(svg, /prefers-color-scheme: dark/);
    assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
    const tags = svg.replaceAll(/<[/a-z][^<>]*>/g, "");
    assert.doesNotMatch(tags, /[<>]|&(?!(amp|lt|gt|quot);)/);
  }
});

Deno.test("`median()`, `slope()`, `short()` and `table()`", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.ok(Math.abs(slope([{ x: 0, y: 1 }, { x: 1, y: 3 }, { x: 2, y: 5 }]) - 2) < 1e-12);
  assert.equal(slope([{ x: 1, y: 1 }]), 0);
  assert.deepEqual([0.432, 12.34, 940.4, 1234, 123_456, 1_234_567, NaN].map(short), [
    ...["0.43", "12.3", "940", "1.2k", "123k", "1.2M", "–"],
  ]);
  assert.equal(table(["a", "b"], [["c", "1"]]), "| a | b |\n| --- | ---: |\n| c | 1 |");
});

Deno.test({
  name: "CPU time, memory and descendants of processes are read from /proc",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const child = new Deno.Command("sh", { args: ["-c", "cat & cat"], stdin: "piped", stdout: "null" })
      .spawn();
    try {
      assert.ok(cpuUsOf([Deno.pid]) > 0);
      const { rssMb, pssMb } = memoryOf([Deno.pid]);
      assert.ok(rssMb >= pssMb && pssMb > 1);
      assert.ok(descendantsOf(Deno.pid).includes(child.pid));
      assert.equal(cpuUsOf([2 ** 22 + 1]), 0);
    } finally {
      await child.stdin.close();
      await child.status;
    }
  },
});
