/**
 * A frame counts in its own segment alone: the blocks of a new segment may hold what a removed one left there, whole, under the
 * right checksum, and with the very predecessor that the log ends with.
 */
import assert from "node:assert/strict";
import { LogFrame } from "../../src/native/layout.gen.ts";
import { native } from "../../src/native/library.ts";
import { imageOf, logNames, reopen, TEXT, withFile } from "../log/images.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { Varve } from "../../mod.ts";

function sealed(frame: Uint8Array): number {
  const covered = frame.slice(LogFrame.checksum + 4);
  return native().call.varve_checksum(covered, covered.length) >>> 0;
}

/** The frame that has a text, in place. */
function frameWith(content: Uint8Array, text: string, segment: number): Uint8Array {
  const place = new TextDecoder("latin1").decode(content).indexOf(text);
  const view = new DataView(content.buffer, content.byteOffset);
  for (let offset = place - place % 8; offset > 0; offset -= 8) {
    if (view.getFloat64(offset + LogFrame.segment, true) !== segment) continue;
    const bytes = LogFrame.BYTES + view.getUint32(offset + LogFrame.payloadBytes, true);
    const frame = content.subarray(offset, offset + bytes);
    if (sealed(frame) === view.getUint32(offset + LogFrame.checksum, true)) return frame;
  }
  throw new Error(`no frame has ${text}`);
}

test("a frame that a removed segment left behind is no write, though its checksum and its chain are right", async () => {
  const directory = temporaryDirectory();
  const db = await Varve.open(directory, { ...TEXT, durability: "buffered" });
  await db.put("before", "value");
  await db.put("left behind", "value");
  const image = imageOf(directory);
  await db.close();
  assert.deepEqual([...reopen(image).entries.keys()], ["default/before", "default/left behind"]);

  const name = logNames(image).at(-1)!;
  const number = Number.parseInt(name, 10);
  const content = image.get(name)!.slice();
  const frame = frameWith(content, "left behind", number);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  view.setFloat64(LogFrame.segment, number - 1, true);
  view.setUint32(LogFrame.checksum, sealed(frame), true);
  const found = reopen(withFile(image, name, content));
  assert.equal(found.error, undefined);
  assert.deepEqual([...found.entries.keys()], ["default/before"]);
});
