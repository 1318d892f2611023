/** Options: defaults, bounds, and messages that name what was wrong. */
import assert from "node:assert/strict";
import {
  FAMILY_DEFAULTS,
  validateColumnFamilyOptions,
  validateFamilyName,
  validateOpenOptions,
  validatePutOptions,
  validateReadOptions,
  validateWriteOptions,
} from "../../src/api/options.ts";
import { test } from "../harness.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const invalid = { name: "VarveError", code: "ERR_INVALID_ARGUMENT" };

test("the defaults are those of the contract", () => {
  const { familyDefaults, columnFamilies, ...store } = validateOpenOptions();
  assert.deepEqual(store, {
    createIfMissing: true,
    errorIfExists: false,
    readOnly: false,
    durability: "sync",
    totalWriteBufferSize: 256 * MIB,
    syncInterval: 0,
    blockCacheSize: 64 * MIB,
    maxOpenFiles: 1_000,
    directIo: "auto",
    walSegmentSize: 64 * MIB,
    ioThreads: 4,
    compactionRate: Infinity,
    disk: undefined,
  });
  assert.deepEqual(familyDefaults, FAMILY_DEFAULTS);
  assert.deepEqual([...columnFamilies], [["default", FAMILY_DEFAULTS]]);
  assert.deepEqual(FAMILY_DEFAULTS.compression, [{ type: "none", level: 0 }]);
  assert.equal(FAMILY_DEFAULTS.blobThreshold, 64 * KIB);
});

test("every bound holds at its edge, and not beyond", () => {
  const edges: [name: string, taken: unknown[], refused: unknown[]][] = [
    ["blockSize", [KIB], [KIB - 1, Infinity]],
    ["blobThreshold", [KIB, Infinity], [KIB - 1, -Infinity]],
    ["ioThreads", [1, 64], [0, 65]],
    ["maxOpenFiles", [16], [15]],
    ["maxWriteBuffers", [1], [0]],
    ["filterBitsPerKey", [0, 64], [-1, 65]],
    ["syncInterval", [0, 2 ** 31 - 1], [-1, 2 ** 31, Infinity]],
    ["compactionRate", [1, Infinity], [0]],
    ["directIo", ["auto", true, false], ["yes", 1]],
    ["durability", ["sync", "buffered", "volatile"], ["SYNC", true]],
    ["createIfMissing", [false], [0, "false"]],
    ["errorIfExists", [true], [1]],
    ["readOnly", [true], [1]],
    ["disk", [{}], [1, "disk", []]],
    ["keyEncoding", ["tuple"], ["json", {}]],
    ["valueEncoding", ["int64"], ["tuple", {}]],
  ];
  const sizes = ["writeBufferSize", "totalWriteBufferSize", "blockCacheSize", "walSegmentSize"];
  for (const name of [...sizes, "targetFileSize", "levelBaseSize"]) {
    edges.push([name, [64 * KIB, 2 ** 53 - 1], [64 * KIB - 1, 0, -1, 2 ** 53, Infinity]]);
  }
  for (const [name, taken, refused] of edges) {
    for (const value of taken) {
      const options = validateOpenOptions({ [name]: value });
      const all: Record<string, unknown> = { ...options.columnFamilies.get("default"), ...options };
      assert.equal(all[name], value);
    }
    const common = name === "directIo" ? [null] : [null, NaN, 1e5 + 0.5, "65536", 65536n, Symbol()];
    for (const value of [...refused, ...common]) {
      assert.throws(() => validateOpenOptions({ [name]: value }), (error: Error) => {
        assert.equal((error as { code?: string }).code, "ERR_INVALID_ARGUMENT");
        assert.match(error.message, new RegExp(`^Cannot use ${name} ".*" ?.*: takes `));
        return true;
      });
    }
  }
  assert.throws(() => validateOpenOptions({ ioThreads: 65 }), {
    message: 'Cannot use ioThreads "65": takes a whole number from 1 to 64',
  });
  for (const options of [null, 1, "a", [], new Uint8Array(1)]) {
    assert.throws(() => validateOpenOptions(options), invalid);
  }
  assert.doesNotThrow(() => validateOpenOptions({ unknown: 1, blockSize: undefined }));
});

