//! Large values: written and read back on both disks, damage found, removed segments readable while pinned.

const std = @import("std");
const abi = @import("../abi.zig");
const blob_set = @import("../blob_set.zig");
const checksum = @import("../checksum.zig");
const region = @import("../region.zig");
const BlobValue = @import("../blob_value.zig").BlobValue;
const Fault = @import("../fault.zig").Fault;
const Fixture = @import("store_fixture.zig").Fixture;
const testing = std.testing;

const number = 17;
const segment_bytes = 8 << 20;

const Values = struct {
    fixture: Fixture,
    file: i32,

    fn init(real: bool, direct: bool) !Values {
        var self: Values = .{ .fixture = try Fixture.init(real), .file = 0 };
        self.fixture.store.table_files.options.direct_reads = direct;
        self.file = try self.fixture.create(.blob, number, if (direct) abi.FileFlag.direct else 0);
        const allocate = self.fixture.prepare(1, .file_allocate, .background);
        allocate.file = self.file;
        allocate.bytes = segment_bytes;
        try testing.expectEqual(0, try self.fixture.run(1));
        return self;
    }

    fn writeJob(self: *const Values, job: u32, value: region.Id, offset: u64, bytes: u32) *abi.BlobWriteJob {
        const record: *abi.BlobWriteJob = @ptrCast(@alignCast(self.fixture.file(job)));
        record.* = std.mem.zeroes(abi.BlobWriteJob);
        record.head.opcode = @intFromEnum(abi.Opcode.blob_write);
        record.head.lane = @intFromEnum(abi.Lane.value);
        record.file = self.file;
        record.region = value;
        record.number = number;
        record.offset = @floatFromInt(offset);
        record.bytes = bytes;
        return record;
    }

    fn write(self: *const Values, value: region.Id, offset: u64, bytes: u32) !abi.BlobAddress {
        const job = self.writeJob(2, value, offset, bytes);
        try testing.expectEqual(0, try self.fixture.run(2));
        try testing.expectEqual(@as(f64, @floatFromInt(std.mem.alignForward(u64, bytes, 4096))), job.head.value);
        return .{ .number = number, .offset = job.offset, .bytes = bytes, .checksum = job.checksum };
    }

    fn expect(self: *const Values, address: abi.BlobAddress, expected: []const u8) !void {
        const odd = try testing.allocator.alloc(u8, expected.len + 1);
        defer testing.allocator.free(odd);
        var failure: Fault = .{};
        try self.fixture.store.blobs.read(address, odd[1..], &failure);
        try testing.expectEqualSlices(u8, expected, odd[1..]);

        const target = try region.reserve(segment_bytes);
        defer _ = region.release(target);
        const job: *abi.BlobReadJob = @ptrCast(@alignCast(self.fixture.file(3)));
        job.* = std.mem.zeroes(abi.BlobReadJob);
        job.head.opcode = @intFromEnum(abi.Opcode.blob_read);
        job.head.lane = @intFromEnum(abi.Lane.read);
        job.address = address;
        job.region = target;
        try testing.expectEqual(0, try self.fixture.submit(3));
        try testing.expectEqualSlices(u8, expected, region.slice(target).?[0..expected.len]);
    }

    fn expectDamage(self: *const Values, address: abi.BlobAddress, target: []u8) !void {
        var failure: Fault = .{};
        try testing.expectError(error.Fault, self.fixture.store.blobs.read(address, target, &failure));
        try testing.expect(failure.is(.corruption));
        try testing.expectEqual(-@as(i32, @intFromFloat(address.number)), failure.detail());
    }
};

fn fill(id: region.Id, seed: u64) []u8 {
    const bytes = region.slice(id).?;
    var random = std.Random.DefaultPrng.init(seed);
    random.random().bytes(bytes);
    return bytes;
}

test "values of any length are read as they were written, direct or not, on both disks" {
    const value = try region.reserve(2 << 20);
    defer _ = region.release(value);
    for ([_]bool{ false, true }) |real| for ([_]bool{ false, true }) |direct| {
        var values = try Values.init(real, direct);
        defer values.fixture.deinit();
        var offset: u64 = 4096;
        for ([_]u32{ 1, 4095, 4096, 4097, 70_000, (1 << 20) - 1, (1 << 20) + 1 }) |bytes| {
            const content = fill(value, bytes);
            const kept = try testing.allocator.dupe(u8, content[0..bytes]);
            defer testing.allocator.free(kept);
            const address = try values.write(value, offset, bytes);
            try values.expect(address, kept);
            offset += std.mem.alignForward(u64, bytes, 4096);
        }
    };
}

