/** The bare device by fio: the ceiling for durable puts, and for bytes per second. */
import type { Case } from "../harness/case.ts";
import type { ProgramDriver, ProgramMeasurement } from "./peer.ts";
import { runProgram } from "./program.ts";

const DURABLE_BLOCK_BYTES = 4096;
const DURABLE_FILE_BYTES = 16 * 1024 * 1024;

export function load(): ProgramDriver {
  const version = runProgram("fio", ["--version"], "install fio");
  return {
    kind: "program",
    version: version.trim(),
    measure: (run) => Promise.resolve(measure(run)),
  };
}

/** The part of fio's JSON that is read here. */
interface FioWrites {
  total_ios: number;
  io_bytes: number;
  iops: number;
  clat_ns: { max: number; percentile: Record<string, number> };
}

function measure(run: Case): ProgramMeasurement {
  const flags = run.durability === "sync" ? durableFlags(run) : streamFlags(run);
  const output = runProgram("fio", [
    ...flags,
    "--ioengine=psync",
    "--name=probe",
    `--filename=${run.directory}/probe`,
    "--output-format=json",
  ]);
  const writes: FioWrites = JSON.parse(output.slice(output.indexOf("{"))).jobs[0].write;
  const microseconds = (percentile: string) => writes.clat_ns.percentile[percentile] / 1000;
  return {
    settings: flags.join(" "),
    warnings: [],
    measurements: [{
      operations: writes.total_ios,
      seconds: writes.total_ios / writes.iops,
      bytes: writes.io_bytes,
      latencies: {
        p50: microseconds("50.000000"),
        p99: microseconds("99.000000"),
        p999: microseconds("99.900000"),
        max: writes.clat_ns.max / 1000,
      },
      verification: "none",
      warmUp: run.durability === "sync" ? "the file was laid out before" : "none",
      notDone: ["a deeper queue"],
    }],
  };
}

function durableFlags({ count }: Case): string[] {
  return [
    "--rw=write",
    "--direct=1",
    "--sync=dsync",
    "--overwrite=1",
    `--bs=${DURABLE_BLOCK_BYTES}`,
    `--size=${DURABLE_FILE_BYTES}`,
    `--io_size=${count * DURABLE_BLOCK_BYTES}`,
  ];
}

function streamFlags({ count, valueBytes, variant }: Case): string[] {
  return [
    "--rw=write",
    ...(variant === "buffered" ? [] : ["--direct=1"]),
    "--end_fsync=1",
    `--bs=${valueBytes}`,
    `--size=${count * valueBytes}`,
  ];
}
