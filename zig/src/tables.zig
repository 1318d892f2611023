//! What the rest of the library calls of the reading side: jobs by opcode, and the functions behind the exported
//! calls, with their signatures. Any thread may call.

const abi = @import("abi.zig");
const block_cache = @import("block_cache.zig");
const compaction = @import("compaction.zig");
const cursor = @import("cursor.zig");
const fault = @import("fault.zig");
const flush = @import("flush.zig");
const memtable_ranges = @import("memtable_ranges.zig");
const memtable_reader = @import("memtable_reader.zig");
const point_read = @import("point_read.zig");
const region = @import("region.zig");
const table_set = @import("table_set.zig");
const Store = @import("store.zig").Store;

/// Runs the job and leaves `result` in its head; for `Code.corruption`, the offset in `value` and the file's number in
/// `detail`. `state` is the caller's.
pub fn run(store: *Store, record: *abi.JobHead) void {
    var failure: fault.Fault = .{};
    const opcode = record.opcode;
    const result: fault.Error!i32 = if (opcode == @intFromEnum(abi.Opcode.table_flush))
        flush.flush(store, @ptrCast(@alignCast(record)), &failure)
    else if (opcode == @intFromEnum(abi.Opcode.table_open))
        flush.openTable(store, @ptrCast(@alignCast(record)), &failure)
    else if (opcode == @intFromEnum(abi.Opcode.table_verify))
        flush.verify(store, @ptrCast(@alignCast(record)), &failure)
    else if (opcode == @intFromEnum(abi.Opcode.compaction_step))
        compaction.run(store, @ptrCast(@alignCast(record)), &failure)
    else if (opcode == @intFromEnum(abi.Opcode.table_get))
        point_read.run(@ptrCast(@alignCast(record)), &failure)
    else if (opcode == @intFromEnum(abi.Opcode.cursor_fill))
        cursor.run(@ptrCast(@alignCast(record)), &failure)
    else
        failure.fail(.invalid);

    record.value = 0;
    record.detail = 0;
    record.result = result catch failed: {
        record.value = @floatFromInt(failure.offset);
        record.detail = failure.detail();
        break :failed failure.code;
    };
}

/// Gives back one reference to a memtable's region.
pub fn memtableRelease(id: region.Id) i32 {
    const memtable = memtable_reader.Memtable.open(id) orelse return abi.Code.closed.int();
    return memtable.release();
}

pub const memtableCover = memtable_ranges.coverOf;

/// The version's levels lie at `context_key_offset` of the context, as `count` words: see table_set.zig.
pub fn versionCreate(context: region.Id, count: u32) i32 {
    if (count > abi.context_key_area_bytes / 4) return abi.Code.invalid.int();
    const bytes = region.part(context, abi.context_key_offset, @as(u64, count) * 4) orelse return abi.Code.closed.int();
    const words: [*]align(1) const i32 = @ptrCast(bytes.ptr);
    return table_set.versionCreate(words[0..count]);
}

/// See `varve_version_size`.
pub fn versionSize(version: i32, context: region.Id, lower_bytes: u32, upper_bytes: u32, has_upper: bool) f64 {
    const bytes = region.part(context, abi.context_key_offset, abi.context_key_area_bytes) orelse
        return @floatFromInt(abi.Code.closed.int());
    if (@as(u64, lower_bytes) + upper_bytes > bytes.len) return @floatFromInt(abi.Code.invalid.int());
    const lower = bytes[0..lower_bytes];
    const upper: ?[]const u8 = if (has_upper) bytes[lower_bytes..][0..upper_bytes] else null;
    return table_set.versionSize(version, lower, upper);
}

pub const versionRelease = table_set.versionRelease;
pub const tableRelease = table_set.tableRelease;
pub const get = point_read.get;
pub const compactionOpen = compaction.open;
pub const compactionCancel = compaction.cancel;
pub const compactionClose = compaction.close;
pub const cursorOpen = cursor.open;
pub const cursorFill = cursor.fill;
pub const cursorClose = cursor.close;

pub fn cacheSetCapacity(bytes: f64) i32 {
    if (!(bytes >= 0 and bytes <= 1 << 53)) return abi.Code.invalid.int();
    block_cache.global.setCapacity(@intFromFloat(bytes));
    return 0;
}

/// Bytes that the block cache holds now.
pub fn cacheBytes() f64 {
    return @floatFromInt(block_cache.global.bytes());
}

test {
    _ = @import("handle_table.zig");
    _ = @import("tests/skip_list_test.zig");
    _ = @import("tests/table_test.zig");
    _ = @import("tests/model_test.zig");
}
