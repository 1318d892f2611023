//! Compactions of random tables against a plain list of what was written, with snapshots, tombstones and several levels;
//! and what is left when one is cancelled, closed, refused or fails.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");
const compaction = @import("../compaction.zig");
const disk_real = @import("../disk_real.zig");
const disk_simulated = @import("../disk_simulated.zig");
const history = @import("history.zig");
const merge_operator = @import("../merge_operator.zig");
const region = @import("../region.zig");
const system = @import("../system.zig");
const table_contents = @import("table_contents.zig");
const table_set = @import("../table_set.zig");
const table_store = @import("table_store.zig");
const tables = @import("../tables.zig");
const CompactionOrder = table_store.CompactionOrder;
const MemtableWriter = @import("memtable_writer.zig").MemtableWriter;
const Scratch = @import("scratch.zig").Scratch;
const Table = @import("../table_reader.zig").Table;
const TableStore = table_store.TableStore;
const testing = std.testing;
const gpa = testing.allocator;

const description_bytes = 1 << 20;

/// Runs a compaction to its end; the outputs' handles, or what it failed with.
fn compact(store: *TableStore, order: CompactionOrder, step_bytes: f64, outputs: *std.ArrayList(i32)) !i32 {
    const handle = try order.open(store);
    if (handle < 0) return handle;
    defer _ = compaction.close(handle);
    const description = try region.reserve(description_bytes);
    defer _ = region.release(description);
    while (true) {
        var job = table_store.compactionJob(handle, description, step_bytes);
        tables.run(&store.store, &job.head);
        if (job.head.result == 0) continue;
        if (job.head.result == 1) try handlesOf(description, job.output_count, outputs);
        return job.head.result;
    }
}

fn handlesOf(description: region.Id, count: u32, outputs: *std.ArrayList(i32)) !void {
    const memory = region.slice(description).?;
    var at: usize = 0;
    for (0..count) |_| {
        const each: *const abi.TableDescription = @ptrCast(@alignCast(memory.ptr + at));
        try outputs.append(gpa, each.handle);
        at += each.bytes;
    }
}

/// Each description says which tables it was made from, and which one of how many it is.
fn expectOrigins(description: region.Id, count: u32, inputs: []const f64) !void {
    const memory = region.slice(description).?;
    var at: usize = 0;
    for (0..count) |i| {
        const each: *const abi.TableDescription = @ptrCast(@alignCast(memory.ptr + at));
        try testing.expectEqual(each.number, each.first_output + @as(f64, @floatFromInt(i)));
        try testing.expectEqual(@intFromBool(i == count - 1), each.is_last_output);
        try testing.expectEqual(inputs.len, each.input_count);
        const keys_end = @sizeOf(abi.TableDescription) + each.smallest_key_bytes + each.largest_key_bytes;
        const numbers_at = at + std.mem.alignForward(usize, keys_end, 8) + each.blob_count * @sizeOf(abi.BlobReference);
        const numbers: [*]const f64 = @ptrCast(@alignCast(memory.ptr + numbers_at));
        try testing.expectEqualSlices(f64, inputs, numbers[0..inputs.len]);
        const name = memory[numbers_at + 8 * inputs.len ..][0..each.family_name_bytes];
        try testing.expectEqualStrings(table_store.family_name, name);
        at += each.bytes;
    }
}

fn countFile(visitor: *anyopaque, _: []const u8, _: u64) i32 {
    const count: *u32 = @ptrCast(@alignCast(visitor));
    count.* += 1;
    return 0;
}

fn fileCount(store: *TableStore) u32 {
    var count: u32 = 0;
    const on = store.store.disk;
    _ = on.vtable.directory_list(on.context, store.store.directory, &count, countFile);
    return count;
}

fn openTableCount() u32 {
    var cursor: u32 = 0;
    var count: u32 = 0;
    while (table_set.tables.next(&cursor)) |_| count += 1;
    return count;
}

/// Open files of the simulated disk, by whatever name.
fn openFileCount(store: *TableStore) u32 {
    var count: u32 = 0;
    for (disk_simulated.from(store.store.disk).?.inodes.items) |inode| count += inode.opens;
    return count;
}

// ---------------------------------------------------------------------------------------------------------------

const level_count = 3;

