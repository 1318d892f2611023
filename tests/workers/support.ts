/** Workers for tests: of both kinds, in both runtimes, driven by functions that are sent to them. */
import { Worker as NodeWorker } from "node:worker_threads";
import type { Varve } from "../../mod.ts";

export type Kind = "web" | "node";
export const KINDS: readonly Kind[] = ["web", "node"];

/** What a Worker keeps between two calls. */
export interface PeerState {
  db: Varve;
  [name: string]: unknown;
}

const MODULE = new URL("./peer.ts", import.meta.url);

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** One Worker. */
export class Peer implements AsyncDisposable {
  readonly #send: (message: unknown) => void;
  readonly #end: () => unknown;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  private constructor(kind: Kind, ready: () => void) {
    const receive = (data: unknown): void => {
      const { id, value, error } = data as {
        id: number;
        value: unknown;
        error?: { message: string; code?: string; stack?: string };
      };
      if (id === 0) return ready();
      const waiting = this.#waiting.get(id)!;
      this.#waiting.delete(id);
      if (error === undefined) waiting.resolve(value);
      else waiting.reject(Object.assign(new Error(error.message), error));
    };
    if (kind === "web") {
      const worker = new Worker(MODULE, { type: "module" });
      worker.onmessage = ({ data }) => receive(data);
      worker.onerror = (event) => this.#fail(new Error(event.message));
      this.#send = (message) => worker.postMessage(message);
      this.#end = () => worker.terminate();
    } else {
      const worker = new NodeWorker(MODULE);
      worker.on("message", receive);
      worker.on("error", (error) => this.#fail(error as Error));
      this.#send = (message) => worker.postMessage(message);
      this.#end = () => worker.terminate();
    }
  }

  /** A Worker that is ready. */
  static async start(kind: Kind): Promise<Peer> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const peer = new Peer(kind, resolve);
    await promise;
    return peer;
  }

  /** Runs a function there. It must stand alone: it is sent as text. */
  run<Args extends unknown[], T>(
    body: (varve: typeof Varve, state: PeerState, args: Args) => T,
    ...args: Args
  ): Promise<Awaited<T>> {
    const id = ++this.#last;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.set(id, { resolve, reject });
    this.#send({ id, source: String(body), args });
    return promise as Promise<Awaited<T>>;
  }

  /** Opens a store there, as `state.db`. */
  async open(path: string, options: object = {}): Promise<void> {
    await this.run(
      async (varve, state, [path, options]) => {
        state.db = await varve.open(path, options) as Varve;
      },
      path,
      options,
    );
  }

  async terminate(): Promise<void> {
    await this.#end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.terminate();
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
