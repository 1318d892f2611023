/**
 * The Worker of W13: opens the store like any other, fills its share when told to, verifies it when told to, closes.
 * Each step is one message in and one out, and the main thread waits for all Workers between two steps.
 */
import { HeldDataSet } from "../harness/data_set.ts";
import type { OpenOptions, Store, Way } from "../peers/peer.ts";
import { load } from "../peers/varve.ts";
import { fill } from "./fill.ts";

export interface Share {
  options: OpenOptions;
  way: Way;
  count: number;
  valueBytes: number;
  seed: number;
}

export type Step = { step: "open"; share: Share } | { step: "fill" | "verify" | "close" };

/** `said` is what a verification has to say. */
export type Answer = { said: string } | { code: string | undefined; message: string };

let share: Share;
let data: HeldDataSet;
let store: Store;

async function take(step: Step): Promise<string> {
  switch (step.step) {
    case "open":
      share = step.share;
      data = new HeldDataSet(share);
      store = await (await load()).open(share.options);
      return "";
    case "fill":
      await fill(store, data, share.way);
      return "";
    case "verify":
      return data.verify((key) => store.getSync(key));
    case "close":
      await store.close();
      return "";
  }
}

// The types of a Worker's own scope are not those of the window, and both runtimes' tools know only the latter.
const scope = globalThis as unknown as {
  onmessage: (event: { data: Step }) => void;
  postMessage(answer: Answer): void;
};

scope.onmessage = ({ data: step }) => {
  take(step).then(
    (said) => scope.postMessage({ said }),
    (error) => scope.postMessage({ code: error.code, message: error.message }),
  );
};
