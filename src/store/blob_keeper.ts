/**
 * What blob segments need of the store around them: numbers, manifest edits, syncs when too much is unsynced, and somebody
 * who hears of failures.
 */
import type { BlobHost } from "../blob/blob_writer.ts";
import { VarveError } from "../base/errors.ts";
import type { Pipeline } from "../commit/pipeline.ts";
import type { ManifestEdit } from "../format/manifest_edit.ts";
import { startTask, type Task } from "../native/task.ts";
import type { Manifest } from "../tree/manifest.ts";
import type { Events } from "./events.ts";

export class BlobKeeper implements BlobHost {
  /** Set after construction: the pipeline needs the writer first, and that needs this. */
  pipeline!: Pipeline;

  constructor(readonly manifest: Manifest, readonly events: Events) {}

  takeFileNumber(): number {
    return this.manifest.takeFileNumber();
  }

  record(edit: ManifestEdit): Task<void> {
    return this.manifest.append(() => edit);
  }

  report(error: VarveError): void {
    this.events.emit("error", error);
  }

  syncDue(): void {
    const { pipeline } = this;
    startTask(pipeline.jobs, pipeline.syncBehind(), (error) => {
      if (error !== undefined && !(error instanceof VarveError)) throw error; // those have poisoned the store
    });
  }
}
