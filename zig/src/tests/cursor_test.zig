//! Cursors and point reads on what takes more than one entry to tell: long merge chains over pages and restarts, what
//! range tombstones let a walk leave out, values that expire, addresses of large values.

const std = @import("std");
const abi = @import("../abi.zig");
const block_cache = @import("../block_cache.zig");
const format = @import("../table_format.zig");
const region = @import("../region.zig");
const tables = @import("../tables.zig");
const table_store = @import("table_store.zig");
const MemtableWriter = @import("memtable_writer.zig").MemtableWriter;
const Bytes = @import("table_test.zig").Bytes;
const Page = table_store.Page;
const TableStore = table_store.TableStore;
const testing = std.testing;
const gpa = testing.allocator;

const unsupported = abi.Code.unsupported.int();
const corruption = abi.Code.corruption.int();
const would_block = abi.Code.would_block.int();

fn keyOf(i: usize, buffer: *[8]u8) []const u8 {
    return std.fmt.bufPrint(buffer, "key{d:0>5}", .{i}) catch unreachable;
}

/// Everything in a range, page by page: keys, and values after `unstack`.
const Rows = struct {
    keys: std.ArrayList([]const u8) = .empty,
    values: std.ArrayList([]const u8) = .empty,
    arena: std.heap.ArenaAllocator = .init(gpa),
    stack_count: usize = 0,
    page_count: usize = 0,

    fn deinit(self: *Rows) void {
        self.arena.deinit();
    }

    /// `cold`: nothing stays in the cache, so that each fill is refused first.
    fn read(self: *Rows, store: *TableStore, range: TableStore.Range, rows_max: u32, bytes_max: u32, cold: bool) !void {
        const arena = self.arena.allocator();
        const handle = store.cursor(range);
        try testing.expect(handle > 0);
        defer _ = tables.cursorClose(handle);
        while (true) {
            if (cold) try testing.expectEqual(would_block, tables.cursorFill(handle, rows_max, bytes_max, 1));
            const id = store.fillByJob(handle, rows_max, bytes_max).result;
            try testing.expect(id > 0);
            const page = Page.of(id);
            self.page_count += 1;
            for (0..page.header.count) |row| {
                try self.keys.append(arena, try arena.dupe(u8, page.key(row)));
                const value = try arena.dupe(u8, page.value(row));
                try self.values.append(arena, if (page.isStack(row)) try unstack(arena, value) else value);
                self.stack_count += @intFromBool(page.isStack(row));
            }
            if (page.header.end == 1) break;
        }
        if (!range.reverse) return;
        std.mem.reverse([]const u8, self.keys.items);
        std.mem.reverse([]const u8, self.values.items);
    }
};

/// As an operator that joins would fold it, and marks a base.
fn unstack(arena: std.mem.Allocator, stack: []const u8) ![]const u8 {
    var out: std.ArrayList(u8) = .empty;
    const has_base = std.mem.readInt(u32, stack[0..4], .little);
    const count = std.mem.readInt(u32, stack[4..8], .little) + has_base;
    var at: usize = 8;
    for (0..count) |i| {
        const bytes = std.mem.readInt(u32, stack[at..][0..4], .little);
        try out.append(arena, if (i == 0 and has_base == 1) '=' else '+');
        try out.appendSlice(arena, stack[at + 4 ..][0..bytes]);
        at += 4 + std.mem.alignForward(usize, bytes, 4);
    }
    try testing.expectEqual(stack.len, at);
    return out.items;
}

