//! Stores and jobs, on the simulated disk and on the real one.

const std = @import("std");
const abi = @import("../abi.zig");
const disk_registry = @import("../disk_registry.zig");
const disk_simulated = @import("../disk_simulated.zig");
const error_detail = @import("../error_detail.zig");
const job_runner = @import("../job_runner.zig");
const region = @import("../region.zig");
const store_registry = @import("../store.zig");
const system = @import("../system.zig");
const Fixture = @import("store_fixture.zig").Fixture;
const testing = std.testing;

const closed = abi.Code.closed.int();
const invalid = abi.Code.invalid.int();

test "file jobs do the same by run and by submit, on both disks" {
    for ([_]bool{ false, true }) |real| {
        for ([_]bool{ false, true }) |submitted| {
            var fixture = try Fixture.init(real);
            defer fixture.deinit();
            const go = if (submitted) &Fixture.submit else &Fixture.run;
            const file = try fixture.create(.temporary, 12, 0);

            @memcpy(fixture.bytes()[100..105], "hello");
            const write = fixture.prepare(1, .file_write, .log);
            write.file = file;
            write.region_offset = 100;
            write.bytes = 5;
            write.offset = 3;
            write.head.flags = abi.JobFlag.durable;
            try testing.expectEqual(0, try go(&fixture, 1));
            try testing.expectEqual(5, write.head.value);

            const read = fixture.prepare(2, .file_read, .read);
            read.file = file;
            read.bytes = 100;
            try testing.expectEqual(0, try go(&fixture, 2));
            try testing.expectEqual(8, read.head.value);
            try testing.expectEqualStrings("\x00\x00\x00hello", fixture.bytes()[0..8]);

            for ([_]abi.Opcode{ .file_sync, .directory_sync, .file_size }) |opcode| {
                fixture.prepare(3, opcode, .background).file = file;
                try testing.expectEqual(0, try go(&fixture, 3));
            }
            try testing.expectEqual(8, fixture.file(3).head.value);

            const allocate = fixture.prepare(3, .file_allocate, .background);
            allocate.file = file;
            allocate.offset = 8192;
            allocate.bytes = 3 << 20;
            allocate.head.flags = abi.JobFlag.zero;
            try testing.expectEqual(0, try go(&fixture, 3));
            const truncate = fixture.prepare(3, .file_truncate, .background);
            truncate.file = file;
            truncate.bytes = 4096;
            try testing.expectEqual(0, try go(&fixture, 3));

            const rename = fixture.prepare(3, .file_rename, .background);
            rename.kind = @intFromEnum(abi.FileKind.temporary);
            rename.number = 12;
            rename.target_kind = @intFromEnum(abi.FileKind.current);
            try testing.expectEqual(0, try go(&fixture, 3));
            _ = try fixture.create(.table, 1_234_567, 0);
            const list = fixture.prepare(3, .directory_list, .background);
            list.bytes = 4096;
            try testing.expectEqual(0, try go(&fixture, 3));
            try testing.expectEqual(3, list.head.value);
            const entries: *[3]abi.DirectoryEntry = @ptrCast(fixture.bytes());
            var seen: u32 = 0;
            for (entries) |entry| {
                seen |= @as(u32, 1) << @intCast(entry.kind);
                if (entry.kind == @intFromEnum(abi.FileKind.current)) try testing.expectEqual(4096, entry.bytes);
                if (entry.kind == @intFromEnum(abi.FileKind.table)) try testing.expectEqual(1_234_567, entry.number);
            }
            try testing.expectEqual(0b1001010, seen);
            list.bytes = 2 * @sizeOf(abi.DirectoryEntry);
            try testing.expectEqual(abi.Code.exhausted.int(), try go(&fixture, 3));

            const unlink = fixture.prepare(3, .file_unlink, .background);
            unlink.kind = @intFromEnum(abi.FileKind.current);
            try testing.expectEqual(0, try go(&fixture, 3));
            try testing.expectEqual(system.failure(.NOENT), try go(&fixture, 3));

            const close = fixture.prepare(3, .file_close, .background);
            close.file = file;
            try testing.expectEqual(0, try go(&fixture, 3));
            try testing.expectEqual(closed, try go(&fixture, 3));
            write.head.result = 0;
            try testing.expectEqual(closed, try go(&fixture, 1));
        }
    }
}

