//! Point reads: what decides about one key in a version's tables, for a sequence number: the newest entry that it may
//! see, or a range tombstone above that, which counts as a `delete` with the tombstone's number. Of a merge operand
//! the reader learns only that it is one, and goes the general way; whether a value has expired, and where a large one
//! lies, is for him to judge. Memtables are TypeScript's; it looks there first. Any thread; a context belongs to the
//! thread that calls.

const std = @import("std");
const abi = @import("abi.zig");
const block_cache = @import("block_cache.zig");
const fault = @import("fault.zig");
const filter = @import("filter.zig");
const internal_key = @import("internal_key.zig");
const region = @import("region.zig");
const table_iterator = @import("table_iterator.zig");
const table_reader = @import("table_reader.zig");
const table_set = @import("table_set.zig");
const Access = table_reader.Access;
const EntryType = abi.EntryType;
const Fault = fault.Fault;
const Table = table_reader.Table;

/// Answer only from memory, else `Code.would_block`.
pub const flag_cached: u32 = 1;

/// The exported call: key in the context, `GetResult` and value out in the same.
pub fn get(version: i32, context: i32, key_bytes: u32, sequence: f64, flags: u32) i32 {
    const memory = region.slice(context) orelse return abi.Code.closed.int();
    if (memory.len < abi.context_bytes or key_bytes > abi.key_bytes_max) return abi.Code.invalid.int();
    const key = memory[abi.context_key_offset..][0..key_bytes];
    const result: *abi.GetResult = @ptrCast(memory.ptr);
    result.* = .{ .entry_type = 0, .value_bytes = 0, .value_region = -1, .reserved = 0, .sequence = 0 };

    var failure: Fault = .{};
    const access: Access = if (flags & flag_cached != 0) .cached else .disk;
    const found = lookup(version, key, sequence, access, &failure) catch return failure.report();
    const entry = found orelse return 0;
    defer entry.release();
    if (entry.value.len <= abi.context_value_area_bytes) {
        @memcpy(memory[abi.context_value_offset..][0..entry.value.len], entry.value);
    } else {
        result.value_region = copyOut(entry.value, &failure) catch return failure.report();
    }
    result.value_bytes = @intCast(entry.value.len);
    result.sequence = @floatFromInt(internal_key.sequenceOf(entry.trailer));
    result.entry_type = internal_key.typeOf(entry.trailer);
    return 0;
}

/// The table_get job: the same on a thread that may wait. A value of more than zero bytes goes to a region of its own.
pub fn run(job: *abi.GetJob, failure: *Fault) fault.Error!i32 {
    job.entry_type = 0;
    job.value_region = -1;
    job.value_bytes = 0;
    if (job.key_bytes > abi.key_bytes_max) return failure.fail(.invalid);
    const key = region.part(job.region, 0, job.key_bytes) orelse return failure.fail(.closed);
    const found = try lookup(job.version, key, job.sequence, .disk, failure) orelse return 0;
    defer found.release();
    if (found.value.len > 0) job.value_region = try copyOut(found.value, failure);
    job.value_bytes = @intCast(found.value.len);
    job.entry_type = internal_key.typeOf(found.trailer);
    return 0;
}

fn copyOut(value: []const u8, failure: *Fault) fault.Error!region.Id {
    const id = region.reserve(value.len) catch |e| return failure.fail(switch (e) {
        error.OutOfMemory => .no_memory,
        error.Exhausted => .exhausted,
    });
    @memcpy(region.slice(id).?[0..value.len], value);
    return id;
}

/// An entry, or what a range tombstone makes of one.
const Answer = struct {
    trailer: u64,
    /// In `block`; nothing but for puts of all kinds.
    value: []const u8 = &.{},
    block: ?*block_cache.Block = null,

    fn release(self: Answer) void {
        if (self.block) |block| block.release();
    }
};

fn lookup(version: i32, key: []const u8, sequence: f64, access: Access, failure: *Fault) fault.Error!?Answer {
    const highest: f64 = @floatFromInt(internal_key.sequence_max);
    if (!(sequence >= 0 and sequence <= highest)) return failure.fail(.invalid);
    const held = table_set.versions.acquire(version) orelse return failure.fail(.closed);
    defer table_set.versions.release(version);
    return search(held, key, @intFromFloat(sequence), access, failure);
}

