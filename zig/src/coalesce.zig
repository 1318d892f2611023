//! Writes that meet in one file: sorted by offset, contiguous ones merged into one `pwritev`.
//!
//! Where writes overlap, the bytes are those of the write that was submitted later, as if all had been carried
//! out in order. A call is bounded by `parts_max` and `call_bytes_max`. Short transfers are continued here.
//! Allocates only scratch space of its own; any thread may call, with a sink of its own.

const std = @import("std");
const disk = @import("disk.zig");
const system = @import("system.zig");

pub const parts_max = system.io_vectors_max;
/// Long calls gain nothing and hold the file's lock: 8 MiB is past the knee on every disk measured.
pub const call_bytes_max = 8 << 20;

pub const Write = struct { offset: u64, bytes: []const u8 };

/// Where calls go: returns the bytes written, perhaps fewer than asked for, or a negative errno.
pub const Sink = struct {
    context: *anyopaque,
    write: *const fn (*anyopaque, parts: []const disk.IoVec, offset: u64) i64,
    /// False: the system has no `pwritev`; parts are copied into one buffer and each call gets one part.
    vectored: bool = true,
};

pub const Outcome = struct {
    /// Bytes handed to the system, or the first error.
    result: i64,
    writes_in: u32,
    calls_out: u32,
};

/// Carries out all of `writes`. On an error some may have been written, in no particular order.
pub fn write(gpa: std.mem.Allocator, sink: Sink, writes: []const Write) Outcome {
    var outcome: Outcome = .{ .result = 0, .writes_in = @intCast(writes.len), .calls_out = 0 };
    const pieces = arrange(gpa, writes) catch {
        outcome.result = system.failure(.NOMEM);
        return outcome;
    };
    defer gpa.free(pieces);

    var parts: std.ArrayList(disk.IoVec) = .empty;
    defer parts.deinit(gpa);
    var total: i64 = 0;
    var index: usize = 0;
    while (index < pieces.len) {
        const start = pieces[index].offset;
        var end = start;
        parts.clearRetainingCapacity();
        while (index < pieces.len and pieces[index].offset == end) : (index += 1) {
            const bytes = pieces[index].bytes;
            parts.append(gpa, .{ .base = bytes.ptr, .len = bytes.len }) catch {
                outcome.result = system.failure(.NOMEM);
                return outcome;
            };
            end += bytes.len;
        }
        const run = writeRun(sink, parts.items, start);
        outcome.calls_out += run.calls;
        if (run.result < 0) {
            outcome.result = run.result;
            return outcome;
        }
        total += run.result;
    }
    outcome.result = total;
    return outcome;
}

/// Writes parts that follow one another in the file, all of them, in as few calls as the bounds allow.
pub fn writeRun(sink: Sink, parts: []const disk.IoVec, offset: u64) disk.WriteOutcome {
    var calls: u32 = 0;
    var done: u64 = 0;
    var index: usize = 0;
    // Bytes of parts[index] that are written already.
    var skip: usize = 0;
    while (true) {
        while (index < parts.len and parts[index].len == skip) {
            index += 1;
            skip = 0;
        }
        if (index == parts.len) return .{ .result = @intCast(done), .calls = calls };

        const got = if (sink.vectored)
            callVectored(sink, parts[index..], skip, offset + done)
        else
            callConcatenated(sink, parts[index..], skip, offset + done);
        calls += 1;
        if (got < 0) return .{ .result = got, .calls = calls };
        // A disk that takes nothing and gives no reason would hang us.
        if (got == 0) return .{ .result = system.failure(.IO), .calls = calls };
        done += @intCast(got);
        var left: usize = @intCast(got);
        while (left > 0) {
            const step = @min(left, parts[index].len - skip);
            left -= step;
            skip += step;
            if (skip == parts[index].len) {
                index += 1;
                skip = 0;
            }
        }
    }
}

