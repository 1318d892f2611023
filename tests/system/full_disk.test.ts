/** A file system that fills up: an image of 8 MiB, mounted by its loop device. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Varve, VarveError } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { lackOf } from "./child.ts";

const IMAGE_BYTES = 8 << 20;
const SMALL = { walSegmentSize: 256 * 1024, writeBufferSize: 128 * 1024 };

/** The mounted file system, or what keeps this process from having one. */
function mountImage(): { directory: string } | { missing: string } {
  if (process.platform !== "linux") return { missing: "loop devices are Linux's" };
  if (process.getuid?.() !== 0) return { missing: "mounting takes root" };
  const parent = temporaryDirectory();
  const image = join(parent, "image");
  const directory = join(parent, "mounted");
  writeFileSync(image, "");
  truncateSync(image, IMAGE_BYTES);
  mkdirSync(directory);
  const missing = lackOf("mkfs.ext4", "-q", "-F", "-m", "0", image) ??
    lackOf("mount", "-o", "loop", image, directory);
  if (missing !== undefined) return { missing };
  process.on("exit", () => spawnSync("umount", ["-l", directory]));
  return { directory };
}

const mounted = mountImage();
const directory = "directory" in mounted ? mounted.directory : "";

/** To the last block, so that recovery finds nothing that it could take. */
function takeTheRest(): void {
  const file = openSync(join(directory, "rest"), "w");
  try {
    while (writeSync(file, new Uint8Array(4096)) > 0);
  } catch (error) {
    assert.equal((error as { code?: string }).code, "ENOSPC");
  } finally {
    closeSync(file);
  }
}

function valueOf(index: number): string {
  return `${index}:`.padEnd(10_000, "x");
}

/** Puts until one is refused; returns how many were acknowledged. */
async function fill(db: Varve, from: number): Promise<number> {
  for (let index = from;; index++) {
    try {
      await db.put(`k${index}`, valueOf(index), {
        durability: index % 3 === 0 ? "buffered" : "sync",
      });
    } catch (error) {
      assert.ok(error instanceof VarveError && error.code === "ERR_NO_SPACE", String(error));
      return index;
    }
  }
}

async function requireAll(db: Varve, count: number): Promise<void> {
  const text = new TextDecoder();
  for (let index = 0; index < count; index++) {
    assert.equal(text.decode(await db.get(`k${index}`)), valueOf(index), `put ${index}`);
  }
}

test(
  "a full disk: writes are refused with ERR_NO_SPACE, reads go on, it opens while full, and writes when there is room",
  async () => {
    const path = join(directory, "store");
    const ballast = join(directory, "ballast");
    writeFileSync(ballast, new Uint8Array(2 << 20));
    let db = await Varve.open(path, SMALL);
    let count = await fill(db, 0);
    assert.ok(count > 100, `${count} puts fit`);
    await requireAll(db, count);
    assert.equal(await db.get(`k${count}`), undefined, "what was refused is not there");
    await db.close();

    takeTheRest();
    db = await Varve.open(path, SMALL);
    await requireAll(db, count);
    await db.verify();
    // The log's last segment may have room.
    count = await fill(db, count);
    await requireAll(db, count);
    rmSync(ballast);
    rmSync(join(directory, "rest"), { force: true });

    // The very next put, whatever earlier ones met. Larger ones may meet a compaction that has the room for a moment.
    await db.put("small", "put");
    let more = count;
    for (let tries = 0; more < count + 50 && tries < 50; tries++) more = await fill(db, more);
    assert.ok(more >= count + 50, `${more - count} more puts fit into two mebibytes`);
    await requireAll(db, more);
    await db.close();
    db = await Varve.open(path, SMALL);
    await requireAll(db, more);
    await db.close();
  },
  "missing" in mounted ? mounted.missing : undefined,
);