/// Level 0, then downwards: the first answer decides, for a level holds only what is older than everything above it,
/// range tombstones as well. On level 0 the newest counts, whichever table has it: in a repaired store they overlap in
/// age, too.
fn search(version: *const table_set.Version, key: []const u8, sequence: u64, access: Access, failure: *Fault) fault.Error!?Answer {
    if (version.list.len == 0) return null;
    const hash = filter.hashKey(key);
    var tally: Tally = .{};
    for (version.levels, 0..) |level, number| {
        var found: ?Answer = null;
        if (number == 0) {
            found = try searchNewest(level, key, hash, sequence, access, failure, &tally);
        } else {
            const index = table_iterator.tableFor(level, key);
            if (index == level.len) continue;
            found = try searchTable(level[index], key, hash, sequence, access, failure, tally.at(number));
        }
        const answer = found orelse continue;
        tally.add(version.list[0].file.counters, number);
        return answer;
    }
    tally.add(version.list[0].file.counters, null);
    return null;
}

/// Where one read looked. It counts when the read has its answer: one that would block comes again.
const Tally = struct {
    probes: [abi.level_count]u32 = @splat(0),

    fn at(self: *Tally, level: usize) *u32 {
        return &self.probes[@min(level, abi.level_count - 1)];
    }

    fn add(self: *const Tally, counters: *abi.Counters, hit: ?usize) void {
        for (self.probes, &counters.level_probes) |count, *total| {
            if (count > 0) _ = @atomicRmw(u64, total, .Add, count, .monotonic);
        }
        const level = hit orelse return;
        _ = @atomicRmw(u64, &counters.level_hits[@min(level, abi.level_count - 1)], .Add, 1, .monotonic);
    }
};

/// One comparison a table where they do not overlap in age, for the newest comes first.
fn searchNewest(level: []const *Table, key: []const u8, hash: u64, sequence: u64, access: Access, failure: *Fault, tally: *Tally) fault.Error!?Answer {
    var newest: ?Answer = null;
    errdefer if (newest) |answer| answer.release();
    for (level) |table| {
        const known = if (newest) |answer| internal_key.sequenceOf(answer.trailer) else 0;
        if (newest != null and table.properties.largest_sequence <= known) continue;
        if (table.endsBefore(key)) continue;
        const answer = try searchTable(table, key, hash, sequence, access, failure, tally.at(0)) orelse continue;
        if (newest) |before| {
            if (internal_key.sequenceOf(answer.trailer) <= known) {
                answer.release();
                continue;
            }
            before.release();
        }
        newest = answer;
    }
    return newest;
}

/// REQUIRES: the table does not end before the key.
fn searchTable(table: *Table, key: []const u8, hash: u64, sequence: u64, access: Access, failure: *Fault, probes: *u32) fault.Error!?Answer {
    if (internal_key.compareKeys(key, table.properties.smallest_key) == .lt) return null;
    probes.* += 1;
    // Before the filter, which knows nothing of them.
    const cover = if (table.ranges) |ranges| ranges.cover(key, sequence) else 0;
    const found = try table.find(key, hash, sequence, access, failure) orelse
        return if (cover > 0) coveredBy(cover) else null;
    if (cover > internal_key.sequenceOf(found.trailer)) {
        found.block.release();
        return coveredBy(cover);
    }
    switch (internal_key.typeOf(found.trailer)) {
        @intFromEnum(EntryType.put),
        @intFromEnum(EntryType.put_expiring),
        @intFromEnum(EntryType.put_blob),
        @intFromEnum(EntryType.put_blob_expiring),
        => return .{ .trailer = found.trailer, .value = found.value, .block = found.block },
        @intFromEnum(EntryType.delete), @intFromEnum(EntryType.merge) => {
            found.block.release();
            return .{ .trailer = found.trailer };
        },
        else => {
            found.block.release();
            return failure.fail(.unsupported);
        },
    }
}

fn coveredBy(sequence: u64) Answer {
    return .{ .trailer = internal_key.trailer(sequence, @intFromEnum(EntryType.delete)) };
}
