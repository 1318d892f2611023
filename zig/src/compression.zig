//! Blocks squeezed by zstd. What is stored is
//!
//!      0  raw bytes u32: the size of the block before compression
//!      4  one zstd frame (RFC 8878) without checksum, dictionary and content size of its own
//!
//! Stored bytes come from a disk: `rawBytes` says how much memory a block needs, or that it is no block of ours, before
//! any is taken, and nothing is ever written past that size. Whoever reads has verified the block's own checksum
//! before. A `Compressor` belongs to one thread at a time; the functions may be called by any.

const std = @import("std");
const locks = @import("locks.zig");

pub const level_min = 1;
pub const level_max = 22;

/// Blocks larger than this (one entry, then) are stored as they are, so none that says so was written by us.
pub const raw_bytes_max = 64 << 20;

const head_bytes = 4;

const Result = usize;
const CompressionContext = opaque {};
const DecompressionContext = opaque {};

extern fn ZSTD_createCCtx() ?*CompressionContext;
extern fn ZSTD_freeCCtx(context: ?*CompressionContext) Result;
extern fn ZSTD_CCtx_setParameter(context: *CompressionContext, parameter: c_int, value: c_int) Result;
extern fn ZSTD_compress2(context: *CompressionContext, target: [*]u8, capacity: usize, source: [*]const u8, bytes: usize) Result;
extern fn ZSTD_createDCtx() ?*DecompressionContext;
extern fn ZSTD_freeDCtx(context: ?*DecompressionContext) Result;
extern fn ZSTD_decompressDCtx(context: *DecompressionContext, target: [*]u8, capacity: usize, source: [*]const u8, bytes: usize) Result;
extern fn ZSTD_getFrameContentSize(source: [*]const u8, bytes: usize) u64;
extern fn ZSTD_findFrameCompressedSize(source: [*]const u8, bytes: usize) Result;
extern fn ZSTD_decompressBound(source: [*]const u8, bytes: usize) u64;
extern fn ZSTD_isError(result: Result) c_uint;
extern fn ZSTD_getErrorCode(result: Result) c_uint;

const parameter_level = 100;
const parameter_content_size = 200;
const parameter_checksum = 201;
const parameter_dictionary_id = 202;
const error_memory = 64;
const error_target_too_small = 70;
const content_size_unknown = std.math.maxInt(u64);

pub const Compressor = struct {
    gpa: std.mem.Allocator,
    context: *CompressionContext,
    buffer: []u8 = &.{},

    /// REQUIRES: a level from `level_min` to `level_max`.
    pub fn init(gpa: std.mem.Allocator, level: u32) error{OutOfMemory}!Compressor {
        std.debug.assert(level >= level_min and level <= level_max);
        const context = ZSTD_createCCtx() orelse return error.OutOfMemory;
        errdefer _ = ZSTD_freeCCtx(context);
        try set(context, parameter_level, @intCast(level));
        // The size stands before the frame, the checksum behind the block.
        try set(context, parameter_content_size, 0);
        try set(context, parameter_checksum, 0);
        try set(context, parameter_dictionary_id, 0);
        return .{ .gpa = gpa, .context = context };
    }

    pub fn deinit(self: *Compressor) void {
        _ = ZSTD_freeCCtx(self.context);
        self.gpa.free(self.buffer);
    }

    /// What to store in the block's stead, valid until the next call. Null: an eighth or less would be gained, which a
    /// reader's work is not worth.
    pub fn compress(self: *Compressor, raw: []const u8) error{OutOfMemory}!?[]const u8 {
        const bytes_max = storedBytesMax(raw.len);
        if (raw.len > raw_bytes_max or bytes_max <= head_bytes) return null;
        if (self.buffer.len < bytes_max) {
            self.gpa.free(self.buffer);
            self.buffer = &.{};
            self.buffer = try self.gpa.alloc(u8, bytes_max);
        }
        const frame = self.buffer[head_bytes..bytes_max];
        const result = ZSTD_compress2(self.context, frame.ptr, frame.len, raw.ptr, raw.len);
        if (ZSTD_isError(result) != 0) {
            if (ZSTD_getErrorCode(result) == error_memory) return error.OutOfMemory;
            std.debug.assert(ZSTD_getErrorCode(result) == error_target_too_small);
            return null;
        }
        std.mem.writeInt(u32, self.buffer[0..head_bytes], @intCast(raw.len), .little);
        return self.buffer[0 .. head_bytes + result];
    }
};

