/** A file system that fills up: an image of 8 MiB, mounted by its loop device, for one process alone. */
import assert from "node:assert/strict";
import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { temporaryDirectory, test } from "../harness.ts";
import { lackOf, run } from "./child.ts";

const IMAGE_BYTES = 8 << 20;

/** Mounts `$0` at `$1`, where nobody else sees it: it goes with the last process that does, however that one ends. */
const MOUNTED = ["unshare", "--mount", "sh", "-c", 'mount -o loop "$0" "$1" && shift && exec "$@"'];

/** What makes a program see the file system, or what keeps this process from making one. */
function mounting(): { wrapper: string[]; directory: string } | { missing: string } {
  if (process.platform !== "linux") return { missing: "loop devices are Linux's" };
  if (process.getuid?.() !== 0) return { missing: "mounting takes root" };
  const parent = temporaryDirectory();
  const image = join(parent, "image");
  const directory = join(parent, "mounted");
  writeFileSync(image, "");
  truncateSync(image, IMAGE_BYTES);
  mkdirSync(directory);
  const [command, ...rest] = [...MOUNTED, image, directory];
  const missing = lackOf("mkfs.ext4", "-q", "-F", "-m", "0", image) ??
    lackOf(command, ...rest, "true");
  return missing === undefined ? { wrapper: [command, ...rest], directory } : { missing };
}

const mounted = mounting();

test(
  "a full disk: writes are refused with ERR_NO_SPACE, reads go on, it opens while full, and writes when there is room",
  async () => {
    assert.ok("wrapper" in mounted);
    const { lines } = await run(
      "full_disk_child.ts",
      { FULL: mounted.directory },
      mounted.wrapper,
    );
    assert.equal(lines.length, 1);
    const { count, more } = lines[0] as { count: number; more: number };
    assert.ok(count > 100 && more >= count + 50, `${count} puts fit, and ${more - count} more`);
  },
  "missing" in mounted ? mounted.missing : undefined,
);
