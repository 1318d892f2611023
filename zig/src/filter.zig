//! A Bloom filter over user keys, one per table: "certainly not here" without touching a block. The bits of one
//! key lie in one cache line, so a question costs one miss.
//!
//! Content: u32 version (1) | u32 probes (1…30) | u64 line count | 48 zero bytes | lines of 64 bytes. All
//! little-endian. Key to bits: h = XXH3-64(key); line = (h >> 32) * lines >> 32; then `probes` times:
//! bit = low32 >> 23, low32 *= 0x9e3779b9, starting from the low half of h.
//! Pure data; any thread may read a filter.

const std = @import("std");

pub const header_bytes = 64;
const line_bytes = 64;
const version = 1;
const probe_count_max = 30;

pub inline fn hashKey(key: []const u8) u64 {
    return std.hash.XxHash3.hash(0, key);
}

/// Builds the content for these hashes (of distinct keys, or not). Owned by the caller.
pub fn build(gpa: std.mem.Allocator, hashes: []const u64, bits_per_key: u32) error{OutOfMemory}![]u8 {
    const bits = @as(u64, hashes.len) * @min(bits_per_key, 64);
    // The line number comes from 32 bits of hash, and the content's length must fit its handle.
    const lines: u64 = std.math.clamp((bits + 511) / 512, 1, (1 << 25));
    const content = try gpa.alloc(u8, @intCast(header_bytes + lines * line_bytes));
    @memset(content, 0);
    // ln 2 × bits is the best number; a little less serves lines better, whose load varies.
    const probes: u32 = std.math.clamp(bits_per_key * 65 / 100, 1, probe_count_max);
    std.mem.writeInt(u32, content[0..4], version, .little);
    std.mem.writeInt(u32, content[4..8], probes, .little);
    std.mem.writeInt(u64, content[8..16], lines, .little);
    for (hashes) |hash| {
        const line = content[lineOffset(hash, lines)..][0..line_bytes];
        var state: u32 = @truncate(hash);
        for (0..probes) |_| {
            const bit = state >> 23;
            line[bit >> 3] |= @as(u8, 1) << @intCast(bit & 7);
            state *%= 0x9e37_79b9;
        }
    }
    return content;
}

pub const Filter = struct {
    lines: []const u8,
    line_count: u64,
    probes: u32,

    pub fn parse(content: []const u8) error{Damaged}!Filter {
        if (content.len < header_bytes + line_bytes) return error.Damaged;
        const probes = std.mem.readInt(u32, content[4..8], .little);
        const line_count = std.mem.readInt(u64, content[8..16], .little);
        if (std.mem.readInt(u32, content[0..4], .little) != version) return error.Damaged;
        if (probes == 0 or probes > probe_count_max) return error.Damaged;
        if ((content.len - header_bytes) % line_bytes != 0) return error.Damaged;
        if (line_count != (content.len - header_bytes) / line_bytes or line_count > 1 << 32) return error.Damaged;
        return .{ .lines = content, .line_count = line_count, .probes = probes };
    }

    /// False: no entry of the table has this key.
    pub inline fn mayContain(self: *const Filter, hash: u64) bool {
        const line = self.lines[lineOffset(hash, self.line_count)..][0..line_bytes];
        var state: u32 = @truncate(hash);
        for (0..self.probes) |_| {
            const bit = state >> 23;
            if (line[bit >> 3] & @as(u8, 1) << @intCast(bit & 7) == 0) return false;
            state *%= 0x9e37_79b9;
        }
        return true;
    }
};

inline fn lineOffset(hash: u64, line_count: u64) usize {
    return @intCast(header_bytes + (((hash >> 32) * line_count) >> 32) * line_bytes);
}

test "a filter has no false negatives, and few false positives" {
    const gpa = std.testing.allocator;
    var hashes: [20_000]u64 = undefined;
    for (&hashes, 0..) |*hash, i| hash.* = hashKey(std.mem.asBytes(&@as(u64, i * 7)));
    for ([_]u32{ 1, 5, 10, 20, 100 }) |bits| {
        const content = try build(gpa, &hashes, bits);
        defer gpa.free(content);
        const filter = try Filter.parse(content);
        for (hashes) |hash| try std.testing.expect(filter.mayContain(hash));
        var wrong: usize = 0;
        for (0..20_000) |i| wrong += @intFromBool(filter.mayContain(hashKey(std.mem.asBytes(&@as(u64, i * 7 + 1)))));
        if (bits == 10) try std.testing.expect(wrong < 20_000 * 15 / 1000);
    }
    const none = try build(gpa, &.{}, 10);
    defer gpa.free(none);
    try std.testing.expect(!(try Filter.parse(none)).mayContain(1));
}
