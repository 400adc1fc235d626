import assert from "node:assert/strict";
import { barPlot, linePlot, shortNumber } from "../../bench/plot.ts";

/** The attributes of every element of one kind. */
function elements(svg: string, kind: string): Record<string, string>[] {
  return [...svg.matchAll(new RegExp(`<${kind} ([^>]*)>`, "g"))].map(([, text]) =>
    Object.fromEntries([...text.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name, value]) => [name, value]))
  );
}

Deno.test("`barPlot()` draws bars as long as their values", () => {
  const svg = barPlot({
    ...{ title: "Echo", unit: "requests", series: ["one", "two"] },
    groups: [{ name: "64", values: [100, 50] }, { name: "256", values: [25, undefined] }],
  });
  // Paper and the legend's squares come first.
  const widths = elements(svg, "rect").slice(3).map(({ width }) => Number(width));
  assert.deepEqual(widths.map((width) => width / widths[0]), [1, 0.5, 0.25, 0]);
  assert.match(svg, /not run/);
});

Deno.test("`linePlot()` spaces powers of ten evenly on a logarithmic scale", () => {
  const points: [number, number][] = [[10, 1], [100, 2], [1000, 3]];
  const svg = linePlot({
    ...{ title: "Cost", xTitle: "agents", yTitle: "µs", logarithmic: true },
    series: [{ name: "cost", points }],
  });
  const [first, second, third] = elements(svg, "circle").map(({ cx }) => Number(cx));
  assert.ok(Math.abs((second - first) - (third - second)) < 0.2, `${first}, ${second}, ${third}`);
});

Deno.test("`linePlot()` stands a single point, zero and equal values", () => {
  for (const points of [[[0, 0]], [[5, 3], [5, 3]]] as [number, number][][]) {
    const svg = linePlot({
      ...{ title: "Cost", xTitle: "agents", yTitle: "µs", logarithmic: false },
      series: [{ name: "cost", points }],
    });
    assert.doesNotMatch(svg, /NaN|Infinity/);
  }
});

Deno.test("plots escape what stands in their texts", () => {
  const svg = barPlot({
    title: "a < b & c",
    unit: "x",
    series: ["<i>"],
    groups: [{ name: "&", values: [1] }],
  });
  assert.match(svg, /a &lt; b &amp; c/);
  assert.doesNotMatch(svg, /<i>/);
});

Deno.test("`shortNumber()` keeps three digits", () => {
  const shown = [0, 0.1234, 12.345, 1740, 9999, 23_456, 294_637, 1_234_567].map(shortNumber);
  assert.deepEqual(shown, ["0", "0.123", "12.3", "1740", "10000", "23.5k", "295k", "1.23M"]);
});