test "file jobs refuse nonsense with a code" {
    var fixture = try Fixture.init(false);
    defer fixture.deinit();
    const file = try fixture.create(.log, 1, 0);
    for ([_]f64{ -1, 0.5, std.math.nan(f64), std.math.inf(f64), 1e300, 1 << 30 }) |nonsense| {
        const job = fixture.prepare(1, .file_write, .log);
        job.file = file;
        job.bytes = nonsense;
        try testing.expectEqual(invalid, try fixture.run(1));
        job.bytes = 1;
        job.region_offset = nonsense;
        try testing.expectEqual(invalid, try fixture.run(1));
    }
    fixture.prepare(1, .file_open, .log).kind = @intFromEnum(abi.FileKind.lock);
    try testing.expectEqual(invalid, try fixture.run(1));
    fixture.prepare(1, .file_open, .log).kind = 99;
    try testing.expectEqual(invalid, try fixture.run(1));
    fixture.prepare(1, .file_open, .log).head.opcode = 999;
    try testing.expectEqual(invalid, try fixture.run(1));
    fixture.prepare(1, .file_open, .log).head.lane = 9;
    try testing.expectEqual(invalid, fixture.store.runner.submit(fixture.store, 1));
    try testing.expectEqual(invalid, fixture.store.runner.submit(fixture.store, abi.job_count));
    try testing.expectEqual(invalid, fixture.store.runner.run(fixture.store, std.math.maxInt(u32)));
}

test "every submitted job is done once and announced once, from many threads" {
    var fixture = try Fixture.init(true);
    defer fixture.deinit();
    const file = try fixture.create(.blob, 1, 0);
    const worker = struct {
        fn work(f: *const Fixture, handle: i32, first: u32) void {
            for (0..200) |_| {
                for (first..first + 16) |index| {
                    const job: u32 = @intCast(index);
                    const record = f.prepare(job, .file_write, @enumFromInt(index % 3));
                    record.file = handle;
                    record.offset = @floatFromInt(index * 64);
                    record.region_offset = @floatFromInt(index * 64);
                    record.bytes = 64;
                    if (f.store.runner.submit(f.store, job) != 0) @panic("submit refused");
                }
                for (first..first + 16) |index| {
                    const job: u32 = @intCast(index);
                    f.finish(job) catch @panic("not finished");
                    while (f.store.runner.in_flight[job].load(.acquire)) std.Thread.yield() catch {};
                    if (f.file(job).head.result != 0) @panic("write failed");
                }
            }
        }
    }.work;
    for (fixture.bytes()[0 .. 64 * 64], 0..) |*byte, index| byte.* = @truncate(index / 64 + 1);
    var threads: [3]std.Thread = undefined;
    for (&threads, 0..) |*thread, index| {
        thread.* = try std.Thread.spawn(.{}, worker, .{ &fixture, file, @as(u32, @intCast(index * 16)) });
    }
    for (threads) |thread| thread.join();

    const counters = fixture.store.counters;
    const tail = @atomicLoad(u32, &fixture.store.shared.completion_tail, .seq_cst);
    try testing.expect(tail >= 3 * 16 * 200);
    try testing.expectEqual(counters.jobs_run - 1, tail);
    try testing.expect(counters.write_calls <= counters.writes_in);
    const read = fixture.prepare(60, .file_read, .read);
    read.file = file;
    read.region_offset = 1 << 20;
    read.bytes = 48 * 64;
    try testing.expectEqual(0, try fixture.submit(60));
    try testing.expect(std.mem.eql(u8, fixture.bytes()[0 .. 48 * 64], fixture.bytes()[1 << 20 ..][0 .. 48 * 64]));
}

