/** `varve dump`: what is in one file of a store, with offsets and checksums. */
import { type Command, Option } from "commander";
import { type FilePart, inspectFile } from "../../../mod.ts";
import type { Context } from "../context.ts";
import { decodeUtf8, encodeText, oneLine, printable, type TextFormat } from "../text.ts";

interface DumpOptions {
  readonly json?: true;
  readonly entries: boolean;
  readonly format: TextFormat;
  readonly whole?: true;
}

/** How far a part is moved to the right under the one that it lies in. */
const DEPTH: Readonly<Record<string, number>> = { run: 1, entry: 2, piece: 1 };
const OFFSET_WIDTH = 12;
/** Bytes of a key or value that a line shows. */
const SHOWN_BYTES_MAX = 64;

export function addDump(program: Command, { output, signal }: Context): void {
  program.command("dump")
    .description(
      "print what is in a log segment, a manifest, a table, a blob segment or another file of a store: offset, kind, bytes, checksum, fields",
    )
    .argument("<file>", "in a store's directory, or a copy of it")
    .option("--json", "one JSON object a line, which keeps every byte")
    .option("--no-entries", "only what the file consists of, without keys and values")
    .option("--whole", `keys and values of more than ${SHOWN_BYTES_MAX} bytes in full`)
    .addOption(
      new Option("--format <format>", "how to print keys and values")
        .choices(["utf8", "hex"]).default("utf8"),
    )
    .action(async (path: string, options: DumpOptions) => {
      const line = options.json ? jsonLine : textLine;
      try {
        for await (const part of inspectFile(path)) {
          signal.throwIfAborted();
          const isContent = part.kind === "entry" || part.kind === "piece";
          if (options.entries || !isContent) await output.write(line(part, options));
        }
      } finally {
        await output.flush();
      }
    });
}

function textLine({ kind, offset, bytes, checksum, fields }: FilePart, options: DumpOptions) {
  const indent = "  ".repeat(DEPTH[kind] ?? 0);
  const head = `${String(offset).padStart(OFFSET_WIDTH)}  ${indent}${kind}  ${bytes} bytes`;
  const crc = checksum === undefined ? "" : `  crc ${hex(checksum)}`;
  const said = Object.entries(fields).filter(([, value]) => value !== undefined)
    .map(([name, value]) => `  ${name} ${spell(name, value, options)}`);
  return `${head}${crc}${said.join("")}\n`;
}

function spell(name: string, value: unknown, options: DumpOptions): string {
  if (value instanceof Uint8Array) return spellBytes(value, options);
  if (typeof value === "string") return JSON.stringify(oneLine(value));
  if (typeof value !== "object" || value === null) {
    return typeof value === "number" && isChecksum(name) ? hex(value) : String(value);
  }
  if (Array.isArray(value)) {
    return `[${value.map((each) => spell(name, each, options)).join(", ")}]`;
  }
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
    .map(([key, member]) => `${key} ${spell(key, member, options)}`);
  return `{${members.join(", ")}}`;
}

function spellBytes(bytes: Uint8Array, { format, whole }: DumpOptions): string {
  const shown = whole ? bytes : bytes.subarray(0, SHOWN_BYTES_MAX);
  const text = printable(shown, format);
  const spelled = format === "hex" ? text : `"${text.replaceAll('"', '\\"')}"`;
  return shown.length === bytes.length ? spelled : `${spelled}… (${bytes.length} bytes)`;
}

function isChecksum(name: string): boolean {
  return name === "chain" || /checksum$/i.test(name);
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}

function jsonLine({ kind, offset, bytes, checksum, fields }: FilePart, options: DumpOptions) {
  const said = jsonFields(fields, options);
  return `${JSON.stringify({ kind, offset, bytes, checksum, fields: said })}\n`;
}

/** Bytes as text if they are UTF-8; otherwise in Base64, with `<name>Encoding` beside them. */
function jsonFields(fields: object, options: DumpOptions): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (!(value instanceof Uint8Array)) {
      out[name] = jsonValue(value, options);
      continue;
    }
    const text = options.format === "hex" ? undefined : decodeUtf8(value);
    const encoding = options.format === "hex" ? "hex" : "base64";
    out[name] = text ?? encodeText(value, encoding);
    if (text === undefined) out[`${name}Encoding`] = encoding;
  }
  return out;
}

function jsonValue(value: unknown, options: DumpOptions): unknown {
  if (Array.isArray(value)) return value.map((each) => jsonValue(each, options));
  return typeof value === "object" && value !== null ? jsonFields(value, options) : value;
}
