//! The real disk in a temporary directory: what disk.zig promises.

const std = @import("std");
const abi = @import("../abi.zig");
const disk = @import("../disk.zig");
const disk_real = @import("../disk_real.zig");
const disk_simulated = @import("../disk_simulated.zig");
const system = @import("../system.zig");
const Scratch = @import("scratch.zig").Scratch;
const testing = std.testing;

const real = disk_real.real;

fn openDirectory(on: disk.Disk, path: []const u8) !disk.DirectoryHandle {
    const result = on.vtable.directory_open(on.context, path, true);
    try testing.expect(result >= 0);
    return @intCast(result);
}

fn openFile(on: disk.Disk, directory: disk.DirectoryHandle, name: []const u8, mode: disk.OpenMode) !disk.OpenedFile {
    var opened: disk.OpenedFile = undefined;
    try testing.expectEqual(0, on.vtable.file_open(on.context, directory, name, mode, &opened));
    return opened;
}

/// Each promise is tried on both disks.
fn onBoth(comptime body: fn (disk.Disk, []const u8) anyerror!void) !void {
    var scratch = try Scratch.init();
    defer scratch.deinit();
    var buffer: [256]u8 = undefined;
    try body(real, try std.fmt.bufPrint(&buffer, "{s}/a/b", .{scratch.path()}));
    const simulated = try disk_simulated.create(1);
    defer disk_simulated.destroy(simulated);
    try body(simulated, "/a/b");
}

test "directory_open() makes missing parents, and knows a directory under another spelling" {
    try onBoth(struct {
        fn body(on: disk.Disk, path: []const u8) !void {
            try testing.expect(on.vtable.directory_open(on.context, path, false) < 0);
            const first = try openDirectory(on, path);
            defer on.vtable.directory_close(on.context, first);
            var buffer: [300]u8 = undefined;
            const second = try openDirectory(on, try std.fmt.bufPrint(&buffer, "{s}/../b/.", .{path}));
            defer on.vtable.directory_close(on.context, second);
            const identity = on.vtable.directory_identity(on.context, first);
            try testing.expectEqual(identity, on.vtable.directory_identity(on.context, second));
            try testing.expectEqual(0, on.vtable.directory_sync(on.context, first));
        }
    }.body);
}

test "a file is created once, written, read, cut, renamed and unlinked" {
    try onBoth(struct {
        fn body(on: disk.Disk, path: []const u8) !void {
            const v = on.vtable;
            const directory = try openDirectory(on, path);
            defer v.directory_close(on.context, directory);
            const file = try openFile(on, directory, "000001.log", .{ .create = true });
            var again: disk.OpenedFile = undefined;
            const exists = v.file_open(on.context, directory, "000001.log", .{ .create = true }, &again);
            try testing.expectEqual(system.failure(.EXIST), exists);

            const parts = [_]disk.IoVec{ .{ .base = "hello ", .len = 6 }, .{ .base = "world", .len = 5 } };
            for ([_]bool{ false, true }) |synced| {
                const outcome = v.pwritev(on.context, file.handle, &parts, 3, synced);
                try testing.expectEqual(11, outcome.result);
                try testing.expectEqual(1, outcome.calls);
            }
            var bytes: [32]u8 = undefined;
            try testing.expectEqual(14, v.pread(on.context, file.handle, &bytes, 0));
            try testing.expectEqualStrings("\x00\x00\x00hello world", bytes[0..14]);
            try testing.expectEqual(0, v.pread(on.context, file.handle, &bytes, 14));
            try testing.expectEqual(0, v.pread(on.context, file.handle, &bytes, 1 << 40));
            try testing.expectEqual(0, v.data_sync(on.context, file.handle));
            try testing.expectEqual(0, v.truncate(on.context, file.handle, 5));
            try testing.expectEqual(5, v.size(on.context, file.handle));
            try testing.expectEqual(0, v.allocate(on.context, file.handle, 0, 8192));
            try testing.expectEqual(8192, v.size(on.context, file.handle));
            try testing.expectEqual(0, v.rename(on.context, directory, "000001.log", "000002.log"));
            try testing.expectEqual(system.failure(.NOENT), v.unlink(on.context, directory, "000001.log"));
            try testing.expectEqual(0, v.unlink(on.context, directory, "000002.log"));
            // Unlinked, it can still be read by whoever has it open.
            try testing.expectEqual(5, v.pread(on.context, file.handle, bytes[0..5], 0));
            v.file_close(on.context, file.handle);
            try testing.expectEqual(0, v.directory_remove(on.context, path));
        }
    }.body);
}

