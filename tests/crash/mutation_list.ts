/** Places in which the engine can be broken by a small change of its text. */
export interface Mutation {
  readonly name: string;
  /** TypeScript, or Zig, for which the library is built once more. */
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly from: string;
  readonly to: string;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "a new segment's name is not synced",
    file: "src/log/segment.ts",
    from: "    yield* files.sync(file);\n    yield* files.syncDirectory();\n",
    to: "    yield* files.sync(file);\n",
  },
  {
    name: "a new segment's header is not synced",
    file: "src/log/segment.ts",
    from: "    yield* files.sync(file);\n    yield* files.syncDirectory();\n",
    to: "    yield* files.syncDirectory();\n",
  },
  {
    name: "a reused segment's header is not synced",
    file: "src/log/segment.ts",
    from: "    yield* files.sync(spare);\n",
    to: "",
  },
  {
    name: "a sync group is acknowledged without its sync",
    file: "src/log/log.ts",
    from: "if (durable) flags |= JobFlag.durable;",
    to: "if (durable) flags |= 0;",
  },
  {
    name: "RWF_DSYNC although unsynced bytes lie before it in the file",
    file: "src/log/log.ts",
    from: "if (durable && isUnsynced(current)) flags |= JobFlag.syncFile;",
    to: "",
  },
  {
    name: "what was committed at the log's tail owes no sync",
    file: "src/log/log.ts",
    from: "    this.#frames += frames;\n    current.writtenTo = frameEnd;\n",
    to: "    this.#frames += frames;\n",
  },
  {
    name: "the log's tail stays lent while a group is taken",
    file: "src/commit/pipeline.ts",
    from: "      this.tail.recall();\n      if (this.jobs.outstanding > 0) {",
    to: "      if (this.jobs.outstanding > 0) {",
  },
  {
    name: "what is written during a sync counts as synced",
    file: "src/log/log.ts",
    from: "segment.syncedTo = Math.max(segment.syncedTo, writtenTo);",
    to: "segment.syncedTo = segment.writtenTo;",
  },
  {
    name: "a sync beside the writers covers what is written after its mark",
    file: "src/log/log.ts",
    from: "if (isBefore(this.#synced, mark)) this.#synced = mark;",
    to: "this.#synced = this.position;",
  },
  {
    name: "older segments are not synced before a sync group",
    file: "src/log/log.ts",
    from: "    if (durable) this.#fillSyncs(job);\n",
    to: "",
  },
  {
    name: "a table enters the manifest although the log is not synced up to it",
    file: "src/store/flusher.ts",
    from: "if (memtable.firstSegment !== 0 && !this.pipeline.log.isSynced) {",
    to: "if (memtable.firstSegment < 0) {",
  },
  {
    name: "an edit of the manifest is not synced",
    file: "src/tree/manifest.ts",
    from:
      "yield* this.health.guard(writeAndSync(this.files, position.file, record, position.end));",
    to:
      "const skipped = reserveRegion(record.length);\n    skipped.u8.set(record);\n    yield* this.files.write(position.file, skipped, position.end, record.length);\n    releaseRegion(skipped.id);",
  },
  {
    name: "a frame may follow any other (no chain)",
    file: "zig/src/log_walk.zig",
    from: "if (request.is_first == 0 and frame.chain != request.chain) continue;",
    to: "if (request.is_first == 0 and frame.chain != frame.chain) continue;",
  },
  {
    name: "what a failed write was is not final",
    file: "src/log/log.ts",
    from: "    this.health.poison(error);\n    return error;",
    to: "    return error;",
  },
  {
    name: "the first of a store's renames is not synced before the second",
    file: "src/tree/manifest.ts",
    from: "    yield* files.syncDirectory();\n    yield* files.rename(pointer, CURRENT);",
    to: "    yield* files.rename(pointer, CURRENT);",
  },
  {
    name: "a manifest that is begun is not synced",
    file: "src/tree/manifest.ts",
    from: "  yield* writeAndSync(files, file, bytes, 0);\n  const chain",
    to:
      "  const content = reserveRegion(bytes.length);\n  content.u8.set(bytes);\n  yield* files.write(file, content, 0, bytes.length);\n  releaseRegion(content.id);\n  const chain",
  },
  {
    name: "a manifest that is begun anew forgets what was flushed",
    file: "src/tree/manifest_state.ts",
    from: "families.filter(({ flushedSequence }) => flushedSequence > 0)",
    to: "families.filter(({ flushedSequence }) => flushedSequence < 0)",
  },
  {
    name: "recovery does not sync what it replayed",
    file: "src/store/recovery.ts",
    from: "for (const { file } of log.segments) yield* files.sync(file);",
    to: "",
  },
  {
    name: "recovery does not write again what a failed sync may have lost",
    file: "src/log/replay.ts",
    from: "if (writeBack) yield* this.#writeBack(file, start, walk.offset);",
    to: "",
  },
  {
    name: "recovery trusts a manifest whose sync may have failed",
    file: "src/tree/manifest.ts",
    from: "if (writable) manifest.#unsettled = bytes.subarray(0, end);",
    to: "",
  },
  {
    name: "the end that recovery found is not put on record",
    file: "src/store/recovery.ts",
    from: "logEnds: segment === 0 ? [] : [{ segment, offset }],",
    to: "logEnds: [],",
  },
  {
    name: "segments behind the log's end stay on record",
    file: "src/store/recovery.ts",
    from: "removedLogs: log.dropped.map(({ number }) => number),",
    to: "removedLogs: [],",
  },
  {
    name: "a table whose edit is in doubt is removed",
    file: "src/store/flusher.ts",
    from:
      "if (this.manifest.health.failure === undefined) yield* this.#discard(table);\n      else releaseTable(table);",
    to: "yield* this.#discard(table);",
  },
  {
    name: "a close resolves although it could not sync",
    file: "src/store/store.ts",
    from: 'throw this.health.refusal("close without loss");',
    to: "",
  },
  {
    name: "a group's last buffer is left out of the frame",
    file: "src/commit/group.ts",
    from: "    runs.push(buffer);\n",
    to: "    if (runs.length === 0) runs.push(buffer);\n",
  },
  {
    name: "a close does not flush volatile writes",
    file: "src/store/store.ts",
    from: "yield* this.flusher.flushAll(unflushed);",
    to: "",
  },
  {
    name: "a flush leaves the memtable that is being written to",
    file: "src/store/store.ts",
    from: "for (const family of families) if (family.active.entryCount > 0) family.rotate();",
    to: "",
  },
  {
    name: "a segment that is still needed goes",
    file: "src/store/flusher.ts",
    from: "filter((number) => number < first);",
    to: "filter((number) => number < (log.segmentNumber || first));",
  },
  {
    name: "space for a segment is not reserved before it is used",
    file: "src/log/segment.ts",
    from: "    yield* files.allocate(file, 0, bytes, blocks);\n",
    to: "",
  },
  {
    name: "a manifest record is believed without its checksum",
    file: "src/format/manifest_file.ts",
    from: "  if (stored !== checksum(record.subarray(4))) return undefined;\n",
    to: "  if (stored === undefined) return undefined;\n",
  },
  {
    name: "what came from disk depends on the process's own clock",
    file: "src/tree/manifest.ts",
    from: "    const record = encodeManifestRecord(encodeEdit(full), position.chain);\n",
    to:
      "    full.nextFileNumber! += Date.now() % 1000;\n    this.state.nextFileNumber = full.nextFileNumber!;\n    const record = encodeManifestRecord(encodeEdit(full), position.chain);\n",
  },
  {
    name: "the directory is not synced behind the rename of a new store's pointer",
    file: "src/tree/manifest.ts",
    from: "    yield* files.syncDirectory();\n    position.file = {",
    to: "    position.file = {",
  },
  {
    name: "the directory is not synced behind the rename of a rolled-over manifest's pointer",
    file: "src/tree/manifest.ts",
    from:
      "  static *point(files: Files, pointer: FileName): Task<void> {\n    yield* files.rename(pointer, CURRENT);\n    yield* files.syncDirectory();\n",
    to:
      "  static *point(files: Files, pointer: FileName): Task<void> {\n    yield* files.rename(pointer, CURRENT);\n",
  },
  {
    name: "the names of a rolled-over manifest are not synced before the pointer's rename",
    file: "src/tree/manifest.ts",
    from: "  yield* files.syncDirectory();\n  return { position, pointer };",
    to: "  return { position, pointer };",
  },
  {
    name: "log segments are removed before the edit that lets them go",
    file: "src/store/flusher.ts",
    from: "      return removed.length === 0 ? undefined : { removedLogs: removed };\n    });\n",
    to:
      "      return undefined;\n    });\n    const early = removed;\n    for (const number of early) yield* this.files.unlink({ kind: FileKind.log, number });\n    yield* this.manifest.append(() => early.length === 0 ? undefined : { removedLogs: early });\n",
  },
  {
    name: "a compaction's inputs are removed before the edit that lets them go",
    file: "src/store/compactor.ts",
    from: "      recorded = yield* this.#record(family, inputs, outputs, relocation?.added);\n",
    to:
      "      for (const { record: { number } } of inputs) {\n        yield* this.files.unlink({ kind: FileKind.table, number });\n      }\n      recorded = yield* this.#record(family, inputs, outputs, relocation?.added);\n",
  },
  {
    name: "a compaction's outputs are removed although its edit is in doubt",
    file: "src/store/compactor.ts",
    from:
      "      if (this.manifest.health.failure === undefined) yield* undo.call(this);\n      else for (const table of outputs) releaseTable(table);\n",
    to: "      yield* undo.call(this);\n",
  },
  {
    name: "recovery forgets the writes of one family",
    file: "src/store/recovery.ts",
    from: "sequence <= known.flushedSequence ? undefined",
    to: "id > 0 && id === state.nextFamilyId - 1 || sequence <= known.flushedSequence ? undefined",
  },
  {
    name: "one family's flush counts for all",
    file: "src/store/recovery.ts",
    from: "sequence <= known.flushedSequence ? undefined",
    to:
      "sequence <= Math.max(...Array.from(state.families.values(), (one) => one.flushedSequence)) ? undefined",
  },
  {
    name: "a log segment goes although one family still needs it",
    file: "src/store/families.ts",
    from: "for (const family of this.all()) first = Math.min(first, family.firstSegment);",
    to: "first = Math.min(first, this.#byId.get(0)!.firstSegment);",
  },
  {
    name: "a manifest that is begun anew forgets one family's tables",
    file: "src/tree/manifest_state.ts",
    from: "addedTables: families.flatMap(({ tables }) => tables),",
    to: "addedTables: families.slice(0, 1).flatMap(({ tables }) => tables),",
  },
  {
    name: "a failed sync is tried once more",
    file: "zig/src/sync_batcher.zig",
    from: "            const result = sync(context);\n",
    to:
      "            var result = sync(context);\n            if (result < 0) result = sync(context);\n",
  },
  {
    name: "a frame of another segment counts",
    file: "zig/src/log_writer.zig",
    from: "frame.segment != origin.segment or ",
    to: "",
  },
  {
    name: "a frame counts whatever its checksum says",
    file: "zig/src/log_writer.zig",
    from: "    return if (checksum.crc32c(covered) == frame.checksum) .valid else .invalid;\n",
    to: "    return if (covered.len > 0) .valid else .invalid;\n",
  },
  {
    name: "a frame's file is not synced although bytes before the frame are not",
    file: "zig/src/log_writer.zig",
    from: "    if (result >= 0 and sync_behind) result = file.dataSync();\n",
    to: "",
  },
  {
    name: "a table's content is not synced",
    file: "zig/src/table_builder.zig",
    from:
      "        const synced = self.file.dataSync();\n        if (synced < 0) return self.failure.system(synced);\n",
    to: "",
  },
  {
    name: "a flushed table's name is not synced",
    file: "zig/src/flush.zig",
    from: "        try table_output.syncDirectory(store.table_files, failure);\n",
    to: "",
  },
  {
    name: "the names of a compaction's tables are not synced",
    file: "zig/src/compaction.zig",
    from:
      "        if (tables.len > 0) try table_output.syncDirectory(self.files, &self.failure);\n",
    to: "",
  },
  {
    name: "a large value is not synced before the frame that points to it",
    file: "src/commit/pipeline.ts",
    from: "    return group.durable ? this.#valueObstacle(group, blocking) : undefined;\n",
    to:
      "    return group.durable && blocking ? this.#valueObstacle(group, blocking) : undefined;\n",
  },
  {
    name: "a table enters the manifest although large values that it names are not synced",
    file: "src/store/flusher.ts",
    from: "    yield* this.pipeline.values.syncUsed();\n",
    to: "",
  },
  {
    name: "recovery does not look at large values behind the last known sync",
    file: "src/store/recovery.ts",
    from: "  if (lost !== undefined) {\n",
    to: "  if (lost !== undefined && lost.segment < 0) {\n",
  },
  {
    name: "recovery does not make durable the large values that it found whole",
    file: "src/store/value_recovery.ts",
    from: "if (opener !== undefined) yield* writeAgain(files, opened, opener, address, region);",
    to: "",
  },
  {
    name: "a blob segment's name is not synced",
    file: "src/blob/segment.ts",
    from: "    yield* files.sync(file);\n    yield* files.syncDirectory();\n",
    to: "    yield* files.sync(file);\n",
  },
  {
    name: "a blob segment goes although a memtable points to it",
    file: "src/store/blob_collector.ts",
    from: "segment.isSettled && !inMemory.has(segment.number)",
    to: "segment.isSettled",
  },
  {
    name: "a blob segment goes although a table points to it",
    file: "src/store/blob_collector.ts",
    from: "removable: isKnown && live === 0,",
    to: "removable: isKnown && live < segment.valueBytes / 2,",
  },
  {
    name: "large values that moved are not synced",
    file: "src/store/relocation.ts",
    from: "    yield* this.files.sync(this.file);\n",
    to: "",
  },
  {
    name: "a checkpoint shares a blob segment that is still written to",
    file: "src/store/checkpoint.ts",
    from: "    yield segment.finished;\n",
    to: "",
  },
  {
    name: "a recovery writes to a blob segment that a checkpoint shares",
    file: "src/store/recovery.ts",
    from: "values.filter(({ address }) => !state.sealedBlobs.has(address.number))",
    to: "values",
  },
];
