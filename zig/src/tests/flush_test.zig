//! What a flush makes of a memtable that holds more than puts and deletes, as the table's description, its blocks and its
//! verification tell.

const std = @import("std");
const abi = @import("../abi.zig");
const internal_key = @import("../internal_key.zig");
const region = @import("../region.zig");
const table_set = @import("../table_set.zig");
const tables = @import("../tables.zig");
const table_store = @import("table_store.zig");
const MemtableWriter = @import("memtable_writer.zig").MemtableWriter;
const TableStore = table_store.TableStore;
const contents = @import("table_contents.zig");
const testing = std.testing;

const Flushed = struct {
    store: TableStore,
    writer: MemtableWriter,
    table: i32 = 0,

    fn init(self: *Flushed) !void {
        self.* = .{ .store = undefined, .writer = try MemtableWriter.init(4 << 20) };
        try self.store.init();
    }

    fn deinit(self: *Flushed) void {
        if (self.table > 0) _ = tables.tableRelease(self.table);
        self.writer.deinit();
        self.store.deinit();
    }

    fn flush(self: *Flushed, snapshots: []const f64) !void {
        self.table = try self.store.flush(self.writer.id, 9, snapshots);
        try testing.expect(self.table > 0);
        try testing.expectEqual(0, self.store.verify(self.table).result);
        try testing.expectEqual(self.table, self.store.described().handle);
    }

    fn expectSpan(self: *Flushed, smallest: []const u8, largest: []const u8, kind: abi.BoundKind) !void {
        const description = self.store.described();
        const bytes = region.slice(self.store.description).?[@sizeOf(abi.TableDescription)..];
        try testing.expectEqualStrings(smallest, bytes[0..description.smallest_key_bytes]);
        try testing.expectEqualStrings(largest, bytes[description.smallest_key_bytes..][0..description.largest_key_bytes]);
        try testing.expectEqual(@intFromEnum(kind), description.largest_kind);
    }

    fn expectEntries(self: *Flushed, expected: []const contents.Entry) !void {
        const table = table_set.tables.acquire(self.table).?;
        defer table_set.tables.release(self.table);
        var list = try contents.read(testing.allocator, &.{table});
        defer list.deinit();
        try testing.expectEqualDeep(expected, list.entries);
    }

    fn cover(self: *Flushed, key: []const u8, sequence: u64) u64 {
        const table = table_set.tables.acquire(self.table).?;
        defer table_set.tables.release(self.table);
        return if (table.ranges) |ranges| ranges.cover(key, sequence) else 0;
    }
};

test "range tombstones go to a block of their own and take what they cover with them" {
    var flushed: Flushed = undefined;
    try flushed.init();
    defer flushed.deinit();
    const writer = &flushed.writer;
    writer.put("c", 2, "seen");
    writer.put("b", 3, "old");
    writer.put("d", 3, "old");
    writer.deleteRange("a", "d", 4);
    writer.put("b", 5, "new");
    writer.deleteRange("c", "e", 6);
    try flushed.flush(&.{ 2, 2 });
    try flushed.expectEntries(&.{
        .{ .key = "b", .sequence = 5, .type = .put, .value = "new" },
        .{ .key = "c", .sequence = 2, .type = .put, .value = "seen" },
    });
    try flushed.expectSpan("a", "e", .exclusive);
    const description = flushed.store.described();
    try testing.expectEqual(2, description.range_count);
    try testing.expectEqual(2, description.smallest_sequence);
    try testing.expectEqual(6, description.largest_sequence);
    try testing.expectEqual(4, flushed.cover("b", 100));
    try testing.expectEqual(6, flushed.cover("c", 100));
    try testing.expectEqual(0, flushed.cover("c", 3));
    try testing.expectEqual(0, flushed.cover("e", 100));
}

test "a memtable of nothing but range tombstones makes a table without points" {
    for ([_][]const u8{ "", "q" }) |upper| {
        var flushed: Flushed = undefined;
        try flushed.init();
        defer flushed.deinit();
        flushed.writer.deleteRange("m", upper, 7);
        try flushed.flush(&.{});
        try flushed.expectEntries(&.{});
        try flushed.expectSpan("m", upper, if (upper.len == 0) .unbounded else .exclusive);
        const file_bytes = flushed.store.described().file_bytes;
        try testing.expectEqual(4096, file_bytes);
        try testing.expectEqual(7, flushed.cover("n", 7));

        const again = flushed.store.open(9, file_bytes);
        try testing.expect(again.result > 0);
        try testing.expectEqual(0, tables.tableRelease(again.result));
        const version = flushed.store.version(&.{&.{flushed.table}});
        defer _ = tables.versionRelease(version);
        const answer = flushed.store.get(version, "x", 6, 0);
        try testing.expectEqual(0, answer.code);
        try testing.expectEqual(0, answer.entry_type);
    }
}

test "a point at a tombstone's upper bound, or behind it, ends the span" {
    for ([_][]const u8{ "d", "dd" }) |key| {
        var flushed: Flushed = undefined;
        try flushed.init();
        defer flushed.deinit();
        flushed.writer.deleteRange("b", "d", 1);
        flushed.writer.put(key, 2, "");
        flushed.writer.put("a", 3, "");
        try flushed.flush(&.{});
        try flushed.expectSpan("a", key, .inclusive);
    }
}

