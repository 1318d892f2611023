//! log_writer.zig: frames written are frames found, in both ways and on both disks; anything else is not one.

const std = @import("std");
const abi = @import("../abi.zig");
const checksum = @import("../checksum.zig");
const log_writer = @import("../log_writer.zig");
const Fixture = @import("store_fixture.zig").Fixture;
const testing = std.testing;

const header_bytes = @sizeOf(abi.LogFrame);

fn prepare(fixture: *const Fixture, file: i32, flags: u32, offset: f64, extents: []const u32) *abi.LogWriteJob {
    const job = fixture.log(1);
    job.* = std.mem.zeroes(abi.LogWriteJob);
    job.head.opcode = @intFromEnum(abi.Opcode.log_write);
    job.head.lane = @intFromEnum(abi.Lane.log);
    job.head.flags = flags;
    job.file = file;
    job.chain = 77;
    job.offset = offset;
    job.segment = 5;
    job.synced_segment = 4;
    job.synced_offset = 12_288;
    job.write_count = 3;
    job.extent_count = @intCast(extents.len);
    var at: u32 = 0;
    for (extents, 0..) |bytes, index| {
        job.extents[index] = .{ .region = fixture.data, .offset = at, .bytes = bytes };
        at += bytes;
    }
    return job;
}

fn readBack(fixture: *const Fixture, file: i32, bytes: u32) ![]u8 {
    const job = fixture.prepare(2, .file_read, .read);
    job.file = file;
    job.region_offset = 12 << 20;
    job.bytes = @floatFromInt(bytes);
    try testing.expectEqual(0, try fixture.run(2));
    return fixture.bytes()[12 << 20 ..][0..@intFromFloat(job.head.value)];
}

test "log_write frames its extents so that check() finds them, buffered and in blocks, synced and not" {
    for ([_]bool{ false, true }) |real| {
        var fixture = try Fixture.init(real);
        defer fixture.deinit();
        var random = std.Random.DefaultPrng.init(3);
        random.random().bytes(fixture.bytes()[0 .. 1 << 20]);
        const older = try fixture.create(.log, 4, 0);
        var number: f64 = 5;
        for ([_]u32{ 0, abi.JobFlag.blocks }) |way| {
            for ([_]u32{ 0, abi.JobFlag.durable, abi.JobFlag.durable | abi.JobFlag.sync_file }) |durable| {
                for ([_][]const u32{ &.{}, &.{8}, &.{ 101, 4000, 1 }, &.{ 300_000, 100_000 } }) |extents| {
                    const direct: u32 = if (way != 0) abi.FileFlag.direct else 0;
                    const file = try fixture.create(.log, number, direct);
                    number += 1;
                    const job = prepare(&fixture, file, way | durable, 4096, extents);
                    job.sync_files[0] = older;
                    job.sync_file_count = 1;
                    try testing.expectEqual(0, try fixture.submit(1));

                    var payload: u32 = 0;
                    for (extents) |bytes| payload += bytes;
                    const unit: u32 = if (way != 0) 4096 else 8;
                    const end = std.mem.alignForward(u32, 4096 + header_bytes + payload, unit);
                    try testing.expectEqual(@as(f64, @floatFromInt(end)), job.end_offset);
                    const bytes = try readBack(&fixture, file, 1 << 20);
                    try testing.expectEqual(end, bytes.len);
                    const frame = bytes[4096..];
                    try testing.expectEqual(.valid, log_writer.check(frame, .{ .segment = 5 }));
                    try testing.expectEqual(.invalid, log_writer.check(frame, .{ .segment = 6 }));
                    try testing.expectEqual(.empty, log_writer.check(bytes[0..4096], .{ .segment = 5 }));
                    try testing.expect(std.mem.eql(u8, frame[header_bytes..][0..payload], fixture.bytes()[0..payload]));
                    try testing.expect(std.mem.allEqual(u8, frame[header_bytes + payload ..], 0));
                    const found = std.mem.bytesToValue(abi.LogFrame, frame[0..header_bytes]);
                    try testing.expectEqual(job.frame_checksum, found.checksum);
                    try testing.expectEqual(77, found.chain);
                    try testing.expectEqual(12_288, found.synced_offset);
                }
            }
        }
        try testing.expectEqual(3 * 24, fixture.store.counters.writes_in);
        try testing.expectEqual(24, fixture.store.counters.write_calls);
    }
}