test "merge chains of thousands of operands come out whole, whichever way, over small pages and restarts" {
    const chain_length = 3000;
    for ([_]abi.MergeOperator{ .add, .append, .custom }) |operator| {
        var store: TableStore = undefined;
        try store.init();
        defer store.deinit();
        store.block_bytes = 256;
        // Written under no operator, so that every operand stays an entry.
        var tables_made: [3]i32 = undefined;
        var expected: [3]std.ArrayList(u8) = @splat(.empty);
        defer for (&expected) |*each| each.deinit(gpa);
        var sums: [3]i64 = @splat(0);
        var sequence: u64 = 0;
        for (&tables_made, 0..) |*table, part| {
            var writer = try MemtableWriter.init(8 << 20);
            defer writer.deinit();
            for (0..chain_length) |i| {
                for (0..3) |k| {
                    sequence += 1;
                    var buffer: [8]u8 = undefined;
                    const number: i64 = @intCast(sequence);
                    const integer = std.mem.asBytes(&number);
                    // The middle one stands on a base, the last one on a delete; older operands do not count.
                    const starts = part == 1 and i == 5 and k > 0;
                    const operand = if (operator == .add) integer else std.fmt.bufPrint(&buffer, "{d}", .{sequence}) catch unreachable;
                    if (starts) {
                        expected[k].clearRetainingCapacity();
                        sums[k] = 0;
                    }
                    if (starts and k == 2) {
                        writer.delete("c", sequence);
                        continue;
                    }
                    sums[k] += number;
                    if (operator == .custom) try expected[k].append(gpa, if (starts) '=' else '+');
                    try expected[k].appendSlice(gpa, operand);
                    writer.add(if (starts) .put else .merge, "abc"[k..][0..1], sequence, operand);
                }
            }
            table.* = try store.flush(writer.id, @floatFromInt(part + 1), &.{});
            try testing.expect(table.* > 0);
        }
        const version = store.version(&.{&.{ tables_made[2], tables_made[1], tables_made[0] }});
        defer _ = tables.versionRelease(version);
        for (tables_made) |table| _ = tables.tableRelease(table);
        block_cache.global.setCapacity(0);
        defer block_cache.global.setCapacity(block_cache.default_capacity);

        for ([_]bool{ false, true }) |reverse| {
            var range: TableStore.Range = .{ .version = version, .sequence = sequence, .reverse = reverse, .merge_operator = operator };
            var rows: Rows = .{};
            defer rows.deinit();
            try rows.read(&store, range, 1, 10, true);
            try testing.expectEqual(3, rows.keys.items.len);
            for (rows.keys.items, rows.values.items, 0..) |key, value, k| {
                try testing.expectEqualStrings("abc"[k..][0..1], key);
                const sum = std.mem.asBytes(&sums[k]);
                try testing.expectEqualSlices(u8, if (operator == .add) sum else expected[k].items, value);
            }
            try testing.expectEqual(@as(usize, if (operator == .custom) 3 else 0), rows.stack_count);

            // Keys alone need no operands; without an operator nobody says what they come to.
            range.keys_only = true;
            var keys: Rows = .{};
            defer keys.deinit();
            try keys.read(&store, range, 10, 10_000, false);
            try testing.expectEqualDeep(rows.keys.items, keys.keys.items);
            range.merge_operator = .none;
            for ([_]bool{ false, true }) |keys_only| {
                range.keys_only = keys_only;
                const handle = store.cursor(range);
                defer _ = tables.cursorClose(handle);
                try testing.expectEqual(unsupported, tables.cursorFill(handle, 10, 1000, 0));
                try testing.expectEqual(unsupported, tables.cursorFill(handle, 10, 1000, 0));
            }
        }
    }
}

test "folded rows that do not fit beside others come on the next page, larger than a page too" {
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    var writer = try MemtableWriter.init(16 << 20);
    defer writer.deinit();
    const part: [5000]u8 = @splat('p');
    var buffer: [8]u8 = undefined;
    var sequence: u64 = 0;
    // Key i has i parts and a few small rows round it.
    for (0..30) |i| {
        for (0..4) |small| {
            sequence += 1;
            writer.put(keyOf(10 * i + 5 + small, &buffer), sequence, "small");
        }
        for (0..i) |_| {
            sequence += 1;
            writer.add(.merge, keyOf(10 * i, &buffer), sequence, &part);
        }
    }
    for ([_]bool{ false, true }) |reverse| {
        var rows: Rows = .{};
        defer rows.deinit();
        try rows.read(&store, .{ .memtables = &.{writer.id}, .sequence = sequence, .reverse = reverse, .merge_operator = .append }, 8192, 1 << 30, false);
        try testing.expectEqual(29 + 30 * 4, rows.keys.items.len);
        try testing.expect(rows.page_count > 29 * 30 / 2 * 5000 / abi.page_data_bytes);
        var at: usize = 0;
        for (0..30) |i| {
            if (i > 0) {
                try testing.expectEqualStrings(keyOf(10 * i, &buffer), rows.keys.items[at]);
                try testing.expectEqual(i * 5000, rows.values.items[at].len);
                try testing.expect(std.mem.allEqual(u8, rows.values.items[at], 'p'));
                at += 1;
            }
            for (0..4) |small| {
                try testing.expectEqualStrings(keyOf(10 * i + 5 + small, &buffer), rows.keys.items[at]);
                try testing.expectEqualStrings("small", rows.values.items[at]);
                at += 1;
            }
        }
    }
}