/// A family's tables, and the history of all that was ever written to it.
const Tree = struct {
    arena: std.heap.ArenaAllocator,
    random: std.Random,
    store: TableStore,
    generator: history.Generator,
    /// Handles; level 0 newest first.
    levels: [level_count]std.ArrayList(i32) = @splat(.empty),
    written: history.History = .{},
    sequence: u64 = 0,
    number: f64 = 1,
    snapshots: std.ArrayList(u64) = .empty,
    times: std.ArrayList(f64) = .empty,

    fn init(self: *Tree, random: std.Random) !void {
        self.* = .{ .arena = .init(gpa), .random = random, .store = undefined, .generator = undefined };
        const keys = try self.arena.allocator().alloc([]const u8, 40);
        for (keys, 0..) |*key, i| key.* = try std.fmt.allocPrint(self.arena.allocator(), "k{d:0>3}", .{i * 3});
        const bounds = try self.arena.allocator().alloc([]const u8, 40);
        for (bounds, 0..) |*bound, i| bound.* = try std.fmt.allocPrint(self.arena.allocator(), "k{d:0>3}", .{i * 3 + random.uintLessThan(usize, 3)});
        self.generator = .{
            .arena = undefined,
            .random = random,
            .operator = random.enumValue(abi.MergeOperator),
            .damage = if (random.uintLessThan(u32, 6) == 0) 6 else 0,
            .keys = keys,
            .bounds = bounds,
            .padding = 100,
        };
        self.generator.arena = self.arena.allocator();
        try self.store.init();
        self.store.block_bytes = 256;
        self.store.merge_operator = self.generator.operator;
        self.store.filter_bits_per_key = if (random.boolean()) 10 else 0;
        self.store.compression = if (random.uintLessThan(u32, 3) == 0) .zstd else .none;
    }

    fn deinit(self: *Tree) void {
        for (&self.levels) |*level| {
            for (level.items) |handle| testing.expectEqual(0, tables.tableRelease(handle)) catch @panic("a table was closed");
            level.deinit(gpa);
        }
        self.snapshots.deinit(gpa);
        self.times.deinit(gpa);
        self.store.deinit();
        self.arena.deinit();
    }

    fn takeNumber(self: *Tree, count: f64) f64 {
        defer self.number += count;
        return self.number;
    }

    fn flush(self: *Tree) !void {
        var fresh: history.History = .{};
        const count = 5 + self.random.uintLessThan(u64, 60);
        const tombstone_chance = self.random.uintLessThan(u32, 3) * 6;
        try self.generator.fill(&fresh, self.sequence + 1, self.sequence + 1 + count, tombstone_chance);
        self.sequence += count;
        var writer = try MemtableWriter.init(1 << 20);
        defer writer.deinit();
        for (fresh.entries.items) |entry| writer.add(entry.type, entry.key, entry.sequence, entry.value);
        var ranges: u32 = 0;
        for (fresh.tombstones.items) |tombstone| {
            if (tombstone.upper.len > 0 and std.mem.order(u8, tombstone.lower, tombstone.upper) != .lt) continue;
            writer.deleteRange(tombstone.lower, tombstone.upper, tombstone.sequence);
            ranges += 1;
        }
        if (fresh.entries.items.len == 0 and ranges == 0) return;
        try self.written.addAll(self.arena.allocator(), &fresh);
        const snapshots = try self.arena.allocator().alloc(f64, self.snapshots.items.len);
        for (self.snapshots.items, snapshots) |from, *to| to.* = @floatFromInt(from);
        const handle = try self.store.flush(writer.id, self.takeNumber(1), snapshots);
        try testing.expect(handle > 0);
        try self.levels[0].insert(gpa, 0, handle);
    }

    fn table(handle: i32) *Table {
        const found = table_set.tables.acquire(handle).?;
        table_set.tables.release(handle);
        return found;
    }

    /// Whether the table holds keys between the first and the last of these.
    fn isInSpan(other: *const Table, lists: *const [level_count]std.ArrayList(i32)) bool {
        var begins = false;
        var ends = false;
        for (lists) |list| for (list.items) |handle| {
            if (!other.endsBefore(table(handle).properties.smallest_key)) begins = true;
            if (!table(handle).endsBefore(other.properties.smallest_key)) ends = true;
        };
        return begins and ends;
    }

    /// From a level (all of level 0, one table of another) with what lies in their span in the next one.
    fn compactLevel(self: *Tree, from: usize) !void {
        if (self.levels[from].items.len == 0) return;
        var inputs: [level_count]std.ArrayList(i32) = @splat(.empty);
        defer for (&inputs) |*list| list.deinit(gpa);
        if (from == 0) {
            try inputs[0].appendSlice(gpa, self.levels[0].items);
        } else {
            try inputs[from].append(gpa, self.levels[from].items[self.random.uintLessThan(usize, self.levels[from].items.len)]);
        }
        var below: std.ArrayList(i32) = .empty;
        for (self.levels[from + 1].items) |handle| {
            if (isInSpan(table(handle), &inputs)) try below.append(gpa, handle);
        }
        inputs[from + 1] = below;
        const bottom = for (from + 2..level_count) |level| {
            const is_free = for (self.levels[level].items) |handle| {
                if (isInSpan(table(handle), &inputs)) break false;
            } else true;
            if (!is_free) break false;
        } else true;
        try self.replace(&inputs, from + 1, bottom);
    }

    fn replace(self: *Tree, inputs: *const [level_count]std.ArrayList(i32), target: usize, bottom: bool) !void {
        var lists: [level_count][]const i32 = undefined;
        for (inputs, &lists) |list, *slice| slice.* = list.items;
        var outputs: std.ArrayList(i32) = .empty;
        defer outputs.deinit(gpa);
        const step_bytes: f64 = @floatFromInt(self.random.uintLessThan(u32, 3) * 700);
        const result = try compact(&self.store, .{
            .levels = &lists,
            .bottom = bottom,
            .snapshots = self.snapshots.items,
            .first_number = self.takeNumber(1000),
            .target_bytes = @floatFromInt(1 + self.random.uintLessThan(u32, 3000)),
        }, step_bytes, &outputs);
        try testing.expectEqual(1, result);
        for (outputs.items) |handle| try testing.expectEqual(0, self.store.verify(handle).result);

        for (inputs, &self.levels) |list, *level| for (list.items) |handle| {
            _ = level.orderedRemove(std.mem.indexOfScalar(i32, level.items, handle).?);
            try testing.expectEqual(0, tables.tableRelease(handle));
        };
        if (outputs.items.len == 0) return;
        const first = table(outputs.items[0]).properties.smallest_key;
        const level = &self.levels[target];
        const at = for (level.items, 0..) |handle, i| {
            if (!table(handle).endsBefore(first)) break i;
        } else level.items.len;
        try level.insertSlice(gpa, at, outputs.items);
        if (bottom and self.snapshots.items.len == 0) try self.expectBottom(outputs.items);
    }

    /// Nothing but values that are good now.
    fn expectBottom(self: *const Tree, outputs: []const i32) !void {
        const list = try gpa.alloc(*Table, outputs.len);
        defer gpa.free(list);
        for (outputs, list) |handle, *item| item.* = table(handle);
        var found = try table_contents.read(gpa, list);
        defer found.deinit();
        for (list) |item| try testing.expectEqual(null, item.ranges);
        const folds = merge_operator.isNative(self.generator.operator) and self.generator.damage == 0;
        for (found.entries, 0..) |entry, i| {
            try testing.expect(entry.type != .delete);
            if (i > 0 and std.mem.eql(u8, found.entries[i - 1].key, entry.key)) try testing.expectEqual(.merge, found.entries[i - 1].type);
            if (!folds or entry.type != .merge) continue;
            // On what may expire, or lies elsewhere.
            const base = found.entries[i + 1];
            try testing.expectEqualStrings(entry.key, base.key);
            try testing.expect(base.type == .put_expiring or base.type == .put_blob or base.type == .put_blob_expiring);
        }
    }

    /// Takes all tables apart.
    fn contents(self: *Tree, arena: std.mem.Allocator, level: usize) !history.History {
        var all: history.History = .{};
        for (self.levels[level].items) |handle| {
            const item = table(handle);
            // Lives as long as the arena.
            const found = try table_contents.read(arena, &.{item});
            for (found.entries) |entry| {
                try all.entries.append(arena, .{ .key = entry.key, .sequence = entry.sequence, .type = entry.type, .value = entry.value });
            }
            const ranges = item.ranges orelse continue;
            var pieces = ranges.iterator();
            defer pieces.deinit();
            while (try pieces.next()) |piece| for (piece.sequences) |sequence| {
                try all.tombstones.append(arena, .{ .lower = piece.lower, .upper = piece.upper, .sequence = sequence });
            };
        }
        return all;
    }

    fn check(self: *Tree) !void {
        var arena_state: std.heap.ArenaAllocator = .init(gpa);
        defer arena_state.deinit();
        const arena = arena_state.allocator();
        var all: history.History = .{};
        var oldest_above: [40]u64 = @splat(std.math.maxInt(u64));
        for (0..level_count) |level| {
            const here = try self.contents(arena, level);
            try all.addAll(arena, &here);
            try self.checkInvariant(&here, &oldest_above);
            if (level == 0) continue;
            for (self.levels[level].items[0..self.levels[level].items.len -| 1], 1..) |left, right| {
                const next = table(self.levels[level].items[right]);
                try testing.expect(table(left).endsBefore(next.properties.smallest_key));
            }
        }
        const operator = self.generator.operator;
        for (self.generator.keys) |key| {
            for (self.snapshots.items, self.times.items) |snapshot, time| {
                const expected = try history.read(arena, &self.written, operator, key, snapshot, time);
                try testing.expectEqualDeep(expected, try history.read(arena, &all, operator, key, snapshot, time));
            }
            const later = self.store.now + @as(f64, @floatFromInt(self.random.uintLessThan(u32, 3)));
            const expected = try history.read(arena, &self.written, operator, key, self.sequence, later);
            try testing.expectEqualDeep(expected, try history.read(arena, &all, operator, key, self.sequence, later));
        }
    }

    /// What a level says of a key is older than what the levels above say of it.
    fn checkInvariant(self: *const Tree, here: *const history.History, oldest_above: []u64) !void {
        for (self.generator.keys, oldest_above) |key, *oldest| {
            var least: u64 = oldest.*;
            for (here.entries.items) |entry| if (std.mem.eql(u8, entry.key, key)) {
                try testing.expect(entry.sequence < oldest.*);
                least = @min(least, entry.sequence);
            };
            for (here.tombstones.items) |tombstone| {
                const above = std.mem.order(u8, key, tombstone.lower) != .lt;
                if (!above or (tombstone.upper.len > 0 and std.mem.order(u8, key, tombstone.upper) != .lt)) continue;
                try testing.expect(tombstone.sequence < oldest.*);
                least = @min(least, tombstone.sequence);
            }
            oldest.* = least;
        }
    }
};

