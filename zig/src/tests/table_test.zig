//! One table file: damage of every kind gives an error or the right data, never a wrong value or a crash; errors
//! of the disk leave nothing behind; handles, references and oversized values.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");
const block_cache = @import("../block_cache.zig");
const checksum = @import("../checksum.zig");
const disk = @import("../disk.zig");
const disk_simulated = @import("../disk_simulated.zig");
const format = @import("../table_format.zig");
const merge_iterator = @import("../merge_iterator.zig");
const region = @import("../region.zig");
const skip_list = @import("../skip_list.zig");
const system = @import("../system.zig");
const tables = @import("../tables.zig");
const table_store = @import("table_store.zig");
const Fault = @import("../fault.zig").Fault;
const MemtableWriter = @import("memtable_writer.zig").MemtableWriter;
const Page = table_store.Page;
const TableStore = table_store.TableStore;
const testing = std.testing;

const entry_count = 40;

fn keyOf(i: usize, buffer: *[16]u8) []const u8 {
    return std.fmt.bufPrint(buffer, "key{d:0>5}", .{i * 3}) catch unreachable;
}

/// Two versions of every fifth key, seven deletes, range tombstones over keys that nobody has.
fn fillMemtable(writer: *MemtableWriter) void {
    var buffer: [16]u8 = undefined;
    for (0..entry_count) |i| {
        const key = keyOf(i, &buffer);
        if (i % 5 == 0) writer.put(key, i + 1, "old");
        if (i % 6 == 0) writer.delete(key, 100 + i) else writer.put(key, 100 + i, key);
    }
    writer.deleteRange("a", "b", 60);
    writer.deleteRange("aa", "bb", 61);
    writer.deleteRange("y", "z", 62);
}

/// Everything that the table says must be right, or an error.
fn readAll(store: *TableStore, table: i32) !enum { right, failed } {
    const version = store.version(&.{&.{table}});
    try testing.expect(version > 0);
    defer _ = tables.versionRelease(version);
    var failed = false;
    var buffer: [16]u8 = undefined;
    for (0..entry_count) |i| {
        const key = keyOf(i, &buffer);
        const answer = store.get(version, key, 1000, 0);
        if (answer.code < 0) {
            failed = true;
            continue;
        }
        try testing.expectEqual(@as(u32, if (i % 6 == 0) 2 else 1), answer.entry_type);
        try testing.expectEqualSlices(u8, if (i % 6 == 0) "" else key, answer.value);
    }
    for ([_]bool{ false, true }) |reverse| {
        const cursor = store.cursor(.{ .version = version, .sequence = 1000, .reverse = reverse });
        defer _ = tables.cursorClose(cursor);
        var row: usize = 0;
        var end = false;
        while (!end) {
            const id = tables.cursorFill(cursor, 7, 1 << 20, 0);
            if (id < 0) {
                failed = true;
                break;
            }
            const page = Page.of(id);
            for (0..page.header.count) |at| {
                if ((if (reverse) entry_count - 1 - row else row) % 6 == 0) row += 1;
                const key = keyOf(if (reverse) entry_count - 1 - row else row, &buffer);
                try testing.expectEqualSlices(u8, key, page.key(at));
                try testing.expectEqualSlices(u8, key, page.value(at));
                row += 1;
            }
            end = page.header.end == 1;
        }
        if (end) try testing.expect(row >= entry_count - 1);
    }
    return if (failed) .failed else .right;
}

