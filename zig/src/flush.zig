//! The table_flush and table_open jobs. A flush turns a memtable into a table of level 0: entries sorted, what nobody can
//! see left out (version_filter.zig), deletes and range tombstones kept, the file and its name made durable, and the reader
//! opened, which checks what was written. If anything fails the partial file is unlinked. Runs on whatever thread runs
//! the job.

const std = @import("std");
const abi = @import("abi.zig");
const entry_sort = @import("entry_sort.zig");
const fault = @import("fault.zig");
const internal_key = @import("internal_key.zig");
const memtable_reader = @import("memtable_reader.zig");
const range_fragments = @import("range_fragments.zig");
const region = @import("region.zig");
const format = @import("table_format.zig");
const table_description = @import("table_description.zig");
const table_output = @import("table_output.zig");
const table_set = @import("table_set.zig");
const version_filter = @import("version_filter.zig");
const BlobValue = @import("blob_value.zig").BlobValue;
const Fault = fault.Fault;
const File = @import("file_table.zig").File;
const Fragments = range_fragments.Fragments;
const Memtable = memtable_reader.Memtable;
const Store = @import("store.zig").Store;
const Table = @import("table_reader.zig").Table;
const TableBuilder = @import("table_builder.zig").TableBuilder;

const gpa = std.heap.c_allocator;

/// The new table's handle.
pub fn flush(store: *Store, job: *abi.TableJob, failure: *Fault) fault.Error!i32 {
    try table_output.checkOptions(job.block_bytes, job.filter_bits_per_key, job.compression, job.compression_level, failure);
    const operator = std.enums.fromInt(abi.MergeOperator, job.merge_operator) orelse return failure.fail(.invalid);
    const number = table_output.numberOf(job.number) orelse return failure.fail(.invalid);
    if (job.family_name_bytes > format.Properties.family_name_bytes_max) return failure.fail(.invalid);
    const snapshots = try snapshotsOf(job, failure);
    defer gpa.free(snapshots);
    const memtable = Memtable.open(job.source) orelse return failure.fail(.invalid);
    const items = try sortedEntries(memtable, failure);
    defer gpa.free(items);
    const ranges = try rangesOf(memtable, failure);
    defer ranges.release();
    if (items.len == 0 and ranges.count() == 0) return failure.fail(.invalid);

    const file = try table_output.create(store.table_files, number, failure);
    errdefer table_output.remove(store.table_files, number);
    {
        errdefer file.close();
        try write(file, job, memtable, items, .{
            .snapshots = snapshots,
            .ranges = ranges,
            .now = job.now,
            .operator = operator,
            .bottom = false,
        }, failure);
        try table_output.syncDirectory(store.table_files, failure);
    }
    return publish(try table_output.open(store.table_files, file, number, job.family, failure), job, failure);
}

/// A table that the manifest lists.
pub fn openTable(store: *Store, job: *abi.TableJob, failure: *Fault) fault.Error!i32 {
    const number = table_output.numberOf(job.number) orelse return failure.fail(.invalid);
    const bytes = table_output.numberOf(job.file_bytes) orelse return failure.fail(.invalid);
    const family: ?u32 = if (job.head.flags & abi.JobFlag.any_family != 0) null else job.family;
    return publish(try Table.open(.init(store.table_files, number), null, bytes, family, failure), job, failure);
}

pub fn verify(store: *Store, job: *abi.TableJob, failure: *Fault) fault.Error!i32 {
    // Pinned before the table is: what it points to is not removed before it is let go of.
    var values: ?BlobValue = if (job.head.flags & abi.JobFlag.with_values != 0)
        BlobValue.init(store.blobs) catch return failure.fail(.no_memory)
    else
        null;
    defer if (values) |*each| each.deinit();
    const table = table_set.tables.acquire(job.source) orelse return failure.fail(.closed);
    defer table_set.tables.release(job.source);
    try table.verify(if (values) |*each| each else null, failure);
    return 0;
}

