//! The table_flush and table_open jobs. A flush turns a memtable into a table of level 0: entries sorted, versions
//! that nobody can see left out, deletes kept, the file and its name made durable, and the reader opened, which
//! checks what was written. If anything fails the partial file is unlinked. Runs on whatever thread runs the job.

const std = @import("std");
const abi = @import("abi.zig");
const compression = @import("compression.zig");
const disk = @import("disk.zig");
const entry_sort = @import("entry_sort.zig");
const fault = @import("fault.zig");
const file_name = @import("file_name.zig");
const file_table = @import("file_table.zig");
const internal_key = @import("internal_key.zig");
const memtable_reader = @import("memtable_reader.zig");
const region = @import("region.zig");
const table_set = @import("table_set.zig");
const Fault = fault.Fault;
const Memtable = memtable_reader.Memtable;
const Store = @import("store.zig").Store;
const Table = @import("table_reader.zig").Table;
const TableBuilder = @import("table_builder.zig").TableBuilder;
const TableFile = @import("table_file.zig").TableFile;

const gpa = std.heap.c_allocator;
const block_bytes_min = 256;
const block_bytes_max = 16 << 20;

/// The new table's handle.
pub fn flush(store: *Store, job: *abi.TableJob, failure: *Fault) fault.Error!i32 {
    if (job.block_bytes < block_bytes_min or job.block_bytes > block_bytes_max) return failure.fail(.invalid);
    if (job.filter_bits_per_key > 64) return failure.fail(.invalid);
    switch (std.enums.fromInt(abi.Compression, job.compression) orelse return failure.fail(.invalid)) {
        .none => {},
        .zstd => if (job.compression_level < compression.level_min or job.compression_level > compression.level_max)
            return failure.fail(.invalid),
    }
    const snapshots = try snapshotsOf(job, failure);
    const memtable = Memtable.open(job.source) orelse return failure.fail(.invalid);
    const items = try sortedEntries(memtable, failure);
    defer gpa.free(items);
    if (items.len == 0) return failure.fail(.invalid);

    var name_buffer: [file_name.name_bytes_max]u8 = undefined;
    const name = tableName(job.number, &name_buffer) orelse return failure.fail(.invalid);
    const options = &store.table_files.options;
    const mode: disk.OpenMode = .{ .create = true, .direct = options.direct_writes };
    const file = switch (file_table.open(store.disk, store.directory, name, mode, store.counters)) {
        .file => |file| file,
        .failed => |result| return failure.system(result),
    };
    // Costs only space if it fails: an opening store sweeps what no manifest knows.
    errdefer _ = store.disk.vtable.unlink(store.disk.context, store.directory, name);
    {
        errdefer file.close();
        try write(file, job, memtable, items, snapshots, failure);
        const synced = store.disk.vtable.directory_sync(store.disk.context, store.directory);
        if (synced < 0) return failure.system(synced);
        if (file.direct) _ = @atomicRmw(u64, &store.counters.table_writes_direct, .Add, 1, .monotonic);
    }
    if (file.direct == options.direct_reads) return open(tableFile(store, job), file, null, job, failure);
    // Written one way and read the other: a descriptor has one.
    file.close();
    return open(tableFile(store, job), null, null, job, failure);
}

/// A table that the manifest lists.
pub fn openTable(store: *Store, job: *abi.TableJob, failure: *Fault) fault.Error!i32 {
    var name_buffer: [file_name.name_bytes_max]u8 = undefined;
    if (tableName(job.number, &name_buffer) == null) return failure.fail(.invalid);
    if (!(job.file_bytes >= 0 and job.file_bytes <= @as(f64, @floatFromInt(internal_key.sequence_max)))) return failure.fail(.invalid);
    return open(tableFile(store, job), null, @intFromFloat(job.file_bytes), job, failure);
}

pub fn verify(job: *abi.TableJob, failure: *Fault) fault.Error!i32 {
    const table = table_set.tables.acquire(job.source) orelse return failure.fail(.closed);
    defer table_set.tables.release(job.source);
    try table.verify(failure);
    return 0;
}

fn tableName(number: f64, buffer: *[file_name.name_bytes_max]u8) ?[]const u8 {
    return file_name.format(@intFromEnum(abi.FileKind.table), number, buffer);
}

fn tableFile(store: *Store, job: *const abi.TableJob) TableFile {
    return .init(store.table_files, @intFromFloat(job.number));
}

fn open(file: TableFile, written: ?*file_table.File, expected_bytes: ?u64, job: *abi.TableJob, failure: *Fault) fault.Error!i32 {
    const table = try Table.open(file, written, expected_bytes, job.family, failure);
    describe(table, job, failure) catch |e| {
        table.destroy();
        return e;
    };
    const handle = table_set.publish(table);
    if (handle < 0) {
        failure.* = .{ .code = handle };
        return error.Fault;
    }
    return handle;
}

