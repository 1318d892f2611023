//! How tables are read and written: compressed or not, through how many calls, with how many descriptors, past the page
//! cache or through it. Everything is counted, nothing timed.

const std = @import("std");
const abi = @import("../abi.zig");
const block_cache = @import("../block_cache.zig");
const disk = @import("../disk.zig");
const disk_real = @import("../disk_real.zig");
const disk_simulated = @import("../disk_simulated.zig");
const table_set = @import("../table_set.zig");
const tables = @import("../tables.zig");
const table_store = @import("table_store.zig");
const Fault = @import("../fault.zig").Fault;
const Scratch = @import("scratch.zig").Scratch;
const MemtableWriter = @import("memtable_writer.zig").MemtableWriter;
const Page = table_store.Page;
const Table = @import("../table_reader.zig").Table;
const TableStore = table_store.TableStore;
const testing = std.testing;

fn keyOf(i: usize, buffer: *[16]u8) []const u8 {
    return std.fmt.bufPrint(buffer, "key{d:0>7}", .{i}) catch unreachable;
}

/// Text that zstd makes half of, or noise that it can do nothing with; the same for the same number.
fn valueOf(i: usize, kind: enum { text, noise }, buffer: []u8) []const u8 {
    var random = std.Random.DefaultPrng.init(i);
    random.random().bytes(buffer);
    if (kind == .text) for (buffer) |*byte| {
        byte.* = "etaoinsh"[byte.* & 7];
    };
    return buffer;
}

/// `count` entries with values of 1,000 bytes. The table's handle.
fn flushTable(store: *TableStore, number: f64, count: usize, comptime kind: @TypeOf(.enum_literal)) !i32 {
    var writer = try MemtableWriter.init(@max(1 << 20, count * 1200));
    defer writer.deinit();
    var key_buffer: [16]u8 = undefined;
    var value: [1000]u8 = undefined;
    for (0..count) |i| writer.put(keyOf(i, &key_buffer), i + 1, valueOf(i, kind, &value));
    const table = try store.flush(writer.id, number, &.{});
    try testing.expect(table > 0);
    return table;
}

/// All rows, checked. `cached_first`: as an event loop asks, with a job only where memory is not enough.
fn scan(store: *TableStore, version: i32, count: usize, comptime kind: @TypeOf(.enum_literal), reverse: bool, cached_first: bool) !void {
    const cursor = store.cursor(.{ .version = version, .sequence = count, .reverse = reverse });
    try testing.expect(cursor > 0);
    defer _ = tables.cursorClose(cursor);
    var key_buffer: [16]u8 = undefined;
    var value: [1000]u8 = undefined;
    var row: usize = 0;
    while (true) {
        var id: i32 = abi.Code.would_block.int();
        if (cached_first) id = tables.cursorFill(cursor, 8192, 1 << 16, 1);
        if (id == abi.Code.would_block.int()) id = store.fillByJob(cursor, 8192, 1 << 16).result;
        try testing.expect(id > 0);
        const page = Page.of(id);
        for (0..page.header.count) |at| {
            const i = if (reverse) count - 1 - row else row;
            try testing.expectEqualSlices(u8, keyOf(i, &key_buffer), page.key(at));
            try testing.expectEqualSlices(u8, valueOf(i, kind, &value), page.value(at));
            row += 1;
        }
        if (page.header.end == 1) break;
    }
    try testing.expectEqual(count, row);
}

fn withoutCache() void {
    block_cache.global.setCapacity(0);
}

fn withCache() void {
    block_cache.global.setCapacity(block_cache.default_capacity);
}

test "a compressed table reads like another, is smaller, and its blocks are counted as they are in memory" {
    const count = 2000;
    inline for (.{ .text, .noise }) |kind| {
        var store: TableStore = undefined;
        try store.init();
        defer store.deinit();
        var file_bytes: [2]f64 = undefined;
        for ([_]abi.Compression{ .none, .zstd }, &file_bytes, 1..) |compression, *bytes, number| {
            store.compression = compression;
            const table = try flushTable(&store, @floatFromInt(number), count, kind);
            defer _ = tables.tableRelease(table);
            bytes.* = store.described().file_bytes;
            try testing.expectEqual(0, store.verify(table).result);
            const version = store.version(&.{&.{table}});
            defer _ = tables.versionRelease(version);
            const before = block_cache.global.bytes();
            for ([_]bool{ false, true }) |reverse| {
                for ([_]bool{ false, true }) |cached_first| {
                    try scan(&store, version, count, kind, reverse, cached_first);
                }
            }
            try testing.expect(block_cache.global.bytes() - before > count * 1000);
            var key_buffer: [16]u8 = undefined;
            var value: [1000]u8 = undefined;
            for (0..count) |i| {
                const answer = store.get(version, keyOf(i, &key_buffer), count, 0);
                try testing.expectEqualSlices(u8, valueOf(i, kind, &value), answer.value);
            }
            try testing.expectEqual(0, store.get(version, "key", count, 0).entry_type);
        }
        // A block of noise stays as it is: eight bytes of trailer are all that is added to any.
        if (kind == .noise) try testing.expectEqual(file_bytes[0], file_bytes[1]);
        if (kind == .text) try testing.expect(file_bytes[1] < 0.6 * file_bytes[0]);
    }
}