test "a stepped disk runs nothing by itself, and the same order for the same seed" {
    var orders: [2][30]u32 = undefined;
    for (&orders) |*order| {
        var fixture = try Fixture.init(false);
        defer fixture.deinit();
        for (0..30) |index| {
            _ = fixture.prepare(@intCast(index), .directory_sync, @enumFromInt(index % 3));
            try testing.expectEqual(0, fixture.store.runner.submit(fixture.store, @intCast(index)));
        }
        try testing.expectEqual(0, fixture.store.shared.completion_tail);
        try testing.expectEqual(0, fixture.store.runner.wait(0, 1000));
        for (0..30) |_| try testing.expectEqual(1, fixture.store.runner.step(fixture.store));
        try testing.expectEqual(0, fixture.store.runner.step(fixture.store));
        try testing.expectEqual(30, fixture.store.shared.completion_tail);
        const region_bytes = region.slice(fixture.store.shared_region).?;
        const ring: *const [30]u32 = @ptrCast(@alignCast(region_bytes[abi.store_completions_offset..].ptr));
        order.* = ring.*;
    }
    try testing.expectEqualSlices(u32, &orders[0], &orders[1]);
}

test "queued writes that meet in one file go out in one call" {
    var fixture = try Fixture.init(false);
    defer fixture.deinit();
    const file = try fixture.create(.blob, 1, 0);
    @memcpy(fixture.bytes()[0..6], "abcdef");
    for ([_]u32{ 4, 0, 2 }, 1..) |offset, index| {
        const job = fixture.prepare(@intCast(index), .file_write, .background);
        job.file = file;
        job.offset = @floatFromInt(offset);
        job.region_offset = @floatFromInt(offset);
        job.bytes = 2;
        try testing.expectEqual(0, fixture.store.runner.submit(fixture.store, @intCast(index)));
    }
    try testing.expectEqual(1, fixture.store.runner.step(fixture.store));
    try testing.expectEqual(0, fixture.store.runner.step(fixture.store));
    try testing.expectEqual(3, fixture.store.counters.writes_in);
    try testing.expectEqual(1, fixture.store.counters.write_calls);
    try testing.expectEqual(3, fixture.store.shared.completion_tail);
    for (1..4) |index| {
        try testing.expectEqual(2, fixture.file(@intCast(index)).head.value);
        try testing.expectEqual(0, fixture.file(@intCast(index)).head.result);
    }
    const read = fixture.prepare(4, .file_read, .read);
    read.file = file;
    read.region_offset = 100;
    read.bytes = 10;
    try testing.expectEqual(0, try fixture.run(4));
    try testing.expectEqualStrings("abcdef", fixture.bytes()[100..106]);
}

test "one process opens a directory once, and says who has it" {
    for ([_]bool{ false, true }) |real| {
        var fixture = try Fixture.init(real);
        defer fixture.deinit();
        var spelling: [300]u8 = undefined;
        const other = try std.fmt.bufPrint(&spelling, "{s}/./", .{fixture.path()});
        error_detail.clear();
        try testing.expectEqual(abi.Code.attached.int(), store_registry.open(fixture.disk_id, other, 0, .{ .io_threads = 1 }));
        var expected: [32]u8 = undefined;
        const detail = try std.fmt.bufPrint(&expected, "store {d}", .{fixture.store.core.id});
        try testing.expectEqualStrings(detail, error_detail.get());
        try testing.expectEqual(abi.Code.attached.int(), store_registry.remove(fixture.disk_id, other));

        // As another copy of the library would: past the registry, into the lock.
        const v = fixture.store.disk.vtable;
        const context = fixture.store.disk.context;
        try testing.expectEqual(abi.Code.locked.int(), v.lock(context, fixture.store.directory, .exclusive));
        try testing.expectEqual(abi.Code.locked.int(), v.lock(context, fixture.store.directory, .shared));
    }
}

