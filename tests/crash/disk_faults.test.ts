/** Bits that rot, answers that come late, transfers that are cut short: as a program meets them on a simulated disk. */
import assert from "node:assert/strict";
import { Varve, VarveError } from "../../mod.ts";
import { type DiskOperationName, SimulatedDisk } from "../../testing.ts";
import { test } from "../harness.ts";
import { Driver, PATH } from "./driver.ts";
import { OPERATIONS } from "./determinism_child.ts";
import { seed, SMALL } from "./support.ts";

const KINDS: readonly DiskOperationName[] = [
  "create",
  "write",
  "sync",
  "allocate",
  "rename",
  "unlink",
  "makeDirectory",
  "syncDirectory",
  "open",
  "read",
  "list",
];

/** A closed store with a log, a table, a manifest and a pointer. */
async function makeStore(disk: SimulatedDisk): Promise<void> {
  const db = await Varve.open(PATH, { ...SMALL, disk });
  for (let index = 0; index < 20; index++) await db.put(`key ${index}`, `value ${index}`);
  await db.flush();
  await db.put("key 3", "newer");
  await db.close();
}

test(`a bit that rots in any file of a closed store is ERR_CORRUPTION with its path, or harmless (VARVE_SEED=${seed})`, async () => {
  using disk = new SimulatedDisk({ seed });
  await makeStore(disk);
  const store = disk.files(PATH).filter(({ name }) => name !== "LOCK")
    .map(({ name }) => ({ path: `${PATH}/${name}`, content: disk.readFile(`${PATH}/${name}`) }));
  assert.equal(store.length, 4);
  const text = new TextDecoder();
  for (const { path, content } of store) {
    const written = [...content.keys()].filter((offset) => content[offset] !== 0);
    let refused = 0;
    for (let round = 0; round < 40; round++) {
      // Files are mostly reserved space: every other bit is in a byte that was written.
      const chosen = written[Math.floor(written.length * round / 40)];
      const { offset, bit } = disk.rot(path, round % 2 ? chosen : undefined);
      try {
        const db = await Varve.open(PATH, { ...SMALL, disk });
        try {
          await db.verify();
          for (let index = 0; index < 20; index++) {
            const expected = index === 3 ? "newer" : `value ${index}`;
            assert.equal(text.decode(await db.get(`key ${index}`)), expected, `${path} ${offset}`);
          }
        } finally {
          disk.kill();
        }
      } catch (error) {
        assert.ok(error instanceof VarveError, String(error));
        assert.equal(
          error.code,
          "ERR_CORRUPTION",
          `${path} ${offset} bit ${bit}: ${error.message}`,
        );
        assert.ok(error.path?.startsWith(PATH), error.message);
        refused++;
      }
      for (const { name } of disk.files(PATH)) disk.removeFile(`${PATH}/${name}`);
      for (const file of store) disk.writeFile(file.path, file.content);
    }
    assert.ok(refused > 5, `${path}: ${refused} of 40 flips were noticed`);
  }
});

test("the same seed turns the same bits over, and the disk's log says which", () => {
  const bits = [1, 2].map(() => {
    using disk = new SimulatedDisk({ seed });
    disk.writeFile("/a/file", new Uint8Array(1000));
    const drawn = Array.from({ length: 20 }, () => disk.rot("/a/file"));
    assert.deepEqual(disk.rot("/a/file", 999, 7), { offset: 999, bit: 7 });
    assert.deepEqual(disk.operations.at(-1), "-- rot /a/file 999 bit 7");
    return drawn;
  });
  assert.deepEqual(bits[0], bits[1]);
  assert.ok(new Set(bits[0].map(({ offset }) => offset)).size > 15);
});

test("files can be listed, read, put in place and removed from outside, and no crash undoes it", () => {
  using disk = new SimulatedDisk({ seed });
  const content = new Uint8Array(200_000).map((_, index) => index % 251);
  disk.writeFile("/deep/er/large", content);
  disk.writeFile("/deep/er/empty", new Uint8Array(0));
  disk.crash();
  assert.deepEqual(disk.files("/deep/er"), [
    { name: "large", bytes: 200_000 },
    { name: "empty", bytes: 0 },
  ]);
  assert.deepEqual(disk.files("/deep"), []);
  assert.deepEqual(disk.readFile("/deep/er/large"), content);
  assert.deepEqual(disk.readFile("/deep/er/empty"), new Uint8Array(0));
  disk.writeFile("/deep/er/large", content.subarray(7, 9));
  disk.removeFile("/deep/er/empty");
  disk.crash();
  assert.deepEqual(disk.readFile("/deep/er/large"), new Uint8Array([7, 8]));
  assert.deepEqual(disk.files("/deep/er").length, 1);
  const missing = { name: "VarveError", code: "ERR_NOT_FOUND" };
  assert.throws(() => disk.readFile("/deep/er/empty"), missing);
  assert.throws(() => disk.removeFile("/deep/er/empty"), missing);
  assert.throws(() => disk.files("/nowhere"), missing);
  assert.throws(() => disk.rot("/nowhere/file"), missing);
  assert.equal(disk.operationCount, 0);
});

