/**
 * Zipf-distributed ranks, by the method of Gray et al., "Quickly Generating Billion-Record Synthetic Databases" (SIGMOD 1994),
 * which YCSB uses: rank 0 is the most popular.
 */

/** YCSB's constant. */
export const ZIPFIAN_THETA = 0.99;

/** Draws ranks below `count`; `random` gives 32-bit integers. */
export function zipfianSource(
  count: number,
  random: () => number,
  theta = ZIPFIAN_THETA,
): () => number {
  const zeta = zetaOf(count, theta);
  const alpha = 1 / (1 - theta);
  const eta = (1 - (2 / count) ** (1 - theta)) / (1 - zetaOf(2, theta) / zeta);
  return () => {
    const u = random() / 2 ** 32;
    const uz = u * zeta;
    if (uz < 1) return 0;
    if (uz < 1 + 0.5 ** theta) return Math.min(1, count - 1);
    return Math.min(count - 1, Math.floor(count * (eta * u - eta + 1) ** alpha));
  };
}

function zetaOf(count: number, theta: number): number {
  let sum = 0;
  for (let rank = 1; rank <= count; rank++) sum += 1 / rank ** theta;
  return sum;
}
