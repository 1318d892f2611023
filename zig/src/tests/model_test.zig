//! Random writes of every type over memtables, tables of level 0 and a sorted level below, against a plain list: point
//! reads and cursors in both directions, with bounds, snapshots, times, pages of all sizes and a cache that is mostly
//! cold. The list's reader is written from docs/tree.md and shares no code with the library.

const std = @import("std");
const abi = @import("../abi.zig");
const block_cache = @import("../block_cache.zig");
const region = @import("../region.zig");
const tables = @import("../tables.zig");
const table_store = @import("table_store.zig");
const MemtableWriter = @import("memtable_writer.zig").MemtableWriter;
const Page = table_store.Page;
const TableStore = table_store.TableStore;
const testing = std.testing;
const gpa = testing.allocator;

const Operator = abi.MergeOperator;
/// When the tables were written; values expire around it.
const flush_time = 1000;

const Entry = struct {
    key: []const u8,
    sequence: u64,
    type: abi.EntryType,
    /// Of a value that expires, without the expiry; of a range tombstone, the upper bound.
    value: []const u8,
    expiry: f64 = 0,

    /// Keys ascend, numbers descend.
    fn lessThan(_: void, a: Entry, b: Entry) bool {
        const order = std.mem.order(u8, a.key, b.key);
        return if (order == .eq) a.sequence > b.sequence else order == .lt;
    }
};

const Row = struct {
    key: []const u8,
    value: []const u8,
    is_stack: bool,
};

/// Who reads: up to which number, at which time.
const View = struct { sequence: u64, now: f64 };