fn runTree(seed: u64) !void {
    var random_state = std.Random.DefaultPrng.init(seed);
    var tree: Tree = undefined;
    try tree.init(random_state.random());
    defer tree.deinit();
    const random = tree.random;
    for (0..30) |_| {
        switch (random.uintLessThan(u32, 10)) {
            0, 1, 2, 3, 4 => try tree.flush(),
            5, 6 => try tree.compactLevel(0),
            7, 8 => try tree.compactLevel(1),
            else => {
                tree.store.now += @floatFromInt(random.uintLessThan(u32, 3));
                if (tree.snapshots.items.len > 0 and random.boolean()) {
                    const released = random.uintLessThan(usize, tree.snapshots.items.len);
                    _ = tree.snapshots.orderedRemove(released);
                    _ = tree.times.orderedRemove(released);
                } else if (tree.snapshots.items.len < 4) {
                    try tree.snapshots.append(gpa, tree.sequence);
                    try tree.times.append(gpa, tree.store.now);
                }
                continue;
            },
        }
        try tree.check();
    }
    tree.snapshots.clearRetainingCapacity();
    tree.times.clearRetainingCapacity();
    for (0..3) |_| {
        try tree.compactLevel(0);
        for (0..tree.levels[1].items.len) |_| try tree.compactLevel(1);
        try tree.check();
    }
}