test "a closed store answers with a code, its files are closed, and it opens again" {
    for ([_]bool{ false, true }) |real| {
        var fixture = try Fixture.init(real);
        // A temporary file is what makes a directory a store's: see store.zig.
        _ = try fixture.create(.temporary, 1, 0);
        for (0..20) |index| {
            _ = fixture.prepare(@intCast(index), .directory_sync, @enumFromInt(index % 3));
            try testing.expectEqual(0, fixture.store.runner.submit(fixture.store, @intCast(index)));
        }
        const old = fixture.handle;
        try testing.expectEqual(0, store_registry.close(old));
        try testing.expectEqual(closed, store_registry.close(old));
        try testing.expectEqual(null, store_registry.acquire(old));
        fixture.handle = store_registry.open(fixture.disk_id, fixture.path(), 0, .{ .io_threads = 1 });
        try testing.expect(fixture.handle > 0 and fixture.handle != old);
        fixture.deinit();
    }
}

test "close ends a wait on another thread" {
    var fixture = try Fixture.init(true);
    const waiter = struct {
        fn wait(handle: i32, started: *std.atomic.Value(bool)) void {
            const store = store_registry.acquire(handle).?;
            defer store_registry.release(handle);
            started.store(true, .release);
            _ = store.runner.wait(0, 60_000_000);
        }
    }.wait;
    var started: std.atomic.Value(bool) = .init(false);
    const thread = try std.Thread.spawn(.{}, waiter, .{ fixture.handle, &started });
    while (!started.load(.acquire)) try std.Thread.yield();
    fixture.deinit();
    thread.join();
}

test "remove unlinks what is ours and leaves the rest" {
    var fixture = try Fixture.init(true);
    defer fixture.deinit();
    var buffer: [300]u8 = undefined;
    const path = try std.fmt.bufPrint(&buffer, "{s}/inner", .{fixture.path()});
    try testing.expectEqual(system.failure(.NOENT), store_registry.remove(0, path));
    for ([_]bool{ true, false }) |foreign| {
        const handle = store_registry.open(0, path, abi.OpenFlag.create, .{ .io_threads = 1 });
        try testing.expect(handle > 0);
        var copy = fixture;
        copy.handle = handle;
        copy.store = store_registry.acquire(handle).?;
        store_registry.release(handle);
        _ = try copy.create(.temporary, 1, 0);
        if (foreign) {
            var name: [320]u8 = undefined;
            const made = std.c.mkdir(try std.fmt.bufPrintZ(&name, "{s}/mine", .{path}), 0o700);
            try testing.expectEqual(0, made);
        }
        try testing.expectEqual(0, store_registry.close(handle));
        try testing.expectEqual(0, store_registry.remove(0, path));
        if (foreign) {
            var name: [320]u8 = undefined;
            try testing.expectEqual(0, std.c.rmdir(try std.fmt.bufPrintZ(&name, "{s}/mine", .{path})));
        }
    }
    try testing.expectEqual(system.failure(.NOENT), store_registry.open(0, path, 0, .{ .io_threads = 1 }));
}

test "a read-only store makes no file and writes none" {
    var fixture = try Fixture.init(true);
    defer fixture.deinit();
    _ = try fixture.create(.temporary, 2, 0);
    _ = try fixture.create(.log, 1, 0);
    try testing.expectEqual(0, store_registry.close(fixture.handle));
    fixture.handle = store_registry.open(0, fixture.path(), abi.OpenFlag.read_only, .{ .io_threads = 1 });
    try testing.expect(fixture.handle > 0);
    fixture.store = store_registry.acquire(fixture.handle).?;
    store_registry.release(fixture.handle);
    const open = fixture.prepare(1, .file_open, .read);
    open.number = 2;
    open.file_flags = abi.FileFlag.create;
    try testing.expectEqual(system.failure(.ROFS), try fixture.run(1));
    open.number = 1;
    open.file_flags = 0;
    const handle = try fixture.run(1);
    try testing.expect(handle > 0);
    const write = fixture.prepare(1, .file_write, .read);
    write.file = handle;
    write.bytes = 1;
    try testing.expectEqual(system.failure(.ROFS), try fixture.run(1));
    try testing.expectEqual(invalid, store_registry.open(0, "/tmp", 3, .{ .io_threads = 1 }));
}

