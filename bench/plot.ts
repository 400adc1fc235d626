/**
 * Bars and lines as SVG, without any library. Colours are chosen by the page's light or dark scheme inside of the
 * picture itself, so that one file is readable in both.
 */
import { short } from "./statistics.ts";

export interface BarGroup {
  title: string;
  bars: { series: string; value: number }[];
}

export interface Line {
  series: string;
  points: { x: number; y: number }[];
}

const width = 760;
/** Told apart also by people who don't see all colours (Okabe and Ito, 2008), in a tone for each scheme. */
const light = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9"];
const dark = ["#56b4e9", "#ff8a3d", "#2fd6a4", "#e39bc4", "#f0e442", "#9fd3f5"];

const style = `<style>
text { font: 12px system-ui, sans-serif; fill: #1c1c1c }
.faint { fill: #555 } .grid { stroke: #d5d5d5 }
${light.map((colour, index) => `.f${index} { fill: ${colour} } .s${index} { stroke: ${colour} }`).join("\n")}
@media (prefers-color-scheme: dark) {
text { fill: #eee } .faint { fill: #aaa } .grid { stroke: #444 }
${dark.map((colour, index) => `.f${index} { fill: ${colour} } .s${index} { stroke: ${colour} }`).join("\n")}
}
</style>`;

/** Horizontal bars in groups; what is better is longer when `title` says so. */
export function barPlot(title: string, unit: string, groups: readonly BarGroup[]): string {
  const series = [...new Set(groups.flatMap(({ bars }) => bars.map((bar) => bar.series)))];
  const largest = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)), 1e-9);
  const left = 8;
  const barsLeft = 210;
  const scale = (width - barsLeft - 70) / largest;
  const parts: string[] = [];
  let y = 34;
  for (const group of groups) {
    parts.push(`<text x="${left}" y="${y + 12}" font-weight="600">${escapeXml(group.title)}</text>`);
    y += 20;
    for (const { series: name, value } of group.bars) {
      const colour = series.indexOf(name) % light.length;
      const long = Math.max(1, value * scale).toFixed(1);
      parts.push(
        `<text class="faint" x="${barsLeft - 8}" y="${y + 11}" text-anchor="end">${escapeXml(name)}</text>`,
      );
      parts.push(`<rect class="f${colour}" x="${barsLeft}" y="${y}" width="${long}" height="14" rx="2"/>`);
      parts.push(`<text x="${barsLeft + Number(long) + 6}" y="${y + 11}">${short(value)}</text>`);
      y += 18;
    }
    y += 8;
  }
  return picture(title, unit, y, parts);
}

/** Lines over a linear or logarithmic x, y from 0. */
export function linePlot(
  title: string,
  axes: { x: string; y: string; logX?: boolean },
  lines: readonly Line[],
): string {
  const points = lines.flatMap((line) => line.points);
  const area = { left: 60, right: width - 20, top: 40, bottom: 300 };
  const across = (x: number) => axes.logX ? Math.log10(Math.max(x, 1)) : x;
  const low = Math.min(...points.map(({ x }) => across(x)));
  const high = Math.max(...points.map(({ x }) => across(x)), low + 1e-9);
  const tallest = niceCeiling(Math.max(...points.map(({ y }) => y), 1e-9));
  const placeX = (x: number) => area.left + (across(x) - low) / (high - low) * (area.right - area.left);
  const placeY = (y: number) => area.bottom - y / tallest * (area.bottom - area.top);
  const parts: string[] = [];
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const y = placeY(tallest * share).toFixed(1);
    parts.push(`<line class="grid" x1="${area.left}" x2="${area.right}" y1="${y}" y2="${y}"/>`);
    parts.push(
      `<text class="faint" x="${area.left - 6}" y="${y}" dy="4" text-anchor="end">${
        short(tallest * share)
      }</text>`,
    );
  }
  for (const x of ticks(points.map((point) => point.x))) {
    const at = placeX(x).toFixed(1);
    parts.push(
      `<text class="faint" x="${at}" y="${area.bottom + 16}" text-anchor="middle">${short(x)}</text>`,
    );
  }
  parts.push(
    `<text class="faint" x="${area.right}" y="${area.bottom + 32}" text-anchor="end">${
      escapeXml(axes.x)
    }</text>`,
  );
  lines.forEach((line, index) => {
    const colour = index % light.length;
    const path = line.points.map(({ x, y }) => `${placeX(x).toFixed(1)},${placeY(y).toFixed(1)}`).join(" ");
    parts.push(`<polyline class="s${colour}" fill="none" stroke-width="2" points="${path}"/>`);
    const at = area.left + index * 180;
    parts.push(`<rect class="f${colour}" x="${at}" y="${area.bottom + 40}" width="12" height="12" rx="2"/>`);
    parts.push(`<text x="${at + 18}" y="${area.bottom + 50}">${escapeXml(line.series)}</text>`);
  });
  return picture(title, axes.y, area.bottom + 64, parts);
}

function picture(title: string, unit: string, height: number, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${
    escapeXml(title)
  }">
${style}
<text x="8" y="20" font-weight="600">${escapeXml(title)} <tspan class="faint" font-weight="400">${
    escapeXml(unit)
  }</tspan></text>
${parts.join("\n")}
</svg>
`;
}

/** At most six of the values, spread evenly, the first and the last among them. */
function ticks(values: readonly number[]): number[] {
  const all = [...new Set(values)].sort((a, b) => a - b);
  const step = Math.max(1, (all.length - 1) / 5);
  const chosen = new Set<number>();
  for (let at = 0; at < all.length; at += step) chosen.add(all[Math.round(at)]);
  return [...chosen];
}

/** 1, 2, 2.5 or 5 times a power of ten, not below `value`. */
function niceCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 2.5, 5, 10].find((step) => step * power >= value * 0.9999)!;
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll(
    '"',
    "&quot;",
  );
}