/// A file as it lies on the disk.
pub const Bytes = struct {
    store: *TableStore,
    file: disk.FileHandle,
    content: []u8,

    pub fn open(store: *TableStore, name: []const u8) !Bytes {
        const on = store.store.disk;
        var opened: disk.OpenedFile = undefined;
        if (on.vtable.file_open(on.context, store.store.directory, name, .{}, &opened) < 0) return error.NoFile;
        const size: usize = @intCast(on.vtable.size(on.context, opened.handle));
        const content = try testing.allocator.alloc(u8, size);
        _ = on.vtable.pread(on.context, opened.handle, content, 0);
        return .{ .store = store, .file = opened.handle, .content = content };
    }

    pub fn close(self: *Bytes) void {
        self.store.store.disk.vtable.file_close(self.store.store.disk.context, self.file);
        testing.allocator.free(self.content);
    }

    pub fn write(self: *Bytes, bytes: []const u8, offset: u64) void {
        const on = self.store.store.disk;
        const part: disk.IoVec = .{ .base = bytes.ptr, .len = bytes.len };
        std.debug.assert(on.vtable.pwritev(on.context, self.file, &.{part}, offset, true).result == bytes.len);
    }

    fn resize(self: *Bytes, bytes: u64) void {
        const on = self.store.store.disk;
        std.debug.assert(on.vtable.truncate(on.context, self.file, bytes) == 0);
    }
};

fn makeTable(store: *TableStore, compression: abi.Compression) !f64 {
    try store.init();
    store.block_bytes = 256;
    store.compression = compression;
    var writer = try MemtableWriter.init(1 << 20);
    defer writer.deinit();
    fillMemtable(&writer);
    const table = try store.flush(writer.id, 1, &.{50});
    try testing.expect(table > 0);
    const description = store.described().*;
    try testing.expectEqual(48, description.entry_count);
    try testing.expectEqual(7, description.delete_count);
    try testing.expectEqual(1, description.smallest_sequence);
    try testing.expectEqual(139, description.largest_sequence);
    try testing.expectEqual(3, description.range_count);
    try testing.expectEqual(.right, try readAll(store, table));
    try testing.expectEqual(0, store.verify(table).result);
    try testing.expectEqual(0, tables.tableRelease(table));
    try testing.expectEqual(abi.Code.closed.int(), tables.tableRelease(table));
    return description.file_bytes;
}

test "one flipped bit anywhere in a table: an error, or right data" {
    try flipBits(.none);
}

test "one flipped bit anywhere in a compressed table: an error, or right data" {
    try flipBits(.zstd);
}

fn flipBits(compression: abi.Compression) !void {
    var store: TableStore = undefined;
    const file_bytes = try makeTable(&store, compression);
    defer store.deinit();
    var file = try Bytes.open(&store, "000001.table");
    defer file.close();
    const step: usize = if (builtin.mode == .Debug) 3 else 1;
    var bit: usize = 0;
    while (bit < file.content.len * 8) : (bit += step) {
        const at = bit / 8;
        file.write(&.{file.content[at] ^ (@as(u8, 1) << @intCast(bit % 8))}, at);
        defer file.write(file.content[at..][0..1], at);
        const head = store.open(1, file_bytes);
        if (head.result < 0) {
            try testing.expect(head.result == abi.Code.corruption.int());
            try testing.expect(head.value <= file_bytes);
            continue;
        }
        // Every byte is under a check: reading everything meets the damage, and so does verifying.
        try testing.expectEqual(.failed, try readAll(&store, head.result));
        const verified = store.verify(head.result);
        try testing.expectEqual(abi.Code.corruption.int(), verified.result);
        try testing.expect(verified.value <= @as(f64, @floatFromInt(at)));
        try testing.expectEqual(0, tables.tableRelease(head.result));
    }
}