test "no reader can tell whether tables of any level were compacted" {
    for (1..if (builtin.mode == .Debug) 40 else 250) |seed| {
        errdefer std.debug.print("seed {d}\n", .{seed});
        try runTree(seed);
    }
}

// ---------------------------------------------------------------------------------------------------------------

const Small = struct {
    store: TableStore,
    inputs: [3]i32,
    levels: [1][]const i32,

    /// Three tables of level 0 over the same keys, with range tombstones: some 300 blocks.
    fn init(self: *Small) !void {
        try self.store.init();
        try self.fill();
    }

    fn fill(self: *Small) !void {
        self.store.block_bytes = 256;
        for (&self.inputs, 0..) |*handle, i| {
            var writer = try MemtableWriter.init(4 << 20);
            defer writer.deinit();
            var buffer: [16]u8 = undefined;
            var value: [50]u8 = @splat('a' + @as(u8, @intCast(i)));
            for (0..400) |key| {
                const sequence = 1 + i * 1000 + key;
                writer.put(try std.fmt.bufPrint(&buffer, "key{d:0>5}", .{key * (i + 1)}), sequence, &value);
            }
            writer.deleteRange("key00100", "key00110", 900 + i * 1000);
            handle.* = try self.store.flush(writer.id, @floatFromInt(i + 1), &.{});
            try testing.expect(handle.* > 0);
        }
    }

    fn deinit(self: *Small) void {
        for (self.inputs) |handle| testing.expectEqual(0, tables.tableRelease(handle)) catch @panic("an input was closed");
        self.store.deinit();
    }

    fn order(self: *Small) CompactionOrder {
        self.levels = .{&self.inputs};
        return .{ .levels = &self.levels, .first_number = 10, .target_bytes = 10_000 };
    }

    fn verifyInputs(self: *Small) !void {
        for (self.inputs) |handle| try testing.expectEqual(0, self.store.verify(handle).result);
    }

    fn release(outputs: *std.ArrayList(i32)) !void {
        for (outputs.items) |handle| try testing.expectEqual(0, tables.tableRelease(handle));
        outputs.deinit(gpa);
    }
};

