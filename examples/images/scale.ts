/**
 * Area averaging: each pixel of the small picture is the mean of the rectangle of the large one that it covers,
 * with edge pixels counted by the share that lies inside. Nothing is skipped, so fine detail doesn't flicker.
 * Done along x first, then along y: the mean over a rectangle is the mean of its rows' means.
 */

/** Four bytes a pixel (red, green, blue, alpha), rows from the top. */
export interface Picture {
  width: number;
  height: number;
  data: Uint8Array;
}

const channels = 4;

/** The picture at `width` × `height` pixels, which must not be larger than it is. */
export function scaleDown(picture: Picture, width: number, height: number): Picture {
  if (width > picture.width || height > picture.height || width < 1 || height < 1) {
    throw new RangeError(
      `A picture can only shrink: from ${picture.width} × ${picture.height} to ${width} × ${height} is not possible`,
    );
  }
  const rows = averageRows(picture, width);
  const data = averageColumns(rows, width, picture.height, height);
  return { width, height, data };
}

/** Mean red, green and blue from 0 to 255, to two decimals. */
export function meanColour(picture: Picture): [number, number, number] {
  const sums = [0, 0, 0];
  for (let at = 0; at < picture.data.length; at += channels) {
    for (let channel = 0; channel < 3; channel++) sums[channel] += picture.data[at + channel];
  }
  const pixels = picture.width * picture.height;
  const [red, green, blue] = sums.map((sum) => Math.round((sum / pixels) * 100) / 100);
  return [red, green, blue];
}

/** Each row squeezed to `width` pixels; floats, so that rounding happens once, at the end. */
function averageRows(picture: Picture, width: number): Float32Array {
  const spans = coverage(picture.width, width);
  const out = new Float32Array(width * picture.height * channels);
  for (let y = 0; y < picture.height; y++) {
    const row = y * picture.width * channels;
    for (let x = 0; x < width; x++) {
      const target = (y * width + x) * channels;
      for (const { index, share } of spans[x]) {
        const from = row + index * channels;
        for (let channel = 0; channel < channels; channel++) {
          out[target + channel] += picture.data[from + channel] * share;
        }
      }
    }
  }
  return out;
}

function averageColumns(rows: Float32Array, width: number, fromHeight: number, height: number): Uint8Array {
  const spans = coverage(fromHeight, height);
  const stride = width * channels;
  const out = new Uint8Array(stride * height);
  const line = new Float64Array(stride);
  for (let y = 0; y < height; y++) {
    line.fill(0);
    for (const { index, share } of spans[y]) {
      for (let at = 0; at < stride; at++) line[at] += rows[index * stride + at] * share;
    }
    for (let at = 0; at < stride; at++) out[y * stride + at] = Math.round(line[at]);
  }
  return out;
}

/** For each of `to` cells, which of `from` cells it covers and by what share; the shares of a cell add up to 1. */
function coverage(from: number, to: number): { index: number; share: number }[][] {
  const size = from / to;
  return Array.from({ length: to }, (_, cell) => {
    const start = cell * size;
    const end = start + size;
    const parts = [];
    for (let index = Math.floor(start); index < Math.min(from, Math.ceil(end)); index++) {
      const covered = Math.min(index + 1, end) - Math.max(index, start);
      if (covered > 0) parts.push({ index, share: covered / size });
    }
    return parts;
  });
}
