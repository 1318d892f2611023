//! What a simulated disk keeps and what it loses.

const std = @import("std");
const testing = std.testing;
const abi = @import("../abi.zig");
const disk = @import("../disk.zig");
const disk_simulated = @import("../disk_simulated.zig");
const simulated_data = @import("../simulated_data.zig");
const simulated_names = @import("../simulated_names.zig");
const simulated_state = @import("../simulated_state.zig");
const simulated_tampering = @import("../simulated_tampering.zig");
const system = @import("../system.zig");
const Handle = simulated_state.Handle;
const Inode = @import("../simulated_file.zig").Inode;
const Simulated = disk_simulated.Simulated;
const crashed = simulated_state.crashed;

/// A disk with one open file in one directory.
const Bench = struct {
    on: disk.Disk,
    self: *Simulated,
    directory: usize,
    file: usize,

    fn init(seed: u64) !Bench {
        const on = try disk_simulated.create(seed);
        const self = disk_simulated.from(on).?;
        const directory: usize = @intCast(simulated_names.directoryOpen(self, "/a/store", true));
        var opened: disk.OpenedFile = undefined;
        try testing.expectEqual(0, simulated_data.fileOpen(self, directory, "000001.log", .{ .create = true }, &opened));
        return .{ .on = on, .self = self, .directory = directory, .file = opened.handle };
    }

    fn deinit(self: *Bench) void {
        simulated_names.handleClose(self.self, self.file);
        simulated_names.handleClose(self.self, self.directory);
        disk_simulated.destroy(self.on);
    }

    fn write(self: *Bench, offset: u64, bytes: []const u8, synced: bool) i64 {
        const parts = [_]disk.IoVec{.{ .base = bytes.ptr, .len = bytes.len }};
        return simulated_data.pwritev(self.self, self.file, &parts, offset, synced).result;
    }

    fn inode(self: *Bench) *Inode {
        const handle: *Handle = @ptrFromInt(self.file);
        return handle.target.file;
    }
};

test "what is durable is what was synced, in files and in names" {
    var bench = try Bench.init(1);
    defer bench.deinit();
    const self = bench.self;
    const inode = bench.inode();
    _ = bench.write(0, "abcd", false);
    try testing.expectEqual(0, inode.durable.items.len);
    // Synced by itself, but behind a change that is not: both are kept apart until the file is synced.
    _ = bench.write(2, "abcd", true);
    try testing.expectEqual(2, inode.changes.items.len);
    try testing.expect(inode.changes.items[1].synced);
    try testing.expectEqual(0, simulated_data.dataSync(self, bench.file));
    try testing.expectEqualStrings("ababcd", inode.durable.items);
    _ = bench.write(6, "abcd", true);
    try testing.expectEqualStrings("ababcdabcd", inode.durable.items);

    const names = &self.directoryOf(bench.directory).?.durable_names;
    try testing.expectEqual(0, names.count());
    try testing.expectEqual(0, simulated_names.directorySync(self, bench.directory));
    try testing.expectEqual(0, simulated_names.unlink(self, bench.directory, "000001.log"));
    try testing.expectEqual(1, names.count());
    try testing.expectEqual(0, simulated_names.directorySync(self, bench.directory));
    try testing.expectEqual(0, names.count());
}

test "a crash keeps synced writes, and of the others any sectors, any size between, old content or zeros" {
    var torn: u32 = 0;
    var whole: u32 = 0;
    var missing: u32 = 0;
    var short: u32 = 0;
    for (0..400) |seed| {
        var bench = try Bench.init(seed);
        defer bench.deinit();
        const inode = bench.inode();
        try testing.expectEqual(8192, bench.write(0, &@as([8192]u8, @splat('a')), true));
        try testing.expectEqual(8192, bench.write(4096, &@as([8192]u8, @splat('b')), false));
        try testing.expectEqual(100, bench.write(100, &@as([100]u8, @splat('c')), true));
        try disk_simulated.crash(bench.self);
        const found = inode.seen.items;
        try testing.expectEqualSlices(u8, found, inode.durable.items);
        try testing.expect(std.mem.allEqual(u8, found[0..100], 'a'));
        try testing.expect(std.mem.allEqual(u8, found[100..200], 'c'));
        try testing.expect(found.len == 8192 or found.len == 12288);
        if (found.len == 8192) short += 1;
        var arrived: usize = 0;
        var at: usize = 4096;
        while (at < found.len) : (at += 512) {
            const sector = found[at..][0..512];
            const is_new = sector[0] == 'b';
            try testing.expect(std.mem.allEqual(u8, sector, if (is_new) 'b' else if (at < 8192) 'a' else 0));
            arrived += @intFromBool(is_new);
        }
        const sectors = (found.len - 4096) / 512;
        if (arrived == 0) missing += 1 else if (arrived == sectors) whole += 1 else torn += 1;
        try testing.expectEqual(crashed, simulated_data.pread(bench.self, bench.file, &.{}, 0));
    }
    for ([_]u32{ torn, whole, missing, short }) |count| try testing.expect(count > 20);
}

