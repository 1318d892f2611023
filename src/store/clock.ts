/**
 * The store's time, by which `ttl` is judged: the disk's clock, or the greatest time ever seen if that is later, so that what has
 * expired stays expired when the clock is set back. Once `ttl` has been used the manifest keeps the greatest time.
 *
 * All times are milliseconds since 1970, fractions included.
 */
import { native } from "../native/library.ts";
import { REAL_DISK } from "../native/store_handle.ts";

export class Clock {
  readonly #disk: number;
  #greatest: number;
  #used: boolean;

  /** `recorded`: the greatest time that the manifest has seen, if `ttl` has been used. */
  constructor(disk: number, recorded: number | undefined) {
    this.#disk = disk;
    this.#greatest = recorded ?? 0;
    this.#used = recorded !== undefined;
  }

  /** Never less than what it was before. */
  now(): number {
    const time = this.#disk === REAL_DISK ? Date.now() : native().call.varve_disk_clock(this.#disk);
    if (time > this.#greatest) this.#greatest = time;
    return this.#greatest;
  }

  /** The greatest time seen, to go on record; `undefined` while no entry has ever expired. */
  get recorded(): number | undefined {
    return this.#used ? this.#greatest : undefined;
  }

  /** There is an entry that expires: from now on time goes on record. */
  use(): void {
    this.#used = true;
  }

  /** The moment so many milliseconds from now, of an entry that expires then. */
  expiryOf(ttl: number): number {
    this.use();
    return this.now() + ttl;
  }
}
