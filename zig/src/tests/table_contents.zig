//! All entries of tables, in their order, copied: for tests that look at what was written.

const std = @import("std");
const abi = @import("../abi.zig");
const fault = @import("../fault.zig");
const internal_key = @import("../internal_key.zig");
const table_iterator = @import("../table_iterator.zig");
const Table = @import("../table_reader.zig").Table;

pub const Entry = struct { key: []const u8, sequence: u64, type: abi.EntryType, value: []const u8 };

pub const Contents = struct {
    arena: std.heap.ArenaAllocator,
    entries: []const Entry,

    pub fn deinit(self: *Contents) void {
        self.arena.deinit();
    }
};

/// REQUIRES: the tables are sorted and disjoint.
pub fn read(gpa: std.mem.Allocator, tables: []const *Table) !Contents {
    var arena: std.heap.ArenaAllocator = .init(gpa);
    errdefer arena.deinit();
    var list: std.ArrayList(Entry) = .empty;
    var place: table_iterator.Iterator = .init(gpa, tables);
    defer place.deinit();
    var failure: fault.Fault = .{};
    try place.seekFirst(.disk, &failure);
    while (place.rows.valid) : (try place.next(.disk, &failure)) {
        try list.append(arena.allocator(), .{
            .key = try arena.allocator().dupe(u8, place.rows.key),
            .sequence = internal_key.sequenceOf(place.rows.trailer),
            .type = @enumFromInt(internal_key.typeOf(place.rows.trailer)),
            .value = try arena.allocator().dupe(u8, place.rows.value),
        });
    }
    return .{ .arena = arena, .entries = list.items };
}
