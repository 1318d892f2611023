/** A simulated disk that counts how often its stores ended without a word. */
import { SimulatedDisk } from "../../testing.ts";

let count = 0;

/** Power failures and kills of all counted disks so far. */
export function crashCount(): number {
  return count;
}

export class CountedDisk extends SimulatedDisk {
  override crash(): void {
    count++;
    super.crash();
  }

  override kill(): void {
    count++;
    super.kill();
  }
}
