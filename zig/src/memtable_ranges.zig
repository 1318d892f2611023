//! The range tombstones of memtables: chained in the region by whoever writes (docs/tree.md), kept in order here for
//! each memtable that was asked about. What is kept is the region's companion: it ends when the region is released, and
//! never meets the next memtable there. A memtable without tombstones costs one load. Any thread may ask.

const std = @import("std");
const abi = @import("abi.zig");
const fault = @import("fault.zig");
const internal_key = @import("internal_key.zig");
const region = @import("region.zig");
const Fault = fault.Fault;
const Fragments = @import("range_fragments.zig").Fragments;
const Memtable = @import("memtable_reader.zig").Memtable;
const RangeRuns = @import("range_runs.zig").RangeRuns;

/// The exported call: the key lies in the context. The number, zero, or a Code.
pub fn coverOf(id: region.Id, context: region.Id, key_bytes: u32, sequence: f64) f64 {
    var failure: Fault = .{};
    const number = coverIn(id, context, key_bytes, sequence, &failure) catch return @floatFromInt(failure.report());
    return @floatFromInt(number);
}

fn coverIn(id: region.Id, context: region.Id, key_bytes: u32, sequence: f64, failure: *Fault) fault.Error!u64 {
    if (key_bytes > abi.key_bytes_max) return failure.fail(.invalid);
    const highest: f64 = @floatFromInt(internal_key.sequence_max);
    if (!(sequence >= 0 and sequence <= highest)) return failure.fail(.invalid);
    const key = region.part(context, abi.context_key_offset, key_bytes) orelse return failure.fail(.closed);
    const memtable = Memtable.open(id) orelse return failure.fail(.closed);
    if (!memtable.retain()) return failure.fail(.closed);
    defer _ = memtable.release();
    return cover(memtable, key, @intFromFloat(sequence), failure);
}

/// The greatest number, at most `sequence`, of a tombstone over the key; zero: none. REQUIRES: the caller holds the memtable.
pub fn cover(memtable: Memtable, key: []const u8, sequence: u64, failure: *Fault) fault.Error!u64 {
    if (memtable.rangeCount() == 0) return 0;
    const runs = try lockedRuns(memtable, failure);
    defer runs.mutex.unlock();
    return runs.cover(memtable, key, sequence);
}

/// Adds fragments that may cover keys from `lower` to below `upper` for a reader at `sequence`, each with a reference for
/// the caller, who has them in `out` after an error too. REQUIRES: as `cover`.
pub fn collect(
    gpa: std.mem.Allocator,
    memtable: Memtable,
    sequence: u64,
    lower: []const u8,
    upper: ?[]const u8,
    out: *std.ArrayList(*Fragments),
    failure: *Fault,
) fault.Error!void {
    if (memtable.rangeCount() == 0) return;
    const runs = try lockedRuns(memtable, failure);
    defer runs.mutex.unlock();
    runs.collect(gpa, memtable, sequence, lower, upper, out) catch return failure.fail(.no_memory);
}

/// With every tombstone that is there now; the caller unlocks.
fn lockedRuns(memtable: Memtable, failure: *Fault) fault.Error!*RangeRuns {
    const runs = runsOf(memtable.region) catch return failure.fail(.no_memory);
    runs.mutex.lock();
    errdefer runs.mutex.unlock();
    runs.catchUp(memtable, memtable.newestRange()) catch |e| return failure.fail(switch (e) {
        error.OutOfMemory => .no_memory,
        error.Damaged => .invalid,
    });
    return runs;
}

fn runsOf(id: region.Id) error{OutOfMemory}!*RangeRuns {
    if (region.companionOf(id)) |found| return .of(found);
    const fresh: *RangeRuns = try .create(std.heap.c_allocator);
    const held = region.accompany(id, &fresh.companion);
    // Another thread was quicker.
    if (held != &fresh.companion) fresh.destroy();
    return .of(held);
}
