//! Memory for cached blocks. A random read misses the processor's address cache several times per block when blocks
//! lie scattered over small pages, so blocks of common sizes are cut from chunks of two mebibytes that ask for a huge
//! page (a quarter less time per cached read). A chunk is 32 spans, a span holds blocks of one size class; sizes
//! go up in sixteenths, so at most a sixteenth is lost. What is outside comes from the C allocator.
//!
//! Empty spans serve other classes, and an empty chunk goes back to the system. JavaScript never sees this memory.
//! Any thread may call; one lock, taken only when a block comes or goes.

const std = @import("std");
const builtin = @import("builtin");
const locks = @import("locks.zig");

const gpa = std.heap.c_allocator;
pub const alignment = 16;

const chunk_bytes = 2 << 20;
const span_bytes = 64 << 10;
const span_count = chunk_bytes / span_bytes;
/// The chunk's own figures, at the front of its first span.
const chunk_head_bytes = 4096;
const size_min_log2 = 10;
const size_max_log2 = 14;
const classes_per_doubling = 16;
const class_count = (size_max_log2 - size_min_log2) * classes_per_doubling;

const Free = struct { next: ?*Free };

const Span = struct {
    start: usize = 0,
    size: u32 = 0,
    class: u32 = 0,
    used: u32 = 0,
    /// Never used so far, behind those that were.
    fresh: u32 = 0,
    free: ?*Free = null,
    newer: ?*Span = null,
    older: ?*Span = null,

    fn hasRoom(self: *const Span) bool {
        return self.free != null or self.fresh > 0;
    }
};

const Chunk = struct {
    spans: [span_count]Span,
    /// One bit for each span that no class has.
    idle: u32,
    newer: ?*Chunk = null,
    older: ?*Chunk = null,

    const all_idle: u32 = std.math.maxInt(u32);
};

comptime {
    std.debug.assert(@sizeOf(Chunk) <= chunk_head_bytes);
    std.debug.assert(span_count == 32);
}

var mutex: locks.Mutex = .{};
/// Spans with room, by class.
var roomy: [class_count]?*Span = @splat(null);
/// Chunks with idle spans.
var open_chunks: ?*Chunk = null;
var chunk_count: usize = 0;

/// What an allocation of `bytes` takes from the system.
pub fn takenBytes(bytes: usize) usize {
    return if (classOf(bytes)) |class| sizeOf(class) else bytes + 32;
}

pub fn create(bytes: usize) ?[*]align(alignment) u8 {
    const class = classOf(bytes) orelse
        return (gpa.alignedAlloc(u8, .fromByteUnits(alignment), bytes) catch return null).ptr;
    mutex.lock();
    defer mutex.unlock();
    const span = roomy[class] orelse newSpan(class) orelse return null;
    span.used += 1;
    const address = if (span.free) |first| taken: {
        span.free = first.next;
        break :taken @intFromPtr(first);
    } else taken: {
        span.fresh -= 1;
        break :taken span.start + span.size * span.fresh;
    };
    if (!span.hasRoom()) unlink(Span, &roomy[class], span);
    return @ptrFromInt(address);
}

/// REQUIRES: `create` gave it for as many bytes.
pub fn destroy(memory: [*]align(alignment) u8, bytes: usize) void {
    const class = classOf(bytes) orelse return gpa.free(memory[0..bytes]);
    mutex.lock();
    defer mutex.unlock();
    const chunk: *Chunk = @ptrFromInt(std.mem.alignBackward(usize, @intFromPtr(memory), chunk_bytes));
    const span = &chunk.spans[(@intFromPtr(memory) - @intFromPtr(chunk)) / span_bytes];
    std.debug.assert(span.class == class and span.used > 0);
    if (!span.hasRoom()) link(Span, &roomy[class], span);
    const place: *Free = @ptrCast(memory);
    place.next = span.free;
    span.free = place;
    span.used -= 1;
    if (span.used == 0) retire(chunk, span);
}

fn newSpan(class: usize) ?*Span {
    const chunk = open_chunks orelse newChunk() orelse return null;
    const index = @ctz(chunk.idle);
    chunk.idle &= chunk.idle - 1;
    if (chunk.idle == 0) unlink(Chunk, &open_chunks, chunk);
    const skipped: usize = if (index == 0) chunk_head_bytes else 0;
    const size = sizeOf(class);
    const span = &chunk.spans[index];
    span.* = .{
        .start = @intFromPtr(chunk) + @as(usize, index) * span_bytes + skipped,
        .size = @intCast(size),
        .class = @intCast(class),
        .fresh = @intCast((span_bytes - skipped) / size),
    };
    link(Span, &roomy[class], span);
    return span;
}

