//! CRC-32C, by the processor's own instruction where it has one (found out at run time, for the library is built
//! for the oldest x86-64 and ARMv8), else by tables of eight bytes a step. XXH3 comes from the standard library.
//! Pure; any thread may call.

const std = @import("std");
const builtin = @import("builtin");
const system = @import("system.zig");

pub const Xxh3 = std.hash.XxHash3;

pub fn crc32c(bytes: []const u8) u32 {
    return crc32cContinue(0, bytes);
}

/// The checksum of a and b together, given that of a.
pub fn crc32cContinue(crc: u32, bytes: []const u8) u32 {
    return ~if (hasInstruction()) throughInstruction(~crc, bytes) else throughTables(~crc, bytes);
}

pub fn crc32cParts(parts: []const []const u8) u32 {
    var crc: u32 = 0;
    for (parts) |part| crc = crc32cContinue(crc, part);
    return crc;
}

// ---------------------------------------------------------------------------------------------------------------

const Support = enum(u8) { unknown, yes, no };
var support: std.atomic.Value(Support) = .init(.unknown);

fn hasInstruction() bool {
    return switch (support.load(.monotonic)) {
        .yes => true,
        .no => false,
        .unknown => {
            const found = detect();
            support.store(if (found) .yes else .no, .monotonic);
            return found;
        },
    };
}

fn detect() bool {
    switch (builtin.cpu.arch) {
        .x86_64 => {
            var features: u32 = undefined;
            asm volatile ("cpuid"
                : [_] "={ecx}" (features),
                : [_] "{eax}" (@as(u32, 1)),
                  [_] "{ecx}" (@as(u32, 0)),
                : .{ .ebx = true, .edx = true });
            const sse42 = 1 << 20;
            return features & sse42 != 0;
        },
        .aarch64 => {
            // Every Mac with this processor has it.
            if (system.is_darwin) return true;
            const hwcap_crc32 = 1 << 7;
            return std.c.getauxval(std.elf.AT_HWCAP) & hwcap_crc32 != 0;
        },
        else => return false,
    }
}

inline fn step64(crc: u64, word: u64) u64 {
    return switch (builtin.cpu.arch) {
        .x86_64 => asm ("crc32q %[word], %[crc]"
            : [crc] "=r" (-> u64),
            : [_] "0" (crc),
              [word] "r" (word),
        ),
        .aarch64 => asm (
            \\.arch_extension crc
            \\crc32cx %[out:w], %[crc:w], %[word]
            : [out] "=r" (-> u64),
            : [crc] "r" (crc),
              [word] "r" (word),
        ),
        else => unreachable,
    };
}

/// Three streams at once, for the instruction takes three cycles and a new one may start each cycle.
const stream_bytes = 1024;

fn throughInstruction(start: u32, bytes: []const u8) u32 {
    var crc: u64 = start;
    var rest = bytes;
    while (rest.len >= 3 * stream_bytes) : (rest = rest[3 * stream_bytes ..]) {
        var second: u64 = 0;
        var third: u64 = 0;
        var at: usize = 0;
        while (at < stream_bytes) : (at += 8) {
            crc = step64(crc, load(rest[at..]));
            second = step64(second, load(rest[stream_bytes + at ..]));
            third = step64(third, load(rest[2 * stream_bytes + at ..]));
        }
        crc = shift(@truncate(crc)) ^ @as(u32, @truncate(second));
        crc = shift(@truncate(crc)) ^ @as(u32, @truncate(third));
    }
    while (rest.len >= 8) : (rest = rest[8..]) crc = step64(crc, load(rest));
    return throughTables(@truncate(crc), rest);
}

inline fn load(bytes: []const u8) u64 {
    return std.mem.readInt(u64, bytes[0..8], .little);
}