test "a cancelled or closed compaction leaves its inputs and no file, wherever it was" {
    for (0..40) |steps| {
        for ([_]bool{ false, true }) |closes| {
            var small: Small = undefined;
            try small.init();
            defer small.deinit();
            const open_before = openTableCount();
            const handle = try small.order().open(&small.store);
            try testing.expect(handle > 0);
            const description = try region.reserve(description_bytes);
            defer _ = region.release(description);
            for (0..steps) |_| {
                var job = table_store.compactionJob(handle, description, 2000);
                tables.run(&small.store.store, &job.head);
                try testing.expectEqual(0, job.head.result);
            }
            if (closes) {
                try testing.expectEqual(0, compaction.close(handle));
            } else {
                try testing.expectEqual(0, compaction.cancel(handle));
                for (0..2) |_| {
                    var job = table_store.compactionJob(handle, description, 2000);
                    tables.run(&small.store.store, &job.head);
                    try testing.expectEqual(abi.Code.cancelled.int(), job.head.result);
                    try testing.expectEqual(3, fileCount(&small.store));
                }
                try testing.expectEqual(0, compaction.close(handle));
            }
            try testing.expectEqual(abi.Code.closed.int(), compaction.close(handle));
            try testing.expectEqual(abi.Code.closed.int(), compaction.cancel(handle));
            try testing.expectEqual(3, fileCount(&small.store));
            try testing.expectEqual(open_before, openTableCount());
            try small.verifyInputs();
        }
    }
}

test "a compaction that fails at any operation says so, leaves its inputs and no file, and another one succeeds" {
    const operations = [_]abi.DiskOperation{ .create, .write, .sync, .sync_directory, .read };
    for (operations) |operation| {
        var failures: u32 = 0;
        var skip: u32 = 0;
        while (true) : (skip += if (failures < 20) 1 else 7) {
            var small: Small = undefined;
            try small.init();
            defer small.deinit();
            const open_before = openTableCount();
            const files_before = openFileCount(&small.store);
            const simulated = disk_simulated.from(small.store.store.disk).?;
            disk_simulated.failAfter(simulated, operation, @intFromEnum(std.c.E.IO), skip, 1);
            var outputs: std.ArrayList(i32) = .empty;
            const result = try compact(&small.store, small.order(), 3000, &outputs);
            disk_simulated.clearFaults(simulated);
            if (result == 1) {
                try Small.release(&outputs);
                break;
            }
            failures += 1;
            try testing.expectEqual(system.failure(.IO), result);
            try testing.expectEqual(3, fileCount(&small.store));
            try testing.expectEqual(open_before, openTableCount());
            try testing.expectEqual(files_before, openFileCount(&small.store));
            try small.verifyInputs();
            try testing.expectEqual(1, try compact(&small.store, small.order(), 1 << 20, &outputs));
            try testing.expect(outputs.items.len > 3);
            try Small.release(&outputs);
        }
        try testing.expect(failures >= @as(u32, if (operation == .sync_directory) 1 else 5));
    }
}

