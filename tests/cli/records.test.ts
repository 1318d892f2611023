import assert from "node:assert/strict";
import { CSV_HEADER, csvLine, readCsv } from "../../src/cli/records/csv.ts";
import { readLines } from "../../src/cli/records/lines.ts";
import { ndjsonLine, readNdjson } from "../../src/cli/records/ndjson.ts";
import { type Entry, keyFields, valueFields } from "../../src/cli/records/record.ts";
import { test } from "../harness.ts";
import { inPieces, ODD_ENTRIES } from "./data.ts";

const encoder = new TextEncoder();
const FORMATS = {
  ndjson: { header: "", line: ndjsonLine, read: readNdjson },
  csv: { header: CSV_HEADER, line: csvLine, read: readCsv },
};

async function readAll(entries: AsyncIterable<Entry>): Promise<[number[], number[]][]> {
  const all: [number[], number[]][] = [];
  for await (const { key, value } of entries) all.push([[...key], [...value]]);
  return all;
}

for (const [name, format] of Object.entries(FORMATS)) {
  for (const keyFormat of ["utf8", "hex"] as const) {
    test(`${name} with ${keyFormat} keys gives back every byte, however the stream is cut`, async () => {
      const lines = ODD_ENTRIES.map(([key, value]) =>
        format.line({ ...keyFields(key, keyFormat), ...valueFields(value, "utf8") })
      );
      const bytes = encoder.encode(format.header + lines.join(""));
      const expected = ODD_ENTRIES.map(([key, value]) => [[...key], [...value]]);
      for (const size of [1, 7, bytes.length]) {
        const read = await readAll(format.read(inPieces(bytes, size), "utf8"));
        assert.deepEqual(read, expected);
      }
    });
  }

  test(`${name} refuses input that is not UTF-8`, async () => {
    const bytes = Uint8Array.of(...encoder.encode(`${format.header}"`), 0xff, 0x0a);
    await assert.rejects(readAll(format.read(inPieces(bytes, 100), "utf8")), /not UTF-8/);
  });
}

test("NDJSON names the line that cannot be used", async () => {
  const cases: [string, RegExp][] = [
    ["{", /line 2: it is not JSON/],
    ["null", /line 2: it is not an object/],
    ["[]", /line 2: it is not an object/],
    ['{"value":""}', /line 2: it has no "key"/],
    ['{"key":"k"}', /line 2: it has no "value"/],
    ['{"key":1,"value":""}', /line 2: "key" is not a string/],
    ['{"key":"k","value":"zz","encoding":"hex"}', /line 2: its value is not hex/],
    ['{"key":"k","value":"a","encoding":"base64"}', /line 2: its value is not base64/],
    ['{"key":"k","value":"","encoding":"rot13"}', /line 2: "encoding" takes hex or base64/],
    ['{"key":"\\ud800","value":""}', /line 2: its key is not utf8/],
  ];
  for (const [line, expected] of cases) {
    const bytes = encoder.encode(`{"key":"ok","value":""}\n${line}\n`);
    await assert.rejects(readAll(readNdjson(inPieces(bytes, 100), "utf8")), expected);
  }
});

test("CSV finds its columns by name, with any line end and a byte order mark", async () => {
  const bytes = encoder.encode("\ufeffvalue,ignored,key\r\n1,x,a\r\n\r\n2,y,b");
  const read = await readAll(readCsv(inPieces(bytes, 3), "utf8"));
  assert.deepEqual(read, [[[0x61], [0x31]], [[0x62], [0x32]]]);
});

test("CSV that is broken is refused", async () => {
  const bytes = encoder.encode('key,value\n"a,b\n');
  await assert.rejects(readAll(readCsv(inPieces(bytes, 100), "utf8")), {
    code: "CSV_QUOTE_NOT_CLOSED",
  });
});

test("readLines() leaves out a line that was cut off, if asked", async () => {
  const lines: number[] = [];
  const chunks = inPieces(encoder.encode("one\n\nthr"), 2);
  for await (const line of readLines(chunks, { wholeOnly: true })) lines.push(line.length);
  assert.deepEqual(lines, [3, 0]);
});
