/** A Worker of either kind that runs what a test sends it: see `support.ts`. */
import { parentPort } from "node:worker_threads";
import { Varve } from "../../mod.ts";

type Body = (varve: typeof Varve, state: Record<string, unknown>, args: unknown[]) => unknown;

const scope = globalThis as unknown as {
  onmessage: ((event: { data: unknown }) => void) | null;
  postMessage(message: unknown): void;
};
/** What the functions of one Worker share. */
const state: Record<string, unknown> = {};

async function run(data: unknown): Promise<void> {
  const { id, source, args } = data as { id: number; source: string; args: unknown[] };
  try {
    const body = (0, eval)(`(${source})`) as Body;
    answer({ id, value: await body(Varve, state, args) });
  } catch (error) {
    const { message, code, stack } = error as Error & { code?: string };
    answer({ id, error: { message, code, stack } });
  }
}

function answer(message: unknown): void {
  if (parentPort) parentPort.postMessage(message);
  else scope.postMessage(message);
}

if (parentPort) parentPort.on("message", run);
else scope.onmessage = ({ data }) => void run(data);
answer({ id: 0 });
