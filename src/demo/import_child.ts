/**
 * The process that gets killed: imports the sample and acknowledges each file once its put has
 * resolved. Arguments: the store, the directory, the most files, the most bytes, the writers.
 */
import process from "node:process";
import { importFiles } from "../cli/directory/import_files.ts";
import { Output, standardOutput } from "../cli/output.ts";
import { listenForStop } from "../cli/stop.ts";
import { openToWrite } from "../cli/store.ts";
import { encodeAcknowledgement } from "./acknowledgement.ts";
import { sample } from "./sample.ts";

const [store, directory, filesMax, bytesMax, writers] = process.argv.slice(2);
const stdout = standardOutput();
const signal = listenForStop(stdout);
const output = Output.standard(stdout, signal);
await using db = await openToWrite(store);
const limits = { filesMax: Number(filesMax), bytesMax: Number(bytesMax) };
await importFiles(db, sample(directory, limits), {
  writers: Number(writers),
  durability: "sync",
  signal,
  onImported: (file) => output.write(encodeAcknowledgement(file)),
});