test "a table cut, extended, emptied, swapped, of another family or random is refused" {
    var store: TableStore = undefined;
    const file_bytes = try makeTable(&store, .none);
    defer store.deinit();
    var file = try Bytes.open(&store, "000001.table");
    defer file.close();
    const corruption = abi.Code.corruption.int();
    for ([_]u64{ 0, 1, 63, 64, 4095, file.content.len - 1, file.content.len + 1, file.content.len + 4096 }) |size| {
        file.resize(size);
        // What the manifest says, and what a manifest made to fit would say.
        try testing.expectEqual(corruption, store.open(1, file_bytes).result);
        try testing.expectEqual(corruption, store.open(1, @floatFromInt(size)).result);
        file.resize(0);
        file.write(file.content, 0);
    }
    const good = store.open(1, file_bytes);
    try testing.expect(good.result > 0);
    _ = tables.tableRelease(good.result);

    var random = std.Random.DefaultPrng.init(9);
    const noise = try testing.allocator.alloc(u8, file.content.len);
    defer testing.allocator.free(noise);
    for (0..200) |_| {
        random.random().bytes(noise);
        file.write(noise, 0);
        try testing.expectEqual(corruption, store.open(1, file_bytes).result);
    }
    file.write(file.content, 0);

    const on = store.store.disk;
    try testing.expectEqual(0, on.vtable.rename(on.context, store.store.directory, "000001.table", "000002.table"));
    try testing.expectEqual(corruption, store.open(2, file_bytes).result);
    try testing.expect(system.is(store.open(1, file_bytes).result, .NOENT));
}

test "blocks made up with checksums that hold: an error, or an answer in bounded memory" {
    try makeUpBlocks(.none);
}

test "compressed blocks made up with checksums that hold: an error, or an answer in bounded memory" {
    try makeUpBlocks(.zstd);
}

fn makeUpBlocks(compression: abi.Compression) !void {
    var store: TableStore = undefined;
    const file_bytes = try makeTable(&store, compression);
    defer store.deinit();
    var file = try Bytes.open(&store, "000001.table");
    defer file.close();
    const size = file.content.len;
    const footer = try format.Footer.decode(file.content[size - 64 ..][0..64], 1, size);
    const changed = try testing.allocator.dupe(u8, file.content);
    defer testing.allocator.free(changed);
    var random_state = std.Random.DefaultPrng.init(4);
    const random = random_state.random();
    const properties_content = file.content[@intCast(footer.properties.offset)..][0..footer.properties.bytes];
    const properties = try format.Properties.decode(properties_content);
    const first = firstBlock(file.content);
    try testing.expectEqual(compression, first.compression);
    var opened: usize = 0;
    for (0..if (builtin.mode == .Debug) 3_000 else 25_000) |round| {
        @memcpy(changed, file.content);
        const handle = switch (round % 5) {
            0 => footer.index,
            1 => footer.properties,
            2 => footer.filter,
            3 => properties.ranges,
            else => format.BlockHandle{ .offset = 0, .bytes = @intCast(first.content.len) },
        };
        const how = if (round % 5 < 4) .none else first.compression;
        const content = changed[@intCast(handle.offset)..][0..handle.bytes];
        for (0..1 + random.uintLessThan(usize, 3)) |_| {
            const at = random.uintLessThan(usize, content.len);
            content[at] = switch (random.uintLessThan(u32, 4)) {
                0 => 0xff,
                1 => 0,
                2 => 0x80,
                else => random.int(u8),
            };
        }
        @memcpy(changed[@intCast(handle.offset + handle.bytes)..][0..8], &format.blockTrailer(content, how, 1, handle.offset));
        file.write(changed, 0);
        const head = store.open(1, file_bytes);
        if (head.result < 0) continue;
        defer _ = tables.tableRelease(head.result);
        opened += 1;
        _ = store.verify(head.result);
        scan(&store, head.result);
    }
    try testing.expect(opened > 0);
}

fn firstBlock(content: []const u8) format.StoredBlock {
    for (1..content.len) |bytes| {
        return format.openBlock(content[0 .. bytes + format.trailer_bytes], 1, 0) catch continue;
    }
    unreachable;
}

