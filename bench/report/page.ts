/** The page: everything at a glance, losses too, then each workload with its charts, table, targets and conditions. */
import type { Machine } from "../harness/machine.ts";
import type { Conditions } from "../harness/result.ts";
import { brief, grouped } from "../harness/text.ts";
import { type Chart, chartsOf } from "./charts.ts";
import { glanceChart, standingsOf } from "./glance_chart.ts";
import type { Loaded } from "./load.ts";
import { notes } from "./notes.ts";
import {
  absenceList,
  conditionsList,
  judgementTable,
  markdownTable,
  resultTable,
  warningList,
} from "./tables.ts";

export interface Report {
  page: string;
  charts: Chart[];
}

const INTRODUCTION = `# Performance

*Made by \`npm run bench:report\` from \`bench/results\`. Do not edit: what is said by hand stands in \`bench/report/notes.ts\`.*

Each row ran in a process and a directory of its own, the database open before the clock started and closed after it, values read
back and compared after it. Repeats are interleaved (A B A B); a figure is the median of its repeats, beside their smallest and largest.
Rows of one table were measured in one run on one machine: believe ratios, not figures. Every peer has the same data, the same
durability and its best settings that we know; what each row does *not* do is said under its table. C++ rows are RocksDB's own
\`db_bench\`, without any JavaScript.

\`npm run bench -- W1 W4 --full --save\` measures workloads on your machine (\`--scale 0.2\` a fifth of each, \`all\` all of them: hours), \`npm run
bench:report\` makes this page of it. \`ROCKSDB_LIBRARY\` and \`DB_BENCH\` name a release build of RocksDB: Debian's is built with assertions,
which costs it 30 to 40 %, and rows that ran with it say so.`;

export function renderReport(loaded: readonly Loaded[]): Report {
  const charts: Chart[] = [];
  const standings = loaded.flatMap(({ result }) => standingsOf(result));
  if (standings.length > 0) {
    const alternative = "Varve's best row beside the best peer's, by workload";
    charts.push({ file: "glance.svg", alternative, svg: glanceChart(standings) });
  }
  const sections = loaded.map((one) => {
    const own = chartsOf(one.result);
    charts.push(...own);
    return section(one, own);
  });
  const page = [
    INTRODUCTION,
    "## At a glance",
    ...charts.slice(0, standings.length > 0 ? 1 : 0).map(image),
    markdownTable([
      ["workload", "targets", "reached", "missed", "not judged", "run"],
      ...loaded.map(glanceRow),
    ]),
    "## Machines",
    machineTable(loaded),
    ...sections,
  ].join("\n\n");
  return { page: page + "\n", charts };
}

function glanceRow({ result, file }: Loaded): string[] {
  const { judgements, id, title } = result;
  const count = (reached: boolean | undefined) =>
    judgements.filter((judgement) => judgement.reached === reached).length;
  const missed = count(false);
  return [
    `[${id}](#${anchorOf(result)}): ${title}`,
    String(judgements.length),
    String(count(true)),
    missed > 0 ? `**${missed}**` : "0",
    String(count(undefined)),
    sizeText(file.conditions),
  ];
}

function section({ result, file }: Loaded, charts: readonly Chart[]): string {
  const { id, rows, judgements } = result;
  const { conditions, machine } = file;
  return [
    `## ${headingOf(result)}`,
    `${conditions.date.slice(0, 10)}, ${sizeText(conditions)}, commit ${machine.commit}, load ` +
    `${conditions.loadAverageBefore.toFixed(1)} before.`,
    conditions.scale === "smoke"
      ? "**Smoke size: this shows that the workload runs, and says nothing about speed.**"
      : undefined,
    ...charts.map(image),
    resultTable(result),
    warningList(rows),
    notes[id],
    judgements.length > 0 ? judgementTable(judgements) : undefined,
    absenceList(rows),
    conditionsList(rows),
  ].filter(Boolean).join("\n\n");
}

function headingOf({ id, title }: Loaded["result"]): string {
  return `${id}: ${title}`;
}

/** As GitHub makes it of a heading. */
function anchorOf(result: Loaded["result"]): string {
  return headingOf(result).toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");
}

function image({ file, alternative }: Chart): string {
  return `![${alternative}](charts/${file})`;
}

function sizeText({ scale, repeats }: Conditions): string {
  const size = scale === 1
    ? "full size"
    : scale === "smoke"
    ? "smoke size"
    : `${100 * scale} % size`;
  return `${size}, ${repeats} ${repeats === 1 ? "repeat" : "repeats"}`;
}

/** One row for each machine and commit that results come from. */
function machineTable(loaded: readonly Loaded[]): string {
  const runs = Map.groupBy(loaded, ({ file }) => JSON.stringify(machineCells(file.machine)));
  return markdownTable([
    [
      "workloads",
      "processor",
      "memory",
      "system",
      "runtimes",
      "commit",
      "the device, in the same run",
    ],
    ...[...runs].map(([cells, of]) => [
      of.map(({ result }) => result.id).join(" "),
      ...JSON.parse(cells),
    ]),
  ]);
}

function machineCells(machine: Machine): string[] {
  const { processorCount, processor, memoryGiB, system, fileSystem, bun, deno, commit } = machine;
  return [
    `${processorCount} × ${processor}`,
    `${memoryGiB} GiB`,
    `${system}, ${fileSystem}`,
    `Bun ${bun}, Deno ${deno}`,
    commit,
    deviceText(machine),
  ];
}

function deviceText({ device }: Machine): string {
  const { measuredBy, directWriteMegabytes, bufferedWriteMegabytes, durableWrites, randomReads } =
    device;
  if (directWriteMegabytes === undefined) return measuredBy;
  return `${measuredBy}: 1 MiB writes ${brief(directWriteMegabytes)} MB/s direct, ` +
    `${brief(bufferedWriteMegabytes!)} buffered; durable 4 KiB ${grouped(durableWrites!)}/s; ` +
    `random 4 KiB reads ${grouped(randomReads!)}/s`;
}