test "on a stepped disk a late answer comes at its step, other lanes go on meanwhile, and a crash swallows it" {
    var fixture = try Fixture.init(false);
    defer fixture.deinit();
    const file = try fixture.create(.temporary, 12, 0);
    const simulated = disk_simulated.from(fixture.store.disk).?;
    disk_simulated.delay(simulated, .sync, 5, 5);
    const runner = &fixture.store.runner;
    const State = abi.JobState;
    fixture.prepare(1, .file_sync, .log).file = file;
    fixture.prepare(2, .file_size, .log).file = file;
    fixture.prepare(3, .file_size, .read).file = file;
    for (1..4) |job| try testing.expectEqual(0, runner.submit(fixture.store, @intCast(job)));
    const before = disk_simulated.operationCount(simulated);
    for (0..5) |_| try testing.expectEqual(1, runner.step(fixture.store));
    // The disk has done it, the store does not know it yet.
    try testing.expectEqual(before + 1, disk_simulated.operationCount(simulated));
    try testing.expectEqual(@intFromEnum(State.running), fixture.file(1).head.state);
    try testing.expectEqual(@intFromEnum(State.queued), fixture.file(2).head.state);
    try testing.expectEqual(@intFromEnum(State.done), fixture.file(3).head.state);
    try fixture.finish(2);
    try testing.expectEqual(0, fixture.file(1).head.result);

    fixture.prepare(1, .file_sync, .log).file = file;
    try testing.expectEqual(0, runner.submit(fixture.store, 1));
    try testing.expectEqual(1, runner.step(fixture.store));
    try disk_simulated.crash(simulated);
    try fixture.finish(1);
    try testing.expectEqual(abi.Code.crashed.int(), fixture.file(1).head.result);
    try testing.expectEqual(0, runner.step(fixture.store));
}

test "directory jobs: a locked directory within another takes links, its name, and goes with its files" {
    for ([_]bool{ false, true }) |real| {
        var fixture = try Fixture.init(real);
        defer fixture.deinit();
        _ = try fixture.create(.table, 7, 0);

        const above = try named(&fixture, .directory_open, 0, fixture.path(), abi.FileFlag.create, 0);
        try testing.expect(above > 0);
        for ([_][]const u8{ "", ".", "..", "a/b", "a\x00b" }) |wrong| {
            try testing.expectEqual(invalid, try named(&fixture, .subdirectory_open, above, wrong, abi.FileFlag.create, 0));
        }
        const create = abi.FileFlag.create;
        const made = try named(&fixture, .subdirectory_open, above, "made", create, abi.JobFlag.lock);
        try testing.expect(made > 0);
        const second = try named(&fixture, .subdirectory_open, above, "made", create, abi.JobFlag.lock);
        try testing.expectEqual(abi.Code.locked.int(), second);

        const link = fixture.prepare(1, .file_link, .background);
        link.kind = @intFromEnum(abi.FileKind.table);
        link.number = 7;
        link.target_kind = link.kind;
        link.target_number = 8;
        link.target_directory = made;
        try testing.expectEqual(0, try fixture.run(1));
        const sync = fixture.prepare(1, .directory_sync, .background);
        sync.directory = made;
        try testing.expectEqual(0, try fixture.run(1));

        try testing.expectEqual(0, try named(&fixture, .subdirectory_rename, above, "made\x00copy", 0, 0));
        try testing.expectEqual(0, try named(&fixture, .subdirectory_remove, above, "copy", 0, 0));
        const gone = try named(&fixture, .subdirectory_open, above, "copy", 0, 0);
        try testing.expectEqual(system.failure(.NOENT), gone);
        const close = fixture.prepare(1, .directory_close, .background);
        close.directory = made;
        try testing.expectEqual(0, try fixture.run(1));
        fixture.prepare(1, .directory_sync, .background).directory = made;
        try testing.expectEqual(closed, try fixture.run(1));
    }
}

fn named(
    fixture: *Fixture,
    opcode: abi.Opcode,
    directory: i32,
    text: []const u8,
    file_flags: u32,
    flags: u32,
) !i32 {
    @memcpy(fixture.bytes()[0..text.len], text);
    const job = fixture.prepare(1, opcode, .background);
    job.directory = directory;
    job.bytes = @floatFromInt(text.len);
    job.file_flags = file_flags;
    job.head.flags = flags;
    return fixture.run(1);
}