test "a level of zstd that does not exist is refused" {
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    var writer = try MemtableWriter.init(1 << 20);
    defer writer.deinit();
    writer.put("a", 1, "1");
    for ([_][2]u32{ .{ 1, 0 }, .{ 1, 23 }, .{ 2, 3 }, .{ 0xffff_ffff, 3 } }) |wrong| {
        var job = std.mem.zeroes(abi.TableJob);
        job.head.opcode = @intFromEnum(abi.Opcode.table_flush);
        job.number = 1;
        job.source = writer.id;
        job.block_bytes = 4096;
        job.description_region = store.description;
        job.compression = wrong[0];
        job.compression_level = wrong[1];
        tables.run(&store.store, &job.head);
        try testing.expectEqual(abi.Code.invalid.int(), job.head.result);
    }
}

test "a scan reads ahead: four calls for each MiB, however it asks, and a short range one block" {
    withoutCache();
    defer withCache();
    const count = 12_000;
    for ([_]abi.Compression{ .none, .zstd }) |compression| {
        var store: TableStore = undefined;
        try store.init();
        defer store.deinit();
        store.compression = compression;
        const table = try flushTable(&store, 1, count, .text);
        defer _ = tables.tableRelease(table);
        const mebibytes: u64 = @intFromFloat(@ceil(store.described().file_bytes / (1 << 20)));
        const version = store.version(&.{&.{table}});
        defer _ = tables.versionRelease(version);
        for ([_]bool{ false, true }) |cached_first| {
            const before = store.counters.*;
            try scan(&store, version, count, .text, false, cached_first);
            const calls = store.counters.read_calls - before.read_calls;
            // One block, 16, 32, 64 and 128 KiB, then 256 each; blocks do not end where a stretch does.
            try testing.expect(calls >= 4 * (mebibytes - 1));
            try testing.expect(calls <= 4 * mebibytes + mebibytes / 2 + 6);
            // Every byte once, but for the units at the edges.
            try testing.expect(store.counters.bytes_read - before.bytes_read < (mebibytes << 20) * 11 / 10);
        }
        const before = store.counters.*;
        const cursor = store.cursor(.{ .version = version, .sequence = count, .lower = "key0005000" });
        try testing.expectEqual(2, Page.of(store.fillByJob(cursor, 2, 1 << 16).result).header.count);
        try testing.expectEqual(0, tables.cursorClose(cursor));
        try testing.expect(store.counters.read_calls - before.read_calls <= 2);
        try testing.expect(store.counters.bytes_read - before.bytes_read <= 4096 + (24 << 10));
        const verified = store.counters.*;
        try testing.expectEqual(0, store.verify(table).result);
        try testing.expect(store.counters.read_calls - verified.read_calls <= 4 * mebibytes + mebibytes / 2 + 6);
    }
}

/// A disk on which a read gives way to the other threads before it ends.
const PoliteDisk = struct {
    var inner: *const disk.Disk.VTable = undefined;
    var vtable: disk.Disk.VTable = undefined;

    fn over(on: disk.Disk) disk.Disk {
        inner = on.vtable;
        vtable = on.vtable.*;
        vtable.pread = pread;
        return .{ .context = on.context, .vtable = &vtable };
    }

    fn pread(context: *anyopaque, file: disk.FileHandle, buffer: []u8, offset: u64) disk.Result {
        for (0..50) |_| std.Thread.yield() catch {};
        return inner.pread(context, file, buffer, offset);
    }
};