test "log_write carries out a frame larger than the staging buffer" {
    var fixture = try Fixture.init(true);
    defer fixture.deinit();
    @memset(fixture.bytes()[0 .. 9 << 20], 'x');
    const file = try fixture.create(.log, 5, abi.FileFlag.direct);
    const extents = [_]u32{ 5 << 20, (4 << 20) - 7 };
    _ = prepare(&fixture, file, abi.JobFlag.blocks | abi.JobFlag.durable, 0, &extents);
    try testing.expectEqual(0, try fixture.run(1));
    const end: u32 = @intFromFloat(fixture.log(1).end_offset);
    @memset(fixture.bytes(), 0);
    const job = fixture.prepare(2, .file_read, .read);
    job.file = file;
    job.bytes = @floatFromInt(end);
    try testing.expectEqual(0, try fixture.run(2));
    try testing.expectEqual(.valid, log_writer.check(fixture.bytes()[0..end], .{ .segment = 5 }));
}

test "a frame of a reused segment counts by its mark" {
    var fixture = try Fixture.init(false);
    defer fixture.deinit();
    const file = try fixture.create(.log, 5, abi.FileFlag.direct);
    prepare(&fixture, file, abi.JobFlag.blocks | abi.JobFlag.durable, 4096, &.{8}).mark = 9;
    try testing.expectEqual(0, try fixture.run(1));
    const frame = (try readBack(&fixture, file, 1 << 20))[4096..];
    try testing.expectEqual(.valid, log_writer.check(frame, .{ .segment = 5, .mark = 9 }));
    for ([_]u32{ 0, 8 }) |other| try testing.expectEqual(.invalid, log_writer.check(frame, .{ .segment = 5, .mark = other }));
}

test "log_write refuses what it was not made for" {
    var fixture = try Fixture.init(false);
    defer fixture.deinit();
    const file = try fixture.create(.log, 5, 0);
    const invalid = abi.Code.invalid.int();
    _ = prepare(&fixture, file, 0, 4, &.{8});
    try testing.expectEqual(invalid, try fixture.run(1));
    _ = prepare(&fixture, file, abi.JobFlag.blocks, 8, &.{8});
    try testing.expectEqual(invalid, try fixture.run(1));
    prepare(&fixture, file, 0, 0, &.{8}).extents[0].offset = std.math.maxInt(u32);
    try testing.expectEqual(invalid, try fixture.run(1));
    prepare(&fixture, file, 0, 0, &.{8}).extents[0].region = 60_000;
    try testing.expectEqual(invalid, try fixture.run(1));
    prepare(&fixture, file, 0, 0, &.{8}).extent_count = abi.log_extents_max + 1;
    try testing.expectEqual(invalid, try fixture.run(1));
    _ = prepare(&fixture, file + 1, 0, 0, &.{8});
    try testing.expectEqual(abi.Code.closed.int(), try fixture.run(1));
}

test "check() refuses every flipped bit, every cut, and lengths beyond the limit" {
    var fixture = try Fixture.init(false);
    defer fixture.deinit();
    @memset(fixture.bytes()[0..100], 'x');
    const file = try fixture.create(.log, 5, 0);
    _ = prepare(&fixture, file, 0, 0, &.{100});
    try testing.expectEqual(0, try fixture.run(1));
    const bytes = try readBack(&fixture, file, 4096);
    try testing.expectEqual(.valid, log_writer.check(bytes, .{ .segment = 5 }));
    const frame_bytes = header_bytes + 100;
    for (0..frame_bytes * 8) |bit| {
        bytes[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
        defer bytes[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
        try testing.expectEqual(.invalid, log_writer.check(bytes, .{ .segment = 5 }));
    }
    for (1..frame_bytes) |length| try testing.expectEqual(.invalid, log_writer.check(bytes[0..length], .{ .segment = 5 }));
    try testing.expectEqual(.empty, log_writer.check(bytes[0..0], .{ .segment = 5 }));
    try testing.expectEqual(.valid, log_writer.check(bytes[0..frame_bytes], .{ .segment = 5 }));

    // A length that a correct checksum vouches for is still compared with what is there.
    std.mem.writeInt(u32, bytes[4..8], 0xffff_fff0, .little);
    std.mem.writeInt(u32, bytes[0..4], checksum.crc32c(bytes[4..]), .little);
    try testing.expectEqual(.invalid, log_writer.check(bytes, .{ .segment = 5 }));
}
