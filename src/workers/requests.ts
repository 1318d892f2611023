/**
 * What a Worker without the engine asks the host to do, besides writes: said and answered as JSON. They are rare, and each is one
 * that the engine's Worker would have made as a call.
 */
import { VarveError, type VarveErrorCode } from "../base/errors.ts";
import type { Task } from "../native/task.ts";
import type { CheckpointTarget } from "../store/checkpoint.ts";
import type { OperatorName, Store } from "../store/store.ts";
import type { Family, FamilyTuning } from "../tree/family.ts";
import type { KeySpan } from "../tree/key_span.ts";

export type Request =
  | {
    readonly op: "openFamily";
    readonly name: string;
    readonly tuning: FamilyTuning;
    readonly operator: OperatorName | undefined;
  }
  | { readonly op: "dropFamily"; readonly name: string }
  | { readonly op: "flush" }
  | { readonly op: "compact"; readonly families: readonly number[]; readonly span: KeySpan }
  | { readonly op: "barrier"; readonly durable: boolean }
  | { readonly op: "checkpoint"; readonly target: CheckpointTarget }
  | { readonly op: "verify" }
  | { readonly op: "stats" };

/** An error as it goes from one Worker to another. */
export interface ErrorText {
  readonly code: VarveErrorCode;
  readonly message: string;
  readonly path?: string;
  readonly offset?: number;
  readonly errno?: number;
  readonly errnoName?: string;
}

export type Answer = { readonly value: unknown } | { readonly error: ErrorText };

/**
 * Carries a request out. `again`: a host that has died may have done it already, and its asker knows nothing of it.
 */
export function* perform(store: Store, request: Request, again: boolean): Task<unknown> {
  switch (request.op) {
    case "openFamily": {
      const { name, tuning, operator } = request;
      return (yield* store.openFamily(name, tuning, operator)).id;
    }
    case "dropFamily":
      return yield* drop(store, request.name, again);
    case "flush":
      return yield* store.flush();
    case "compact":
      return yield* store.compact(familiesOf(store, request.families), request.span);
    case "barrier":
      return yield* barrier(store, request.durable);
    case "checkpoint":
      return yield* store.checkpoint(request.target);
    case "verify":
      return yield* store.verify();
    case "stats":
      return store.describe?.(store);
  }
}

function* drop(store: Store, name: string, again: boolean): Task<void> {
  if (again && store.families.named(name) === undefined) return;
  yield* store.dropFamily(name);
}

function* barrier(store: Store, durable: boolean): Task<void> {
  if (store.readOnly) return;
  const outcome = store.pipeline.requestBarrier(durable);
  yield outcome;
  if (outcome.error !== undefined) throw outcome.error;
}

/** Those that are still there; a family dropped meanwhile has nothing to compact. */
function familiesOf(store: Store, ids: readonly number[]): Family[] {
  return ids.map((id) => store.families.get(id)).filter((family) => family !== undefined);
}

export function errorText(error: unknown): ErrorText {
  if (!(error instanceof VarveError)) return { code: "ERR_IO", message: String(error) };
  const { code, message, path, offset, errno, errnoName } = error;
  return { code, message, path, offset, errno, errnoName };
}

export function errorOf({ code, message, ...details }: ErrorText): VarveError {
  return new VarveError(code, message, details);
}