/// What `stream_bytes` zeros do to a checksum, by byte of the checksum.
const shift_table: [4][256]u32 = table: {
    @setEvalBranchQuota(2_000_000);
    // Column i: what the zeros do to bit i. One zero bit first, then doubled.
    var matrix: [32]u32 = undefined;
    matrix[0] = polynomial;
    for (1..32) |bit| matrix[bit] = 1 << (bit - 1);
    var bits: usize = 1;
    while (bits < stream_bytes * 8) : (bits *= 2) {
        var squared: [32]u32 = undefined;
        for (&squared, matrix) |*out, column| out.* = times(matrix, column);
        matrix = squared;
    }
    var table: [4][256]u32 = undefined;
    for (0..4) |byte| {
        for (0..256) |value| table[byte][value] = times(matrix, value << (8 * byte));
    }
    break :table table;
};

fn times(matrix: [32]u32, vector: u32) u32 {
    var sum: u32 = 0;
    var rest = vector;
    while (rest != 0) : (rest &= rest - 1) sum ^= matrix[@ctz(rest)];
    return sum;
}

inline fn shift(crc: u32) u32 {
    return shift_table[0][crc & 0xff] ^ shift_table[1][(crc >> 8) & 0xff] ^
        shift_table[2][(crc >> 16) & 0xff] ^ shift_table[3][crc >> 24];
}

// ---------------------------------------------------------------------------------------------------------------

/// CRC-32C's polynomial, bits reversed.
const polynomial = 0x82f63b78;

const slices: [8][256]u32 = table: {
    @setEvalBranchQuota(100_000);
    var table: [8][256]u32 = undefined;
    for (0..256) |value| {
        var crc: u32 = value;
        for (0..8) |_| crc = if (crc & 1 != 0) (crc >> 1) ^ polynomial else crc >> 1;
        table[0][value] = crc;
    }
    for (1..8) |slice| {
        for (0..256) |value| {
            const crc = table[slice - 1][value];
            table[slice][value] = (crc >> 8) ^ table[0][crc & 0xff];
        }
    }
    break :table table;
};

fn throughTables(start: u32, bytes: []const u8) u32 {
    var crc = start;
    var rest = bytes;
    while (rest.len >= 8) : (rest = rest[8..]) {
        const word = load(rest) ^ crc;
        crc = 0;
        inline for (0..8) |byte| crc ^= slices[7 - byte][@as(u8, @truncate(word >> (8 * byte)))];
    }
    for (rest) |byte| crc = (crc >> 8) ^ slices[0][@as(u8, @truncate(crc)) ^ byte];
    return crc;
}

const testing = std.testing;

test "crc32c() knows the vectors of RFC 3720" {
    var ascending: [32]u8 = undefined;
    for (&ascending, 0..) |*byte, index| byte.* = @intCast(index);
    const vectors = .{
        .{ "", 0 },
        .{ "123456789", 0xe3069283 },
        .{ &@as([32]u8, @splat(0)), 0x8a9136aa },
        .{ &@as([32]u8, @splat(0xff)), 0x62a8ab43 },
        .{ &ascending, 0x46dd794e },
    };
    inline for (vectors) |vector| {
        try testing.expectEqual(vector[1], crc32c(vector[0]));
        try testing.expectEqual(vector[1], ~throughTables(~@as(u32, 0), vector[0]));
    }
}

test "all ways agree, for any length and alignment" {
    var random = std.Random.DefaultPrng.init(7);
    var bytes: [20_000]u8 = undefined;
    random.random().bytes(&bytes);
    for (0..300) |round| {
        const from = random.random().uintLessThan(usize, 64);
        const length = if (round < 100) round else random.random().uintLessThan(usize, bytes.len - 64);
        const part = bytes[from..][0..length];
        const expected = std.hash.crc.Crc32Iscsi.hash(part);
        try testing.expectEqual(expected, crc32c(part));
        try testing.expectEqual(expected, ~throughTables(~@as(u32, 0), part));
        if (hasInstruction()) try testing.expectEqual(expected, ~throughInstruction(~@as(u32, 0), part));
        const cut = length / 3;
        try testing.expectEqual(expected, crc32cParts(&.{ part[0..cut], part[cut..] }));
    }
}
