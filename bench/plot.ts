/**
 * Plots as SVG: grouped bars, and lines over a logarithmic or linear scale. Pure, text in and text out. The colours
 * follow the reader's light or dark scheme, also where the picture is only embedded.
 */

const width = 760;
const style = `<style>
    .paper { fill: #ffffff; } .ink { fill: #1f2328; } .quiet { fill: #59636e; } .grid { stroke: #d1d9e0; }
    text { font: 12px system-ui, sans-serif; } .title { font-size: 14px; font-weight: 600; }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #0d1117; } .ink { fill: #f0f6fc; } .quiet { fill: #9198a1; } .grid { stroke: #3d444d; }
    }
  </style>`;

/** Told apart by people who don't see red and green apart, and on both papers (Okabe and Ito's, two of them darker). */
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9"];

export interface Bars {
  title: string;
  /** What a bar's number means. */
  unit: string;
  /** A group's name, and one value for each series; undefined where there is none. */
  groups: { name: string; values: (number | undefined)[] }[];
  series: string[];
}

export interface Lines {
  title: string;
  xTitle: string;
  yTitle: string;
  logarithmic: boolean;
  series: { name: string; points: [number, number][] }[];
}

export function barPlot({ title, unit, groups, series }: Bars): string {
  const [left, right, barHeight, groupGap] = [150, 90, 15, 14];
  const top = 62;
  const largest = Math.max(...groups.flatMap(({ values }) => values.map((value) => value ?? 0)), 1e-9);
  const parts = [legend(series, 44)];
  let y = top;
  for (const { name, values } of groups) {
    const height = values.length * barHeight;
    parts.push(text(left - 10, y + height / 2 + 4, name, "ink", "end"));
    for (const [index, value] of values.entries()) {
      const long = (value ?? 0) / largest * (width - left - right);
      const shown = value === undefined ? "not run" : shortNumber(value);
      parts.push(rect(left, y + 1, long, barHeight - 2, colours[index % colours.length]));
      parts.push(text(left + long + 6, y + barHeight - 3, shown, "quiet", "start"));
      y += barHeight;
    }
    y += groupGap;
  }
  return svg(`${title} (${unit})`, y, parts);
}

export function linePlot({ title, xTitle, yTitle, logarithmic, series }: Lines): string {
  const [left, right, top, height] = [64, 24, 66, 220];
  const points = series.flatMap((each) => each.points);
  const scale = logarithmic ? Math.log10 : (value: number) => value;
  const xs = points.map(([x]) => scale(Math.max(x, logarithmic ? 1 : -Infinity)));
  const [low, high] = [Math.min(...xs), Math.max(...xs)];
  const yMax = niceCeiling(Math.max(...points.map(([, y]) => y), 1e-9));
  const atX = (x: number) => {
    const share = high === low ? 0.5 : (scale(Math.max(x, logarithmic ? 1 : -Infinity)) - low) / (high - low);
    return left + share * (width - left - right);
  };
  const atY = (y: number) => top + height - y / yMax * height;
  const parts = [legend(series.map(({ name }) => name), 44)];
  for (let step = 0; step <= 4; step++) {
    const value = yMax * step / 4;
    parts.push(
      `<line class="grid" x1="${left}" x2="${width - right}" y1="${round(atY(value))}" y2="${
        round(atY(value))
      }"/>`,
      text(left - 8, atY(value) + 4, shortNumber(value), "quiet", "end"),
    );
  }
  for (const x of xLabels(points.map(([each]) => each), logarithmic)) {
    parts.push(text(atX(x), top + height + 18, shortNumber(x), "quiet", "middle"));
  }
  parts.push(text(width - right, top + height + 36, xTitle, "quiet", "end"));
  for (const [index, each] of series.entries()) {
    const colour = colours[index % colours.length];
    const path = each.points.map(([x, y]) => `${round(atX(x))},${round(atY(y))}`).join(" ");
    parts.push(`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    if (each.points.length > 20) continue;
    for (const [x, y] of each.points) {
      parts.push(`<circle cx="${round(atX(x))}" cy="${round(atY(y))}" r="3" fill="${colour}"/>`);
    }
  }
  return svg(`${title} (${yTitle})`, top + height + 48, parts);
}

function svg(title: string, height: number, parts: string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${round(height)}" role="img">
  <title>${escape(title)}</title>
  ${style}
  <rect class="paper" width="100%" height="100%" rx="6"/>
  ${text(20, 24, title, "ink title", "start")}
  ${parts.join("\n  ")}
</svg>
`;
}

function legend(names: readonly string[], y: number): string {
  if (names.length < 2) return "";
  const parts: string[] = [];
  let x = 20;
  for (const [index, name] of names.entries()) {
    parts.push(rect(x, y - 10, 10, 10, colours[index % colours.length]));
    parts.push(text(x + 15, y, name, "quiet", "start"));
    // A sans-serif character of 12 px is about 6.4 wide.
    x += 34 + name.length * 6.4;
  }
  return parts.join("\n  ");
}

function text(x: number, y: number, content: string, kind: string, anchor: string): string {
  const place = `x="${round(x)}" y="${round(y)}"`;
  return `<text ${place} class="${kind}" text-anchor="${anchor}">${escape(content)}</text>`;
}

function rect(x: number, y: number, wide: number, high: number, colour: string): string {
  const place = `x="${round(x)}" y="${round(y)}" width="${round(wide)}" height="${round(high)}"`;
  return `<rect ${place} rx="2" fill="${colour}"/>`;
}

/** Powers of ten on a logarithmic scale; else at most six of the places there are points at, evenly chosen. */
function xLabels(places: number[], logarithmic: boolean): number[] {
  const xs = [...new Set(places)].sort((a, b) => a - b);
  if (logarithmic) return xs.filter((x) => Number.isInteger(Math.log10(x)));
  if (xs.length <= 6) return xs;
  return Array.from({ length: 6 }, (_, index) => xs[Math.round(index * (xs.length - 1) / 5)]);
}

/** The next of 1, 2, 4, 6, 8, 10 times a power of ten. */
function niceCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 4, 6, 8].find((step) => value <= step * power) ?? 10);
}

export function shortNumber(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