/// Describes the table and gives it a handle; it is gone where that fails.
fn publish(table: *Table, job: *abi.TableJob, failure: *Fault) fault.Error!i32 {
    const need = table_description.bytesOf(table);
    const target = region.part(job.description_region, 0, need) orelse {
        table.destroy();
        failure.* = .{ .code = abi.Code.exhausted.int(), .offset = need };
        return error.Fault;
    };
    const handle = table_set.publish(table);
    if (handle < 0) {
        failure.* = .{ .code = handle };
        return error.Fault;
    }
    table_description.write(table, handle, target);
    return handle;
}

fn sortedEntries(memtable: Memtable, failure: *Fault) fault.Error![]entry_sort.Item {
    const count = @atomicLoad(u32, &memtable.header.entry_count, .monotonic);
    const hint = @min(count, memtable.word_count / memtable_reader.entry_header_words);
    const items = entry_sort.gather(gpa, memtable, memtable.newest(), 0, hint) catch |e| return failure.fail(switch (e) {
        error.OutOfMemory => .no_memory,
        error.Damaged => .invalid,
    });
    errdefer gpa.free(items);
    entry_sort.sort(gpa, memtable, items) catch return failure.fail(.no_memory);
    return items;
}

/// The memtable's range tombstones: a chain of their own, the newest first.
fn rangesOf(memtable: Memtable, failure: *Fault) fault.Error!*Fragments {
    var list: std.ArrayList(range_fragments.Tombstone) = .empty;
    defer list.deinit(gpa);
    var at = memtable.newestRange();
    while (at != 0) {
        const entry = memtable.entry(at) orelse return failure.fail(.invalid);
        const is_range = internal_key.typeOf(entry.trailer) == @intFromEnum(abi.EntryType.delete_range);
        // Chained downwards, so this ends, whatever the region holds.
        if (!is_range or entry.previous >= at or entry.value.len > abi.key_bytes_max) return failure.fail(.invalid);
        const sequence = internal_key.sequenceOf(entry.trailer);
        list.append(gpa, .{ .lower = entry.key, .upper = entry.value, .sequence = sequence }) catch return failure.fail(.no_memory);
        at = entry.previous;
    }
    return Fragments.build(gpa, list.items) catch failure.fail(.no_memory);
}

fn snapshotsOf(job: *const abi.TableJob, failure: *Fault) fault.Error![]u64 {
    const bytes = if (job.snapshot_count == 0)
        &.{}
    else
        region.part(job.snapshot_region, 0, @as(u64, job.snapshot_count) * 8) orelse return failure.fail(.invalid);
    return table_output.copySnapshots(gpa, @ptrCast(bytes), failure);
}

fn write(
    file: *File,
    job: *const abi.TableJob,
    memtable: Memtable,
    items: []const entry_sort.Item,
    options: version_filter.Options,
    failure: *Fault,
) fault.Error!void {
    var builder: TableBuilder = try .init(gpa, file, .{
        .number = @intFromFloat(job.number),
        .family = job.family,
        .family_name = region.part(job.description_region, 0, job.family_name_bytes) orelse return failure.fail(.invalid),
        .block_bytes = job.block_bytes,
        .filter_bits_per_key = job.filter_bits_per_key,
        .compression = @enumFromInt(job.compression),
        .compression_level = job.compression_level,
    }, failure);
    defer builder.deinit();
    const kept = options.ranges.?.prune(gpa, options.snapshots, options.bottom) catch return failure.fail(.no_memory);
    defer kept.release();

    var versions: version_filter.VersionFilter = .init(gpa, options);
    defer versions.deinit();
    for (items, 0..) |item, i| {
        // In key order they lie anywhere.
        if (i + 8 < items.len) memtable.prefetch(items[i + 8].entry);
        const entry = memtable.entry(item.entry).?;
        versions.add(entry.key, entry.trailer, entry.value, &builder) catch |e| return translate(e, failure);
    }
    versions.finish(&builder) catch |e| return translate(e, failure);
    _ = try builder.finish(kept);
}

/// What is wrong with a memtable is its writer's mistake.
fn translate(e: version_filter.Error, failure: *Fault) fault.Error {
    return switch (e) {
        error.Fault => error.Fault,
        error.Damaged => failure.fail(.invalid),
        error.OutOfMemory => failure.fail(.no_memory),
        // A flush asks nobody.
        error.ChainWaits => unreachable,
    };
}
