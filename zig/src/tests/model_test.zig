//! Random puts and deletes over memtables, tables of level 0 and a sorted level below, against a plain list: point
//! reads and cursors in both directions, with bounds, snapshots, pages of all sizes and a cache that is mostly cold.

const std = @import("std");
const abi = @import("../abi.zig");
const block_cache = @import("../block_cache.zig");
const internal_key = @import("../internal_key.zig");
const region = @import("../region.zig");
const tables = @import("../tables.zig");
const table_store = @import("table_store.zig");
const MemtableWriter = @import("memtable_writer.zig").MemtableWriter;
const Page = table_store.Page;
const TableStore = table_store.TableStore;
const testing = std.testing;
const gpa = testing.allocator;

const put = @intFromEnum(abi.EntryType.put);

const Entry = struct {
    key: []const u8,
    trailer: u64,
    value: []const u8,

    fn lessThan(_: void, a: Entry, b: Entry) bool {
        return internal_key.compare(a.key, a.trailer, b.key, b.trailer) == .lt;
    }
};

const Model = struct {
    arena: std.heap.ArenaAllocator,
    random: std.Random,
    keys: [][]const u8,
    entries: std.ArrayList(Entry) = .empty,
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
        return .{ .arena = arena, .random = random, .keys = keys };
    }

    fn deinit(self: *Model) void {
        self.entries.deinit(gpa);
        self.arena.deinit();
    }

    fn randomKey(self: *Model) []const u8 {
        return self.keys[self.random.uintLessThan(usize, self.keys.len)];
    }

    fn write(self: *Model, writer: *MemtableWriter, key: []const u8) !void {
        self.sequence += 1;
        const deletes = self.random.uintLessThan(u32, 4) == 0;
        const length = switch (self.random.uintLessThan(u32, 40)) {
            0 => self.random.uintLessThan(usize, 6000),
            1...5 => 0,
            else => self.random.uintLessThan(usize, 120),
        };
        const value = try self.arena.allocator().alloc(u8, if (deletes) 0 else length);
        self.random.bytes(value);
        writer.add(if (deletes) .delete else .put, key, self.sequence, value);
        const entry_type: u8 = if (deletes) @intFromEnum(abi.EntryType.delete) else put;
        try self.entries.append(gpa, .{ .key = key, .trailer = internal_key.trailer(self.sequence, entry_type), .value = value });
    }

    fn sort(self: *Model) void {
        std.mem.sort(Entry, self.entries.items, {}, Entry.lessThan);
    }

    /// REQUIRES: sorted.
    fn newest(self: *Model, key: []const u8, sequence: u64) ?Entry {
        for (self.entries.items) |entry| {
            if (std.mem.eql(u8, entry.key, key) and internal_key.sequenceOf(entry.trailer) <= sequence) return entry;
        }
        return null;
    }

    fn visible(self: *Model, sequence: u64, out: *std.ArrayList(Entry)) !void {
        out.clearRetainingCapacity();
        var decided: ?[]const u8 = null;
        for (self.entries.items) |entry| {
            if (internal_key.sequenceOf(entry.trailer) > sequence) continue;
            if (decided) |key| if (std.mem.eql(u8, key, entry.key)) continue;
            decided = entry.key;
            if (internal_key.typeOf(entry.trailer) == put) try out.append(gpa, entry);
        }
    }
};

fn checkCursor(store: *TableStore, range: TableStore.Range, visible: []const Entry, random: std.Random) !void {
    var expected: std.ArrayList(Entry) = .empty;
    defer expected.deinit(gpa);
    for (visible) |entry| {
        if (std.mem.order(u8, entry.key, range.lower) == .lt) continue;
        if (range.upper) |upper| if (std.mem.order(u8, entry.key, upper) != .lt) continue;
        try expected.append(gpa, entry);
    }
    if (range.reverse) std.mem.reverse(Entry, expected.items);

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
        for (0..page.header.count) |row| {
            try testing.expect(at < expected.items.len);
            try testing.expectEqualSlices(u8, expected.items[at].key, page.key(row));
            try testing.expectEqualSlices(u8, if (range.keys_only) "" else expected.items[at].value, page.value(row));
            at += 1;
        }
        if (page.header.end == 1) break;
    }
    try testing.expectEqual(expected.items.len, at);
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
        if (i < 3) {
            // Equal keys must not fall into two tables.
            var from = i * third;
            while (from > 0 and from < model.keys.len and std.mem.eql(u8, model.keys[from - 1], model.keys[from])) from += 1;
            var to = if (i == 2) model.keys.len else (i + 1) * third;
            while (to < model.keys.len and std.mem.eql(u8, model.keys[to - 1], model.keys[to])) to += 1;
            group = model.keys[from..to];
        }
        for (0..300) |_| try model.write(&writer, group[random.uintLessThan(usize, group.len)]);
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
    for (0..900) |i| try model.write(&writers[2 - i / 300], model.randomKey());
    model.sort();

    // Tables keep what the snapshots and the newest reader see.
    for (0..6) |round| {
        const sequence = if (round < 4) @as(u64, @intFromFloat(snapshots[round])) else model.table_sequence;
        for (0..200) |i| {
            const key = if (i % 4 == 0) "nowhere" else model.randomKey();
            var answer = store.get(version, key, sequence, 1);
            if (answer.code == abi.Code.would_block.int()) answer = store.get(version, key, sequence, 0);
            try testing.expectEqual(0, answer.code);
            const expected = model.newest(key, @min(sequence, model.table_sequence));
            try testing.expectEqual(if (expected) |entry| internal_key.typeOf(entry.trailer) else 0, answer.entry_type);
            if (expected) |entry| try testing.expectEqualSlices(u8, entry.value, answer.value);
        }
    }

    var visible: std.ArrayList(Entry) = .empty;
    defer visible.deinit(gpa);
    for (0..60) |round| {
        const in_memtables = model.table_sequence + random.uintAtMost(u64, model.sequence - model.table_sequence);
        const sequence = if (round % 3 == 0) @as(u64, @intFromFloat(snapshots[random.uintLessThan(usize, 4)])) else in_memtables;
        try model.visible(sequence, &visible);
        var range: TableStore.Range = .{
            .version = version,
            .memtables = &ids,
            .sequence = sequence,
            .reverse = round % 2 == 1,
            .keys_only = random.uintLessThan(u32, 4) == 0,
        };
        if (random.boolean()) range.lower = model.randomKey();
        if (random.boolean()) range.upper = model.randomKey();
        try checkCursor(&store, range, visible.items, random);
    }
    try testing.expectEqual(0, tables.versionRelease(version));
    try testing.expectEqual(abi.Code.closed.int(), tables.versionRelease(version));
}

test "tables, memtables and cursors agree with the model" {
    defer block_cache.global.setCapacity(block_cache.default_capacity);
    for (1..13) |seed| {
        errdefer std.debug.print("seed {d}\n", .{seed});
        try runModel(seed);
    }
}