test "integers of another length fail the read that meets them, and only that" {
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    var writer = try MemtableWriter.init(1 << 20);
    defer writer.deinit();
    const one = "\x01" ++ "\x00" ** 7;
    writer.put("a", 1, one);
    writer.put("b", 2, "text");
    writer.add(.merge, "b", 3, one);
    writer.put("c", 4, one);
    for ([_]bool{ false, true }) |reverse| {
        const handle = store.cursor(.{ .memtables = &.{writer.id}, .sequence = 9, .reverse = reverse, .merge_operator = .add });
        defer _ = tables.cursorClose(handle);
        const page = Page.of(tables.cursorFill(handle, 10, 1000, 0));
        try testing.expectEqual(1, page.header.count);
        try testing.expectEqualStrings(if (reverse) "c" else "a", page.key(0));
        try testing.expectEqual(abi.Code.invalid.int(), tables.cursorFill(handle, 10, 1000, 0));
    }
    // Under a put that hides them nobody asks.
    writer.put("b", 5, one);
    for ([_]bool{ false, true }) |reverse| {
        var rows: Rows = .{};
        defer rows.deinit();
        try rows.read(&store, .{ .memtables = &.{writer.id}, .sequence = 9, .reverse = reverse, .merge_operator = .none }, 10, 1000, false);
        try testing.expectEqual(3, rows.keys.items.len);
    }
}

// ---------------------------------------------------------------------------------------------------------------

fn blocksRead(store: *const TableStore) u64 {
    return store.counters.cache_hits + store.counters.cache_misses;
}

test "a walk does not read what a range tombstone above has deleted, but for a table that is newer" {
    const dead_count = 20_000;
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    store.block_bytes = 512;
    var buffer: [8]u8 = undefined;
    // A level of ten tables full of keys, the fifth one written last, with a tombstone between.
    var handles: [10]i32 = undefined;
    for (&handles, 0..) |*handle, i| {
        var writer = try MemtableWriter.init(8 << 20);
        defer writer.deinit();
        const start = i * dead_count / 10;
        for (start..start + dead_count / 10) |k| {
            writer.put(keyOf(k, &buffer), if (i == 4) 50_000 + k else 1 + k, "value");
        }
        handle.* = try store.flush(writer.id, @floatFromInt(i + 1), &.{});
        try testing.expect(handle.* > 0);
    }
    var above = try MemtableWriter.init(1 << 20);
    defer above.deinit();
    above.put(keyOf(100, &buffer), 40_000, "kept");
    above.deleteRange("key00050", "key19990", 45_000);
    above.put(keyOf(15_000, &buffer), 60_000, "new");
    const upper_table = try store.flush(above.id, 20, &.{});
    try testing.expect(upper_table > 0);
    const version = store.version(&.{ &.{upper_table}, &handles });
    try testing.expect(version > 0);
    defer _ = tables.versionRelease(version);
    for (handles ++ .{upper_table}) |handle| _ = tables.tableRelease(handle);

    const live_count = 50 + dead_count / 10 + 1 + 10;
    for ([_]bool{ false, true }) |reverse| {
        const before = blocksRead(&store);
        var rows: Rows = .{};
        defer rows.deinit();
        try rows.read(&store, .{ .version = version, .sequence = 100_000, .reverse = reverse }, 8192, 1 << 20, false);
        try testing.expectEqual(live_count, rows.keys.items.len);
        try testing.expectEqualStrings("key00049", rows.keys.items[49]);
        try testing.expectEqualStrings("key08000", rows.keys.items[50]);
        try testing.expectEqualStrings("key15000", rows.keys.items[50 + 2000]);
        try testing.expectEqualStrings("key19990", rows.keys.items[50 + 2000 + 1]);
        const skipping = blocksRead(&store) - before;

        // Who is too old to see the tombstone reads everything that is there.
        var all: Rows = .{};
        defer all.deinit();
        try all.read(&store, .{ .version = version, .sequence = 44_999, .reverse = reverse }, 8192, 1 << 20, false);
        try testing.expectEqual(dead_count - dead_count / 10, all.keys.items.len);
        const everything = blocksRead(&store) - before - skipping;
        // The newer table, a tenth, is read to its end; the rest is passed over.
        try testing.expect(everything > 500);
        try testing.expect(skipping < everything / 8);
    }

    // The same where the tombstone is in a memtable, cut in pieces by others, and covers one too.
    var newest = try MemtableWriter.init(8 << 20);
    defer newest.deinit();
    for (0..300) |i| newest.deleteRange("key", keyOf(60 * i + 60, &buffer), 70_000 + i);
    for ([_]bool{ false, true }) |reverse| {
        const before = blocksRead(&store);
        var rows: Rows = .{};
        defer rows.deinit();
        try rows.read(&store, .{ .version = version, .memtables = &.{newest.id}, .sequence = 100_000, .reverse = reverse }, 8192, 1 << 20, false);
        try testing.expectEqual(10, rows.keys.items.len);
        try testing.expect(blocksRead(&store) - before < 60);
    }
}