const Model = struct {
    arena: std.heap.ArenaAllocator,
    random: std.Random,
    operator: Operator,
    keys: [][]const u8,
    points: std.ArrayList(Entry) = .empty,
    ranges: std.ArrayList(Entry) = .empty,
    sequence: u64 = 0,
    /// Entries up to here went into tables.
    table_sequence: u64 = 0,

    fn init(random: std.Random) !Model {
        var arena = std.heap.ArenaAllocator.init(gpa);
        const keys = try arena.allocator().alloc([]const u8, 250);
        for (keys, 0..) |*key, i| {
            var buffer: [40]u8 = undefined;
            const length = random.uintAtMost(usize, 12);
            for (buffer[0..length]) |*byte| byte.* = "\x00ab\xff"[random.uintLessThan(usize, 4)];
            const text = if (i % 2 == 0)
                try std.fmt.bufPrint(buffer[length..], "", .{})
            else
                try std.fmt.bufPrint(buffer[length..], "user:{d:0>8}", .{random.uintLessThan(u32, 500)});
            key.* = try arena.allocator().dupe(u8, buffer[0 .. length + text.len]);
        }
        std.mem.sort([]const u8, keys, {}, struct {
            fn lessThan(_: void, a: []const u8, b: []const u8) bool {
                return std.mem.lessThan(u8, a, b);
            }
        }.lessThan);
        return .{ .arena = arena, .random = random, .operator = random.enumValue(Operator), .keys = keys };
    }

    fn deinit(self: *Model) void {
        self.points.deinit(gpa);
        self.ranges.deinit(gpa);
        self.arena.deinit();
    }

    fn randomKey(self: *Model) []const u8 {
        return self.keys[self.random.uintLessThan(usize, self.keys.len)];
    }

    /// One write to a key of the group; range tombstones stay between the group's first key and `end`, empty: none.
    fn write(self: *Model, writer: *MemtableWriter, group: []const []const u8, end: []const u8) !void {
        self.sequence += 1;
        const key = group[self.random.uintLessThan(usize, group.len)];
        const kind = self.random.uintLessThan(u32, 100);
        if (kind < 3) return self.writeRange(writer, key, group, end);
        var entry: Entry = .{ .key = key, .sequence = self.sequence, .type = .put, .value = "" };
        if (kind < 25) entry.type = .delete else if (kind < 45 and self.operator != .none) entry.type = .merge else if (kind < 60) entry.type = .put_expiring;
        if (entry.type != .delete) entry.value = try self.randomValue();
        var stored = entry.value;
        if (entry.type == .put_expiring) {
            entry.expiry = flush_time - 100 + self.random.float(f64) * 300;
            stored = try std.mem.concat(self.arena.allocator(), u8, &.{ &@as([8]u8, @bitCast(entry.expiry)), entry.value });
        }
        writer.add(entry.type, key, self.sequence, stored);
        try self.points.append(gpa, entry);
    }

    fn writeRange(self: *Model, writer: *MemtableWriter, lower: []const u8, group: []const []const u8, end: []const u8) !void {
        const near = self.random.uintLessThan(u32, 4) > 0;
        // Some keys are there twice.
        var above: usize = 0;
        while (above < group.len and std.mem.order(u8, group[above], lower) != .gt) above += 1;
        const to = above + self.random.uintLessThan(usize, if (near) 10 else group.len);
        const upper = if (to < group.len) group[to] else end;
        writer.deleteRange(lower, upper, self.sequence);
        try self.ranges.append(gpa, .{ .key = lower, .sequence = self.sequence, .type = .delete_range, .value = upper });
    }

    fn randomValue(self: *Model) ![]const u8 {
        const length = switch (self.operator) {
            .add, .max, .min => 8,
            else => switch (self.random.uintLessThan(u32, 40)) {
                0 => self.random.uintLessThan(usize, 6000),
                1...5 => 0,
                else => self.random.uintLessThan(usize, 120),
            },
        };
        const value = try self.arena.allocator().alloc(u8, length);
        self.random.bytes(value);
        return value;
    }

    fn sort(self: *Model) void {
        std.mem.sort(Entry, self.points.items, {}, Entry.lessThan);
    }

    fn cover(self: *const Model, key: []const u8, sequence: u64) u64 {
        var best: u64 = 0;
        for (self.ranges.items) |range| {
            if (range.sequence > sequence or std.mem.order(u8, key, range.key) == .lt) continue;
            if (range.value.len > 0 and std.mem.order(u8, key, range.value) != .lt) continue;
            best = @max(best, range.sequence);
        }
        return best;
    }

    /// What the view makes of versions of one key, newest first; null: there is no such key.
    fn rowOf(self: *Model, arena: std.mem.Allocator, versions: []const Entry, view: View) !?Row {
        const key = versions[0].key;
        const covered = self.cover(key, view.sequence);
        var operands: std.ArrayList([]const u8) = .empty;
        var base: ?[]const u8 = null;
        for (versions) |entry| {
            if (entry.sequence > view.sequence) continue;
            if (entry.sequence < covered) break;
            switch (entry.type) {
                .merge => {
                    try operands.insert(arena, 0, entry.value);
                    continue;
                },
                .put => base = entry.value,
                .put_expiring => if (view.now < entry.expiry) {
                    base = entry.value;
                },
                else => {},
            }
            break;
        }
        if (operands.items.len == 0) return if (base) |value| .{ .key = key, .value = value, .is_stack = false } else null;
        return .{ .key = key, .value = try self.fold(arena, base, operands.items), .is_stack = self.operator == .custom };
    }

    fn fold(self: *const Model, arena: std.mem.Allocator, base: ?[]const u8, operands: []const []const u8) ![]const u8 {
        var parts: std.ArrayList([]const u8) = .empty;
        if (base) |value| try parts.append(arena, value);
        try parts.appendSlice(arena, operands);
        switch (self.operator) {
            .none => unreachable,
            .append => return std.mem.concat(arena, u8, parts.items),
            .custom => {
                var out: std.ArrayList(u8) = .empty;
                try out.appendSlice(arena, &std.mem.toBytes(@as(u32, @intFromBool(base != null))));
                try out.appendSlice(arena, &std.mem.toBytes(@as(u32, @intCast(operands.len))));
                for (parts.items) |part| {
                    try out.appendSlice(arena, &std.mem.toBytes(@as(u32, @intCast(part.len))));
                    try out.appendSlice(arena, part);
                    while (out.items.len % 4 != 0) try out.append(arena, 0);
                }
                return out.items;
            },
            .add, .max, .min => {
                var result: i64 = @bitCast(parts.items[0][0..8].*);
                for (parts.items[1..]) |part| {
                    const number: i64 = @bitCast(part[0..8].*);
                    result = switch (self.operator) {
                        .add => result +% number,
                        .max => if (number > result) number else result,
                        else => if (number < result) number else result,
                    };
                }
                return arena.dupe(u8, std.mem.asBytes(&result));
            },
        }
    }

    /// All rows of a view, in order. REQUIRES: sorted.
    fn visible(self: *Model, arena: std.mem.Allocator, view: View) ![]const Row {
        var rows: std.ArrayList(Row) = .empty;
        var start: usize = 0;
        const points = self.points.items;
        while (start < points.len) {
            var end = start + 1;
            while (end < points.len and std.mem.eql(u8, points[end].key, points[start].key)) end += 1;
            if (try self.rowOf(arena, points[start..end], view)) |row| try rows.append(arena, row);
            start = end;
        }
        return rows.items;
    }

    fn versionsOf(self: *const Model, key: []const u8) []const Entry {
        const points = self.points.items;
        var start: usize = 0;
        while (start < points.len and !std.mem.eql(u8, points[start].key, key)) start += 1;
        var end = start;
        while (end < points.len and std.mem.eql(u8, points[end].key, key)) end += 1;
        return points[start..end];
    }
};

