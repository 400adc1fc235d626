/**
 * "Did you mean …?": the known names nearest to one that isn't known. For configuration keys, endpoints and commands.
 * Pure; the cost is bounded however long the name is and however many are known.
 */
import { SqwishError } from "./errors.ts";

/** Longer names are compared by their first characters only. */
const comparedCharactersMax = 64;

/**
 * Up to `max` of the known names, nearest first (then alphabetically); empty when nothing is near.
 * Near is: the same but for case, a few slips of the pen (one for every three characters), a part between
 * slashes that is the name (`resize` for `images/resize`), or the name with more behind it.
 */
export function nearMisses(name: string, known: Iterable<string>, max = 3): string[] {
  const wanted = comparable(name);
  if (wanted === "") return [];
  const found: { candidate: string; distance: number }[] = [];
  for (const candidate of new Set(known)) {
    const distance = nearness(wanted, comparable(candidate));
    if (distance !== null) found.push({ candidate, distance });
  }
  found.sort((left, right) =>
    left.distance - right.distance ||
    (left.candidate < right.candidate ? -1 : left.candidate > right.candidate ? 1 : 0)
  );
  return found.slice(0, max).map(({ candidate }) => candidate);
}

/** `not_found` for a name that none of `known` is: "There is no agent pi; did you mean pi-1?". `more` goes behind. */
export function notFound(what: string, name: string, known: Iterable<string>, more = ""): SqwishError {
  const near = nearMisses(name, known);
  const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
  return new SqwishError("not_found", `There is no ${what} ${name}${hint}${more}`, {
    details: { nearMisses: near },
  });
}

/** ", did you mean `a` or `b`?" for the end of a message; "" when nothing is near. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const near = nearMisses(name, known).map((candidate) => `\`${candidate}\``);
  if (near.length === 0) return "";
  const last = near.pop();
  return `, did you mean ${near.length > 0 ? `${near.join(", ")} or ` : ""}${last}?`;
}

function comparable(name: string): string {
  return name.slice(0, comparedCharactersMax).toLowerCase();
}

/** A number to rank by, or null for not near. */
function nearness(wanted: string, candidate: string): number | null {
  const slipsMax = Math.max(1, Math.floor(wanted.length / 3));
  if (Math.abs(wanted.length - candidate.length) <= slipsMax) {
    const distance = editDistance(wanted, candidate);
    if (distance <= slipsMax && distance < wanted.length) return distance;
  }
  if (candidate.includes("/") && candidate.split("/").includes(wanted)) return slipsMax + 1;
  if (wanted.length >= 3 && candidate.startsWith(wanted)) return slipsMax + 2;
  return null;
}

/**
 * Damerau–Levenshtein distance in its restricted form (optimal string alignment): insertions, deletions,
 * substitutions and swaps of neighbours (Damerau, "A technique for computer detection and correction of
 * spelling errors", 1964).
 */
export function editDistance(left: string, right: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1];
      let best = Math.min(
        previous[column] + 1,
        current[column - 1] + 1,
        previous[column - 1] + (same ? 0 : 1),
      );
      const swapped = row > 1 && column > 1 && left[row - 1] === right[column - 2] &&
        left[row - 2] === right[column - 1];
      if (swapped) best = Math.min(best, beforePrevious[column - 2] + 1);
      current.push(best);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[right.length];
}
