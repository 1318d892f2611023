/** A condition that becomes true once. Callbacks run in `set`, on the thread that sets it. */
export class Signal {
  #ready = false;
  #callbacks: (() => void)[] = [];

  get ready(): boolean {
    return this.#ready;
  }

  set(): void {
    if (this.#ready) return;
    this.#ready = true;
    const callbacks = this.#callbacks;
    this.#callbacks = [];
    for (const callback of callbacks) callback();
  }

  /** Calls back when the signal is set; at once if it is. */
  whenSet(callback: () => void): void {
    if (this.#ready) callback();
    else this.#callbacks.push(callback);
  }
}
