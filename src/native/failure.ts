/** Turns the library's negative results into `VarveError`s. Nothing is swallowed at the native boundary. */
import { VarveError, type VarveErrorCode } from "../base/errors.ts";
import { Code } from "./layout.gen.ts";
import { native } from "./library.ts";

/** Where a failure happened, as far as the caller knows. */
export interface FailurePlace {
  readonly path?: string;
  readonly offset?: number;
}

const OURS: Readonly<Record<number, readonly [VarveErrorCode, string]>> = {
  [Code.closed]: ["ERR_CLOSED", "it is closed"],
  [Code.invalid]: ["ERR_INVALID_ARGUMENT", "the library refused an argument"],
  [Code.locked]: ["ERR_LOCKED", "another process has it open"],
  [Code.corruption]: ["ERR_CORRUPTION", "its bytes are damaged"],
  [Code.noMemory]: ["ERR_IO", "the system refused memory"],
  [Code.exhausted]: ["ERR_IO", "a native table is full"],
  [Code.foreign]: ["ERR_INVALID_ARGUMENT", "the directory holds other files, and no store"],
  [Code.cancelled]: ["ERR_CLOSED", "it was ended early, by a close or a drop"],
  [Code.crashed]: ["ERR_CLOSED", "its simulated disk has crashed"],
  [Code.unsupported]: ["ERR_UNSUPPORTED", "the library does not do that yet"],
};

const NO_SPACE = new Set(["ENOSPC", "EDQUOT"]);

/** An error for a negative result; `attempt` reads "Cannot <do this>". */
export function nativeError(result: number, attempt: string, place: FailurePlace = {}): VarveError {
  const ours = OURS[result];
  if (ours !== undefined) {
    const [code, state] = ours;
    const where = place.offset === undefined ? "" : ` at offset ${place.offset}`;
    return new VarveError(code, `${attempt}: ${state}${where}`, place);
  }
  const errno = -result;
  const errnoName = nameOfErrno(errno);
  const code = NO_SPACE.has(errnoName) ? "ERR_NO_SPACE" : "ERR_IO";
  return new VarveError(code, `${attempt}: ${errnoName}`, { ...place, errno, errnoName });
}

/** `ENOSPC`, `EIO`, …: numbers differ between systems, so the names come from the library. */
function nameOfErrno(errno: number): string {
  return text((into) => native().call.varve_errno_name(errno, into, into.length));
}

/** The number of `EIO`, `ENOSPC`, … on this system. */
export function errnoOf(name: string): number | undefined {
  for (let errno = 1; errno < 256; errno++) {
    if (nameOfErrno(errno) === name) return errno;
  }
  return undefined;
}

/** What the library has to say about this thread's last failed call. */
export function failureDetail(): string {
  return text((into) => native().call.varve_error_detail(into, into.length));
}

function text(fill: (into: Uint8Array) => number): string {
  const into = new Uint8Array(new ArrayBuffer(4096));
  const bytes = fill(into);
  return new TextDecoder().decode(into.subarray(0, Math.max(0, bytes)));
}