test "a crash keeps or undoes each change of a name that was not synced" {
    var states: [4]u32 = @splat(0);
    for (0..200) |seed| {
        var bench = try Bench.init(seed);
        defer bench.deinit();
        const self = bench.self;
        try testing.expectEqual(0, simulated_names.directorySync(self, bench.directory));
        try testing.expectEqual(0, simulated_names.rename(self, bench.directory, "000001.log", "CURRENT"));
        var opened: disk.OpenedFile = undefined;
        try testing.expectEqual(0, simulated_data.fileOpen(self, bench.directory, "000002.log", .{ .create = true }, &opened));
        simulated_names.handleClose(self, opened.handle);
        try disk_simulated.crash(self);
        const reopened: usize = @intCast(simulated_names.directoryOpen(self, "/a/store", false));
        defer simulated_names.handleClose(self, reopened);
        const names = &self.directoryOf(reopened).?.names;
        const kept = names.contains("CURRENT");
        try testing.expect(kept != names.contains("000001.log"));
        states[@as(usize, @intFromBool(kept)) * 2 + @intFromBool(names.contains("000002.log"))] += 1;
    }
    for (states) |count| try testing.expect(count > 10);
}

test "a link lasts when its directory was synced, and a directory's rename is kept or undone as a whole" {
    var states: [4]u32 = @splat(0);
    for (0..200) |seed| {
        var bench = try Bench.init(seed);
        defer bench.deinit();
        const self = bench.self;
        const made: usize = @intCast(simulated_names.subdirectoryOpen(self, bench.directory, "made", true));
        defer simulated_names.handleClose(self, made);
        try testing.expectEqual(4, bench.write(0, "abcd", true));
        try testing.expectEqual(0, simulated_names.link(self, bench.directory, "000001.log", made, "000002.log"));
        try testing.expectEqual(0, simulated_names.directorySync(self, made));
        try testing.expectEqual(0, simulated_names.link(self, bench.directory, "000001.log", made, "000003.log"));
        try testing.expectEqual(0, simulated_names.unlink(self, bench.directory, "000001.log"));
        try testing.expectEqual(0, simulated_names.directorySync(self, bench.directory));
        try testing.expectEqual(0, simulated_names.rename(self, bench.directory, "made", "copy"));
        try disk_simulated.crash(self);
        const reopened: usize = @intCast(simulated_names.directoryOpen(self, "/a/store", false));
        defer simulated_names.handleClose(self, reopened);
        const names = &self.directoryOf(reopened).?.names;
        const is_renamed = names.contains("copy");
        try testing.expect(is_renamed != names.contains("made"));
        const copy = names.get(if (is_renamed) "copy" else "made").?.directory;
        try testing.expectEqualStrings(if (is_renamed) "copy" else "made", copy.name);
        try testing.expectEqualStrings("abcd", copy.names.get("000002.log").?.file.seen.items);
        states[@as(usize, @intFromBool(is_renamed)) * 2 + @intFromBool(copy.names.contains("000003.log"))] += 1;
    }
    for (states) |count| try testing.expect(count > 10);
}

test "a failed sync loses what it did not write, and the next one succeeds" {
    var lost: u32 = 0;
    for (0..50) |seed| {
        var bench = try Bench.init(seed);
        defer bench.deinit();
        const self = bench.self;
        _ = bench.write(0, "abcd", false);
        disk_simulated.failAfter(self, .sync, 5, 0, 1);
        try testing.expectEqual(-5, simulated_data.dataSync(self, bench.file));
        try testing.expectEqual(0, simulated_data.dataSync(self, bench.file));
        try testing.expectEqualStrings("abcd", bench.inode().seen.items);
        try disk_simulated.crash(self);
        if (!std.mem.eql(u8, "abcd", bench.inode().seen.items)) lost += 1;
    }
    try testing.expect(lost > 10 and lost < 50);
}

