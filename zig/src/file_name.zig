//! Names of the files in a store's directory. They are made from a kind and a number only, so nothing that a
//! user chose reaches the file system. Pure; any thread may call.

const std = @import("std");
const abi = @import("abi.zig");

pub const name_bytes_max = 40;
pub const number_max = 1 << 53;

pub const FileId = struct { kind: abi.FileKind, number: u64 };

const Shape = struct { kind: abi.FileKind, prefix: []const u8, suffix: []const u8 };

const numbered = [_]Shape{
    .{ .kind = .log, .prefix = "", .suffix = ".log" },
    .{ .kind = .table, .prefix = "", .suffix = ".table" },
    .{ .kind = .manifest, .prefix = "MANIFEST-", .suffix = "" },
    .{ .kind = .temporary, .prefix = "", .suffix = ".temporary" },
    .{ .kind = .blob, .prefix = "", .suffix = ".blob" },
};

/// Null for a kind that is none, or a number that is not a whole number from 0 to 2^53.
pub fn format(kind: u32, number: f64, buffer: *[name_bytes_max]u8) ?[]const u8 {
    if (kind == @intFromEnum(abi.FileKind.current)) return "CURRENT";
    if (kind == @intFromEnum(abi.FileKind.lock)) return "LOCK";
    if (kind == @intFromEnum(abi.FileKind.families)) return "FAMILIES";
    if (!(number >= 0 and number <= number_max) or @floor(number) != number) return null;
    for (numbered) |shape| {
        if (kind != @intFromEnum(shape.kind)) continue;
        const value: u64 = @intFromFloat(number);
        return std.fmt.bufPrint(buffer, "{s}{d:0>6}{s}", .{ shape.prefix, value, shape.suffix }) catch unreachable;
    }
    return null;
}

/// Null for a name that `format` would not give.
pub fn parse(name: []const u8) ?FileId {
    if (std.mem.eql(u8, name, "CURRENT")) return .{ .kind = .current, .number = 0 };
    if (std.mem.eql(u8, name, "LOCK")) return .{ .kind = .lock, .number = 0 };
    if (std.mem.eql(u8, name, "FAMILIES")) return .{ .kind = .families, .number = 0 };
    for (numbered) |shape| {
        if (!std.mem.startsWith(u8, name, shape.prefix) or !std.mem.endsWith(u8, name, shape.suffix)) continue;
        if (name.len < shape.prefix.len + shape.suffix.len) continue;
        const digits = name[shape.prefix.len .. name.len - shape.suffix.len];
        if (digits.len < 6 or digits.len > 16) continue;
        if (digits.len > 6 and digits[0] == '0') continue;
        var number: u64 = 0;
        const good = for (digits) |digit| {
            if (!std.ascii.isDigit(digit)) break false;
            number = number * 10 + (digit - '0');
        } else true;
        if (good and number <= number_max) return .{ .kind = shape.kind, .number = number };
    }
    return null;
}

const testing = std.testing;

test "parse() reads what format() writes" {
    var buffer: [name_bytes_max]u8 = undefined;
    try testing.expectEqualStrings("000042.log", format(0, 42, &buffer).?);
    try testing.expectEqualStrings("MANIFEST-000042", format(2, 42, &buffer).?);
    for (0..8) |kind| {
        for ([_]f64{ 0, 42, 999_999, 1_000_000, number_max }) |number| {
            const id = parse(format(@intCast(kind), number, &buffer).?).?;
            try testing.expectEqual(kind, @intFromEnum(id.kind));
            if (kind != 3 and kind < 6) try testing.expectEqual(number, @as(f64, @floatFromInt(id.number)));
        }
    }
}

test "parse() refuses what is not ours, format() what cannot be" {
    for ([_][]const u8{
        "",                      "42.log",   "000042.Log", "0000042.log", "000042.log~", "00004x.log", "-00042.log",
        "MANIFEST-",             "MANIFEST", "LOCK2",      ".log",        "000042",      "README.md",  "../000042.log",
        "99999999999999999.log",
    }) |name| {
        try testing.expectEqual(null, parse(name));
    }
    var buffer: [name_bytes_max]u8 = undefined;
    for ([_]f64{ -1, 0.5, std.math.nan(f64), std.math.inf(f64), 1e300 }) |number| {
        try testing.expectEqual(null, format(0, number, &buffer));
    }
    try testing.expectEqual(null, format(8, 1, &buffer));
}