test "a full disk fails a compaction, and one with fewer outputs fits" {
    var small: Small = undefined;
    try small.init();
    defer small.deinit();
    const simulated = disk_simulated.from(small.store.store.disk).?;
    disk_simulated.setCapacity(simulated, 130_000);
    var outputs: std.ArrayList(i32) = .empty;
    try testing.expectEqual(system.failure(.NOSPC), try compact(&small.store, small.order(), 3000, &outputs));
    try testing.expectEqual(3, fileCount(&small.store));
    disk_simulated.clearFaults(simulated);
    try testing.expectEqual(1, try compact(&small.store, small.order(), 3000, &outputs));
    try Small.release(&outputs);
}

test "a damaged input is named, with the place" {
    var small: Small = undefined;
    try small.init();
    defer small.deinit();
    const on = small.store.store.disk;
    const middle = Tree.table(small.inputs[1]);
    const at = middle.blockOffset(40);
    var buffer: [1]u8 = undefined;
    var opened: @import("../disk.zig").OpenedFile = undefined;
    try testing.expectEqual(0, on.vtable.file_open(on.context, small.store.store.directory, "000002.table", .{}, &opened));
    defer on.vtable.file_close(on.context, opened.handle);
    _ = on.vtable.pread(on.context, opened.handle, &buffer, at);
    buffer[0] ^= 4;
    _ = on.vtable.pwritev(on.context, opened.handle, &.{.{ .base = &buffer, .len = 1 }}, at, false);

    const handle = try small.order().open(&small.store);
    defer _ = compaction.close(handle);
    const description = try region.reserve(description_bytes);
    defer _ = region.release(description);
    while (true) {
        var job = table_store.compactionJob(handle, description, 1000);
        tables.run(&small.store.store, &job.head);
        if (job.head.result == 0) continue;
        try testing.expectEqual(abi.Code.corruption.int(), job.head.result);
        try testing.expectEqual(@as(f64, @floatFromInt(at)), job.head.value);
        try testing.expectEqual(2, job.head.detail);
        break;
    }
    try testing.expectEqual(3, fileCount(&small.store));
}

test "the number range, the description region and everything else of a request have their limits" {
    // A flush leaves out what its own range tombstone covers: ten keys, every second, every third of them.
    const dropped_by_flushes = 10 + 5 + 3;
    var small: Small = undefined;
    try small.init();
    defer small.deinit();
    const exhausted = abi.Code.exhausted.int();
    const invalid = abi.Code.invalid.int();
    var outputs: std.ArrayList(i32) = .empty;
    var few = small.order();
    few.number_count = 3;
    try testing.expectEqual(exhausted, try compact(&small.store, few, 1 << 20, &outputs));
    try testing.expectEqual(3, fileCount(&small.store));

    const handle = try small.order().open(&small.store);
    defer _ = compaction.close(handle);
    const tiny = try region.reserve(region.bytes_min);
    defer _ = region.release(tiny);
    var job = table_store.compactionJob(handle, 0, 1 << 20);
    tables.run(&small.store.store, &job.head);
    try testing.expectEqual(exhausted, job.head.result);
    try testing.expect(job.head.value > 500 and job.head.value < 65_536);
    const written = fileCount(&small.store);
    try testing.expect(written > 6);
    job.description_region = tiny;
    tables.run(&small.store.store, &job.head);
    try testing.expectEqual(1, job.head.result);
    try testing.expectEqual(written - 3, job.output_count);
    try testing.expect(job.bytes_read > 30_000 and job.bytes_written > 30_000);
    try expectOrigins(tiny, job.output_count, &.{ 1, 2, 3 });
    try testing.expect(job.entries_in == 1200 - dropped_by_flushes and job.entries_out < 1100);
    try handlesOf(tiny, job.output_count, &outputs);
    tables.run(&small.store.store, &job.head);
    try testing.expectEqual(invalid, job.head.result);
    try testing.expectEqual(0, compaction.close(handle));
    try testing.expectEqual(written, fileCount(&small.store));
    try Small.release(&outputs);
    tables.run(&small.store.store, &job.head);
    try testing.expectEqual(abi.Code.closed.int(), job.head.result);

    const id = try region.reserve(1 << 16);
    defer _ = region.release(id);
    const request: *abi.CompactionRequest = @ptrCast(region.slice(id).?.ptr);
    const nan = std.math.nan(f64);
    inline for (.{
        .{ "source_words", std.math.maxInt(u32) }, .{ "source_words", 2 },      .{ "snapshot_count", 1 << 20 },
        .{ "merge_operator", 6 },                  .{ "block_bytes", 255 },     .{ "compression", 2 },
        .{ "filter_bits_per_key", 65 },            .{ "first_number", 0.5 },    .{ "first_number", -1 },
        .{ "number_count", nan },                  .{ "number_count", 1e300 },  .{ "target_bytes", -1 },
        .{ "now", nan },                           .{ "bytes_per_second", -1 }, .{ "bytes_per_second", nan },
        .{ "family", 8 },
    }) |wrong| {
        small.order().write(&small.store, id);
        @field(request, wrong[0]) = wrong[1];
        var failure: @import("../fault.zig").Fault = .{};
        try testing.expectError(error.Fault, compaction.openIn(&small.store.store, id, &failure));
        try testing.expectEqual(invalid, failure.code);
    }
    small.order().write(&small.store, id);
    request.relocation_count = 1;
    var failure: @import("../fault.zig").Fault = .{};
    try testing.expectError(error.Fault, compaction.openIn(&small.store.store, id, &failure));
    try testing.expectEqual(abi.Code.invalid.int(), failure.code);
    try testing.expectEqual(abi.Code.closed.int(), compaction.open(id));
    try testing.expectEqual(abi.Code.closed.int(), compaction.open(0));
}