fn describe(table: *const Table, job: *abi.TableJob, failure: *Fault) fault.Error!void {
    const properties = &table.properties;
    const smallest = properties.smallest_key;
    const largest = properties.largest_key;
    const need = @sizeOf(abi.TableDescription) + smallest.len + largest.len;
    const target = region.part(job.description_region, 0, need) orelse return failure.fail(.invalid);
    const description: *abi.TableDescription = @ptrCast(@alignCast(target.ptr));
    description.* = .{
        .number = job.number,
        .range_count = 0,
        .largest_kind = @intFromEnum(abi.BoundKind.inclusive),
        .blob_count = 0,
        .handle = -1,
        .bytes = @intCast(need),
        .file_bytes = @floatFromInt(table.file_bytes),
        .entry_count = @floatFromInt(properties.entry_count),
        .delete_count = @floatFromInt(properties.delete_count),
        .smallest_sequence = @floatFromInt(properties.smallest_sequence),
        .largest_sequence = @floatFromInt(properties.largest_sequence),
        .smallest_key_bytes = @intCast(smallest.len),
        .largest_key_bytes = @intCast(largest.len),
    };
    const keys = target[@sizeOf(abi.TableDescription)..];
    @memcpy(keys[0..smallest.len], smallest);
    @memcpy(keys[smallest.len..], largest);
}

fn sortedEntries(memtable: Memtable, failure: *Fault) fault.Error![]entry_sort.Item {
    const count = @atomicLoad(u32, &memtable.header.entry_count, .monotonic);
    const hint = @min(count, memtable.word_count / memtable_reader.entry_header_words);
    const items = entry_sort.gather(gpa, memtable, memtable.newest(), 0, hint) catch |e| return failure.fail(switch (e) {
        error.OutOfMemory => .no_memory,
        error.Damaged => .invalid,
    });
    errdefer gpa.free(items);
    for (items) |item| {
        switch (internal_key.typeOf(memtable.entry(item.entry).?.trailer)) {
            @intFromEnum(abi.EntryType.put), @intFromEnum(abi.EntryType.delete) => {},
            else => return failure.fail(.unsupported),
        }
    }
    entry_sort.sort(gpa, memtable, items) catch return failure.fail(.no_memory);
    return items;
}

fn snapshotsOf(job: *const abi.TableJob, failure: *Fault) fault.Error![]const f64 {
    if (job.snapshot_count == 0) return &.{};
    const bytes = region.part(job.snapshot_region, 0, @as(u64, job.snapshot_count) * 8) orelse return failure.fail(.invalid);
    const list: [*]const f64 = @ptrCast(@alignCast(bytes.ptr));
    const snapshots = list[0..job.snapshot_count];
    for (snapshots, 0..) |snapshot, i| {
        // Written so that a NaN fails too.
        if (!(snapshot >= 0) or (i > 0 and !(snapshots[i - 1] <= snapshot))) return failure.fail(.invalid);
    }
    return snapshots;
}

fn write(
    file: *file_table.File,
    job: *const abi.TableJob,
    memtable: Memtable,
    items: []const entry_sort.Item,
    snapshots: []const f64,
    failure: *Fault,
) fault.Error!void {
    var builder: TableBuilder = try .init(gpa, file, .{
        .number = @intFromFloat(job.number),
        .family = job.family,
        .block_bytes = job.block_bytes,
        .filter_bits_per_key = job.filter_bits_per_key,
        .compression = @enumFromInt(job.compression),
        .compression_level = job.compression_level,
    }, failure);
    defer builder.deinit();

    var newer_key: ?[]const u8 = null;
    var newer_sequence: u64 = 0;
    for (items, 0..) |item, i| {
        // In key order they lie anywhere.
        if (i + 8 < items.len) memtable.prefetch(items[i + 8].entry);
        const entry = memtable.entry(item.entry).?;
        const sequence = internal_key.sequenceOf(entry.trailer);
        const is_newest = newer_key == null or !internal_key.equalKeys(newer_key.?, entry.key);
        // Sorted, so this is a number used twice.
        if (!is_newest and sequence == newer_sequence) return failure.fail(.invalid);
        if (is_newest or isSeen(snapshots, sequence, newer_sequence)) try builder.add(entry.key, entry.trailer, entry.value);
        newer_key = entry.key;
        newer_sequence = sequence;
    }
    _ = try builder.finish();
}

/// Does a snapshot see a version of `sequence`, whose successor has `newer_sequence`? It does from the one
/// number to below the other.
fn isSeen(snapshots: []const f64, sequence: u64, newer_sequence: u64) bool {
    const from: f64 = @floatFromInt(sequence);
    const below: f64 = @floatFromInt(newer_sequence);
    var low: usize = 0;
    var high = snapshots.len;
    while (low < high) {
        const middle = low + (high - low) / 2;
        if (snapshots[middle] < from) low = middle + 1 else high = middle;
    }
    return low < snapshots.len and snapshots[low] < below;
}
