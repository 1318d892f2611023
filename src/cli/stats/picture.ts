/** A store's stats as people read them: its tree level by level, then what was done and how long it took. */
import type { FamilyStats, Latency, Stats } from "../../../mod.ts";
import { oneLine } from "../text.ts";
import type { Level, Shape } from "./shape.ts";

const BAR_WIDTH = 20;
const FULL = "█";
/** From nothing to seven eighths of a cell. */
const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Lines without line feeds. */
export function picture(stats: Stats | Shape): string[] {
  const lines = heading(stats);
  const families = Object.entries<FamilyStats | { levels: readonly Level[] }>(
    stats.columnFamilies,
  );
  const deepest = families.flatMap(([, { levels }]) => levels.map(({ bytes }) => bytes));
  for (const [name, family] of families) {
    lines.push("", ...familyLines(name, family, Math.max(...deepest)));
  }
  if (!("inUse" in stats)) lines.push(...workLines(stats), ...latencyLines(stats));
  return lines;
}

/** `1.5 MiB`, with four digits at most. */
export function spellBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

function heading(stats: Stats | Shape): string[] {
  const lines = [
    `store   ${oneLine(stats.path)}`,
    `entries up to sequence number ${stats.sequence}`,
  ];
  const { log, blobs } = stats;
  if ("inUse" in stats) {
    lines[1] += "; it is in use: this is what its manifest says";
    lines.push(`log     ${counted(log.segments, "segment")}`);
    if (blobs.segments > 0) lines.push(`blobs   ${counted(blobs.segments, "segment")}`);
    return lines;
  }
  if (stats.failure !== null) lines.push(`FAILED  ${oneLine(stats.failure)}`);
  lines.push(`log     ${counted(log.segments, "segment")}${logEnd(stats)}`);
  if (blobs.segments > 0) {
    lines.push(`blobs   ${counted(blobs.segments, "segment")}${blobUse(stats)}`);
  }
  return lines;
}

function blobUse({ blobs: { bytes, liveBytes, deadBytes } }: Stats): string {
  const used = liveBytes + deadBytes;
  const live = used === 0 ? "" : `, ${percent(liveBytes / used)} of the values alive`;
  return `, ${spellBytes(bytes)}${live}`;
}

function logEnd({ log }: Stats): string {
  if (log.segment === 0) return "";
  return `, ends in ${log.segment} at ${log.offset}${log.synced ? "" : ", not synced to its end"}`;
}

function familyLines(
  name: string,
  family: FamilyStats | { levels: readonly Level[] },
  bytesMax: number,
): string[] {
  const { levels } = family;
  const bytes = levels.reduce((sum, level) => sum + level.bytes, 0);
  const files = levels.reduce((sum, level) => sum + level.files, 0);
  const total = `${oneLine(name, true)}  ${spellBytes(bytes)} in ${counted(files, "table")}`;
  const full = "memtableBytes" in family ? family : undefined;
  const lines = [full === undefined ? total : `${total}${amplification(full)}`];
  if (full !== undefined && full.memtableEntries > 0) {
    const frozen = full.frozenMemtables === 0 ? "" : `, ${full.frozenMemtables} of them frozen`;
    const memtables = counted(full.frozenMemtables + 1, "memtable");
    lines.push(
      `  memory  ${counted(full.memtableEntries, "entry", "entries")}, ${
        spellBytes(full.memtableBytes)
      } in ${memtables}${frozen}`,
    );
  }
  if (files === 0) return lines;
  const hasTraffic = full?.levels.some(({ bytesIn }) => bytesIn > 0) === true;
  const traffic = hasTraffic
    ? `  ${"came in".padStart(10)}${"written".padStart(10)}${"amp".padStart(6)}`
    : "";
  lines.push(`  level   files     bytes  ${"".padEnd(BAR_WIDTH)}${traffic}`.trimEnd());
  for (const [number, level] of levels.entries()) {
    // Small trees have gaps: the last level takes what there is.
    const isUsed = level.files > 0 || (full?.levels[number].bytesIn ?? 0) > 0;
    if (number > 0 && !isUsed) continue;
    const shape = [
      String(number).padStart(7),
      String(level.files).padStart(8),
      spellBytes(level.bytes).padStart(10),
    ].join("");
    const flow = hasTraffic ? trafficOf(full.levels[number]) : "";
    lines.push(`${shape}  ${bar(level.bytes / bytesMax).padEnd(BAR_WIDTH)}${flow}`.trimEnd());
  }
  return lines;
}

