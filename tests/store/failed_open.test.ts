/** An open that fails: what it had taken by then is given back, however often it is tried. */
import assert from "node:assert/strict";
import { releaseRegion, reserveRegion } from "../../src/native/region.ts";
import { BLOCK_BYTES } from "../../src/native/layout.gen.ts";
import { diskWith, type Files, killedStore, openOn, withFile } from "../hostile/specimen.ts";
import { test } from "../harness.ts";

const TRIES = 20;
/** Sizes that regions come in, up to a large memtable's. */
const SIZES = Array.from({ length: 11 }, (_, power) => 2 ** (16 + power));

/** One bit of a file is turned over; from its end, where the offset is negative. */
function damaged(files: Files, name: string, offset: number): Files {
  const content = files.get(name)!.slice();
  content[offset < 0 ? content.length + offset : offset] ^= 1;
  return withFile(files, name, content);
}

// Tables that were open by then, memtables and versions stayed: after some ten thousand tries nothing could be opened any more.
test("an open that fails leaves no memory behind, whatever it met", async () => {
  const { files } = await killedStore();
  for (const name of files.keys()) {
    let offset: number;
    if (name.endsWith(".table")) offset = -4;
    else if (name.endsWith(".log")) offset = BLOCK_BYTES + 100; // in a frame that was synced
    else continue;
    const store = damaged(files, name, offset);
    const ids = new Map(SIZES.map((bytes) => [bytes, new Set<number>()]));
    for (let tried = 0; tried < TRIES; tried++) {
      using disk = diskWith(store);
      await assert.rejects(openOn(disk), { code: "ERR_CORRUPTION" }, name);
      for (const [bytes, seen] of ids) {
        const { id } = reserveRegion(bytes);
        seen.add(id);
        releaseRegion(id);
      }
    }
    // One that is given back is taken again; one that is lost is a new one each time.
    for (const [bytes, seen] of ids) {
      assert.ok(seen.size < TRIES / 2, `${name}: ${seen.size} regions of ${bytes} bytes`);
    }
  }
});