fn retire(chunk: *Chunk, span: *Span) void {
    unlink(Span, &roomy[span.class], span);
    if (chunk.idle == 0) link(Chunk, &open_chunks, chunk);
    const index: u5 = @intCast((@intFromPtr(span) - @intFromPtr(&chunk.spans)) / @sizeOf(Span));
    chunk.idle |= @as(u32, 1) << index;
    // One empty chunk is kept, so that a block that comes and goes does not map and unmap it.
    if (chunk.idle == Chunk.all_idle and chunk_count > 1) {
        unlink(Chunk, &open_chunks, chunk);
        chunk_count -= 1;
        unmap(@intFromPtr(chunk), chunk_bytes);
    }
}

fn newChunk() ?*Chunk {
    // Twice as much as needed, and what lies beside the aligned part goes back.
    const start = map(2 * chunk_bytes) orelse return null;
    const aligned = std.mem.alignForward(usize, start, chunk_bytes);
    if (aligned > start) unmap(start, aligned - start);
    const end = start + 2 * chunk_bytes;
    if (end > aligned + chunk_bytes) unmap(aligned + chunk_bytes, end - aligned - chunk_bytes);
    // A wish; without it everything works, slower.
    if (builtin.os.tag == .linux) _ = std.c.madvise(@ptrFromInt(aligned), chunk_bytes, std.c.MADV.HUGEPAGE);
    const chunk: *Chunk = @ptrFromInt(aligned);
    chunk.* = .{ .spans = @splat(.{}), .idle = Chunk.all_idle };
    link(Chunk, &open_chunks, chunk);
    chunk_count += 1;
    return chunk;
}

fn classOf(bytes: usize) ?usize {
    if (bytes <= 1 << size_min_log2 or bytes > 1 << size_max_log2) return null;
    const last = bytes - 1;
    const doubling = std.math.log2_int(usize, last);
    const sixteenth = (last >> @intCast(doubling - 4)) & 15;
    return (doubling - size_min_log2) * classes_per_doubling + sixteenth;
}

fn sizeOf(class: usize) usize {
    const doubling: u6 = @intCast(class / classes_per_doubling + size_min_log2);
    const sixteenth = class % classes_per_doubling;
    return (@as(usize, 1) << doubling) + ((sixteenth + 1) << (doubling - 4));
}

fn link(comptime T: type, first: *?*T, item: *T) void {
    item.newer = null;
    item.older = first.*;
    if (first.*) |next| next.newer = item;
    first.* = item;
}

fn unlink(comptime T: type, first: *?*T, item: *T) void {
    if (item.newer) |newer| newer.older = item.older else first.* = item.older;
    if (item.older) |older| older.newer = item.newer;
    item.newer = null;
    item.older = null;
}

fn map(bytes: usize) ?usize {
    const flags: std.c.MAP = .{ .TYPE = .PRIVATE, .ANONYMOUS = true };
    const result = @intFromPtr(std.c.mmap(null, bytes, .{ .READ = true, .WRITE = true }, flags, -1, 0));
    return if (result == std.math.maxInt(usize)) null else result;
}

fn unmap(start: usize, bytes: usize) void {
    _ = std.c.munmap(@ptrFromInt(start), bytes);
}

const testing = std.testing;

test "allocations of all sizes keep their bytes, waste at most a sixteenth, and everything goes back" {
    const Held = struct { memory: [*]align(alignment) u8, bytes: usize, mark: u8 };
    var held: std.ArrayList(Held) = .empty;
    defer held.deinit(testing.allocator);
    const chunks_before = chunk_count;
    var random = std.Random.DefaultPrng.init(6);
    for (0..40_000) |i| {
        const grows = i < 12_000 or (i < 24_000 and random.random().boolean());
        if (grows or held.items.len == 0) {
            const bytes = if (i % 3 == 0) 4000 + random.random().uintLessThan(usize, 200) else 1 + random.random().uintLessThan(usize, 20_000);
            const memory = create(bytes).?;
            try testing.expectEqual(0, @intFromPtr(memory) % alignment);
            try testing.expect(takenBytes(bytes) >= bytes);
            if (bytes > 1024) try testing.expect(takenBytes(bytes) <= bytes + bytes / 16 + 32);
            const mark: u8 = @truncate(i);
            @memset(memory[0..bytes], mark);
            try held.append(testing.allocator, .{ .memory = memory, .bytes = bytes, .mark = mark });
        } else {
            const item = held.swapRemove(random.random().uintLessThan(usize, held.items.len));
            try testing.expect(std.mem.allEqual(u8, item.memory[0..item.bytes], item.mark));
            destroy(item.memory, item.bytes);
        }
    }
    for (held.items) |item| destroy(item.memory, item.bytes);
    try testing.expect(chunk_count <= @max(1, chunks_before));
}