test "range tombstones hide what is older in their own memtable, and in every source below, to each reader his own" {
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    var below = try MemtableWriter.init(1 << 20);
    defer below.deinit();
    below.put("b", 1, "1");
    below.put("m", 2, "2");
    below.deleteRange("m", "", 3);
    below.put("z", 4, "4");
    var above = try MemtableWriter.init(1 << 20);
    defer above.deinit();
    above.put("c", 5, "5");
    above.deleteRange("", "c\x00", 6);
    above.put("b", 7, "7");
    const cases = [_]struct { u64, []const u8 }{
        .{ 1, "b" }, .{ 2, "bm" }, .{ 3, "b" }, .{ 4, "bz" }, .{ 5, "bcz" }, .{ 6, "z" }, .{ 7, "bz" },
    };
    for (cases) |case| {
        for ([_]bool{ false, true }) |reverse| {
            var rows: Rows = .{};
            defer rows.deinit();
            try rows.read(&store, .{ .memtables = &.{ above.id, below.id }, .sequence = case[0], .reverse = reverse }, 10, 1000, false);
            try testing.expectEqualStrings(case[1], try std.mem.concat(rows.arena.allocator(), u8, rows.keys.items));
        }
    }

    // What comes after a cursor was opened is not for it, however many.
    const open = store.cursor(.{ .memtables = &.{ above.id, below.id }, .sequence = 7 });
    defer _ = tables.cursorClose(open);
    for (0..1000) |i| above.deleteRange("a", "", 8 + i);
    try testing.expectEqual(2, Page.of(tables.cursorFill(open, 10, 1000, 0)).header.count);
}

// ---------------------------------------------------------------------------------------------------------------

fn expiring(comptime expiry: f64, comptime value: []const u8) []const u8 {
    return &@as([8]u8, @bitCast(expiry)) ++ value;
}

test "a value is there until its time, then it is a delete, for points and ranges" {
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    var writer = try MemtableWriter.init(1 << 20);
    defer writer.deinit();
    writer.put("a", 1, "older");
    writer.add(.put_expiring, "a", 2, expiring(1000, "short"));
    writer.add(.put_expiring, "b", 3, expiring(2000, "longer"));
    writer.add(.merge, "b", 4, "+operand");
    const table = try store.flush(writer.id, 1, &.{ 1, 2, 3, 4 });
    const version = store.version(&.{&.{table}});
    defer _ = tables.versionRelease(version);
    defer _ = tables.tableRelease(table);
    const cases = [_]struct { f64, []const u8 }{
        .{ 999.5, "short|longer+operand|" }, .{ 1000, "longer+operand|" }, .{ 1999, "longer+operand|" }, .{ 2000, "+operand|" }, .{ 1e300, "+operand|" },
    };
    for (cases) |case| {
        for ([_]bool{ false, true }) |reverse| {
            for ([_]bool{ false, true }) |from_memtable| {
                var range: TableStore.Range = .{ .sequence = 9, .now = case[0], .reverse = reverse, .merge_operator = .append };
                if (from_memtable) range.memtables = &.{writer.id} else range.version = version;
                var rows: Rows = .{};
                defer rows.deinit();
                try rows.read(&store, range, 10, 1000, false);
                var text: std.ArrayList(u8) = .empty;
                for (rows.values.items) |value| {
                    try text.appendSlice(rows.arena.allocator(), value);
                    try text.append(rows.arena.allocator(), '|');
                }
                try testing.expectEqualStrings(case[1], text.items);
            }
        }
    }
    // A point read hands over the expiry with the value: whoever asked judges.
    const raw = store.get(version, "a", 9, 0);
    try testing.expectEqual(@intFromEnum(abi.EntryType.put_expiring), raw.entry_type);
    try testing.expectEqual(2, raw.sequence);
    try testing.expectEqualSlices(u8, expiring(1000, "short"), raw.value);
    const merged = store.get(version, "b", 9, 0);
    try testing.expectEqual(@intFromEnum(abi.EntryType.merge), merged.entry_type);
    try testing.expectEqual(4, merged.sequence);
    try testing.expectEqual(0, merged.value.len);
    for ([_]f64{ -1, std.math.nan(f64) }) |now| {
        try testing.expectEqual(abi.Code.invalid.int(), store.cursor(.{ .sequence = 1, .now = now }));
    }
}

