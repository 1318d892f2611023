/** How a store's tables are reached: through how many descriptors, in how many calls, and past the page cache or not. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
} from "node:fs";
import { join } from "node:path";
import { Buffer } from "node:buffer";
import process from "node:process";
import { type OpenOptions, Varve } from "../../mod.ts";
import { keyOf } from "../api/support.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { runChild } from "../native/child.ts";
import { Jobs } from "../../src/native/jobs.ts";

const VALUE_BYTES = 1_000;
const O_DIRECT = 0o40000;

/** Bytes that are the same for the same index, and that no compression makes smaller. */
function valueOf(index: number): Uint8Array {
  const bytes = new Uint8Array(VALUE_BYTES);
  let state = index + 1;
  for (let at = 0; at < bytes.length; at++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

async function filled(
  count: number,
  options: OpenOptions<"binary", "binary">,
): Promise<[Varve, string]> {
  const directory = temporaryDirectory();
  const db = await Varve.open(directory, { durability: "buffered", ...options });
  for (let index = 0; index < count; index++) db.putSync(keyOf(index), valueOf(index));
  await db.flush();
  return [db, directory];
}

/** This process's descriptors of tables below a directory, by their flags. */
function tableDescriptors(directory: string): { name: string; flags: number }[] {
  return readdirSync("/proc/self/fd").flatMap((descriptor) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${descriptor}`);
      if (!target.startsWith(`${directory}/`) || !target.endsWith(".table")) return [];
      const info = readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8");
      return [{ name: target, flags: parseInt(/flags:\s*(\d+)/.exec(info)![1], 8) }];
    } catch {
      return []; // closed since it was listed, the listing's own one for instance
    }
  });
}

const hasDescriptors = existsSync("/proc/self/fdinfo");

/** Whether the volume of temporary directories takes O_DIRECT. */
function takesDirect(): boolean {
  const { O_CREAT, O_RDWR } = constants;
  try {
    closeSync(openSync(join(temporaryDirectory(), "probe"), O_CREAT | O_RDWR | O_DIRECT));
    return process.platform === "linux";
  } catch {
    return false;
  }
}

// ---------------------------------------------------------------------------------------------------------------

const FEW = `
  const db = await Varve.open(directory, {
    durability: "buffered", maxOpenFiles: 16, blockCacheSize: 65_536, writeBufferSize: 65_536,
  });
  const families = await Promise.all(
    Array.from({ length: 20 }, (_, index) => db.columnFamily("family " + index, { valueEncoding: "utf8" })),
  );
  const value = (family, round) => (family + " " + round + " ").repeat(200);
  for (let round = 0; round < 10; round++) {
    families.forEach((family, index) => family.putSync("key " + round, value(index, round)));
    await db.flush();
  }
  const files = Object.values(db.stats().columnFamilies)
    .reduce((sum, { levels }) => sum + levels.reduce((all, { files }) => all + files, 0), 0);
  const fs = await import("node:fs");
  const open = () => !fs.existsSync("/proc/self/fd") ? 0 : fs.readdirSync("/proc/self/fd").filter((name) => {
    try { return fs.readlinkSync("/proc/self/fd/" + name).endsWith(".table"); } catch { return false; }
  }).length;
  let most = open();
  let wrong = 0;
  for (let step = 0; step < 600; step++) {
    const index = (step * 7) % 20;
    const round = (step * 13) % 10;
    const found = step % 2 === 0 ? families[index].getSync("key " + round) : await families[index].get("key " + round);
    if (found !== value(index, round)) wrong++;
    most = Math.max(most, open());
  }
  for (const [index, family] of families.entries()) {
    let round = 0;
    for await (const [, found] of family.entries()) if (found !== value(index, round++)) wrong++;
    if (round !== 10) wrong++;
    most = Math.max(most, open());
  }
  const many = await Promise.all(families.map((family) => family.getMany(
    Array.from({ length: 10 }, (_, round) => "key " + round))));
  many.forEach((rows, index) => rows.forEach((found, round) => { if (found !== value(index, round)) wrong++; }));
  await db.verify();
  most = Math.max(most, open());
  console.log(JSON.stringify({ files, most, wrong }));
  await db.close();
  if (open() !== 0) throw new Error("tables are open after the close");`;

interface Few {
  readonly files: number;
  readonly most: number;
  readonly wrong: number;
}

test("200 tables in 20 families are read through 16 descriptors", async () => {
  const { code, stdout, stderr } = await runChild(FEW);
  assert.equal(code, 0, stderr);
  const { files, most, wrong }: Few = JSON.parse(stdout);
  assert.equal(wrong, 0);
  // Compactions may have joined some.
  assert.ok(files > 20, `${files} tables`);
  assert.ok(most <= 16, `${most} descriptors`);
  if (hasDescriptors) assert.ok(most > 0);
});

test("the same in a process that may have 64 descriptors in all", async () => {
  if (spawnSync("prlimit", ["--version"]).status !== 0) return;
  const { code, stdout, stderr } = await runChild(FEW, { wrapper: ["prlimit", "--nofile=64:64"] });
  assert.equal(code, 0, stderr);
  const { most, wrong }: Few = JSON.parse(stdout);
  assert.equal(wrong, 0);
  assert.ok(most <= 16, `${most} descriptors`);
});

// ---------------------------------------------------------------------------------------------------------------

test("directIo: true reads and writes tables directly, false never, auto writes so", async () => {
  const direct = takesDirect();
  for (const directIo of [true, false, "auto"] as const) {
    const [db, directory] = await filled(600, { directIo, blockCacheSize: 65_536 });
    assert.deepEqual(await db.get(keyOf(300)), valueOf(300));
    assert.equal([...db.keys()].length, 600);
    const { tableReads, tableWrites, log } = db.stats().directIo;
    assert.equal(tableReads, direct && directIo === true);
    assert.equal(tableWrites, direct && directIo !== false);
    if (directIo === false) assert.equal(log, false);
    if (hasDescriptors) {
      const descriptors = tableDescriptors(directory);
      assert.ok(descriptors.length > 0);
      for (const { name, flags } of descriptors) {
        assert.equal((flags & O_DIRECT) !== 0, tableReads, name);
      }
    }
    await db.verify();
    await db.close();
  }
});

test("no table is opened for buffered I/O where direct was asked for, nor the other way round", async () => {
  if (!takesDirect() || spawnSync("strace", ["-o", "/dev/null", "true"]).status !== 0) return;
  for (
    const [directIo, written, read] of [[true, true, true], ["auto", true, false], [
      false,
      false,
      false,
    ]]
  ) {
    const output = join(temporaryDirectory(), "trace");
    const { code, stderr } = await runChild(
      `const options = { durability: "buffered", directIo: ${JSON.stringify(directIo)} };
       const db = await Varve.open(directory, options);
       for (let index = 0; index < 3000; index++) db.putSync("key " + index, "v".repeat(1000));
       await db.flush();
       db.getSync("key 7");
       await db.close();
       const again = await Varve.open(directory, options);
       again.getSync("key 8");
       await again.close();`,
      { wrapper: ["strace", "-f", "-qq", "-o", output, "-e", "trace=openat"] },
    );
    assert.equal(code, 0, stderr);
    const opens = readFileSync(output, "utf8").split("\n").filter((line) =>
      line.includes('.table"') && !line.includes("= -1")
    );
    const made = opens.filter((line) => line.includes("O_CREAT"));
    const others = opens.filter((line) => !line.includes("O_CREAT"));
    assert.ok(made.length > 0 && others.length > 0, opens.join("\n"));
    for (const line of made) assert.equal(line.includes("O_DIRECT"), written, line);
    for (const line of others) assert.equal(line.includes("O_DIRECT"), read, line);
  }
});

// ---------------------------------------------------------------------------------------------------------------

test("a scan of N MiB takes about 4 N reads, for an event loop and for a blocking caller", async () => {
  const count = 12_000;
  for (const compression of ["none", "zstd"] as const) {
    const [db] = await filled(count, { blockCacheSize: 65_536, compression });
    const mebibytes = db.stats().columnFamilies.default.levels
      .reduce((sum, { bytes }) => sum + bytes, 0) / 2 ** 20;
    assert.ok(mebibytes > 10, `${mebibytes} MiB`);
    const scans = [
      async () => {
        let rows = 0;
        for await (const [, value] of db.entries()) rows += value.length === VALUE_BYTES ? 1 : 0;
        return rows;
      },
      () => [...db.entries()].filter(([, value]) => value.length === VALUE_BYTES).length,
      () => db.count(),
      () => db.countSync(),
    ];
    for (const scan of scans) {
      const before = db.stats().read;
      assert.equal(await scan(), count);
      const { calls, bytes } = db.stats().read;
      const made = calls - before.calls;
      assert.ok(made <= 4.6 * mebibytes + 10, `${made} calls for ${mebibytes} MiB`);
      assert.ok(bytes - before.bytes < 1.15 * mebibytes * 2 ** 20);
    }
    const before = db.stats().read.calls;
    assert.equal([...db.entries({ gte: keyOf(5_000), limit: 2 })].length, 2);
    assert.ok(db.stats().read.calls - before <= 2, "a short range does not read ahead");
    await db.close();
  }
});

test("getMany reads each block once, and has many reads under way", async () => {
  const count = 6_000;
  const [written, directory] = await filled(count, {});
  await written.close();
  const keys = Array.from({ length: 1_500 }, (_, step) => keyOf((step * 4_001) % count));
  const expected = Array.from({ length: 1_500 }, (_, step) => valueOf((step * 4_001) % count));
  const { submit } = Jobs.prototype;
  for (const sync of [true, false]) {
    const db = await Varve.open(directory, { blockCacheSize: 64 * 2 ** 20 });
    let most = 0;
    Jobs.prototype.submit = function (...job) {
      submit.apply(this, job);
      most = Math.max(most, this.outstanding);
    };
    try {
      const before = db.stats().read.calls;
      const found = sync ? db.getManySync(keys) : await db.getMany(keys);
      assert.deepEqual(found, expected);
      const calls = db.stats().read.calls - before;
      // A block holds some four entries, so most blocks are asked for by one key, many by two.
      assert.ok(calls <= 1_500, `${calls} calls`);
      assert.ok(most > 100, `${most} at once`);
      // What is in memory needs no thread.
      const then = db.stats().read.calls;
      most = 0;
      assert.deepEqual(sync ? db.getManySync(keys) : await db.getMany(keys), expected);
      assert.equal(most, 0);
      assert.equal(db.stats().read.calls, then);
    } finally {
      Jobs.prototype.submit = submit;
    }
    await db.close();
  }
});

test("reads at once of keys in one block read it once", async () => {
  const directory = temporaryDirectory();
  const db = await Varve.open(directory, { durability: "buffered", valueEncoding: "utf8" });
  for (let index = 0; index < 5_000; index++) db.putSync(keyOf(index), "v");
  await db.flush();
  await db.close();
  for (const sync of [true, false]) {
    const again = await Varve.open(directory, { valueEncoding: "utf8" });
    const before = again.stats().read.calls;
    const keys = Array.from({ length: 50 }, (_, index) => keyOf(1_000 + index));
    const found = sync ? again.getManySync(keys) : await again.getMany(keys);
    assert.deepEqual(found, keys.map(() => "v"));
    assert.ok(again.stats().read.calls - before <= 2, "they lie in one block, or in two");
    await again.close();
  }
});

test("more keys at once than there are job records, and keys whose buffer is used again at once", async () => {
  const count = 3_000;
  const [db] = await filled(count, { blockCacheSize: 65_536 });
  const keys = Array.from({ length: count }, (_, step) => keyOf((step * 1_009) % count));
  const expected = Array.from({ length: count }, (_, step) => valueOf((step * 1_009) % count));
  assert.deepEqual(db.getManySync(keys), expected);
  assert.deepEqual(await db.getMany(keys), expected);
  const buffer = Buffer.from(keyOf(0));
  const reads = Array.from({ length: 1_200 }, (_, index) => {
    buffer.write(keyOf(index));
    return index % 2 === 0 ? db.get(buffer) : db.getMany([buffer]).then(([value]) => value);
  });
  assert.deepEqual(await Promise.all(reads), Array.from({ length: 1_200 }, (_, i) => valueOf(i)));
  await db.close();
});