const Crowd = struct {
    table: *Table,
    arrived: std.atomic.Value(usize) = .init(0),
    failed: std.atomic.Value(usize) = .init(0),

    const size = 4;

    /// All ask for block 0 at once, then for block 1, and so on.
    fn run(self: *Crowd) void {
        for (0..self.table.index.len) |number| {
            _ = self.arrived.fetchAdd(1, .acq_rel);
            while (self.arrived.load(.acquire) < size * (number + 1)) std.Thread.yield() catch {};
            var failure: Fault = .{};
            if (self.table.block(number, .disk, &failure)) |block| block.release() else |_| {
                _ = self.failed.fetchAdd(1, .monotonic);
            }
        }
    }
};

test "threads that want the same block at once read it once" {
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    const good = store.store.disk;
    store.useDisk(PoliteDisk.over(good));
    defer store.useDisk(good);
    const handle = try flushTable(&store, 1, 1000, .text);
    defer _ = tables.tableRelease(handle);
    const table = table_set.tables.acquire(handle).?;
    defer table_set.tables.release(handle);
    const before = store.counters.read_calls;
    var crowd: Crowd = .{ .table = table };
    var threads: [Crowd.size]std.Thread = undefined;
    for (&threads) |*thread| thread.* = try std.Thread.spawn(.{}, Crowd.run, .{&crowd});
    for (threads) |thread| thread.join();
    try testing.expectEqual(0, crowd.failed.load(.monotonic));
    try testing.expectEqual(table.index.len, store.counters.read_calls - before);
    try testing.expectEqual((Crowd.size - 1) * table.index.len, store.counters.cache_hits);
}

test "a walk over several tables of a level goes on reading ahead from one to the next" {
    withoutCache();
    defer withCache();
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    const each = 1000;
    const table_count = 6;
    var handles: [table_count]i32 = undefined;
    var value: [1000]u8 = undefined;
    var key_buffer: [16]u8 = undefined;
    for (&handles, 0..) |*handle, t| {
        var writer = try MemtableWriter.init(4 << 20);
        defer writer.deinit();
        for (t * each..(t + 1) * each) |i| writer.put(keyOf(i, &key_buffer), i + 1, valueOf(i, .text, &value));
        handle.* = try store.flush(writer.id, @floatFromInt(t + 1), &.{});
        try testing.expect(handle.* > 0);
    }
    defer for (handles) |handle| {
        _ = tables.tableRelease(handle);
    };
    const version = store.version(&.{ &.{}, &handles });
    defer _ = tables.versionRelease(version);
    const before = store.counters.read_calls;
    try scan(&store, version, each * table_count, .text, false, true);
    // A mebibyte each, the last stretch of a table being shorter; it starts small once, not with every table.
    try testing.expect(store.counters.read_calls - before <= 6 * 5 + 6);
    try scan(&store, version, each * table_count, .text, true, true);
}

test "a table that is scanned while it does not fit leaves the cache to those who use it" {
    block_cache.global.setCapacity(2 << 20);
    defer withCache();
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    const used = try flushTable(&store, 1, 1000, .text);
    const scanned = try flushTable(&store, 2, 8000, .text);
    defer _ = tables.tableRelease(used);
    defer _ = tables.tableRelease(scanned);
    const used_version = store.version(&.{&.{used}});
    const scanned_version = store.version(&.{&.{scanned}});
    defer _ = tables.versionRelease(used_version);
    defer _ = tables.versionRelease(scanned_version);
    var key_buffer: [16]u8 = undefined;
    for (0..3) |_| for (0..1000) |i| {
        _ = store.get(used_version, keyOf(i, &key_buffer), 8000, 0);
    };
    try scan(&store, scanned_version, 8000, .text, false, true);
    const before = store.counters.cache_misses;
    for (0..1000) |i| _ = store.get(used_version, keyOf(i, &key_buffer), 8000, 0);
    try testing.expect(store.counters.cache_misses - before < 30);
}

