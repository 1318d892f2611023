//! The plainest way to the disk: one buffer, one file, one write after the other on one thread. What a store is held
//! against where `fio` is not there, and beside it where it is.
//!
//!     plain_loop direct|buffered|durable FILE BLOCK_BYTES COUNT
//!
//! `direct` and `buffered` append and sync once at the end; `durable` writes over a file that was written before, each
//! write on stable storage before the next. Prints nanoseconds. The file is opened, and laid out, before the clock starts.

const std = @import("std");
const builtin = @import("builtin");
const c = std.c;

extern "c" fn printf(format: [*:0]const u8, ...) c_int;
extern "c" fn atoll(text: [*:0]const u8) c_longlong;
extern "c" fn open(path: [*:0]const u8, flags: c_int, ...) c_int;
extern "c" fn posix_memalign(memory: *?*anyopaque, alignment: usize, bytes: usize) c_int;

const alignment = 4096;
/// What `durable` writes over, again and again.
const durable_file_bytes = 16 * 1024 * 1024;

const Mode = enum { direct, buffered, durable };

pub export fn main(argument_count: c_int, arguments: [*][*:0]const u8) c_int {
    if (argument_count != 5) return fail("takes direct|buffered|durable FILE BLOCK_BYTES COUNT", 2);
    const mode = std.meta.stringToEnum(Mode, std.mem.span(arguments[1])) orelse
        return fail("knows direct, buffered and durable", 2);
    const block_bytes: usize = @intCast(atoll(arguments[3]));
    const count: usize = @intCast(atoll(arguments[4]));
    if (block_bytes == 0 or block_bytes % alignment != 0) return fail("takes blocks of whole 4 KiB", 2);

    const file = open(arguments[2], flagsOf(mode), @as(c_uint, 0o600));
    if (file < 0) return fail("cannot open the file", 1);
    var memory: ?*anyopaque = null;
    if (posix_memalign(&memory, alignment, block_bytes) != 0) return fail("has no memory", 1);
    const block = @as([*]u8, @ptrCast(memory.?))[0..block_bytes];
    var random = std.Random.DefaultPrng.init(42);
    random.random().bytes(block);

    // Written before the clock starts, so that a durable write changes no metadata.
    const ring = @max(1, durable_file_bytes / block_bytes);
    if (mode == .durable) {
        for (0..ring) |index| if (!writeAt(file, block, index)) return fail("cannot lay out the file", 1);
    }

    const start = now();
    for (0..count) |index| {
        const place = if (mode == .durable) index % ring else index;
        if (!writeAt(file, block, place)) return fail("cannot write", 1);
    }
    if (mode != .durable and c.fsync(file) != 0) return fail("cannot sync", 1);
    _ = printf("%lld\n", @as(c_longlong, @intCast(now() - start)));
    return 0;
}

fn flagsOf(mode: Mode) c_int {
    var flags: c.O = .{ .ACCMODE = .RDWR, .CREAT = true };
    if (builtin.os.tag == .linux) {
        if (mode != .buffered) flags.DIRECT = true;
        if (mode == .durable) flags.DSYNC = true;
    }
    return @bitCast(flags);
}

fn writeAt(file: c_int, block: []const u8, index: usize) bool {
    const offset: i64 = @intCast(index * block.len);
    return c.pwrite(file, block.ptr, block.len, offset) == @as(isize, @intCast(block.len));
}

fn now() i128 {
    var time: c.timespec = undefined;
    _ = c.clock_gettime(.MONOTONIC, &time);
    return @as(i128, time.sec) * std.time.ns_per_s + time.nsec;
}

fn fail(what: [*:0]const u8, status: c_int) c_int {
    _ = printf("plain_loop %s\n", what);
    return status;
}
