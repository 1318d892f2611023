/** Which objects stand for disks that the library simulates: `options.disk` takes one of them. */

export interface SimulatedDiskEntry {
  /** The library's number of the disk. */
  readonly id: number;
  /** Drawn from the disk's seed, so that the same program writes the same bytes. */
  nextStoreId(): { readonly low: number; readonly high: number };
}

const disks = new WeakMap<object, SimulatedDiskEntry>();

export function registerSimulatedDisk(object: object, entry: SimulatedDiskEntry): void {
  disks.set(object, entry);
}

export function simulatedDiskOf(object: object): SimulatedDiskEntry | undefined {
  return disks.get(object);
}