test "no more table files are open than the store may have, and every table can be read" {
    withoutCache();
    defer withCache();
    var store: TableStore = undefined;
    try store.initWith(try disk_simulated.create(3), "/store", .{ .open_max = 16 });
    defer store.deinit();
    var other: TableStore = undefined;
    try other.initWith(store.store.disk, "/other", .{ .open_max = 3 });
    defer other.closeDirectory();
    var handles: [60]i32 = undefined;
    for (&handles, 0..) |*handle, i| {
        const owner = if (i % 4 == 0) &other else &store;
        handle.* = try flushTable(owner, @floatFromInt(i + 1), 3, .text);
        try testing.expect(store.store.table_files.open_count <= 16);
        try testing.expect(other.store.table_files.open_count <= 3);
    }
    var random = std.Random.DefaultPrng.init(1);
    for (0..2000) |_| {
        const i = random.random().uintLessThan(usize, handles.len);
        const owner = if (i % 4 == 0) &other else &store;
        const version = owner.version(&.{&.{handles[i]}});
        defer _ = tables.versionRelease(version);
        try scan(owner, version, 3, .text, false, true);
        try testing.expect(store.store.table_files.open_count <= 16);
        try testing.expect(other.store.table_files.open_count <= 3);
    }
    try testing.expectEqual(16, store.store.table_files.open_count);
    try testing.expectEqual(3, other.store.table_files.open_count);
    // The one that was used last is open still, and so needs no opening.
    const version = store.version(&.{&.{handles[1]}});
    try scan(&store, version, 3, .text, false, true);
    const opened = store.counters.files_opened;
    try scan(&store, version, 3, .text, false, true);
    try testing.expectEqual(opened, store.counters.files_opened);
    try testing.expectEqual(0, tables.versionRelease(version));
    for (handles) |handle| _ = tables.tableRelease(handle);
    try testing.expectEqual(0, store.store.table_files.open_count);
}

test "a file whose name is gone keeps its descriptor beyond the number, and a closed store opens none" {
    withoutCache();
    defer withCache();
    var store: TableStore = undefined;
    const on = try disk_simulated.create(4);
    defer disk_simulated.destroy(on);
    try store.initWith(on, "/store", .{ .open_max = 1 });
    var versions: [3]i32 = undefined;
    for (&versions, 1..) |*version, number| {
        const handle = try flushTable(&store, @floatFromInt(number), 3, .text);
        version.* = store.version(&.{&.{handle}});
        try testing.expectEqual(0, tables.tableRelease(handle));
    }
    var name: [16]u8 = undefined;
    for (versions[0..2], 1..) |_, number| {
        const text = try std.fmt.bufPrint(&name, "{d:0>6}.table", .{number});
        try testing.expectEqual(0, on.vtable.unlink(on.context, store.store.directory, text));
    }
    for (versions) |version| try scan(&store, version, 3, .text, false, true);
    for (versions) |version| try scan(&store, version, 3, .text, true, false);
    // The store is closed; somebody still holds the versions.
    store.store.table_files.retain();
    store.store.table_files.close();
    try testing.expectEqual(0, store.store.table_files.open_count);
    for (versions) |version| {
        try testing.expectEqual(abi.Code.closed.int(), store.get(version, "key0000001", 3, 0).code);
        try testing.expectEqual(0, tables.versionRelease(version));
    }
    store.closeDirectory();
}

test "tables read and written past the page cache have the same bytes, on a real disk" {
    withoutCache();
    defer withCache();
    var scratch = try Scratch.init();
    defer scratch.deinit();
    const count = 3000;
    for ([_][2]bool{ .{ true, true }, .{ false, true }, .{ true, false }, .{ false, false } }, 1..) |direct, number| {
        for ([_]abi.Compression{ .none, .zstd }, 0..) |compression, i| {
            var store: TableStore = undefined;
            try store.initWith(disk_real.real, scratch.path(), .{ .direct_reads = direct[0], .direct_writes = direct[1] });
            defer store.closeDirectory();
            store.compression = compression;
            const table = try flushTable(&store, @floatFromInt(2 * number + i), count, .text);
            const version = store.version(&.{&.{table}});
            const granted = if (table_set.tables.acquire(table)) |held| held.file.file.?.direct else unreachable;
            table_set.tables.release(table);
            for ([_]bool{ false, true }) |reverse| try scan(&store, version, count, .text, reverse, true);
            try testing.expectEqual(0, store.verify(table).result);
            var key_buffer: [16]u8 = undefined;
            var value: [1000]u8 = undefined;
            for (0..100) |k| {
                const answer = store.get(version, keyOf(k * 29, &key_buffer), count, 0);
                try testing.expectEqualSlices(u8, valueOf(k * 29, .text, &value), answer.value);
            }
            // What the volume refuses is done without; what was not asked for is not done.
            try testing.expect(!granted or direct[0]);
            try testing.expectEqual(granted, store.counters.table_reads_direct > 0);
            if (!direct[1]) try testing.expectEqual(0, store.counters.table_writes_direct);
            try testing.expectEqual(0, tables.versionRelease(version));
            try testing.expectEqual(0, tables.tableRelease(table));
        }
    }
}
