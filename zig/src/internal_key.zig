//! The order of the whole tree: user key bytes ascending, then sequence number descending, so that the newest
//! version of a key comes first. A trailer packs what follows the user key: (sequence << 8) | type. On disk an
//! internal key is the user key and then its trailer, u64 little-endian. Pure functions; any thread.

const std = @import("std");
const Order = std.math.Order;

pub const sequence_max: u64 = (1 << 53) - 1;
pub const trailer_bytes = 8;

pub inline fn trailer(sequence: u64, entry_type: u8) u64 {
    return (sequence << 8) | entry_type;
}

/// Sorts at or before every version of a key that `sequence` may see, and behind every newer one.
pub inline fn seekTrailer(sequence: u64) u64 {
    return (sequence << 8) | 0xff;
}

pub inline fn sequenceOf(packed_trailer: u64) u64 {
    return packed_trailer >> 8;
}

pub inline fn typeOf(packed_trailer: u64) u8 {
    return @truncate(packed_trailer);
}

/// The first eight bytes as one big-endian number, padded with zeros: unequal prefixes order as their keys do.
pub inline fn prefix(key: []const u8) u64 {
    const n = key.len;
    if (n >= 8) return std.mem.readInt(u64, key[0..8], .big);
    if (n >= 4) {
        const high: u64 = std.mem.readInt(u32, key[0..4], .big);
        const low: u64 = std.mem.readInt(u32, key[n - 4 ..][0..4], .big);
        return (high << 32) | (low << @intCast(64 - 8 * n));
    }
    if (n == 0) return 0;
    // First, middle and last byte are all of them (twice the same, for one or two).
    return (@as(u64, key[0]) << 56) | (@as(u64, key[n / 2]) << @intCast(56 - 8 * (n / 2))) |
        (@as(u64, key[n - 1]) << @intCast(56 - 8 * (n - 1)));
}

pub inline fn compareKeys(a: []const u8, b: []const u8) Order {
    const shorter = @min(a.len, b.len);
    var at: usize = 0;
    while (shorter - at >= 8) : (at += 8) {
        const left = std.mem.readInt(u64, a[at..][0..8], .big);
        const right = std.mem.readInt(u64, b[at..][0..8], .big);
        if (left != right) return if (left < right) .lt else .gt;
    }
    const left = prefix(a[at..shorter]);
    const right = prefix(b[at..shorter]);
    if (left != right) return if (left < right) .lt else .gt;
    return std.math.order(a.len, b.len);
}

pub inline fn equalKeys(a: []const u8, b: []const u8) bool {
    if (a.len != b.len) return false;
    return compareKeys(a, b) == .eq;
}

pub inline fn compare(a: []const u8, a_trailer: u64, b: []const u8, b_trailer: u64) Order {
    const keys = compareKeys(a, b);
    if (keys != .eq) return keys;
    return std.math.order(b_trailer, a_trailer);
}

/// How many leading bytes the two share.
pub fn sharedBytes(a: []const u8, b: []const u8) usize {
    const shorter = @min(a.len, b.len);
    var at: usize = 0;
    while (shorter - at >= 8) : (at += 8) {
        const difference = std.mem.readInt(u64, a[at..][0..8], .little) ^ std.mem.readInt(u64, b[at..][0..8], .little);
        if (difference != 0) return at + @ctz(difference) / 8;
    }
    while (at < shorter and a[at] == b[at]) at += 1;
    return at;
}

/// A short key s with a <= s < b, written to `out`. REQUIRES: a < b; `out` has room for `a`.
pub fn separator(a: []const u8, b: []const u8, out: []u8) []u8 {
    std.debug.assert(compareKeys(a, b) == .lt);
    const shared = sharedBytes(a, b);
    // Where a differs from b inside both, a's byte is the smaller one; one more than it may still be below b.
    if (shared < a.len and shared < b.len and a[shared] + 1 < b[shared]) {
        @memcpy(out[0..shared], a[0..shared]);
        out[shared] = a[shared] + 1;
        return out[0 .. shared + 1];
    }
    @memcpy(out[0..a.len], a);
    return out[0..a.len];
}

const testing = std.testing;

test "compareKeys() orders as bytes do, at every length around the word size" {
    var random = std.Random.DefaultPrng.init(1);
    var left: [24]u8 = undefined;
    var right: [24]u8 = undefined;
    for (0..20_000) |_| {
        const a = left[0..random.random().uintAtMost(usize, 24)];
        const b = right[0..random.random().uintAtMost(usize, 24)];
        for (a) |*byte| byte.* = random.random().uintLessThan(u8, 3) *% 127;
        for (b) |*byte| byte.* = random.random().uintLessThan(u8, 3) *% 127;
        if (random.random().boolean()) @memcpy(b[0..@min(a.len, b.len)], a[0..@min(a.len, b.len)]);
        try testing.expectEqual(std.mem.order(u8, a, b), compareKeys(a, b));
        try testing.expectEqual(std.mem.eql(u8, a, b), equalKeys(a, b));
        if (prefix(a) != prefix(b)) {
            try testing.expectEqual(std.mem.order(u8, a, b), std.math.order(prefix(a), prefix(b)));
        }
        if (std.mem.order(u8, a, b) == .lt) {
            var out: [24]u8 = undefined;
            const between = separator(a, b, &out);
            try testing.expect(std.mem.order(u8, a, between) != .gt);
            try testing.expect(std.mem.order(u8, between, b) == .lt);
            try testing.expect(between.len <= a.len);
        }
    }
}

test "compare() puts the newest version of a key first" {
    try testing.expectEqual(Order.lt, compare("a", trailer(9, 1), "a", trailer(8, 2)));
    try testing.expectEqual(Order.gt, compare("b", trailer(9, 1), "a", trailer(8, 2)));
    try testing.expect(seekTrailer(9) >= trailer(9, 6));
    try testing.expect(seekTrailer(9) < trailer(10, 1));
}