test "pwritev() makes one call of few parts and two of 1,025, with and without vectors" {
    var scratch = try Scratch.init();
    defer scratch.deinit();
    const directory = try openDirectory(real, scratch.path());
    defer real.vtable.directory_close(real.context, directory);
    const file = try openFile(real, directory, "000001.log", .{ .create = true });
    defer real.vtable.file_close(real.context, file.handle);
    var parts: [1025]disk.IoVec = undefined;
    for (&parts) |*part| part.* = .{ .base = "ab", .len = 2 };
    defer disk_real.vectored_writes.store(true, .monotonic);
    for ([_]bool{ true, false }) |vectored| {
        disk_real.vectored_writes.store(vectored, .monotonic);
        const outcome = real.vtable.pwritev(real.context, file.handle, &parts, 0, true);
        try testing.expectEqual(2050, outcome.result);
        try testing.expectEqual(@as(u32, if (vectored) 2 else 1), outcome.calls);
        try testing.expectEqual(2050, real.vtable.size(real.context, file.handle));
    }
}

test "direct files read and write whole blocks, or say that they are not direct" {
    var scratch = try Scratch.init();
    defer scratch.deinit();
    const directory = try openDirectory(real, scratch.path());
    defer real.vtable.directory_close(real.context, directory);
    const file = try openFile(real, directory, "000001.log", .{ .create = true, .direct = true });
    defer real.vtable.file_close(real.context, file.handle);
    var block: [8192]u8 align(4096) = @splat('x');
    const parts = [_]disk.IoVec{.{ .base = &block, .len = 4096 }};
    try testing.expectEqual(4096, real.vtable.pwritev(real.context, file.handle, &parts, 0, true).result);
    try testing.expectEqual(0, real.vtable.truncate(real.context, file.handle, 4000));
    try testing.expectEqual(4000, real.vtable.pread(real.context, file.handle, &block, 0));
}

test "a lock excludes every other, in the same process too, and names its owner" {
    try onBoth(struct {
        fn body(on: disk.Disk, path: []const u8) !void {
            const v = on.vtable;
            const directory = try openDirectory(on, path);
            defer v.directory_close(on.context, directory);
            const locked: i64 = abi.Code.locked.int();

            // A reader of a store that nobody has opened for writing creates nothing, and still excludes a writer.
            const reader = v.lock(on.context, directory, .shared);
            try testing.expect(reader >= 0);
            try testing.expectEqual(locked, v.lock(on.context, directory, .exclusive));
            v.unlock(on.context, @intCast(reader));

            const owner = v.lock(on.context, directory, .exclusive);
            try testing.expect(owner >= 0);
            try testing.expectEqual(locked, v.lock(on.context, directory, .exclusive));
            try testing.expectEqual(locked, v.lock(on.context, directory, .shared));
            // The failed attempts released nothing.
            try testing.expectEqual(locked, v.lock(on.context, directory, .exclusive));
            try testing.expectEqual(system.processId(), v.lock_owner(on.context, directory));
            v.unlock(on.context, @intCast(owner));

            const readers = [_]i64{
                v.lock(on.context, directory, .shared), v.lock(on.context, directory, .shared),
            };
            try testing.expectEqual(locked, v.lock(on.context, directory, .exclusive));
            for (readers) |each| v.unlock(on.context, @intCast(each));
            const last = v.lock(on.context, directory, .exclusive);
            try testing.expect(last >= 0);
            v.unlock(on.context, @intCast(last));
        }
    }.body);
}

test "a link is a second name of the same file, which outlives the first" {
    try onBoth(struct {
        fn body(on: disk.Disk, path: []const u8) !void {
            const v = on.vtable;
            const directory = try openDirectory(on, path);
            defer v.directory_close(on.context, directory);
            const other: disk.DirectoryHandle = @intCast(v.subdirectory_open(on.context, directory, "other", true));
            defer v.directory_close(on.context, other);
            const file = try openFile(on, directory, "000001.table", .{ .create = true });
            const parts = [_]disk.IoVec{.{ .base = "hello", .len = 5 }};
            try testing.expectEqual(5, v.pwritev(on.context, file.handle, &parts, 0, false).result);
            v.file_close(on.context, file.handle);
            const missing = v.link(on.context, directory, "000002.table", other, "000002.table");
            try testing.expectEqual(system.failure(.NOENT), missing);
            try testing.expectEqual(0, v.link(on.context, directory, "000001.table", other, "000003.table"));
            const twice = v.link(on.context, directory, "000001.table", other, "000003.table");
            try testing.expectEqual(system.failure(.EXIST), twice);
            try testing.expectEqual(0, v.unlink(on.context, directory, "000001.table"));
            const linked = try openFile(on, other, "000003.table", .{ .read_only = true });
            defer v.file_close(on.context, linked.handle);
            var bytes: [8]u8 = undefined;
            try testing.expectEqual(5, v.pread(on.context, linked.handle, &bytes, 0));
            try testing.expectEqualStrings("hello", bytes[0..5]);
        }
    }.body);
}