test "blocks compressed in a way that is not known, or where none may be, are refused" {
    var store: TableStore = undefined;
    const file_bytes = try makeTable(&store, .zstd);
    defer store.deinit();
    var file = try Bytes.open(&store, "000001.table");
    defer file.close();
    const size = file.content.len;
    const footer = try format.Footer.decode(file.content[size - 64 ..][0..64], 1, size);
    const unsupported = abi.Code.unsupported.int();
    const properties = file.content[@intCast(footer.properties.offset)..][0..footer.properties.bytes];
    const trailer_at = footer.properties.offset + footer.properties.bytes;
    file.write(&format.blockTrailer(properties, .zstd, 1, footer.properties.offset), trailer_at);
    try testing.expectEqual(unsupported, store.open(1, file_bytes).result);
    file.write(file.content, 0);

    const first = firstBlock(file.content);
    var strange = format.blockTrailer(first.content, .zstd, 1, 0);
    strange[0] = 2;
    var checked: [20]u8 = @splat(0);
    checked[0] = 2;
    checked[4] = 1;
    const crc = checksum.crc32cContinue(checksum.crc32c(first.content), &checked);
    std.mem.writeInt(u32, strange[4..8], crc, .little);
    file.write(&strange, first.content.len);
    const head = store.open(1, file_bytes);
    try testing.expect(head.result > 0);
    defer _ = tables.tableRelease(head.result);
    try testing.expectEqual(unsupported, store.verify(head.result).result);
    // A compressed block that says it is none is taken for what it says, and is no block.
    file.write(&format.blockTrailer(first.content, .none, 1, 0), first.content.len);
    try testing.expectEqual(abi.Code.corruption.int(), store.verify(head.result).result);
    file.write(file.content, 0);
    try testing.expectEqual(0, store.verify(head.result).result);
}