fn callVectored(sink: Sink, parts: []const disk.IoVec, skip: usize, offset: u64) i64 {
    // Whole and within bounds: the caller's own array will do.
    if (skip == 0 and parts.len <= parts_max and bytesOf(parts) <= call_bytes_max) {
        return sink.write(sink.context, parts, offset);
    }
    var chunk: [parts_max]disk.IoVec = undefined;
    var count: usize = 0;
    var room: usize = call_bytes_max;
    for (parts, 0..) |part, index| {
        const from = if (index == 0) skip else 0;
        const take = @min(part.len - from, room);
        if (take == 0) {
            if (room == 0) break;
            continue;
        }
        chunk[count] = .{ .base = part.base + from, .len = take };
        count += 1;
        room -= take;
        if (count == parts_max) break;
    }
    return sink.write(sink.context, chunk[0..count], offset);
}

/// Big enough that the copy is noise beside the call, small enough for a 512 KiB stack.
const concatenation_bytes = 64 * 1024;

fn callConcatenated(sink: Sink, parts: []const disk.IoVec, skip: usize, offset: u64) i64 {
    const first = parts[0].base[skip..parts[0].len];
    if (parts.len == 1 or first.len >= concatenation_bytes) {
        const whole = [1]disk.IoVec{.{ .base = first.ptr, .len = first.len }};
        return sink.write(sink.context, &whole, offset);
    }
    var buffer: [concatenation_bytes]u8 align(4096) = undefined;
    var filled: usize = 0;
    for (parts, 0..) |part, index| {
        const from = if (index == 0) skip else 0;
        const take = @min(part.len - from, buffer.len - filled);
        @memcpy(buffer[filled..][0..take], part.base[from..][0..take]);
        filled += take;
        if (filled == buffer.len) break;
    }
    const joined = [1]disk.IoVec{.{ .base = &buffer, .len = filled }};
    return sink.write(sink.context, &joined, offset);
}

/// The bytes that remain of `writes` in the end, ascending and without overlap.
fn arrange(gpa: std.mem.Allocator, writes: []const Write) error{OutOfMemory}![]Write {
    const sorted = try gpa.dupe(Write, writes);
    errdefer gpa.free(sorted);
    // Not stable, and need not be: two writes at one offset overlap, and `resolve` keeps the order of submission.
    std.sort.pdq(Write, sorted, {}, before);
    var end: u64 = 0;
    for (sorted) |piece| {
        if (piece.offset < end) break;
        end = piece.offset + piece.bytes.len;
    } else return sorted;
    gpa.free(sorted);
    return resolve(gpa, writes);
}

/// Newest first: of each write only what no newer one covers. Quadratic in the writes that overlap; they are rare.
fn resolve(gpa: std.mem.Allocator, writes: []const Write) error{OutOfMemory}![]Write {
    var kept: std.ArrayList(Write) = .empty;
    errdefer kept.deinit(gpa);
    var newest = writes.len;
    while (newest > 0) {
        newest -= 1;
        var rest = writes[newest];
        var at = std.sort.lowerBound(Write, kept.items, rest.offset, endsAfter);
        while (rest.bytes.len > 0) : (at += 1) {
            const rest_end = rest.offset + rest.bytes.len;
            const next = if (at < kept.items.len) kept.items[at].offset else rest_end;
            if (next > rest.offset) {
                const free: usize = @intCast(@min(next, rest_end) - rest.offset);
                try kept.insert(gpa, at, .{ .offset = rest.offset, .bytes = rest.bytes[0..free] });
                at += 1;
            }
            if (at >= kept.items.len) break;
            const covered_to = kept.items[at].offset + kept.items[at].bytes.len;
            if (covered_to >= rest_end) break;
            const cut: usize = @intCast(covered_to - rest.offset);
            rest = .{ .offset = covered_to, .bytes = rest.bytes[cut..] };
        }
    }
    return kept.toOwnedSlice(gpa);
}

fn endsAfter(offset: u64, kept: Write) std.math.Order {
    return if (kept.offset + kept.bytes.len <= offset) .gt else .lt;
}

fn before(_: void, left: Write, right: Write) bool {
    return left.offset < right.offset;
}

pub fn bytesOf(parts: []const disk.IoVec) usize {
    var total: usize = 0;
    for (parts) |part| total += part.len;
    return total;
}
