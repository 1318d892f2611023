//! What the manifest keeps of an open table, written where TypeScript reads it (abi.zig, `TableDescription`). Any thread.

const std = @import("std");
const abi = @import("abi.zig");
const Table = @import("table_reader.zig").Table;

const align_bytes = 8;

/// What `write` takes: a multiple of eight.
pub fn bytesOf(table: *const Table) usize {
    return std.mem.alignForward(usize, nameOffset(table) + table.properties.family_name.len, align_bytes);
}

fn nameOffset(table: *const Table) usize {
    return inputsOffset(table) + table.properties.origin.inputs.len * @sizeOf(f64);
}

fn inputsOffset(table: *const Table) usize {
    return keysEnd(table) + table.properties.blobs.len * @sizeOf(abi.BlobReference);
}

fn keysEnd(table: *const Table) usize {
    const properties = &table.properties;
    const end = @sizeOf(abi.TableDescription) + properties.smallest_key.len + properties.largest_key.len;
    return std.mem.alignForward(usize, end, align_bytes);
}

/// REQUIRES: `target` has `bytesOf` bytes and begins on a multiple of eight.
pub fn write(table: *const Table, handle: i32, target: []u8) void {
    const properties = &table.properties;
    const smallest = properties.smallest_key;
    const largest = properties.largest_key;
    const description: *abi.TableDescription = @ptrCast(@alignCast(target.ptr));
    description.* = .{
        .number = @floatFromInt(table.file.number),
        .file_bytes = @floatFromInt(table.file_bytes),
        .entry_count = @floatFromInt(properties.entry_count),
        .delete_count = @floatFromInt(properties.delete_count),
        .range_count = @floatFromInt(properties.range_count),
        .smallest_sequence = @floatFromInt(properties.smallest_sequence),
        .largest_sequence = @floatFromInt(properties.largest_sequence),
        .smallest_key_bytes = @intCast(smallest.len),
        .largest_key_bytes = @intCast(largest.len),
        .largest_kind = @intFromEnum(properties.largest_kind),
        .blob_count = @intCast(properties.blobs.len),
        .handle = handle,
        .bytes = @intCast(bytesOf(table)),
        .family = properties.family,
        .family_name_bytes = @intCast(properties.family_name.len),
        .input_count = @intCast(properties.origin.inputs.len),
        .is_last_output = @intFromBool(properties.origin.is_last_output),
        .first_output = @floatFromInt(properties.origin.first_output),
    };
    const keys = target[@sizeOf(abi.TableDescription)..keysEnd(table)];
    @memset(keys, 0);
    @memcpy(keys[0..smallest.len], smallest);
    @memcpy(keys[smallest.len..][0..largest.len], largest);
    const references: [*]abi.BlobReference = @ptrCast(@alignCast(target.ptr + keysEnd(table)));
    for (properties.blobs, references) |blob, *reference| {
        reference.* = .{ .number = @floatFromInt(blob.number), .bytes = @floatFromInt(blob.bytes) };
    }
    const inputs: [*]f64 = @ptrCast(@alignCast(target.ptr + inputsOffset(table)));
    for (properties.origin.inputs, inputs) |number, *input| input.* = @floatFromInt(number);
    const name = target[nameOffset(table)..bytesOf(table)];
    @memset(name, 0);
    @memcpy(name[0..properties.family_name.len], properties.family_name);
}
