//! The parts of a table file one by one, for people who look at a file that is in no store: checked and translated from
//! buffers that the caller has read. Results are byte counts or Codes. Pure; any thread.

const std = @import("std");
const abi = @import("abi.zig");
const compression = @import("compression.zig");
const file_name = @import("file_name.zig");
const filter = @import("filter.zig");
const format = @import("table_format.zig");

fn code(e: anyerror) i32 {
    const known: abi.Code = switch (e) {
        error.Damaged => .corruption,
        error.Unsupported => .unsupported,
        error.OutOfMemory => .no_memory,
        else => .invalid,
    };
    return known.int();
}

/// The last bytes of a file of this size, as a `TableFooter`. The number is what the footer says.
pub fn footer(bytes: []const u8, file_bytes: u64, out: []u8) i32 {
    if (bytes.len != format.Footer.bytes or out.len < @sizeOf(abi.TableFooter)) return abi.Code.invalid.int();
    const number = std.mem.readInt(u64, bytes[16..24], .little);
    if (number > file_name.number_max) return abi.Code.corruption.int();
    const read = format.Footer.decode(bytes[0..format.Footer.bytes], number, file_bytes) catch |e| return code(e);
    const result: abi.TableFooter = .{
        .number = @floatFromInt(number),
        .filter_offset = @floatFromInt(read.filter.offset),
        .index_offset = @floatFromInt(read.index.offset),
        .properties_offset = @floatFromInt(read.properties.offset),
        .filter_bytes = read.filter.bytes,
        .index_bytes = read.index.bytes,
        .properties_bytes = read.properties.bytes,
        .checksum = std.mem.readInt(u32, bytes[12..16], .little),
    };
    @memcpy(out[0..@sizeOf(abi.TableFooter)], std.mem.asBytes(&result));
    return @sizeOf(abi.TableFooter);
}

/// A properties block's content as a `TableProperties` and what follows that.
pub fn properties(content: []const u8, out: []u8) i32 {
    const read = format.Properties.decode(content) catch |e| return code(e);
    const parts_bytes = content.len - format.Properties.fixed_bytes;
    if (out.len < @sizeOf(abi.TableProperties) + parts_bytes) return abi.Code.invalid.int();
    var result = std.mem.zeroes(abi.TableProperties);
    inline for (@typeInfo(abi.TableProperties).@"struct".fields) |field| {
        if (@hasField(format.Properties, field.name)) @field(result, field.name) = asField(field.type, @field(read, field.name));
    }
    result.largest_kind = @intFromEnum(read.largest_kind);
    result.ranges_offset = @floatFromInt(read.ranges.offset);
    result.ranges_bytes = read.ranges.bytes;
    result.smallest_key_bytes = @intCast(read.smallest_key.len);
    result.largest_key_bytes = @intCast(read.largest_key.len);
    result.blob_count = @intCast(read.blobs.len);
    result.family_name_bytes = @intCast(read.family_name.len);
    result.input_count = @intCast(read.origin.inputs.len);
    result.is_last_output = @intFromBool(read.origin.is_last_output);
    result.first_output = @floatFromInt(read.origin.first_output);

    var at: usize = @sizeOf(abi.TableProperties);
    @memcpy(out[0..at], std.mem.asBytes(&result));
    for (read.blobs) |blob| {
        put(out, &at, std.mem.asBytes(&abi.BlobReference{ .number = @floatFromInt(blob.number), .bytes = @floatFromInt(blob.bytes) }));
    }
    for (read.origin.inputs) |input| put(out, &at, std.mem.asBytes(&@as(f64, @floatFromInt(input))));
    for ([_][]const u8{ read.smallest_key, read.largest_key, read.family_name }) |part| put(out, &at, part);
    return std.math.cast(i32, at) orelse abi.Code.invalid.int();
}

fn asField(comptime Type: type, value: anytype) Type {
    return if (Type == f64) @floatFromInt(value) else if (@typeInfo(@TypeOf(value)) == .int) @intCast(value) else 0;
}

fn put(out: []u8, at: *usize, bytes: []const u8) void {
    @memcpy(out[at.*..][0..bytes.len], bytes);
    at.* += bytes.len;
}

/// Checks a block, trailer included, of the table with this number, at this place. What its content takes when it is expanded.
pub fn blockBytes(bytes: []const u8, table: u64, offset: u64) i32 {
    const stored = format.openBlock(bytes, table, offset) catch |e| return code(e);
    const raw_bytes = switch (stored.compression) {
        .none => stored.content.len,
        .zstd => compression.rawBytes(stored.content) catch |e| return code(e),
    };
    return std.math.cast(i32, raw_bytes) orelse abi.Code.corruption.int();
}

/// The content of a block that was checked, expanded. REQUIRES: `out` has the bytes that `blockBytes` told.
pub fn expand(bytes: []const u8, out: []u8) i32 {
    if (bytes.len < format.trailer_bytes) return abi.Code.invalid.int();
    const content = bytes[0 .. bytes.len - format.trailer_bytes];
    if (bytes[content.len] == @intFromEnum(abi.Compression.none)) {
        if (out.len != content.len) return abi.Code.invalid.int();
        @memcpy(out, content);
    } else {
        const raw_bytes = compression.rawBytes(content) catch |e| return code(e);
        if (out.len != raw_bytes) return abi.Code.invalid.int();
        compression.decompress(content, out) catch |e| return code(e);
    }
    return @intCast(out.len);
}

/// How many probes a filter block's content asks for.
pub fn filterProbes(content: []const u8) i32 {
    const read = filter.Filter.parse(content) catch |e| return code(e);
    return @intCast(read.probes);
}