fn checkCursor(store: *TableStore, range: TableStore.Range, visible: []const Row, random: std.Random) !void {
    var expected: std.ArrayList(Row) = .empty;
    defer expected.deinit(gpa);
    for (visible) |row| {
        if (std.mem.order(u8, row.key, range.lower) == .lt) continue;
        if (range.upper) |upper| if (std.mem.order(u8, row.key, upper) != .lt) continue;
        try expected.append(gpa, row);
    }
    if (range.reverse) std.mem.reverse(Row, expected.items);

    const handle = store.cursor(range);
    try testing.expect(handle > 0);
    defer _ = tables.cursorClose(handle);
    const rows_max = 1 + random.uintLessThan(u32, if (random.boolean()) 3 else 200);
    const bytes_max = if (random.boolean()) random.uintLessThan(u32, 2000) else std.math.maxInt(u32);
    var at: usize = 0;
    while (true) {
        var id = tables.cursorFill(handle, rows_max, bytes_max, 1);
        if (id == abi.Code.would_block.int()) id = store.fillByJob(handle, rows_max, bytes_max).result;
        try testing.expect(id > 0);
        const page = Page.of(id);
        try testing.expect(page.header.count <= rows_max);
        try testing.expect(page.header.count > 0 or page.header.end == 1);
        var stacks: u32 = 0;
        for (0..page.header.count) |index| {
            try testing.expect(at < expected.items.len);
            const row = expected.items[at];
            try testing.expectEqualSlices(u8, row.key, page.key(index));
            try testing.expectEqualSlices(u8, if (range.keys_only) "" else row.value, page.value(index));
            try testing.expectEqual(row.is_stack and !range.keys_only, page.isStack(index));
            stacks += @intFromBool(page.isStack(index));
            at += 1;
        }
        try testing.expectEqual(stacks, page.header.stack_count);
        if (page.header.end == 1) break;
    }
    try testing.expectEqual(expected.items.len, at);
}

/// What the tables say of a key is enough to tell what the view makes of it, or says that it takes a cursor.
fn checkPoint(model: *Model, arena: std.mem.Allocator, answer: TableStore.Answer, key: []const u8, view: View) !void {
    try testing.expectEqual(0, answer.code);
    const versions = model.versionsOf(key);
    const covered = model.cover(key, view.sequence);
    const row = if (versions.len == 0) null else try model.rowOf(arena, versions, view);
    const newest = for (versions) |entry| {
        if (entry.sequence <= view.sequence) break entry;
    } else null;
    switch (answer.entry_type) {
        0, @intFromEnum(abi.EntryType.delete) => try testing.expectEqual(null, row),
        @intFromEnum(abi.EntryType.put) => {
            try testing.expectEqualSlices(u8, row.?.value, answer.value);
            try testing.expect(!row.?.is_stack);
        },
        @intFromEnum(abi.EntryType.put_expiring) => {
            try testing.expectEqual(abi.EntryType.put_expiring, newest.?.type);
            try testing.expectEqual(newest.?.expiry, @as(f64, @bitCast(answer.value[0..8].*)));
            try testing.expectEqualSlices(u8, newest.?.value, answer.value[8..]);
        },
        @intFromEnum(abi.EntryType.merge) => try testing.expectEqual(abi.EntryType.merge, newest.?.type),
        else => return error.WrongType,
    }
    // Numbers never change, whatever was left out.
    if (answer.entry_type == 0) return;
    const deciding = if (newest) |entry| @max(entry.sequence, covered) else covered;
    try testing.expectEqual(@as(f64, @floatFromInt(deciding)), answer.sequence);
}

