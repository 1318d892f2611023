/** Numbers and bytes as a reader of a table wants them. */

export function grouped(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** Three digits that count, and no more. */
export function brief(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value === 0 || Math.abs(value) >= 100) return grouped(value);
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

/** A counter by the unit that its name ends in. */
export function counterText(name: string, value: number): string {
  if (/Bytes$/.test(name) && value >= 1e5) return `${brief(value / 1e6)} MB`;
  return Number.isInteger(value) ? grouped(value) : brief(value);
}
