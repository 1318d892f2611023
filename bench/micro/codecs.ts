/** What a key or a value costs before it reaches the store, and after it leaves. */
import { bench, do_not_optimize, group } from "mitata";
import { resolveKeyEncoding } from "../../src/api/encodings/key_encoding.ts";
import type { Tuple } from "../../src/api/encodings/tuple.ts";
import { resolveValueEncoding } from "../../src/api/encodings/value_encoding.ts";
import { decodeUtf8, encodeUtf8Into } from "../../src/base/bytes.ts";

const tuples: Record<string, Tuple> = {
  "two strings": ["user", "ada@example.org"],
  "string and number": ["user", 1234567],
  "string and bigint": ["user", 12345678901234567890n],
  "string and 16 bytes": ["user", new Uint8Array(16).fill(7)],
};

const texts: Record<string, string> = {
  "16 ASCII": "user:00000000042",
  "16 Cyrillic": "ключ:00000000042",
  "1 KiB ASCII": "varve ".repeat(171).slice(0, 1024),
};

const record = { name: "Ada", born: 1815, tags: ["mathematician", "writer"], active: true };

export function registerCodecs(): void {
  group("tuple keys", () => {
    const encoding = resolveKeyEncoding("tuple");
    for (const [name, tuple] of Object.entries(tuples)) {
      // Encoded bytes are the encoding's to reuse: what is decoded repeatedly is a copy.
      const bytes = new Uint8Array(encoding.prepare(tuple) as Uint8Array);
      bench(`encode ${name}`, () => do_not_optimize(encoding.prepare(tuple)));
      bench(`decode ${name}`, () => do_not_optimize(encoding.decode(bytes)));
    }
  });

  group("UTF-8", () => {
    const target = new Uint8Array(new ArrayBuffer(4096));
    for (const [name, text] of Object.entries(texts)) {
      const bytes = new TextEncoder().encode(text);
      bench(`encode ${name}`, () => do_not_optimize(encodeUtf8Into(text, target, 0)));
      bench(`decode ${name}`, () => do_not_optimize(decodeUtf8(bytes)));
    }
  });

  group("values", () => {
    const json = resolveValueEncoding("json");
    const jsonBytes = new TextEncoder().encode(JSON.stringify(record));
    bench("prepare json", () => do_not_optimize(json.prepare(record)));
    bench("decode json", () => do_not_optimize(json.decode(jsonBytes)));

    const int64 = resolveValueEncoding("int64");
    const int64Bytes = new Uint8Array(int64.prepare(42) as Uint8Array);
    bench("prepare int64, number", () => do_not_optimize(int64.prepare(42)));
    bench("prepare int64, bigint", () => do_not_optimize(int64.prepare(2n ** 60n)));
    bench("decode int64", () => do_not_optimize(int64.decode(int64Bytes)));
  });
}