test("a late sync keeps the puts that wait for it, and nobody else", async () => {
  using disk = new SimulatedDisk({ seed, latency: { sync: 400 } });
  const db = await Varve.open(PATH, { ...SMALL, disk });
  await db.put("first", "1");
  const order: string[] = [];
  const slow = db.put("slow", "1").then(() => order.push("sync"));
  const reads = (async () => {
    for (let index = 0; index < 20; index++) {
      assert.ok(await db.get("first"));
      await new Promise((resolve) => setImmediate(resolve));
    }
    order.push("reads");
  })();
  await Promise.all([slow, reads]);
  assert.deepEqual(order, ["reads", "sync"]);
  assert.equal(db.getSync("slow")?.[0], 49);
  await db.close();
});

test("an answer that a crash overtakes is never given: the put rejects, though it may be there", async () => {
  const found = { there: 0, gone: 0 };
  for (let round = 0; round < 30; round++) {
    using disk = new SimulatedDisk({ seed: seed + round });
    const db = await Varve.open(PATH, { ...SMALL, disk });
    await db.put("first", "1");
    disk.delay("write", 50);
    const put = db.put("second", "1").then(() => "acknowledged", (error) => error.code);
    for (let turn = 0; turn < round; turn++) await new Promise((resolve) => setImmediate(resolve));
    disk.crash();
    disk.delay("write", 0);
    assert.equal(await put, "ERR_CLOSED");
    const again = await Varve.open(PATH, { ...SMALL, disk });
    assert.ok(await again.get("first"));
    if (await again.get("second") === undefined) found.gone++;
    else found.there++;
  }
  assert.ok(found.there > 0 && found.gone > 0, JSON.stringify(found));
});

test("answers that come late in any order give the same history twice, and the same state as at once", async () => {
  const run = async (latency: boolean): Promise<[string, unknown]> => {
    const late = latency ? [0, 12] as const : 0;
    using disk = new SimulatedDisk({
      seed,
      latency: { sync: late, write: late, create: late, syncDirectory: late, read: late },
    });
    const driver = new Driver(disk);
    await driver.open();
    await driver.run(OPERATIONS);
    const state = driver.state();
    await driver.close();
    return [disk.operations.join("\n"), state];
  };
  const [operations, state] = await run(true);
  assert.deepEqual(await run(true), [operations, state]);
  assert.deepEqual((await run(false))[1], state);
});

test("short transfers and interruptions are nothing that a store can see", async () => {
  using disk = new SimulatedDisk({ seed });
  for (const kind of KINDS) disk.failOften(kind, 0.5, "EINTR");
  const driver = new Driver(disk);
  await driver.open();
  disk.failOften("write", 0.5, "short");
  disk.failOften("read", 0.5, "short");
  await driver.run(OPERATIONS);
  const seen = driver.state();
  assert.deepEqual(seen, driver.history.visible());
  await driver.close();
  await driver.recover();
  assert.deepEqual(driver.state(), seen);
  const interrupted = disk.operations.filter((line) => / EINTR$/.test(line));
  assert.ok(interrupted.length > 10, `${interrupted.length} interruptions`);
});

test("crash() forgets the faults that were planned", async () => {
  using disk = new SimulatedDisk({ seed });
  await makeStore(disk);
  disk.failNext("open", "EIO", { count: 100 });
  await assert.rejects(Varve.open(PATH, { ...SMALL, disk }), { code: "ERR_IO" });
  disk.crash();
  await Varve.open(PATH, { ...SMALL, disk });
});

test("what rot(), delay() and failNext() do not take is refused with the reason", () => {
  const invalid = { name: "VarveError", code: "ERR_INVALID_ARGUMENT" };
  using disk = new SimulatedDisk();
  disk.writeFile("/file", new Uint8Array(3));
  for (const [offset, bit] of [[3, 0], [-1, 0], [0.5, 0], [0, 8], [0, -1], [NaN, 0]]) {
    assert.throws(() => disk.rot("/file", offset, bit), invalid);
  }
  for (const latency of [-1, 0.5, NaN, [2, 1], [0, 2 ** 21]] as const) {
    assert.throws(() => disk.delay("sync", latency), invalid);
  }
  assert.throws(() => disk.delay("fly" as never, 1), invalid);
  assert.throws(() => disk.failNext("sync", "short"), invalid);
  assert.throws(() => new SimulatedDisk({ latency: { sync: -1 } }), invalid);
  assert.throws(() => disk.writeFile("/", new Uint8Array(0)), { code: "ERR_IO" });
});
