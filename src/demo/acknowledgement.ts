/** What the importing process says on its standard output when a file is durable: one JSON line. */
import { Buffer } from "node:buffer";
import { decodeUtf8 } from "../cli/text.ts";

/** "This file is on stable storage." */
export interface Acknowledgement {
  readonly key: string;
  readonly bytes: number;
}

/** As bytes, which an `Output` passes on at once. */
export function encodeAcknowledgement({ key, bytes }: Acknowledgement): Uint8Array {
  return Buffer.from(`${JSON.stringify({ key, bytes })}\n`);
}

/** `line` is one that `encodeAcknowledgement` made, whole, without its line feed. */
export function decodeAcknowledgement(line: Uint8Array): Acknowledgement {
  return JSON.parse(decodeUtf8(line) ?? "");
}
