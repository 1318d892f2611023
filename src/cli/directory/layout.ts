/**
 * How a tree of files lies in a store: the content of each in one column family and its metadata in
 * another, both under the path relative to the tree's root, with `/` between its parts.
 */
import { createHash } from "node:crypto";
import { decodeUtf8 } from "../text.ts";

export const CONTENT_FAMILY = "content";
export const METADATA_FAMILY = "metadata";

/** The most bytes of content in memory at once, one larger file aside. */
export const IN_FLIGHT_BYTES_MAX: number = 64 * 1024 * 1024;

/** What is known of a file besides its content. */
export interface FileMetadata {
  /** Length of the content. */
  readonly bytes: number;
  /** Last change, in whole milliseconds since 1970. */
  readonly mtime: number;
  /** Permission bits. */
  readonly mode: number;
  /** Of the content, in hexadecimal. */
  readonly sha256: string;
}

/** As it is stored: JSON. */
export function encodeMetadata(metadata: FileMetadata): string {
  return JSON.stringify(metadata);
}

/** `undefined` for what is no metadata, such as what somebody else stored under that name. */
export function decodeMetadata(bytes: Uint8Array | undefined): FileMetadata | undefined {
  const text = bytes === undefined ? undefined : decodeUtf8(bytes);
  if (text === undefined) return undefined;
  let parsed: Partial<FileMetadata> | null;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (typeof parsed !== "object" || parsed === null) return undefined;
  const { bytes: length, mtime, mode, sha256 } = parsed;
  const complete = Number.isSafeInteger(length) && Number.isSafeInteger(mtime) &&
    Number.isSafeInteger(mode) && typeof sha256 === "string";
  return complete ? parsed as FileMetadata : undefined;
}

/** The SHA-256 of `content`, in hexadecimal. */
export function hashContent(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
