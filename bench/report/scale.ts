/** From figures to places, and the figures that are worth a line. */

export interface Scale {
  place(value: number): number;
  readonly ticks: readonly number[];
}

const TICKS_WANTED = 5;

/** From zero to a little above the largest figure. */
export function linearScale(max: number, from: number, to: number): Scale {
  const step = roundStep(max / TICKS_WANTED);
  const count = Math.max(1, Math.ceil(max / step));
  const top = count * step;
  return {
    place: (value) => from + ((to - from) * value) / top,
    ticks: Array.from({ length: count + 1 }, (_, index) => index * step),
  };
}

/** Whole powers of ten around the figures, which are above zero. */
export function logScale(min: number, max: number, from: number, to: number): Scale {
  const low = Math.floor(Math.log10(min));
  const high = Math.max(low + 1, Math.ceil(Math.log10(max)));
  return {
    place: (value) => from + ((to - from) * (Math.log10(value) - low)) / (high - low),
    ticks: Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index)),
  };
}

/** 1, 2 or 5 times a power of ten, not below `step`. */
function roundStep(step: number): number {
  if (!(step > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 5, 10].map((factor) => factor * power).find((round) => round >= step * 0.999)!;
}

/** `1.2 M`, `340 k`, `12`. */
export function shortNumber(value: number): string {
  const units: [number, string][] = [[1e9, " G"], [1e6, " M"], [1e3, " k"]];
  for (const [size, name] of units) {
    if (Math.abs(value) >= size) return `${trimmed(value / size)}${name}`;
  }
  return trimmed(value);
}

function trimmed(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}