test("compression is one for all levels, or one for each", () => {
  const resolved = (compression: unknown) =>
    validateColumnFamilyOptions({ compression }).compression.map(({ type, level }) => type + level);
  assert.deepEqual(resolved("zstd"), ["zstd3"]);
  assert.deepEqual(resolved({ type: "zstd", level: 22 }), ["zstd22"]);
  assert.deepEqual(resolved({ type: "none", level: 0 }), ["none0"]);
  assert.deepEqual(resolved(["none", "none", { type: "zstd" }]), ["none0", "none0", "zstd3"]);
  const zstd = (level: unknown) => ({ type: "zstd", level });
  for (
    const bad of ["lz4", {}, { type: "lz4" }, zstd(0), zstd(23), zstd("3"), [], ["lz4"], [[]], 1]
  ) {
    assert.throws(() => resolved(bad), invalid);
  }
  assert.throws(() => resolved(["none", zstd(99)]), /compression\[1\]\.level "99"/);
});

test("families take the store's tuning, and neither its encodings nor its operator", () => {
  const merge = () => "";
  const { familyDefaults, columnFamilies } = validateOpenOptions({
    blockSize: 8 * KIB,
    keyEncoding: "utf8",
    valueEncoding: "json",
    mergeOperator: { name: "mine", merge },
    columnFamilies: { counters: { mergeOperator: "add" }, big: { blockSize: 16 * KIB } },
  });
  assert.equal(familyDefaults.blockSize, 8 * KIB);
  assert.equal(familyDefaults.keyEncoding, "binary");
  assert.equal(familyDefaults.mergeOperator, undefined);
  assert.equal(columnFamilies.get("default")!.keyEncoding, "utf8");
  assert.equal(columnFamilies.get("counters")!.valueEncoding, "int64");
  assert.equal(columnFamilies.get("counters")!.blockSize, 8 * KIB);
  assert.equal(columnFamilies.get("big")!.blockSize, 16 * KIB);
  assert.equal(columnFamilies.get("big")!.valueEncoding, "binary");
  const reopened = validateColumnFamilyOptions(
    { keyEncoding: "tuple" },
    columnFamilies.get("counters"),
  );
  assert.deepEqual([reopened.keyEncoding, reopened.valueEncoding], ["tuple", "int64"]);
  for (const bad of [1, [], { "": {} }, { a: null }, { a: { blockSize: 1 } }]) {
    assert.throws(() => validateOpenOptions({ columnFamilies: bad }), invalid);
  }
});

test("merge operators have a name and a function", () => {
  const operator = (mergeOperator: unknown) => validateColumnFamilyOptions({ mergeOperator });
  assert.equal(operator("max").valueEncoding, "int64");
  assert.equal(operator("append").valueEncoding, "binary");
  assert.equal(
    validateColumnFamilyOptions({ mergeOperator: "add", valueEncoding: "binary" }).valueEncoding,
    "binary",
  );
  const merge = () => 0;
  for (const bad of ["sum", null, {}, { name: "a" }, { merge }, { name: "", merge }, merge]) {
    assert.throws(() => operator(bad), invalid);
  }
});

test("write options fall back to the handle's durability", () => {
  assert.equal(validateWriteOptions(undefined, "buffered").durability, "buffered");
  assert.equal(validateWriteOptions({ durability: "volatile" }, "sync").durability, "volatile");
  const { signal } = new AbortController();
  assert.deepEqual(validatePutOptions({ ttl: 0.5, transfer: true, signal }, "sync"), {
    durability: "sync",
    ttl: 0.5,
    transfer: true,
    signal,
  });
  for (const ttl of [0, -1, NaN, Infinity, "1", null]) {
    assert.throws(() => validatePutOptions({ ttl } as never, "sync"), invalid);
  }
  for (const bad of [{ durability: "none" }, { transfer: 1 }, { signal: {} }, null, 1, []]) {
    assert.throws(() => validatePutOptions(bad as never, "sync"), invalid);
  }
  assert.throws(() => validateWriteOptions({ ttl: 5 } as never, "sync"), /ttl "5".*only put\(\)/);
  assert.throws(() => validateWriteOptions({ transfer: true } as never, "sync"), invalid);
});

test("read options are a snapshot and a signal", () => {
  assert.equal(validateReadOptions(undefined).snapshot, undefined);
  const snapshot = { sequence: 4, time: 0 };
  assert.equal(validateReadOptions({ snapshot }).snapshot, snapshot);
  for (const bad of [{ snapshot: 1 }, { snapshot: null }, { signal: "x" }, "a"]) {
    assert.throws(() => validateReadOptions(bad as never), invalid);
  }
});

test("family names are 1 to 255 bytes of well-formed text", () => {
  for (const name of ["a", "é".repeat(127), "../etc", "\0", "a".repeat(255)]) {
    assert.equal(validateFamilyName(name), name);
  }
  for (const name of ["", "a".repeat(256), "é".repeat(128), "\ud800", 1, null, undefined]) {
    assert.throws(() => validateFamilyName(name), invalid);
  }
});
