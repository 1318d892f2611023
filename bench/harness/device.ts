/** The bare device by fio, on the file system to be measured: three rates that bound what any store can do. */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { PeerUnavailable } from "../peers/peer.ts";
import { runProgram } from "../peers/program.ts";

export interface DeviceRates {
  /** The program and its version, or why there are no rates. */
  measuredBy: string;
  /** 1 MiB direct writes one at a time, in MB (10^6) a second. */
  directWriteMegabytes?: number;
  /** The same through the page cache, synced at the end. */
  bufferedWriteMegabytes?: number;
  /** Durable 4 KiB writes one at a time, over blocks that were written before. */
  durableWrites?: number;
  /** 4 KiB direct reads at random places, one at a time. */
  randomReads?: number;
}

const MIB = 1024 * 1024;
const SECONDS = 3;

export function deviceRates(directory: string, smoke: boolean): DeviceRates {
  const own = mkdtempSync(join(directory, "varve-device-"));
  try {
    const version = runProgram("fio", ["--version"], "install fio").trim();
    const bytes = smoke ? 16 * MIB : 1024 * MIB;
    const probe = (...flags: string[]) => runFio(own, bytes, smoke, flags);
    const stream = ["--rw=write", "--bs=1M"];
    return {
      measuredBy: version,
      directWriteMegabytes: probe(...stream, "--direct=1").write.bw_bytes / 1e6,
      bufferedWriteMegabytes: probe(...stream, "--end_fsync=1").write.bw_bytes / 1e6,
      durableWrites: probe("--rw=write", "--bs=4k", "--direct=1", "--sync=dsync", "--overwrite=1")
        .write.iops,
      randomReads: probe("--rw=randread", "--bs=4k", "--direct=1").read.iops,
    };
  } catch (error) {
    if (!(error instanceof PeerUnavailable)) throw error;
    return { measuredBy: `not measured: ${error.message}` };
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

interface FioRates {
  bw_bytes: number;
  iops: number;
}

function runFio(
  directory: string,
  bytes: number,
  smoke: boolean,
  flags: readonly string[],
): { write: FioRates; read: FioRates } {
  const small = flags.includes("--bs=4k");
  const output = runProgram("fio", [
    ...flags,
    "--ioengine=psync",
    "--name=probe",
    `--filename=${join(directory, "probe")}`,
    `--size=${bytes}`,
    // A large file in small blocks takes too long: some seconds of it say enough.
    ...(small && !smoke ? [`--runtime=${SECONDS}`, "--time_based"] : []),
    ...(small && smoke ? [`--io_size=${MIB}`] : []),
    "--output-format=json",
  ]);
  return JSON.parse(output.slice(output.indexOf("{"))).jobs[0];
}
