/**
 * What differs between the two runtimes besides the call into the library itself. Nothing outside
 * `src/native` asks which runtime it is in.
 */
import process from "node:process";

export const isDeno: boolean = "Deno" in globalThis;

/**
 * Arrays of so few bytes cost less as a copy of their own than as a view of a buffer: Bun keeps them among its objects (60 ns for
 * a copy of 100 bytes, against 100 ns by way of a view), where Deno gives every buffer an allocation (400 ns, against 45 ns).
 */
export const ownBufferBytesMax: number = isDeno ? 0 : 1000;

/** `linux-x64`, `darwin-arm64`, …: the name under which a built library is looked for. */
export function platformName(): string {
  return `${process.platform}-${process.arch}`;
}

export function libraryFileName(): string {
  return process.platform === "darwin" ? "libvarve.dylib" : "libvarve.so";
}

type PermissionName = "ffi" | "read" | "env";

/**
 * True if using this permission shows no prompt and throws nothing. Bun has no permissions;
 * in Deno a state of `"prompt"` counts as refused, since Varve never causes a prompt.
 */
export function permitted(name: PermissionName, target: string): boolean {
  if (!isDeno) return true;
  const descriptor = name === "env" ? { name, variable: target } : { name, path: target };
  // deno-lint-ignore no-explicit-any
  const permissions = (globalThis as any).Deno.permissions;
  return permissions.querySync(descriptor).state === "granted";
}

/** An environment variable, or `undefined` when it is unset or may not be read. */
export function environment(name: string): string | undefined {
  return permitted("env", name) ? process.env[name] : undefined;
}