fn set(context: *CompressionContext, parameter: c_int, value: c_int) error{OutOfMemory}!void {
    const result = ZSTD_CCtx_setParameter(context, parameter, value);
    if (ZSTD_isError(result) == 0) return;
    std.debug.assert(ZSTD_getErrorCode(result) == error_memory);
    return error.OutOfMemory;
}

/// The greatest size below seven eighths.
fn storedBytesMax(raw_bytes: usize) usize {
    return if (raw_bytes == 0) 0 else (7 * raw_bytes - 1) / 8;
}

/// The size of the block before compression: at most `raw_bytes_max`, and no more than the frame can hold.
pub fn rawBytes(stored: []const u8) error{Damaged}!u32 {
    if (stored.len <= head_bytes) return error.Damaged;
    const raw_bytes = std.mem.readInt(u32, stored[0..head_bytes], .little);
    if (raw_bytes > raw_bytes_max or stored.len > storedBytesMax(raw_bytes)) return error.Damaged;
    const frame = stored[head_bytes..];
    // One frame and nothing behind it. A size of its own would be believed by the bound below.
    if (ZSTD_getFrameContentSize(frame.ptr, frame.len) != content_size_unknown) return error.Damaged;
    if (ZSTD_findFrameCompressedSize(frame.ptr, frame.len) != frame.len) return error.Damaged;
    // From the frame's block headers, each of which stands for 128 KiB at most.
    if (raw_bytes > ZSTD_decompressBound(frame.ptr, frame.len)) return error.Damaged;
    return raw_bytes;
}

/// Fills `raw`. REQUIRES: `rawBytes` gave its length. After an error its content is unspecified.
pub fn decompress(stored: []const u8, raw: []u8) error{ Damaged, OutOfMemory }!void {
    const frame = stored[head_bytes..];
    const context = idle.take() orelse ZSTD_createDCtx() orelse return error.OutOfMemory;
    defer idle.give(context);
    const result = ZSTD_decompressDCtx(context, raw.ptr, raw.len, frame.ptr, frame.len);
    if (ZSTD_isError(result) != 0) {
        return if (ZSTD_getErrorCode(result) == error_memory) error.OutOfMemory else error.Damaged;
    }
    if (result != raw.len) return error.Damaged;
}

/// Contexts that nobody uses now. They are large (160 KiB) and reading threads come and go with the host's Workers, so
/// they are the process's and not a thread's.
const Idle = struct {
    mutex: locks.Mutex = .{},
    contexts: [16]*DecompressionContext = undefined,
    count: usize = 0,

    fn take(self: *Idle) ?*DecompressionContext {
        self.mutex.lock();
        defer self.mutex.unlock();
        if (self.count == 0) return null;
        self.count -= 1;
        return self.contexts[self.count];
    }

    fn give(self: *Idle, context: *DecompressionContext) void {
        {
            self.mutex.lock();
            defer self.mutex.unlock();
            if (self.count < self.contexts.len) {
                self.contexts[self.count] = context;
                self.count += 1;
                return;
            }
        }
        _ = ZSTD_freeDCtx(context);
    }
};

var idle: Idle = .{};

const testing = std.testing;

fn expectRoundTrip(compressor: *Compressor, raw: []const u8) !void {
    const stored = (try compressor.compress(raw)).?;
    try testing.expect(stored.len * 8 < raw.len * 7);
    try testing.expectEqual(raw.len, try rawBytes(stored));
    // What lies behind the target is left alone.
    const target = try testing.allocator.alloc(u8, raw.len + 16);
    defer testing.allocator.free(target);
    @memset(target, 0xa5);
    try decompress(stored, target[0..raw.len]);
    try testing.expectEqualSlices(u8, raw, target[0..raw.len]);
    try testing.expect(std.mem.allEqual(u8, target[raw.len..], 0xa5));
}

