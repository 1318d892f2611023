//! A table's file from its creation to the open reader, for flush and compaction. Whoever makes one removes it again if
//! anything fails: `remove` costs only space if it fails too, for an opening store sweeps what no manifest knows.
//! Any thread; a file has one maker.

const std = @import("std");
const abi = @import("abi.zig");
const compression = @import("compression.zig");
const disk = @import("disk.zig");
const fault = @import("fault.zig");
const file_name = @import("file_name.zig");
const file_table = @import("file_table.zig");
const Fault = fault.Fault;
const File = file_table.File;
const Table = @import("table_reader.zig").Table;
const TableFiles = @import("table_files.zig").TableFiles;

const block_bytes_min = 256;
const block_bytes_max = 16 << 20;
const filter_bits_max = 64;

/// The number of a file that may be; null for any other.
pub fn numberOf(number: f64) ?u64 {
    if (!(number >= 0 and number <= file_name.number_max) or @floor(number) != number) return null;
    return @intFromFloat(number);
}

/// Numbers that came in a request.
pub fn checkOptions(block_bytes: u32, filter_bits_per_key: u32, how: u32, level: u32, failure: *Fault) fault.Error!void {
    if (block_bytes < block_bytes_min or block_bytes > block_bytes_max) return failure.fail(.invalid);
    if (filter_bits_per_key > filter_bits_max) return failure.fail(.invalid);
    switch (std.enums.fromInt(abi.Compression, how) orelse return failure.fail(.invalid)) {
        .none => {},
        .zstd => if (level < compression.level_min or level > compression.level_max) return failure.fail(.invalid),
    }
}

/// Sequence numbers of snapshots, as they lie in shared memory: whole and ascending. The caller frees the list.
pub fn copySnapshots(gpa: std.mem.Allocator, shared: []align(1) const f64, failure: *Fault) fault.Error![]u64 {
    const snapshots = gpa.alloc(u64, shared.len) catch return failure.fail(.no_memory);
    errdefer gpa.free(snapshots);
    var before: u64 = 0;
    for (shared, snapshots) |number, *snapshot| {
        // A sequence number and a file's number have the same bounds.
        snapshot.* = numberOf(number) orelse return failure.fail(.invalid);
        if (snapshot.* < before) return failure.fail(.invalid);
        before = snapshot.*;
    }
    return snapshots;
}

pub fn create(files: *TableFiles, number: u64, failure: *Fault) fault.Error!*File {
    var buffer: [file_name.name_bytes_max]u8 = undefined;
    const name = nameOf(number, &buffer) orelse return failure.fail(.invalid);
    const mode: disk.OpenMode = .{ .create = true, .direct = files.options.direct_writes };
    return switch (file_table.open(files.disk, files.directory, name, mode, files.counters)) {
        .file => |file| file,
        .failed => |result| failure.system(result),
    };
}

pub fn remove(files: *TableFiles, number: u64) void {
    var buffer: [file_name.name_bytes_max]u8 = undefined;
    files.unlink(nameOf(number, &buffer) orelse return);
}

/// A reader over the file that was written and synced, which it takes over, on failure too.
pub fn open(files: *TableFiles, file: *File, number: u64, family: u32, failure: *Fault) fault.Error!*Table {
    if (file.direct) _ = @atomicRmw(u64, &files.counters.table_writes_direct, .Add, 1, .monotonic);
    if (file.direct == files.options.direct_reads) return Table.open(.init(files, number), file, null, family, failure);
    // Written one way and read the other: a descriptor has one.
    file.close();
    return Table.open(.init(files, number), null, null, family, failure);
}

pub fn syncDirectory(files: *TableFiles, failure: *Fault) fault.Error!void {
    const synced = files.disk.vtable.directory_sync(files.disk.context, files.directory);
    if (synced < 0) return failure.system(synced);
}

fn nameOf(number: u64, buffer: *[file_name.name_bytes_max]u8) ?[]const u8 {
    return file_name.format(@intFromEnum(abi.FileKind.table), @floatFromInt(number), buffer);
}