test "a directory within another is made, renamed over an empty one only, and removed when it is empty" {
    try onBoth(struct {
        fn body(on: disk.Disk, path: []const u8) !void {
            const v = on.vtable;
            const c = on.context;
            const directory = try openDirectory(on, path);
            defer v.directory_close(c, directory);
            try testing.expectEqual(system.failure(.NOENT), v.subdirectory_open(c, directory, "one", false));
            for ([_][]const u8{ "one", "one", "two", "three" }) |name| {
                const made = v.subdirectory_open(c, directory, name, true);
                try testing.expect(made >= 0);
                v.directory_close(c, @intCast(made));
            }
            const two: disk.DirectoryHandle = @intCast(v.subdirectory_open(c, directory, "two", false));
            const file = try openFile(on, two, "000001.log", .{ .create = true });
            v.file_close(c, file.handle);
            const plain = try openFile(on, directory, "000002.log", .{ .create = true });
            v.file_close(c, plain.handle);

            const full = v.rename(c, directory, "one", "two");
            try testing.expect(full == system.failure(.NOTEMPTY) or full == system.failure(.EXIST));
            try testing.expectEqual(system.failure(.NOTDIR), v.rename(c, directory, "one", "000002.log"));
            try testing.expectEqual(system.failure(.NOTDIR), v.subdirectory_open(c, directory, "000002.log", false));
            try testing.expectEqual(0, v.rename(c, directory, "one", "three"));
            try testing.expectEqual(0, v.rename(c, directory, "two", "three"));
            const busy = v.subdirectory_remove(c, directory, "three");
            try testing.expect(busy == system.failure(.NOTEMPTY) or busy == system.failure(.EXIST));
            try testing.expectEqual(0, v.unlink(c, two, "000001.log"));
            v.directory_close(c, two);
            try testing.expectEqual(0, v.subdirectory_remove(c, directory, "three"));
            try testing.expectEqual(system.failure(.NOENT), v.subdirectory_remove(c, directory, "three"));
        }
    }.body);
}

test "subdirectory_open() follows no symbolic link" {
    var scratch = try Scratch.init();
    defer scratch.deinit();
    const directory = try openDirectory(real, scratch.path());
    defer real.vtable.directory_close(real.context, directory);
    var path: [300]u8 = undefined;
    const link = try std.fmt.bufPrintZ(&path, "{s}/planted", .{scratch.path()});
    try testing.expectEqual(0, std.c.symlink("/tmp", link));
    for ([_]bool{ false, true }) |create| {
        const result = real.vtable.subdirectory_open(real.context, directory, "planted", create);
        try testing.expect(result == system.failure(.LOOP) or result == system.failure(.NOTDIR));
    }
}

test "file_open() follows no symbolic link and opens no pipe" {
    var scratch = try Scratch.init();
    defer scratch.deinit();
    const directory = try openDirectory(real, scratch.path());
    defer real.vtable.directory_close(real.context, directory);
    var path: [300]u8 = undefined;
    const link = try std.fmt.bufPrintZ(&path, "{s}/000001.log", .{scratch.path()});
    try testing.expectEqual(0, std.c.symlink("/tmp/elsewhere", link));
    var opened: disk.OpenedFile = undefined;
    for ([_]disk.OpenMode{ .{}, .{ .create = true }, .{ .read_only = true } }) |mode| {
        const result = real.vtable.file_open(real.context, directory, "000001.log", mode, &opened);
        try testing.expect(result == system.failure(.LOOP) or result == system.failure(.EXIST));
    }
    const pipe = try std.fmt.bufPrintZ(&path, "{s}/000002.log", .{scratch.path()});
    try testing.expectEqual(0, mkfifo(pipe, 0o600));
    for ([_]disk.OpenMode{ .{}, .{ .read_only = true } }) |mode| {
        const result = real.vtable.file_open(real.context, directory, "000002.log", mode, &opened);
        try testing.expectEqual(system.failure(.INVAL), result);
    }
}

extern "c" fn mkfifo(path: [*:0]const u8, mode: std.c.mode_t) c_int;