/// Bytes that compress to about a half: each takes one of `variety` values.
fn fill(random: std.Random, raw: []u8, variety: u8) void {
    for (raw) |*byte| byte.* = random.uintLessThan(u8, variety);
}

test "blocks of all sizes and levels come back as they went in" {
    var random = std.Random.DefaultPrng.init(11);
    for ([_]u32{ 1, 3, 9, 15, 19, 22 }) |level| {
        var compressor: Compressor = try .init(testing.allocator, level);
        defer compressor.deinit();
        for ([_]usize{ 100, 1000, 4088, 4096, 65_536, 131_073, 1_000_000 }) |bytes| {
            const raw = try testing.allocator.alloc(u8, bytes);
            defer testing.allocator.free(raw);
            fill(random.random(), raw, 8);
            try expectRoundTrip(&compressor, raw);
            @memset(raw, 'x');
            try expectRoundTrip(&compressor, raw);
        }
    }
}

test "what does not shrink by more than an eighth is left as it is" {
    var compressor: Compressor = try .init(testing.allocator, 3);
    defer compressor.deinit();
    var random = std.Random.DefaultPrng.init(12);
    var raw: [4096]u8 = undefined;
    random.random().bytes(&raw);
    try testing.expectEqual(null, try compressor.compress(&raw));
    for (0..12) |bytes| try testing.expectEqual(null, try compressor.compress(raw[0..bytes]));
    // Half of it noise, half of it nothing: worth it.
    @memset(raw[2048..], 0);
    try expectRoundTrip(&compressor, &raw);
    // An eighth and a few bytes of nothing: not quite.
    random.random().bytes(&raw);
    @memset(raw[raw.len - raw.len / 8 ..], 0);
    try testing.expectEqual(null, try compressor.compress(&raw));
    const large = try testing.allocator.alloc(u8, raw_bytes_max + 1);
    defer testing.allocator.free(large);
    @memset(large, 0);
    try testing.expectEqual(null, try compressor.compress(large));
    try expectRoundTrip(&compressor, large[1..]);
}

test "a size that is made up is refused before memory is taken for it" {
    var compressor: Compressor = try .init(testing.allocator, 3);
    defer compressor.deinit();
    var raw: [4096]u8 = undefined;
    var random = std.Random.DefaultPrng.init(13);
    fill(random.random(), &raw, 8);
    const stored = try testing.allocator.dupe(u8, (try compressor.compress(&raw)).?);
    defer testing.allocator.free(stored);
    var target: [8192]u8 = undefined;
    // Larger than one frame block can be, larger than any block, and smaller than it takes to be worth it.
    for ([_]u32{ 131_073, 1 << 20, raw_bytes_max, raw_bytes_max + 1, std.math.maxInt(u32), 0, 1, 1000 }) |lie| {
        std.mem.writeInt(u32, stored[0..4], lie, .little);
        try testing.expectError(error.Damaged, rawBytes(stored));
    }
    // Within what the frame may hold, but not what it does hold.
    for ([_]u32{ 4095, 4097, 8192 }) |lie| {
        std.mem.writeInt(u32, stored[0..4], lie, .little);
        const believed = rawBytes(stored) catch continue;
        try testing.expectError(error.Damaged, decompress(stored, target[0..believed]));
    }
}

