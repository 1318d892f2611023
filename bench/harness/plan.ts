/** Which rows a run has, and which it cannot have, and why. */
import type { Case, Scale } from "./case.ts";
import type { Peer } from "../peers/peer.ts";
import { whyNotCapable } from "../peers/registry.ts";
import type { Workload } from "../workloads/workload.ts";

/** One line of the report: a case without its directory, or the reason for its absence. */
export interface Row {
  workload: Workload;
  peer: Peer;
  label: string;
  run?: Omit<Case, "directory">;
  whyNot?: string;
}

export function planRows(
  workloads: readonly Workload[],
  peers: readonly Peer[],
  scale: Scale,
  seed: number,
): Row[] {
  return workloads.flatMap((workload) =>
    peers.flatMap((peer) => rowsOf(workload, peer, scale, seed))
  );
}

function rowsOf(workload: Workload, peer: Peer, scale: Scale, seed: number): Row[] {
  const whyNot = whyNotCapable(peer, workload.need);
  if (whyNot) return [{ workload, peer, label: peer.name, whyNot }];
  const ways = peer.capabilities[workload.need]!;
  const rows: Row[] = [];
  for (const way of ways as Exclude<typeof ways, string>) {
    const name = way === peer.name ? peer.name : `${peer.name} ${way}`;
    for (const writers of workload.writers) {
      rows.push({
        workload,
        peer,
        label: workload.writers.length > 1 ? `${name} × ${writers}` : name,
        run: {
          workload: workload.id,
          peer: peer.name,
          way,
          durability: workload.durability,
          count: workload.counts[scale],
          valueBytes: workload.valueBytes,
          writers,
          seed,
        },
      });
    }
  }
  return rows;
}
