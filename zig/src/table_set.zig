//! Tables and versions by handle. A table handle stands for an open reader; a version is an immutable list of
//! levels of tables, each table counted once by each version that lists it. Point reads and cursors hold a version
//! while they use it. Process-wide; any thread may call.

const std = @import("std");
const abi = @import("abi.zig");
const handle_table = @import("handle_table.zig");
const Table = @import("table_reader.zig").Table;

const gpa = std.heap.c_allocator;

pub var tables: handle_table.HandleTable(Table) = .{};
pub var versions: handle_table.HandleTable(Version) = .{};

const level_count_max = 64;

pub const Version = struct {
    /// Level 0: newest first, may overlap. Deeper: sorted, disjoint.
    levels: [][]*Table,
    /// All tables, level by level, and the handles that hold them.
    list: []*Table,
    handles: []i32,

    pub fn destroy(self: *Version) void {
        for (self.handles) |handle| tables.release(handle);
        gpa.free(self.levels);
        gpa.free(self.list);
        gpa.free(self.handles);
        gpa.destroy(self);
    }
};

/// Gives the reader a handle; negative: the Code, and the reader is gone.
pub fn publish(table: *Table) i32 {
    return tables.open(table) orelse {
        table.destroy();
        return abi.Code.exhausted.int();
    };
}

/// Zero: the handle is closed, and the file's name may be unlinked (a version that still lists the table keeps its
/// descriptor). Negative: nothing happened.
pub fn tableRelease(handle: i32) i32 {
    const table = tables.acquire(handle) orelse return abi.Code.closed.int();
    defer tables.release(handle);
    // More than the owner and this call: somebody will go on reading it.
    if (tables.referenceCount(handle) > 2) {
        const result = table.file.keep();
        if (result < 0) return @intCast(result);
    }
    return if (tables.close(handle)) 0 else abi.Code.closed.int();
}

/// `words`: [level count, then for each level: table count, handles …]. A handle, or a Code.
pub fn versionCreate(words: []align(1) const i32) i32 {
    const version = build(words) catch |e| return switch (e) {
        error.OutOfMemory => abi.Code.no_memory.int(),
        error.Invalid => abi.Code.invalid.int(),
        error.Closed => abi.Code.closed.int(),
    };
    return versions.open(version) orelse {
        version.destroy();
        return abi.Code.exhausted.int();
    };
}

pub fn versionRelease(handle: i32) i32 {
    return if (versions.close(handle)) 0 else abi.Code.closed.int();
}

/// File bytes between two bounds, the upper one exclusive, none if null. Negative: a Code.
pub fn versionSize(handle: i32, lower: []const u8, upper: ?[]const u8) f64 {
    const version = versions.acquire(handle) orelse return @floatFromInt(abi.Code.closed.int());
    defer versions.release(handle);
    var bytes: f64 = 0;
    for (version.list) |table| bytes += table.bytesBetween(lower, upper);
    return bytes;
}

/// Tables that its caller keeps; not a handle. `destroy` lets go of them. `words`: as `versionCreate` has them.
pub fn build(words: []align(1) const i32) error{ OutOfMemory, Invalid, Closed }!*Version {
    if (words.len == 0 or words[0] < 0 or words[0] > level_count_max) return error.Invalid;
    const level_count: usize = @intCast(words[0]);
    if (words.len < 1 + level_count) return error.Invalid;
    const table_count = words.len - 1 - level_count;

    const levels = try gpa.alloc([]*Table, level_count);
    errdefer gpa.free(levels);
    const list = try gpa.alloc(*Table, table_count);
    errdefer gpa.free(list);
    const handles = try gpa.alloc(i32, table_count);
    errdefer gpa.free(handles);
    const version = try gpa.create(Version);
    errdefer gpa.destroy(version);

    var held: usize = 0;
    errdefer for (handles[0..held]) |handle| tables.release(handle);
    var at: usize = 1;
    for (levels, 0..) |*level, number| {
        if (at >= words.len or words[at] < 0) return error.Invalid;
        const count: usize = @intCast(words[at]);
        at += 1;
        if (count > table_count - held or count > words.len - at) return error.Invalid;
        const start = held;
        for (words[at..][0..count]) |handle| {
            list[held] = tables.acquire(handle) orelse return error.Closed;
            handles[held] = handle;
            held += 1;
        }
        at += count;
        level.* = list[start..held];
        if (number > 0 and !areDisjoint(level.*)) return error.Invalid;
    }
    if (held != table_count) return error.Invalid;
    version.* = .{ .levels = levels, .list = list, .handles = handles };
    return version;
}

fn areDisjoint(level: []const *Table) bool {
    if (level.len < 2) return true;
    for (level[0 .. level.len - 1], level[1..]) |left, right| {
        if (!left.endsBefore(right.properties.smallest_key)) return false;
    }
    return true;
}
