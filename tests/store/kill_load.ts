/**
 * The load of the kill test: what writer `w` of generation `g` does in round `r`, for the child that does it and for the
 * parent that knows afterwards what must be there.
 */
import type { Durability } from "../../mod.ts";

export const FAMILIES = ["default", "users", "orders", "../x"];
export const WRITER_COUNT = 64;

/** One operation: into the family of this index; without a value it is a delete. */
export interface Effect {
  readonly family: number;
  readonly key: string;
  readonly value: string | undefined;
}

/** Both survive a killed process. */
export function durabilityOf(writer: number): Durability {
  return writer % 2 === 0 ? "sync" : "buffered";
}

/** What one write does, all of it or nothing. */
export function effectsOf(generation: number, writer: number, round: number): Effect[] {
  const key = `${generation}-${writer}-${round}`;
  const last = `${generation}-${writer}-last`;
  const value = `${key}:`.padEnd(20 + (writer * 131 + round * 977) % 900, "v");
  const everywhere = FAMILIES.map((_, family) => family);
  switch (round % 4) {
    case 0:
      return [
        ...everywhere.map((family) => ({ family, key, value })),
        { family: 0, key: last, value },
      ];
    case 1:
      return [{ family: (writer + round) % FAMILIES.length, key, value }];
    case 2: {
      const gone = `${generation}-${writer}-${round - 2}`;
      return [
        ...everywhere.slice(1).map((family) => ({ family, key: gone, value: undefined })),
        { family: 1, key, value },
        { family: 3, key, value },
      ];
    }
    default:
      return [{ family: 0, key: last, value }];
  }
}