test "the address of a large value comes back from a point read, and keys are listed without it" {
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    var writer = try MemtableWriter.init(1 << 20);
    defer writer.deinit();
    const address = comptime std.mem.asBytes(&abi.BlobAddress{ .number = 5, .offset = 4096, .bytes = 70_000, .checksum = 7 });
    writer.add(.put_blob, "a", 1, address);
    writer.add(.put_blob_expiring, "b", 2, comptime expiring(1000, "") ++ address);
    writer.add(.put_blob, "c", 3, address);
    writer.put("c", 4, "small");
    writer.add(.put_blob, "d", 5, address);
    writer.add(.merge, "d", 6, "operand");
    const table = try store.flush(writer.id, 1, &.{ 3, 5 });
    const version = store.version(&.{&.{table}});
    defer _ = tables.versionRelease(version);
    defer _ = tables.tableRelease(table);
    const plain = store.get(version, "a", 9, 0);
    try testing.expectEqual(@intFromEnum(abi.EntryType.put_blob), plain.entry_type);
    try testing.expectEqualSlices(u8, address, plain.value);
    const both = store.get(version, "b", 9, 0);
    try testing.expectEqual(@intFromEnum(abi.EntryType.put_blob_expiring), both.entry_type);
    try testing.expectEqualSlices(u8, address, both.value[8..]);
    for ([_]bool{ false, true }) |reverse| {
        for ([_]f64{ 0, 1000 }) |now| {
            var range: TableStore.Range = .{ .version = version, .sequence = 9, .now = now, .reverse = reverse, .keys_only = true, .merge_operator = .append };
            var rows: Rows = .{};
            defer rows.deinit();
            try rows.read(&store, range, 10, 1000, false);
            const keys = try std.mem.concat(rows.arena.allocator(), u8, rows.keys.items);
            try testing.expectEqualStrings(if (now == 0) "abcd" else "acd", keys);
            // One that a newer value hides is not asked for.
            range.lower = "c";
            range.upper = "d";
            range.keys_only = false;
            var hidden: Rows = .{};
            defer hidden.deinit();
            try hidden.read(&store, range, 10, 1000, false);
            try testing.expectEqualStrings("small", hidden.values.items[0]);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------

test "entries that are not what their type says are damage, with the table and the block" {
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    var writer = try MemtableWriter.init(1 << 20);
    defer writer.deinit();
    writer.put("key", 1, "value");
    const made = try store.flush(writer.id, 1, &.{});
    try testing.expect(made > 0);
    const file_bytes = store.described().file_bytes;
    _ = tables.tableRelease(made);
    var file = try Bytes.open(&store, "000001.table");
    defer file.close();
    const block_bytes = 3 + 3 + 8 + 5 + 8;
    const trailer_at = 3 + 3;
    for ([_]abi.EntryType{ .put_expiring, .put_blob, .put_blob_expiring, .delete_range }) |entry_type| {
        file.content[trailer_at] = @intCast(@intFromEnum(entry_type));
        @memcpy(file.content[block_bytes..][0..8], &format.blockTrailer(file.content[0..block_bytes], .none, 1, 0));
        file.write(file.content, 0);
        const head = store.open(1, file_bytes);
        try testing.expect(head.result > 0);
        defer _ = tables.tableRelease(head.result);
        try testing.expectEqual(corruption, store.verify(head.result).result);
        const version = store.version(&.{&.{head.result}});
        defer _ = tables.versionRelease(version);
        const is_point = entry_type != .delete_range;
        for ([_]bool{ false, true }) |reverse| {
            const handle = store.cursor(.{ .version = version, .sequence = 9, .reverse = reverse });
            defer _ = tables.cursorClose(handle);
            const filled = store.fillByJob(handle, 10, 1000);
            try testing.expectEqual(if (is_point) corruption else unsupported, filled.result);
            if (!is_point) continue;
            try testing.expectEqual(1, filled.detail);
            try testing.expectEqual(0, filled.value);
        }
        const answer = store.get(version, "key", 9, 0);
        try testing.expectEqual(if (is_point) 0 else unsupported, answer.code);
    }
}
