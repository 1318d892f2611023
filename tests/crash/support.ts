/** What the crash tests share: the seed, how many crashes, options that make a store turn its files over soon. */
import process from "node:process";
import { ROLLOVER } from "../../src/tree/manifest.ts";

// A manifest is begun anew after a few edits, not after a mebibyte of them.
ROLLOVER.bytes = 400;
ROLLOVER.factor = 2;

/** `VARVE_SEED` repeats a run. */
export const seed = Number(process.env.VARVE_SEED ?? Math.floor(Math.random() * 2 ** 30));

/** `VARVE_CRASHES` sets the work of every file: it is the number of crashes that each property gets. */
export function crashes(usual: number): number {
  const wanted = process.env.VARVE_CRASHES;
  return wanted === undefined || wanted === "" ? usual : Number(wanted);
}

/** `VARVE_QUICK=1`: each property has a look, and no more. For an engine that was broken on purpose. */
export const isQuick = process.env.VARVE_QUICK === "1";

export const SMALL = {
  walSegmentSize: 64 * 1024,
  writeBufferSize: 64 * 1024,
  totalWriteBufferSize: 256 * 1024,
  targetFileSize: 64 * 1024,
  levelBaseSize: 64 * 1024,
};

/** Runs a body and, if it fails, says how to repeat it. */
export async function seeded(body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    console.error(`repeat with VARVE_SEED=${seed}`);
    throw error;
  }
}