fn runModel(seed: u64) !void {
    var random_state = std.Random.DefaultPrng.init(seed);
    const random = random_state.random();
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    store.block_bytes = if (random.boolean()) 256 else 1024;
    store.filter_bits_per_key = if (random.uintLessThan(u32, 4) == 0) 0 else 10;
    var model: Model = try .init(random);
    defer model.deinit();
    store.merge_operator = model.operator;
    store.now = flush_time;
    block_cache.global.setCapacity(if (random.boolean()) 64 << 20 else 1 << 18);

    var snapshots: [4]f64 = undefined;
    for (&snapshots) |*snapshot| snapshot.* = @floatFromInt(random.uintLessThan(u64, 2600));
    std.mem.sort(f64, &snapshots, {}, std.sort.asc(f64));

    // A level of three disjoint tables, then three of level 0, oldest first.
    var handles: [6]i32 = undefined;
    for (&handles, 0..) |*handle, i| {
        var writer = try MemtableWriter.init(4 << 20);
        defer writer.deinit();
        const third = model.keys.len / 3;
        var group = model.keys;
        var end: []const u8 = "";
        if (i < 3) {
            // Equal keys must not fall into two tables.
            var from = i * third;
            while (from > 0 and from < model.keys.len and std.mem.eql(u8, model.keys[from - 1], model.keys[from])) from += 1;
            var to = if (i == 2) model.keys.len else (i + 1) * third;
            while (to < model.keys.len and std.mem.eql(u8, model.keys[to - 1], model.keys[to])) to += 1;
            group = model.keys[from..to];
            // Tombstones may end where the next table begins.
            if (i < 2) end = model.keys[to];
        }
        for (0..300) |_| try model.write(&writer, group, end);
        handle.* = try store.flush(writer.id, @floatFromInt(i + 1), &snapshots);
        try testing.expect(handle.* > 0);
        try testing.expectEqual(0, store.verify(handle.*).result);
    }
    model.table_sequence = model.sequence;
    const version = store.version(&.{ &.{ handles[5], handles[4], handles[3] }, &.{ handles[0], handles[1], handles[2] } });
    try testing.expect(version > 0);
    for (handles) |handle| try testing.expectEqual(0, tables.tableRelease(handle));

    var writers: [3]MemtableWriter = undefined;
    var ids: [3]region.Id = undefined;
    for (&writers, &ids) |*writer, *id| {
        writer.* = try MemtableWriter.init(4 << 20);
        id.* = writer.id;
    }
    defer for (&writers) |*writer| writer.deinit();
    for (0..900) |i| try model.write(&writers[2 - i / 300], model.keys, "");
    model.sort();

    // Tables keep what the snapshots and the newest reader see; he is not older than they are.
    for (0..6) |round| {
        const view: View = .{
            .sequence = if (round < 4) @min(model.table_sequence, @as(u64, @intFromFloat(snapshots[round]))) else model.table_sequence,
            .now = flush_time + @as(f64, if (round < 4) -150 else 0) + random.float(f64) * 250,
        };
        for (0..200) |i| {
            var arena: std.heap.ArenaAllocator = .init(gpa);
            defer arena.deinit();
            const key = if (i % 4 == 0) "nowhere" else model.randomKey();
            var answer = store.get(version, key, view.sequence, 1);
            if (answer.code == abi.Code.would_block.int()) answer = store.get(version, key, view.sequence, 0);
            try checkPoint(&model, arena.allocator(), answer, key, view);
        }
    }

    for (0..60) |round| {
        var arena: std.heap.ArenaAllocator = .init(gpa);
        defer arena.deinit();
        const is_snapshot = round % 3 == 0;
        const in_memtables = model.table_sequence + random.uintAtMost(u64, model.sequence - model.table_sequence);
        const view: View = .{
            .sequence = if (is_snapshot) @intFromFloat(snapshots[random.uintLessThan(usize, 4)]) else in_memtables,
            .now = flush_time + @as(f64, if (is_snapshot) -150 else 0) + random.float(f64) * 250,
        };
        const visible = try model.visible(arena.allocator(), view);
        var range: TableStore.Range = .{
            .version = version,
            .memtables = &ids,
            .sequence = view.sequence,
            .now = view.now,
            .merge_operator = model.operator,
            .reverse = round % 2 == 1,
            .keys_only = random.uintLessThan(u32, 4) == 0,
        };
        if (random.boolean()) range.lower = model.randomKey();
        if (random.boolean()) range.upper = model.randomKey();
        try checkCursor(&store, range, visible, random);

        // One key, as a point read that takes more than one version goes.
        const key = model.randomKey();
        range.lower = key;
        range.upper = try std.mem.concat(arena.allocator(), u8, &.{ key, "\x00" });
        try checkCursor(&store, range, visible, random);
    }
    try testing.expectEqual(0, tables.versionRelease(version));
    try testing.expectEqual(abi.Code.closed.int(), tables.versionRelease(version));
}

test "tables, memtables and cursors agree with the model" {
    defer block_cache.global.setCapacity(block_cache.default_capacity);
    for (1..37) |seed| {
        errdefer std.debug.print("seed {d}\n", .{seed});
        try runModel(seed);
    }
}