test "tables that are all tombstones are cut between pieces, and cover what they covered" {
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    var inputs: [2]i32 = undefined;
    for (&inputs, 0..) |*handle, i| {
        var writer = try MemtableWriter.init(1 << 20);
        defer writer.deinit();
        var lower: [16]u8 = undefined;
        var upper: [16]u8 = undefined;
        for (0..500) |j| {
            const from = 10 * j + 3 * i;
            writer.deleteRange(
                try std.fmt.bufPrint(&lower, "{d:0>6}", .{from}),
                try std.fmt.bufPrint(&upper, "{d:0>6}", .{from + 5 + j % 7}),
                1 + 500 * i + j,
            );
        }
        handle.* = try store.flush(writer.id, @floatFromInt(i + 1), &.{});
    }
    defer for (inputs) |handle| {
        _ = tables.tableRelease(handle);
    };
    var outputs: std.ArrayList(i32) = .empty;
    defer Small.release(&outputs) catch @panic("an output was closed");
    const order: CompactionOrder = .{ .levels = &.{inputs[0..]}, .first_number = 10, .target_bytes = 2000 };
    try testing.expectEqual(1, try compact(&store, order, 1 << 20, &outputs));
    try testing.expect(outputs.items.len > 5);
    for (outputs.items[0 .. outputs.items.len - 1], outputs.items[1..]) |left, right| {
        try testing.expectEqual(0, store.verify(left).result);
        try testing.expect(Tree.table(left).endsBefore(Tree.table(right).properties.smallest_key));
    }
    var buffer: [16]u8 = undefined;
    for (0..5100) |number| {
        const key = try std.fmt.bufPrint(&buffer, "{d:0>6}", .{number});
        var expected: u64 = 0;
        for (inputs) |handle| expected = @max(expected, Tree.table(handle).ranges.?.cover(key, 1 << 50));
        var found: u64 = 0;
        for (outputs.items) |handle| found = @max(found, Tree.table(handle).ranges.?.cover(key, 1 << 50));
        try testing.expectEqual(expected, found);
    }
}

test "a compaction reads past the block cache" {
    var small: Small = undefined;
    try small.init();
    defer small.deinit();
    const before = small.store.counters.*;
    const cached = tables.cacheBytes();
    var outputs: std.ArrayList(i32) = .empty;
    try testing.expectEqual(1, try compact(&small.store, small.order(), 1 << 20, &outputs));
    try testing.expectEqual(cached, tables.cacheBytes());
    try testing.expectEqual(before.cache_misses, small.store.counters.cache_misses);
    // Three inputs of some 30 KiB, a stretch each; and what each output is checked by.
    const calls = small.store.counters.read_calls - before.read_calls;
    try testing.expect(calls <= 3 + 6 * outputs.items.len);
    try Small.release(&outputs);
}

