//! Aligned buffers for what cannot be written from where it lies. Kept and lent again, a few of them; they grow
//! to what is asked for, up to a bound. Any thread may call.

const std = @import("std");
const abi = @import("abi.zig");
const locks = @import("locks.zig");

const gpa = std.heap.c_allocator;
pub const bytes_min = 256 * 1024;
/// A write larger than this goes out in pieces.
pub const bytes_max = 8 << 20;
const kept_max = 4;

pub const Buffer = []align(abi.block_bytes) u8;

var kept: [kept_max]Buffer = undefined;
var kept_count: usize = 0;
var mutex: locks.Mutex = .{};

/// A buffer for `bytes`, or the largest there is; null without memory. Its length is a whole number of blocks.
pub fn take(bytes: u64) ?Buffer {
    const wanted: usize = @intCast(std.math.clamp(bytes, bytes_min, bytes_max));
    if (takeKept(wanted)) |buffer| return buffer;
    const length = std.math.ceilPowerOfTwoAssert(usize, wanted);
    return gpa.alignedAlloc(u8, .fromByteUnits(abi.block_bytes), length) catch null;
}

pub fn give(buffer: Buffer) void {
    mutex.lock();
    if (kept_count < kept_max) {
        kept[kept_count] = buffer;
        kept_count += 1;
        mutex.unlock();
        return;
    }
    // The larger ones are kept: they are dearer to make.
    var spare = buffer;
    for (&kept) |*each| {
        if (each.len < spare.len) std.mem.swap(Buffer, each, &spare);
    }
    mutex.unlock();
    gpa.free(spare);
}

fn takeKept(wanted: usize) ?Buffer {
    mutex.lock();
    defer mutex.unlock();
    var index = kept_count;
    while (index > 0) {
        index -= 1;
        const buffer = kept[index];
        if (buffer.len < wanted) continue;
        kept_count -= 1;
        kept[index] = kept[kept_count];
        return buffer;
    }
    return null;
}