test "neighbours that are submitted together go out in one call, each with its checksum" {
    for ([_]bool{ false, true }) |real| {
        var values = try Values.init(real, true);
        defer values.fixture.deinit();
        const before = values.fixture.store.counters.blob_write_calls;
        const count = 8;
        var regions: [count]region.Id = undefined;
        for (&regions, 0..) |*each, index| {
            each.* = try region.reserve(64 * 1024);
            @memset(region.slice(each.*).?[0..10_000], @intCast(index + 1));
        }
        defer for (regions) |each| {
            _ = region.release(each);
        };
        for (regions, 0..) |each, index| _ = values.writeJob(@intCast(10 + index), each, 4096 + index * 12_288, 10_000);
        if (values.fixture.store.disk.vtable.stepped) {
            for (0..count) |index| {
                try testing.expectEqual(0, values.fixture.store.runner.submit(values.fixture.store, @intCast(10 + index)));
            }
            for (0..count) |index| try values.fixture.finish(@intCast(10 + index));
            try testing.expectEqual(1, values.fixture.store.counters.blob_write_calls - before);
        } else for (0..count) |index| {
            try testing.expectEqual(0, try values.fixture.submit(@intCast(10 + index)));
        }
        for (0..count) |index| {
            const job: *abi.BlobWriteJob = @ptrCast(@alignCast(values.fixture.file(@intCast(10 + index))));
            try testing.expectEqual(0, job.head.result);
            const expected: [10_000]u8 = @splat(@intCast(index + 1));
            try testing.expectEqual(
                blob_set.checksumOf(checksum.crc32c(&expected), number, 4096 + index * 12_288),
                job.checksum,
            );
            const address: abi.BlobAddress = .{ .number = number, .offset = job.offset, .bytes = 10_000, .checksum = job.checksum };
            try values.expect(address, &expected);
        }
    }
}

test "a value that is damaged, cut off, elsewhere or missing is told, with segment and offset" {
    var values = try Values.init(true, false);
    defer values.fixture.deinit();
    const value = try region.reserve(64 * 1024);
    defer _ = region.release(value);
    _ = fill(value, 1);
    const address = try values.write(value, 8192, 50_000);
    const target = try testing.allocator.alloc(u8, 50_000);
    defer testing.allocator.free(target);

    var other = address;
    other.offset += 4096;
    try values.expectDamage(other, target);
    other = address;
    other.offset += 1;
    try values.expectDamage(other, target);
    other = address;
    other.number = 18;
    try values.expectDamage(other, target);
    other = address;
    other.bytes -= 1;
    try values.expectDamage(other, target);
    other = address;
    other.checksum ^= 1;
    try values.expectDamage(other, target);
    other = address;
    for ([_]f64{ -1, 0.5, std.math.nan(f64), 1e300 }) |wrong| {
        other.offset = wrong;
        try values.expectDamage(other, target);
    }

    const truncate = values.fixture.prepare(1, .file_truncate, .background);
    truncate.file = values.file;
    truncate.bytes = 20_000;
    try testing.expectEqual(0, try values.fixture.run(1));
    var failure: Fault = .{};
    try testing.expectError(error.Fault, values.fixture.store.blobs.read(address, target, &failure));
    try testing.expectEqual(20_000, failure.offset);
}

test "a value that claims more than its segment holds is damage before memory is taken for it" {
    for ([_]bool{ false, true }) |real| {
        var values = try Values.init(real, false);
        defer values.fixture.deinit();
        const value = try region.reserve(64 * 1024);
        defer _ = region.release(value);
        _ = fill(value, 1);
        const address = try values.write(value, 8192, 50_000);

        var reader = try BlobValue.init(values.fixture.store.blobs);
        defer reader.deinit();
        for ([_]u32{ segment_bytes - 8192 + 1, 500_000_000, abi.value_bytes_max, std.math.maxInt(u32) }) |bytes| {
            var other = address;
            other.bytes = bytes;
            var failure: Fault = .{};
            try testing.expectError(error.Fault, reader.read(std.mem.asBytes(&other), .disk, &failure));
            try testing.expect(failure.is(.corruption));
            try testing.expectEqual(0, reader.buffer.len);
        }
        var failure: Fault = .{};
        try testing.expectEqual(50_000, (try reader.read(std.mem.asBytes(&address), .disk, &failure)).len);
    }
}

test "a retired segment is readable while a pin of that time is held, and gone afterwards" {
    var values = try Values.init(true, false);
    defer values.fixture.deinit();
    const blobs = values.fixture.store.blobs;
    const value = try region.reserve(64 * 1024);
    defer _ = region.release(value);
    const content = fill(value, 1)[0..50_000];
    const address = try values.write(value, 4096, 50_000);
    const target = try testing.allocator.alloc(u8, 50_000);
    defer testing.allocator.free(target);

    const first = try blobs.pin();
    try testing.expectEqual(0, blobs.retire(number));
    const second = try blobs.pin();
    const unlink = values.fixture.prepare(1, .file_unlink, .background);
    unlink.kind = @intFromEnum(abi.FileKind.blob);
    unlink.number = number;
    try testing.expectEqual(0, try values.fixture.run(1));
    try values.expect(address, content);
    blobs.unpin(first);
    try testing.expectEqual(0, blobs.segments.count());
    try values.expectDamage(address, target);
    blobs.unpin(second);
    try testing.expectEqual(0, blobs.segments.count());

    // One that cannot be opened cannot be kept.
    const third = try blobs.pin();
    try testing.expect(blobs.retire(number) < 0);
    blobs.unpin(third);
    try testing.expectEqual(0, blobs.retire(number));
}