test "the power fails behind an operation, and everything is dead until it is back" {
    var bench = try Bench.init(3);
    defer bench.deinit();
    const self = bench.self;
    const before = disk_simulated.operationCount(self);
    disk_simulated.stopAfter(self, 2);
    try testing.expectEqual(4, bench.write(0, "abcd", false));
    try testing.expectEqual(0, simulated_data.dataSync(self, bench.file));
    try testing.expectEqual(crashed, bench.write(4, "abcd", false));
    try testing.expectEqual(crashed, simulated_names.directoryOpen(self, "/a", true));
    try testing.expectEqual(before + 2, disk_simulated.operationCount(self));
    try disk_simulated.crash(self);
    try testing.expectEqual(crashed, bench.write(4, "abcd", false));
    const again = simulated_names.directoryOpen(self, "/a", false);
    try testing.expect(again > 0);
    simulated_names.handleClose(self, @intCast(again));
}

test "a full disk writes what fits and says ENOSPC" {
    var bench = try Bench.init(4);
    defer bench.deinit();
    const self = bench.self;
    disk_simulated.setCapacity(self, 6);
    try testing.expectEqual(4, bench.write(0, "abcd", false));
    try testing.expectEqual(system.failure(.NOSPC), bench.write(4, "abcd", false));
    try testing.expectEqualStrings("abcdab", bench.inode().seen.items);
    try testing.expectEqual(4, bench.write(0, "efgh", false));
    try testing.expectEqual(system.failure(.NOSPC), simulated_data.allocate(self, bench.file, 0, 8));
    disk_simulated.clearFaults(self);
    try testing.expectEqual(0, simulated_data.allocate(self, bench.file, 0, 8));
}

test "the log of operations reads as it says" {
    var bench = try Bench.init(5);
    defer bench.deinit();
    _ = bench.write(0, "abcd", true);
    _ = simulated_names.unlink(bench.self, bench.directory, "CURRENT");
    var text: [512]u8 = undefined;
    const count = disk_simulated.readLog(bench.self, 0, &text);
    try testing.expectEqualStrings(
        \\1 make_directory /a
        \\2 sync_directory /
        \\3 make_directory /a/store
        \\4 sync_directory /a
        \\5 create /a/store/000001.log
        \\6 write /a/store/000001.log 0 +4 #92c80a31 synced
        \\7 unlink /a/store/CURRENT ENOENT
        \\
    , text[0..count]);
}

test "where data never arrived a crash leaves zeros, or what a deleted file held" {
    var zeros: u32 = 0;
    var old: u32 = 0;
    for (0..200) |seed| {
        var bench = try Bench.init(seed);
        defer bench.deinit();
        try testing.expectEqual(0, simulated_tampering.put(bench.self, "/a/gone", &@as([4096]u8, @splat('z'))));
        try testing.expectEqual(0, simulated_tampering.remove(bench.self, "/a/gone"));
        try testing.expectEqual(4096, bench.write(0, &@as([4096]u8, @splat('a')), true));
        try testing.expectEqual(8192, bench.write(4096, &@as([8192]u8, @splat('b')), false));
        try disk_simulated.crash(bench.self);
        const found = bench.inode().seen.items;
        try testing.expect(std.mem.allEqual(u8, found[0..4096], 'a'));
        var at: usize = 4096;
        while (at < found.len) : (at += 512) {
            const sector = found[at..][0..512];
            try testing.expect(std.mem.allEqual(u8, sector, sector[0]));
            switch (sector[0]) {
                0 => zeros += 1,
                'z' => old += 1,
                'b' => {},
                else => return error.TestUnexpectedResult,
            }
        }
    }
    try testing.expect(zeros > 50 and old > 50);
}

