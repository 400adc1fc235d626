/**
 * Exact binomial tails, for bounds on shares that hold for few requests as for many. Pure.
 * The tail is the regularized incomplete beta function (NIST DLMF 8.17.5, dlmf.nist.gov/8.17), computed by its continued
 * fraction (8.17.22) with the method of Lentz, "Generating Bessel functions in Mie scattering calculations" (1976).
 */

const precision = 1e-12;
const tiny = 1e-300;
const roundsMax = 500;

/** The chance of at least `successes` of `trials`, when each succeeds with chance `p`. */
export function chanceOfAtLeast(successes: number, trials: number, p: number): number {
  if (successes <= 0) return 1;
  if (successes > trials || p <= 0) return 0;
  if (p >= 1) return 1;
  return incompleteBeta(p, successes, trials - successes + 1);
}

/**
 * The upper bound of a share that was seen as `successes` of `trials`: the true one is larger with a chance of at most
 * `alpha` (Clopper & Pearson, "The use of confidence or fiducial limits", 1934).
 */
export function upperBound(successes: number, trials: number, alpha: number): number {
  if (successes >= trials) return 1;
  let low = successes / trials;
  let high = 1;
  for (let round = 0; round < 50; round++) {
    const middle = (low + high) / 2;
    if (1 - chanceOfAtLeast(successes + 1, trials, middle) > alpha) low = middle;
    else high = middle;
  }
  return high;
}

function incompleteBeta(x: number, a: number, b: number): number {
  const front = Math.exp(
    logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x),
  );
  // The fraction converges fast on this side of the mean only.
  if (x < (a + 1) / (a + b + 2)) return Math.min(1, front * betaFraction(x, a, b) / a);
  return Math.max(0, 1 - front * betaFraction(1 - x, b, a) / b);
}

function betaFraction(x: number, a: number, b: number): number {
  let c = 1;
  let d = 1 / nonZero(1 - (a + b) * x / (a + 1));
  let fraction = d;
  for (let m = 1; m <= roundsMax; m++) {
    const even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nonZero(1 + even * d);
    c = nonZero(1 + even / c);
    fraction *= d * c;
    const odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonZero(1 + odd * d);
    c = nonZero(1 + odd / c);
    const factor = d * c;
    fraction *= factor;
    if (Math.abs(factor - 1) < precision) break;
  }
  return fraction;
}

function nonZero(value: number): number {
  return Math.abs(value) < tiny ? tiny : value;
}

/** Stirling's series (DLMF 5.11.1), after moving the argument up to where a few of its terms are exact enough. */
function logGamma(x: number): number {
  let shift = 0;
  let at = x;
  while (at < 10) shift += Math.log(at++);
  const inverse = 1 / at;
  const square = inverse * inverse;
  const series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)));
  return (at - 0.5) * Math.log(at) - at + Math.log(2 * Math.PI) / 2 + series - shift;
}
