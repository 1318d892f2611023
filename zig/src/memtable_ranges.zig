//! The range tombstones of a memtable: a chain of their own, from `newest_range` by `previous`, the newest first.
//! Any thread; no locks. What they say of a key is range_fragments.zig's business.

const std = @import("std");
const abi = @import("abi.zig");
const internal_key = @import("internal_key.zig");
const Memtable = @import("memtable_reader.zig").Memtable;
const Tombstone = @import("range_fragments.zig").Tombstone;

const delete_range = @intFromEnum(abi.EntryType.delete_range);

/// At least those that were counted when the caller looked. Their bounds lie in the memtable; the caller frees the list.
pub fn gather(gpa: std.mem.Allocator, memtable: Memtable) error{ OutOfMemory, Damaged }![]Tombstone {
    var list: std.ArrayList(Tombstone) = .empty;
    errdefer list.deinit(gpa);
    var at = @atomicLoad(u32, &memtable.header.newest_range, .acquire);
    while (at != 0) {
        const entry = memtable.entry(at) orelse return error.Damaged;
        // Chained downwards, so this ends, whatever the region holds.
        if (entry.previous >= at or internal_key.typeOf(entry.trailer) != delete_range) return error.Damaged;
        if (entry.value.len > abi.key_bytes_max) return error.Damaged;
        try list.append(gpa, .{
            .lower = entry.key,
            .upper = entry.value,
            .sequence = internal_key.sequenceOf(entry.trailer),
        });
        at = entry.previous;
    }
    return list.toOwnedSlice(gpa);
}
