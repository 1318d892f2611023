/** Past the page cache, or through it: the two forms of the workloads with large values. */
import type { OpenOptions } from "../peers/peer.ts";

export const DIRECT = "direct";
export const BUFFERED = "buffered";

export function openByVariant(variant: string): Pick<OpenOptions, "directIo"> {
  return { directIo: variant === DIRECT };
}