test "frames that are cut, padded, doubled, of a dictionary, or with a size of their own are refused" {
    var compressor: Compressor = try .init(testing.allocator, 3);
    defer compressor.deinit();
    var raw: [4096]u8 = undefined;
    var random = std.Random.DefaultPrng.init(14);
    fill(random.random(), &raw, 8);
    const good = (try compressor.compress(&raw)).?;
    var target: [4096]u8 = undefined;
    for (0..good.len) |bytes| try testing.expectError(error.Damaged, rawBytes(good[0..bytes]));

    const Context = struct {
        fn refused(parts: []const []const u8, into: []u8) !void {
            var list: std.ArrayList(u8) = .empty;
            defer list.deinit(testing.allocator);
            for (parts) |part| try list.appendSlice(testing.allocator, part);
            const believed = rawBytes(list.items) catch |e| return testing.expectEqual(error.Damaged, e);
            try testing.expectError(error.Damaged, decompress(list.items, into[0..believed]));
        }
    };
    const skippable = "\x50\x2a\x4d\x18\x02\x00\x00\x00ab";
    try Context.refused(&.{ good, "\x00" }, &target);
    try Context.refused(&.{ good, good[4..] }, &target);
    try Context.refused(&.{ good, skippable }, &target);
    try Context.refused(&.{ good[0..4], skippable, good[4..] }, &target);
    // Magic, then the frame's descriptor: its lowest two bits say how long a dictionary's id follows the window byte.
    const magic = good[4..8];
    const window = good[9..10];
    const blocks = good[10..];
    try testing.expectEqual(0, good[8]);
    try Context.refused(&.{ good[0..4], magic, "\x01", window, "\x07", blocks }, &target);
    try Context.refused(&.{ good[0..4], magic, "\x03", window, "\x07\x00\x00\x01", blocks }, &target);
    // A size of its own (two bytes, less 256), the true one and a false one.
    try Context.refused(&.{ good[0..4], magic, "\x40", window, "\x00\x0f", blocks }, &target);
    try Context.refused(&.{ good[0..4], magic, "\x40", window, "\xff\xff", blocks }, &target);
    // A checksum that is not there.
    try Context.refused(&.{ good[0..4], magic, "\x04", window, blocks }, &target);
}

test "any bytes in the place of a frame: an error, or a block of the size that was stated" {
    var compressor: Compressor = try .init(testing.allocator, 3);
    defer compressor.deinit();
    var raw: [4096]u8 = undefined;
    var random = std.Random.DefaultPrng.init(15);
    fill(random.random(), &raw, 8);
    const good = (try compressor.compress(&raw)).?;
    const changed = try testing.allocator.alloc(u8, good.len);
    defer testing.allocator.free(changed);
    var decoded: u32 = 0;
    for (0..20_000) |round| {
        @memcpy(changed, good);
        if (round % 4 == 0) {
            random.random().bytes(changed[4..]);
            @memcpy(changed[4..8], good[4..8]);
        } else for (0..1 + random.random().uintLessThan(usize, 3)) |_| {
            changed[random.random().uintLessThan(usize, changed.len)] = random.random().int(u8);
        }
        const bytes = rawBytes(changed) catch continue;
        const target = try testing.allocator.alloc(u8, bytes);
        defer testing.allocator.free(target);
        decompress(changed, target) catch continue;
        decoded += 1;
    }
    try testing.expect(decoded > 0);
}

const Worker = struct {
    fn run(seed: u64, wrong: *std.atomic.Value(u32)) void {
        check(seed) catch {
            _ = wrong.fetchAdd(1, .monotonic);
        };
    }

    fn check(seed: u64) !void {
        var random = std.Random.DefaultPrng.init(seed);
        var compressor: Compressor = try .init(std.heap.c_allocator, 1);
        defer compressor.deinit();
        var raw: [3000]u8 = undefined;
        var back: [3000]u8 = undefined;
        for (0..200) |_| {
            fill(random.random(), &raw, 8);
            const stored = (try compressor.compress(&raw)).?;
            try decompress(stored, &back);
            if (!std.mem.eql(u8, &raw, &back)) return error.Wrong;
        }
    }
};

test "threads share idle contexts without sharing a context" {
    var wrong: std.atomic.Value(u32) = .init(0);
    var threads: [20]std.Thread = undefined;
    for (&threads, 0..) |*thread, seed| thread.* = try std.Thread.spawn(.{}, Worker.run, .{ seed, &wrong });
    for (threads) |thread| thread.join();
    try testing.expectEqual(0, wrong.load(.monotonic));
    try testing.expect(idle.count <= idle.contexts.len);
}