/// Reads whatever is there; any error is right.
fn scan(store: *TableStore, table: i32) void {
    const version = store.version(&.{&.{table}});
    defer _ = tables.versionRelease(version);
    var buffer: [16]u8 = undefined;
    for (0..entry_count) |i| _ = store.get(version, keyOf(i, &buffer), 1000, 0);
    for ([_]bool{ false, true }) |reverse| {
        const cursor = store.cursor(.{ .version = version, .sequence = 1000, .reverse = reverse, .lower = "key00030" });
        defer _ = tables.cursorClose(cursor);
        for (0..100) |_| {
            const id = tables.cursorFill(cursor, 7, 1 << 20, 0);
            if (id < 0 or Page.of(id).header.end == 1) break;
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------

/// A disk that fails its k-th operation.
const FailingDisk = struct {
    var inner: *const disk.Disk.VTable = undefined;
    var countdown: i64 = 0;
    var vtable: disk.Disk.VTable = undefined;

    fn over(on: disk.Disk) disk.Disk {
        inner = on.vtable;
        vtable = on.vtable.*;
        vtable.file_open = fileOpen;
        vtable.pread = pread;
        vtable.pwritev = pwritev;
        vtable.data_sync = dataSync;
        vtable.directory_sync = directorySync;
        vtable.size = size;
        return .{ .context = on.context, .vtable = &vtable };
    }

    fn fails() bool {
        countdown -= 1;
        return countdown == 0;
    }

    const failure = system.failure(.IO);

    fn fileOpen(context: *anyopaque, directory: disk.DirectoryHandle, name: []const u8, mode: disk.OpenMode, opened: *disk.OpenedFile) disk.Result {
        return if (fails()) failure else inner.file_open(context, directory, name, mode, opened);
    }
    fn pread(context: *anyopaque, file: disk.FileHandle, buffer: []u8, offset: u64) disk.Result {
        return if (fails()) failure else inner.pread(context, file, buffer, offset);
    }
    fn pwritev(context: *anyopaque, file: disk.FileHandle, parts: []const disk.IoVec, offset: u64, data_sync: bool) disk.WriteOutcome {
        return if (fails()) .{ .result = failure, .calls = 1 } else inner.pwritev(context, file, parts, offset, data_sync);
    }
    fn dataSync(context: *anyopaque, file: disk.FileHandle) disk.Result {
        return if (fails()) failure else inner.data_sync(context, file);
    }
    fn directorySync(context: *anyopaque, directory: disk.DirectoryHandle) disk.Result {
        return if (fails()) failure else inner.directory_sync(context, directory);
    }
    fn size(context: *anyopaque, file: disk.FileHandle) disk.Result {
        return if (fails()) failure else inner.size(context, file);
    }
};

fn countFile(visitor: *anyopaque, name: []const u8, bytes: u64) i32 {
    _ = .{ name, bytes };
    const count: *u32 = @ptrCast(@alignCast(visitor));
    count.* += 1;
    return 0;
}

test "a flush that fails at any of its operations says so and leaves no file" {
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    const good = store.store.disk;
    store.useDisk(FailingDisk.over(good));
    defer store.useDisk(good);
    var writer = try MemtableWriter.init(8 << 20);
    defer writer.deinit();
    var buffer: [16]u8 = undefined;
    const value: [3000]u8 = @splat('x');
    for (0..1000) |i| writer.put(keyOf(i, &buffer), i + 1, &value);
    var failures: u32 = 0;
    for (1..100) |k| {
        FailingDisk.countdown = @intCast(k);
        const result = try store.flush(writer.id, @floatFromInt(k), &.{});
        if (result > 0) {
            _ = tables.tableRelease(result);
            break;
        }
        try testing.expectEqual(system.failure(.IO), result);
        failures += 1;
        var files: u32 = 0;
        _ = good.vtable.directory_list(good.context, store.store.directory, &files, countFile);
        try testing.expectEqual(0, files);
    }
    // Created, at least three pieces, two syncs, size, footer and three blocks read back.
    try testing.expect(failures >= 11);
}

test "reads that fail give their error, leave the cursor in place, and the rest stays readable" {
    var store: TableStore = undefined;
    const file_bytes = try makeTable(&store, .none);
    defer store.deinit();
    const good = store.store.disk;
    store.useDisk(FailingDisk.over(good));
    defer store.useDisk(good);
    block_cache.global.setCapacity(0);
    defer block_cache.global.setCapacity(block_cache.default_capacity);
    FailingDisk.countdown = 0;
    const head = store.open(1, file_bytes);
    try testing.expect(head.result > 0);
    defer _ = tables.tableRelease(head.result);
    const version = store.version(&.{&.{head.result}});
    defer _ = tables.versionRelease(version);
    for ([_]bool{ false, true }) |reverse| {
        for (1..6) |k| {
            const cursor = store.cursor(.{ .version = version, .sequence = 1000, .reverse = reverse });
            defer _ = tables.cursorClose(cursor);
            FailingDisk.countdown = @intCast(k);
            var rows: u32 = 0;
            var errors: u32 = 0;
            while (true) {
                // Not in the cache: refused where waiting is not allowed, as often as one asks.
                if (rows == 0) try testing.expectEqual(abi.Code.would_block.int(), tables.cursorFill(cursor, 100, 1 << 20, 1));
                const filled = store.fillByJob(cursor, 100, 1 << 20);
                if (filled.result < 0) {
                    try testing.expectEqual(system.failure(.IO), filled.result);
                    errors += 1;
                    continue;
                }
                const page = Page.of(filled.result);
                rows += page.header.count;
                if (page.header.end == 1) break;
            }
            try testing.expectEqual(33, rows);
            try testing.expect(errors <= 1);
        }
    }
}

test "values larger than a block, a page and the context's value area" {
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    var writer = try MemtableWriter.init(64 << 20);
    defer writer.deinit();
    const sizes = [_]usize{ 10, 4096, 65_536, 65_537, 3_000_000, 0, 9_000_000, 5 };
    const big = try testing.allocator.alloc(u8, 9_000_000);
    defer testing.allocator.free(big);
    var random = std.Random.DefaultPrng.init(2);
    random.random().bytes(big);
    for (sizes, 0..) |size, i| writer.put(&.{@intCast('a' + i)}, i + 1, big[i..][0..@min(size, big.len - i)]);
    const table = try store.flush(writer.id, 1, &.{});
    try testing.expect(table > 0);
    defer _ = tables.tableRelease(table);
    try testing.expectEqual(0, store.verify(table).result);
    const version = store.version(&.{&.{table}});
    defer _ = tables.versionRelease(version);

    for ([_]bool{ false, true }) |reverse| {
        for ([_]bool{ false, true }) |from_memtable| {
            const cursor = store.cursor(.{
                .version = if (from_memtable) 0 else version,
                .memtables = if (from_memtable) &.{writer.id} else &.{},
                .sequence = 100,
                .reverse = reverse,
            });
            defer _ = tables.cursorClose(cursor);
            var row: usize = 0;
            while (true) {
                const page = Page.of(tables.cursorFill(cursor, 8192, 1 << 20, 0));
                for (0..page.header.count) |at| {
                    const i = if (reverse) sizes.len - 1 - row else row;
                    try testing.expectEqualSlices(u8, big[i..][0..@min(sizes[i], big.len - i)], page.value(at));
                    row += 1;
                }
                if (page.header.end == 1) break;
            }
            try testing.expectEqual(sizes.len, row);
        }
    }
    const key_region = try region.reserve(1);
    defer _ = region.release(key_region);
    for (sizes, 0..) |size, i| {
        const expected = big[i..][0..@min(size, big.len - i)];
        const key = [1]u8{@intCast('a' + i)};
        const answer = store.get(version, &key, 100, 0);
        try testing.expectEqual(0, answer.code);
        const result: *abi.GetResult = @ptrCast(region.slice(store.context).?.ptr);
        if (size > abi.context_value_area_bytes) {
            try testing.expectEqualSlices(u8, expected, region.part(result.value_region, 0, expected.len).?);
            try testing.expect(region.release(result.value_region));
        } else {
            try testing.expectEqual(-1, result.value_region);
            try testing.expectEqualSlices(u8, expected, answer.value);
        }
        var job = std.mem.zeroes(abi.GetJob);
        job.head.opcode = @intFromEnum(abi.Opcode.table_get);
        job.version = version;
        job.region = key_region;
        job.key_bytes = 1;
        job.sequence = 100;
        region.slice(key_region).?[0] = key[0];
        tables.run(&store.store, &job.head);
        try testing.expectEqual(0, job.head.result);
        try testing.expectEqual(1, job.entry_type);
        try testing.expectEqual(expected.len, job.value_bytes);
        if (expected.len > 0) {
            try testing.expectEqualSlices(u8, expected, region.part(job.value_region, 0, expected.len).?);
            try testing.expect(region.release(job.value_region));
        } else try testing.expectEqual(-1, job.value_region);
    }
}

test "cursors keep what they read alive, and end with their handles" {
    var store: TableStore = undefined;
    const file_bytes = try makeTable(&store, .none);
    defer store.deinit();
    const head = store.open(1, file_bytes);
    const version = store.version(&.{&.{head.result}});
    var writer = try MemtableWriter.init(1 << 20);
    writer.put("key00002", 200, "new");
    const cursor = store.cursor(.{ .version = version, .memtables = &.{writer.id}, .sequence = 1000 });
    try testing.expect(cursor > 0);

    // The store lets go of everything, and the file's name goes.
    writer.deinit();
    try testing.expectEqual(0, tables.versionRelease(version));
    try testing.expectEqual(0, tables.tableRelease(head.result));
    const on = store.store.disk;
    try testing.expectEqual(0, on.vtable.unlink(on.context, store.store.directory, "000001.table"));
    try testing.expectEqual(abi.Code.closed.int(), store.cursor(.{ .version = version, .sequence = 1 }));
    try testing.expectEqual(abi.Code.closed.int(), store.get(version, "a", 1, 0).code);

    const page = Page.of(tables.cursorFill(cursor, 1000, 1 << 20, 0));
    try testing.expectEqual(34, page.header.count);
    try testing.expectEqualStrings("new", page.value(0));
    try testing.expect(region.slice(writer.id) != null);
    try testing.expectEqual(0, tables.cursorClose(cursor));
    try testing.expectEqual(null, region.slice(writer.id));
    try testing.expectEqual(abi.Code.closed.int(), tables.cursorClose(cursor));
    try testing.expectEqual(abi.Code.closed.int(), tables.cursorFill(cursor, 1, 1, 0));
    try testing.expectEqual(abi.Code.closed.int(), tables.memtableRelease(writer.id));
}

test "tables of level 0 that overlap in age: the newest version counts, and what two have comes once" {
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    const contents = [3][3]struct { []const u8, u64, []const u8 }{
        .{ .{ "a", 10, "new a" }, .{ "m", 20, "m" }, .{ "n", 1, "n" } },
        .{ .{ "a", 5, "old a" }, .{ "m", 20, "m" }, .{ "z", 30, "z" } },
        .{ .{ "a", 5, "old a" }, .{ "m", 20, "m" }, .{ "b", 2, "b" } },
    };
    var writers: [3]MemtableWriter = undefined;
    var handles: [3]i32 = undefined;
    for (&contents, &writers, &handles, 1..) |rows, *writer, *handle, number| {
        writer.* = try MemtableWriter.init(1 << 16);
        for (rows) |row| writer.put(row[0], row[1], row[2]);
        handle.* = try store.flush(writer.id, @floatFromInt(number), &.{});
        try testing.expect(handle.* > 0);
    }
    defer for (&writers) |*writer| writer.deinit();
    defer for (handles) |handle| {
        _ = tables.tableRelease(handle);
    };
    // In whichever order they stand.
    for ([_][3]usize{ .{ 0, 1, 2 }, .{ 1, 0, 2 }, .{ 2, 1, 0 } }) |order| {
        const version = store.version(&.{&.{ handles[order[0]], handles[order[1]], handles[order[2]] }});
        defer _ = tables.versionRelease(version);
        try testing.expectEqualStrings("new a", store.get(version, "a", 100, 0).value);
        try testing.expectEqualStrings("old a", store.get(version, "a", 9, 0).value);
        try testing.expectEqualStrings("z", store.get(version, "z", 100, 0).value);
        try testing.expectEqual(0, store.get(version, "z", 29, 0).entry_type);
    }

    var failure: Fault = .{};
    inline for ([_]merge_iterator.Direction{ .forward, .backward }) |direction| {
        var sources: [3]merge_iterator.Source = undefined;
        for (&writers, &sources) |*writer, *source| {
            try skip_list.extend(writer.memtable, true, &failure);
            source.* = .{ .from = .{ .memtable = .{ .memtable = writer.memtable } } };
        }
        var merge: merge_iterator.MergeIterator = try .init(testing.allocator, &sources);
        defer merge.deinit(testing.allocator);
        try merge.seek(direction, null, .disk, &failure);
        var seen: [8]u8 = undefined;
        var count: usize = 0;
        while (merge.top()) |source| : (count += 1) {
            seen[count] = source.key[0];
            try merge.advance(direction, .disk, &failure);
        }
        const expected = if (direction == .forward) "aabmnz" else "znmbaa";
        try testing.expectEqualStrings(expected, seen[0..count]);
    }
}

test "a table carries its family's number and name" {
    var store: TableStore = undefined;
    const file_bytes = try makeTable(&store, .none);
    defer store.deinit();
    var job = store.tableJob(.table_open, 1);
    job.file_bytes = file_bytes;
    job.family = 8;
    tables.run(&store.store, &job.head);
    try testing.expectEqual(abi.Code.corruption.int(), job.head.result);
    job.head.flags = abi.JobFlag.any_family;
    tables.run(&store.store, &job.head);
    try testing.expect(job.head.result > 0);
    defer _ = tables.tableRelease(job.head.result);
    const described = store.described();
    try testing.expectEqual(7, described.family);
    const keys_bytes = described.smallest_key_bytes + described.largest_key_bytes;
    const name_offset = @sizeOf(abi.TableDescription) + std.mem.alignForward(u32, keys_bytes, 8);
    const name = region.slice(store.description).?[name_offset..][0..described.family_name_bytes];
    try testing.expectEqualStrings(table_store.family_name, name);
}

test "requests that make no sense are refused" {
    var store: TableStore = undefined;
    try store.init();
    defer store.deinit();
    const invalid = abi.Code.invalid.int();
    const closed = abi.Code.closed.int();
    try testing.expectEqual(closed, store.version(&.{&.{12345}}));
    const words: [*]i32 = @ptrCast(@alignCast(region.slice(store.context).?.ptr + abi.context_key_offset));
    for ([_][4]i32{ .{ -1, 0, 0, 0 }, .{ 1, 5, 0, 0 }, .{ 3, 0, 0, 1 }, .{ 2, 0, 0, 0 }, .{ 1000, 0, 0, 0 }, .{ 1, -1, 0, 0 } }) |wrong| {
        words[0..4].* = wrong;
        try testing.expectEqual(invalid, tables.versionCreate(store.context, 4));
    }
    try testing.expectEqual(invalid, tables.versionCreate(store.context, std.math.maxInt(u32)));
    try testing.expectEqual(closed, tables.versionCreate(-5, 4));
    const empty = store.version(&.{});
    try testing.expect(empty > 0);
    defer _ = tables.versionRelease(empty);
    try testing.expectEqual(0, store.get(empty, "k", 1, 0).entry_type);
    for ([_]f64{ -1, 1e17, std.math.nan(f64), std.math.inf(f64) }) |sequence| {
        try testing.expectEqual(invalid, tables.get(empty, store.context, 1, sequence, 0));
    }
    try testing.expectEqual(invalid, tables.get(empty, store.context, 65_536, 1, 0));
    try testing.expectEqual(closed, tables.get(empty, 0, 1, 1, 0));
    try testing.expectEqual(closed, store.cursor(.{ .sequence = 1, .memtables = &.{0} }));
    const cursor = store.cursor(.{ .version = empty, .sequence = 1 });
    try testing.expectEqual(invalid, tables.cursorFill(cursor, 0, 1, 0));
    try testing.expectEqual(1, Page.of(tables.cursorFill(cursor, 1, 0, 0)).header.end);
    try testing.expectEqual(0, tables.cursorClose(cursor));

    var writer = try MemtableWriter.init(1 << 20);
    defer writer.deinit();
    try testing.expectEqual(invalid, try store.flush(writer.id, 1, &.{}));
    writer.put("a", 1, "1");
    try testing.expectEqual(invalid, try store.flush(writer.id, -1, &.{}));
    try testing.expectEqual(invalid, try store.flush(writer.id, 1.5, &.{}));
    try testing.expectEqual(invalid, try store.flush(writer.id, 1, &.{ 5, 4 }));
    try testing.expectEqual(invalid, try store.flush(0, 1, &.{}));
    writer.put("a", 1, "2");
    try testing.expectEqual(invalid, try store.flush(writer.id, 1, &.{}));
    writer.add(.merge, "b", 2, "1");
    const merging = store.cursor(.{ .sequence = 2, .memtables = &.{writer.id} });
    defer _ = tables.cursorClose(merging);
    try testing.expectEqual(1, Page.of(tables.cursorFill(merging, 10, 1000, 0)).header.count);
    try testing.expectEqual(abi.Code.unsupported.int(), tables.cursorFill(merging, 10, 1000, 0));
}