function amplification({ levels, readAmplification, spaceAmplification }: FamilyStats): string {
  if (levels.every(({ files }) => files === 0)) return "";
  const space = spaceAmplification.toFixed(2);
  return `, a get looks into ${readAmplification} at most, space × ${space}`;
}

function trafficOf({ bytesIn, bytesWritten, writeAmplification }: FamilyStats["levels"][number]) {
  const amp = bytesIn === 0 ? "" : writeAmplification.toFixed(1);
  return `  ${spellBytes(bytesIn).padStart(10)}${spellBytes(bytesWritten).padStart(10)}${
    amp.padStart(6)
  }`;
}

/** What has been done since the store was opened; nothing of what never was. */
function workLines({ write, read, stall, flush, compaction, amplification }: Stats): string[] {
  const lines: string[] = [];
  if (write.entries > 0) {
    lines.push(
      `writes  ${write.entries} entries in ${write.groups} groups of ${
        write.writersPerGroup.toFixed(1)
      }, ${write.syncs} syncs and ${write.syncsShared} shared, amplification ${
        amplification.write.toFixed(1)
      }`,
    );
  }
  if (read.gets > 0) {
    lines.push(
      `reads   ${read.gets} gets: memtable ${percent(read.memtableHitRate)}; ` +
        `${read.tableReads} went on: found ${percent(read.tableHitRate)}${levelHits(read)}, ` +
        `${amplification.read.toFixed(2)} tables each; cache ${percent(read.cacheHitRate)}`,
    );
  }
  if (flush.count > 0) lines.push(`flushes ${flush.count}, ${spellBytes(flush.bytes)}`);
  if (compaction.count > 0) {
    lines.push(
      `compactions ${compaction.count}, ${spellBytes(compaction.bytesRead)} read, ${
        spellBytes(compaction.bytesWritten)
      } written; ${compaction.running} running, ${spellBytes(compaction.debt)} to do`,
    );
  }
  if (stall.count + stall.delays > 0) {
    lines.push(
      `stalls  ${stall.count} of ${stall.milliseconds.toFixed(0)} ms, ${stall.delays} delays of ${
        stall.delayMilliseconds.toFixed(0)
      } ms; last: ${oneLine(stall.reason)}`,
    );
  }
  return lines.length === 0 ? [] : ["", ...lines];
}

/** Where gets ended: ` (level 0: 18, level 6: 180)`. */
function levelHits({ levelHits }: Stats["read"]): string {
  const hits = [...levelHits.entries()].filter(([, count]) => count > 0);
  if (hits.length === 0) return "";
  return ` (${hits.map(([level, count]) => `level ${level}: ${count}`).join(", ")})`;
}

const PERCENTILES = ["p50", "p90", "p99", "p99.9", "max"] as const;

function latencyLines({ latency }: Stats): string[] {
  const known = Object.entries<Latency>(latency).filter(([, { samples }]) => samples > 0);
  if (known.length === 0) return [];
  const header = ["samples", ...PERCENTILES].map((each) => each.padStart(10)).join("");
  const rows = known.map(([name, each]) => {
    const times = PERCENTILES.map((percentile) => each[percentile].toFixed(1).padStart(10));
    return `${name.padEnd(12)}${String(each.samples).padStart(10)}${times.join("")}`;
  });
  return ["", `${"µs".padEnd(12)}${header}`, ...rows];
}

function bar(share: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share || 0)) * BAR_WIDTH * 8);
  // What is there is to be seen.
  const shown = share > 0 ? Math.max(1, eighths) : 0;
  return FULL.repeat(Math.floor(shown / 8)) + EIGHTHS[shown % 8];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