test "tombstones that all begin at one key leave one piece" {
    var flushed: Flushed = undefined;
    try flushed.init();
    defer flushed.deinit();
    for (0..5000) |i| {
        var buffer: [16]u8 = undefined;
        flushed.writer.deleteRange("", try std.fmt.bufPrint(&buffer, "{d:0>6}", .{i + 1}), i + 1);
    }
    try flushed.flush(&.{});
    try testing.expectEqual(1, flushed.store.described().range_count);
    try flushed.expectSpan("", "005000", .exclusive);
}

fn integer(comptime value: i64) []const u8 {
    return comptime &std.mem.toBytes(std.mem.nativeToLittle(i64, value));
}

test "operands are folded, what has expired becomes a delete, and both are counted" {
    var flushed: Flushed = undefined;
    try flushed.init();
    defer flushed.deinit();
    flushed.store.now = 1000;
    flushed.store.merge_operator = .add;
    const writer = &flushed.writer;
    writer.add(.merge, "sum", 1, integer(40));
    writer.add(.merge, "sum", 2, integer(2));
    writer.put("whole", 3, integer(7));
    writer.add(.merge, "whole", 4, integer(-9));
    const expired = std.mem.toBytes(@as(u64, @bitCast(@as(f64, 1000)))) ++ integer(5)[0..8].*;
    const alive = std.mem.toBytes(@as(u64, @bitCast(@as(f64, 1001)))) ++ integer(5)[0..8].*;
    writer.put("gone", 5, "older");
    writer.add(.put_expiring, "gone", 6, &expired);
    writer.add(.put_expiring, "here", 7, &alive);
    try flushed.flush(&.{});
    try flushed.expectEntries(&.{
        .{ .key = "gone", .sequence = 6, .type = .delete, .value = "" },
        .{ .key = "here", .sequence = 7, .type = .put_expiring, .value = &alive },
        .{ .key = "sum", .sequence = 2, .type = .merge, .value = integer(42) },
        .{ .key = "whole", .sequence = 4, .type = .put, .value = integer(-2) },
    });
    const table = table_set.tables.acquire(flushed.table).?;
    defer table_set.tables.release(flushed.table);
    try testing.expectEqual(1, table.properties.merge_count);
    try testing.expectEqual(1, table.properties.expiring_count);
    try testing.expectEqual(1, table.properties.delete_count);
}

test "a table says how many bytes, in whole blocks, it has in which blob segment, and its description too" {
    var flushed: Flushed = undefined;
    try flushed.init();
    defer flushed.deinit();
    flushed.store.now = 0;
    for ([_]f64{ 30, 4, 30, 17, 4, 30 }, 1..) |number, i| {
        const address: abi.BlobAddress = .{ .number = number, .offset = 4096, .bytes = @intCast(3000 * i), .checksum = 9 };
        var value: [8 + @sizeOf(abi.BlobAddress)]u8 = undefined;
        value[0..8].* = @bitCast(@as(f64, 50));
        value[8..].* = std.mem.toBytes(address);
        const key = [1]u8{@intCast('a' + i)};
        if (i % 2 == 0) flushed.writer.add(.put_blob, &key, i, value[8..]) else flushed.writer.add(.put_blob_expiring, &key, i, &value);
    }
    try flushed.flush(&.{});
    const description = flushed.store.described();
    try testing.expectEqual(3, description.blob_count);
    const references: [*]const abi.BlobReference = @ptrCast(@alignCast(region.slice(flushed.store.description).?.ptr + @sizeOf(abi.TableDescription) + 8));
    try testing.expectEqualDeep(abi.BlobReference{ .number = 4, .bytes = 6 * 4096 }, references[0]);
    try testing.expectEqualDeep(abi.BlobReference{ .number = 17, .bytes = 3 * 4096 }, references[1]);
    try testing.expectEqualDeep(abi.BlobReference{ .number = 30, .bytes = 9 * 4096 }, references[2]);
    try testing.expectEqual(0, description.bytes % 8);
}

test "a memtable with values that their types do not allow is refused" {
    const cases = [_]struct { abi.EntryType, []const u8 }{
        .{ .put_expiring, "1234567" },
        .{ .put_blob, "not an address" },
        .{ .put_blob, &@as([24]u8, @splat(0xff)) },
        .{ .put_blob_expiring, &@as([24]u8, @splat(0)) },
    };
    for (cases) |case| {
        var flushed: Flushed = undefined;
        try flushed.init();
        defer flushed.deinit();
        flushed.writer.add(case[0], "k", 1, case[1]);
        try testing.expectEqual(abi.Code.invalid.int(), try flushed.store.flush(flushed.writer.id, 1, &.{}));
    }
    var flushed: Flushed = undefined;
    try flushed.init();
    defer flushed.deinit();
    flushed.writer.put("k", 1, "v");
    flushed.writer.memtable.header.newest_range = flushed.writer.memtable.header.newest_entry;
    try testing.expectEqual(abi.Code.invalid.int(), try flushed.store.flush(flushed.writer.id, 1, &.{}));
}