test "a chain of more than 64 operands is handed over, and the step behind it brings what became of it" {
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    store.merge_operator = .custom;
    var writer = try MemtableWriter.init(1 << 20);
    defer writer.deinit();
    writer.put("a", 1, "base");
    for (2..67) |sequence| writer.add(.merge, "a", sequence, "+");
    for (67..131) |sequence| writer.add(.merge, "b", sequence, "-");
    for (131..196) |sequence| writer.add(.merge, "c", sequence, "*");
    const input = try store.flush(writer.id, 1, &.{});
    defer testing.expectEqual(0, tables.tableRelease(input)) catch @panic("the input was closed");
    const inputs = [_]i32{input};
    var order: CompactionOrder = .{ .levels = &.{&inputs}, .bottom = true, .first_number = 10, .hands_chains = true };
    const description = try region.reserve(description_bytes);
    defer _ = region.release(description);
    const page = try region.reserve(abi.chain_page_bytes);
    defer _ = region.release(page);

    for ([_]abi.ChainAnswer{ .folded, .carried, .none }) |answer| {
        const handle = try order.open(&store);
        defer _ = compaction.close(handle);
        var job = table_store.compactionJob(handle, description, 1 << 20);
        job.chain_region = page;
        for ([_]u8{ 'a', 'c' }) |key| {
            tables.run(&store.store, &job.head);
            try testing.expectEqual(@intFromEnum(abi.CompactionResult.chain), job.head.result);
            const memory = region.slice(page).?;
            try testing.expectEqual(1, std.mem.readInt(u32, memory[0..4], .little));
            try testing.expectEqual(key, memory[8]);
            try testing.expectEqual(@intFromBool(key == 'a'), std.mem.readInt(u32, memory[12..16], .little));
            try testing.expectEqual(65, std.mem.readInt(u32, memory[16..20], .little));
            memory[0] = key;
            memory[1] = '!';
            job.chain_answer = @intFromEnum(answer);
            job.chain_bytes = 2;
            if (answer == .none) break;
        }
        tables.run(&store.store, &job.head);
        if (answer == .none) {
            try testing.expectEqual(abi.Code.invalid.int(), job.head.result);
            continue;
        }
        try testing.expectEqual(1, job.head.result);
        var outputs: std.ArrayList(i32) = .empty;
        try handlesOf(description, job.output_count, &outputs);
        try testing.expectEqual(1, outputs.items.len);
        var found = try table_contents.read(gpa, &.{Tree.table(outputs.items[0])});
        defer found.deinit();
        if (answer == .folded) {
            try testing.expectEqual(66, found.entries.len);
            try testing.expectEqual(66, found.entries[0].sequence);
            try testing.expectEqual(.put, found.entries[0].type);
            try testing.expectEqualStrings("a!", found.entries[0].value);
            try testing.expectEqual(.merge, found.entries[64].type);
            try testing.expectEqual(195, found.entries[65].sequence);
            try testing.expectEqualStrings("c!", found.entries[65].value);
        } else {
            try testing.expectEqual(195, found.entries.len);
        }
        try Small.release(&outputs);
        order.first_number += 10;
    }
}

test "cancel ends a step that waits for its turn to write" {
    var scratch = try Scratch.init();
    defer scratch.deinit();
    var small: Small = undefined;
    try small.store.initOn(disk_real.real, scratch.path());
    defer small.store.closeDirectory();
    try small.fill();
    defer for (small.inputs) |handle| {
        _ = tables.tableRelease(handle);
    };
    var order = small.order();
    order.bytes_per_second = 1;
    const handle = try order.open(&small.store);
    const description = try region.reserve(description_bytes);
    defer _ = region.release(description);
    const stepper = struct {
        fn run(store: *TableStore, job: *abi.CompactionJob, begun: *std.atomic.Value(bool)) void {
            begun.store(true, .release);
            tables.run(&store.store, &job.head);
        }
    }.run;
    var job = table_store.compactionJob(handle, description, 1 << 30);
    var begun: std.atomic.Value(bool) = .init(false);
    const thread = try std.Thread.spawn(.{}, stepper, .{ &small.store, &job, &begun });
    // The first output is there: from then on it pays, some hours for each.
    while (fileCount(&small.store) < 4) try std.Thread.yield();
    try testing.expectEqual(0, compaction.cancel(handle));
    thread.join();
    try testing.expectEqual(abi.Code.cancelled.int(), job.head.result);
    try testing.expectEqual(0, compaction.close(handle));
    try testing.expectEqual(3, fileCount(&small.store));
}