test "short transfers and interruptions are made good, and the power may fail between two pieces" {
    var bench = try Bench.init(6);
    defer bench.deinit();
    const self = bench.self;
    const content = "The quick brown fox jumps over the lazy dog";
    disk_simulated.failAfter(self, .write, abi.fault_short, 0, 3);
    try testing.expectEqual(content.len, @as(u64, @intCast(bench.write(5, content, true))));
    try testing.expectEqualStrings(content, bench.inode().durable.items[5..]);
    disk_simulated.failAfter(self, .read, abi.fault_short, 0, 3);
    var buffer: [100]u8 = undefined;
    const got = simulated_data.pread(self, bench.file, &buffer, 5);
    try testing.expectEqualStrings(content, buffer[0..@intCast(got)]);

    const before = disk_simulated.operationCount(self);
    disk_simulated.failAfter(self, .sync, @intCast(-system.failure(.INTR)), 0, 5);
    try testing.expectEqual(0, simulated_data.dataSync(self, bench.file));
    disk_simulated.failOften(self, .write, @intCast(-system.failure(.INTR)), 1);
    try testing.expectEqual(4, bench.write(0, "abcd", false));
    try testing.expectEqual(before + 2, disk_simulated.operationCount(self));
    disk_simulated.clearFaults(self);
    try testing.expectEqual(0, simulated_data.dataSync(self, bench.file));

    // What is left of a short write fails for itself.
    disk_simulated.failAfter(self, .write, abi.fault_short, 0, 1);
    disk_simulated.stopAfter(self, 1);
    try testing.expectEqual(crashed, bench.write(1000, content, true));
    const arrived = bench.inode().durable.items.len - 1000;
    try testing.expect(arrived > 0 and arrived < content.len);
}

test "a crash forgets the faults that were planned, and none that come by chance" {
    var bench = try Bench.init(8);
    defer bench.deinit();
    const self = bench.self;
    disk_simulated.failAfter(self, .open, 5, 0, 9);
    disk_simulated.failOften(self, .list, 5, 1);
    try testing.expectEqual(0, simulated_names.directorySync(self, bench.directory));
    try disk_simulated.crash(self);
    const directory: usize = @intCast(simulated_names.directoryOpen(self, "/a/store", false));
    defer simulated_names.handleClose(self, directory);
    var opened: disk.OpenedFile = undefined;
    try testing.expectEqual(0, simulated_data.fileOpen(self, directory, "000001.log", .{}, &opened));
    simulated_names.handleClose(self, opened.handle);
    const list = simulated_names.directoryList(self, directory, self, struct {
        fn visit(_: *anyopaque, _: []const u8, _: u64) i32 {
            return 0;
        }
    }.visit);
    try testing.expectEqual(-5, list);
}

test "a bit that rots stays so over a sync and a crash; files are put, read, listed and removed from outside" {
    var bench = try Bench.init(7);
    defer bench.deinit();
    const self = bench.self;
    const path = "/a/store/000001.log";
    try testing.expectEqual(4, bench.write(0, "abcd", true));
    try testing.expectEqual(4, bench.write(2, "efgh", false));
    try testing.expectEqual(0 * 8 + 1, simulated_tampering.rot(self, path, 0, 1));
    try testing.expectEqual(2 * 8 + 0, simulated_tampering.rot(self, path, 2, 0));
    try testing.expectEqual(0, simulated_data.dataSync(self, bench.file));
    try testing.expectEqual(0, simulated_names.directorySync(self, bench.directory));
    try disk_simulated.crash(self);
    var buffer: [64]u8 = undefined;
    try testing.expectEqual(6, simulated_tampering.read(self, path, 0, &buffer));
    try testing.expectEqualStrings("cbdfgh", buffer[0..6]);
    for (0..100) |_| {
        const drawn: u64 = @intCast(simulated_tampering.rot(self, path, null, null));
        try testing.expect(drawn < 6 * 8);
        try testing.expectEqual(@as(i64, @intCast(drawn)), simulated_tampering.rot(self, path, drawn / 8, @intCast(drawn % 8)));
    }
    try testing.expectEqualStrings("cbdfgh", bench.inode().seen.items);

    try testing.expectEqual(0, simulated_tampering.put(self, "/a/store/deep/er/file", "content"));
    try testing.expectEqual(0, simulated_tampering.put(self, path, "short"));
    try disk_simulated.crash(self);
    const count = simulated_tampering.list(self, "/a/store", 0, &buffer);
    try testing.expectEqualStrings("5 000001.log\n", buffer[0..@intCast(count)]);
    try testing.expectEqual(7, simulated_tampering.read(self, "/a/store/deep/er/file", 0, &buffer));
    try testing.expectEqual(0, simulated_tampering.remove(self, path));
    try testing.expectEqual(system.failure(.NOENT), simulated_tampering.remove(self, path));
    try testing.expectEqual(system.failure(.ISDIR), simulated_tampering.put(self, "/a/store", ""));
    try testing.expectEqual(system.failure(.NOENT), simulated_tampering.rot(self, path, null, null));
}
