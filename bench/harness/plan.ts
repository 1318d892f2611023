/** Which processes a run starts, and which rows it cannot have, and why. */
import { statfsSync } from "node:fs";
import type { Peer, Way } from "../peers/peer.ts";
import { whyNotCapable } from "../peers/registry.ts";
import type { Workload } from "../workloads/workload.ts";
import type { PlannedCase } from "./case.ts";

/** A share of the full size, or the small size that only shows that everything runs. */
export type Scale = "smoke" | number;

/** More of the free disk than this is not for one store: some write everything twice. */
const DISK_SHARE = 0.4;

/** One process, repeated; or the reason for its absence. */
export interface Entry {
  workload: Workload;
  peer: Peer;
  variant: string;
  /** Names the peer and how it does the work; parts are added to it. */
  label: string;
  durability: string;
  run?: PlannedCase;
  whyNot?: string;
}

export interface PlanOptions {
  scale: Scale;
  seed: number;
  /** Free bytes where the stores will be. */
  freeBytes: number;
}

export function freeBytesOf(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}

export function planEntries(
  workload: Workload,
  peers: readonly Peer[],
  options: PlanOptions,
): Entry[] {
  return peers.flatMap((peer) => {
    const whyNot = whyNotCapable(peer, workload.need);
    if (whyNot === undefined) {
      const variants = workload.variants ?? [""];
      return variants.flatMap((variant) => entriesOf(workload, peer, variant, options));
    }
    const durability = workload.durability;
    return [{ workload, peer, variant: "", label: peer.name, durability, whyNot }];
  });
}

function entriesOf(
  workload: Workload,
  peer: Peer,
  variant: string,
  options: PlanOptions,
): Entry[] {
  const durability = peer.durabilities?.[workload.need] ?? workload.durability;
  const base = { workload, peer, variant, durability };
  const whyNot = workload.excludes?.(peer, variant);
  if (whyNot) return [{ ...base, label: join([peer.name, variant]), whyNot }];
  const count = countOf(workload, options);
  return (peer.capabilities[workload.need] as readonly Way[]).flatMap((way) =>
    workload.writers.map((writers): Entry => ({
      ...base,
      label: join([
        way === peer.name ? way : `${peer.name} ${way}`,
        workload.writers.length > 1 && `× ${writers}`,
        variant && `, ${variant}`,
      ]),
      run: {
        workload: workload.id,
        peer: peer.name,
        way,
        variant,
        durability,
        count: workload.sizesArePerWriter ? count * writers : count,
        valueBytes: workload.valueBytes,
        writers,
        seed: options.seed,
      },
    }))
  );
}

function countOf(workload: Workload, { scale, freeBytes }: PlanOptions): number {
  const { sizes, diskBytesPerOperation } = workload;
  if (scale === "smoke") return sizes.smoke;
  const wanted = Math.max(sizes.smoke, Math.round(sizes.full * scale));
  if (diskBytesPerOperation === undefined) return wanted;
  return Math.min(wanted, Math.floor((freeBytes * DISK_SHARE) / diskBytesPerOperation));
}

/** Words with a space between them, save before a comma. */
function join(words: readonly (string | false | undefined)[]): string {
  return words.filter(Boolean).join(" ").replaceAll(" ,", ",");
}
