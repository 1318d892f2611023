//! Cursors: visible rows of a key range, at a sequence number, in pages. A cursor pins the version, the memtables and the
//! blob segments that it reads; `close` lets go of them. It is used by one thread at a time, by different ones over time; a
//! second thread in a fill is refused (`Code.invalid`), a closed handle finds nothing (`Code.closed`).
//!
//! A fill that fails has no rows and leaves the cursor where it was, so that a job can repeat it where waiting is
//! allowed. A fill that fails behind some rows returns those; the next one meets the failure again.

const std = @import("std");
const abi = @import("abi.zig");
const fault = @import("fault.zig");
const handle_table = @import("handle_table.zig");
const internal_key = @import("internal_key.zig");
const memtable_ranges = @import("memtable_ranges.zig");
const merge_iterator = @import("merge_iterator.zig");
const range_cover = @import("range_cover.zig");
const region = @import("region.zig");
const skip_list = @import("skip_list.zig");
const store_registry = @import("store.zig");
const table_set = @import("table_set.zig");
const Access = @import("table_reader.zig").Access;
const BlobValue = @import("blob_value.zig").BlobValue;
const Fault = fault.Fault;
const Fragments = @import("range_fragments.zig").Fragments;
const Memtable = @import("memtable_reader.zig").Memtable;
const RangeWalk = @import("range_walk.zig").RangeWalk;
const RowPage = @import("row_page.zig").RowPage;
const Table = @import("table_reader.zig").Table;

const gpa = std.heap.c_allocator;

/// Answer only from memory, else `Code.would_block`.
pub const flag_cached: u32 = 1;
/// More entries than this are not brought into order on a thread that must not wait (they take some 5 ms).
const unindexed_max = 20_000;

var cursors: handle_table.HandleTable(Cursor) = .{};

/// Reads the `CursorRequest` in the context. A handle, or a Code.
pub fn open(context: region.Id) i32 {
    var failure: Fault = .{};
    const cursor = Cursor.create(context, &failure) catch return failure.report();
    return cursors.open(cursor) orelse {
        cursor.destroy();
        return abi.Code.exhausted.int();
    };
}

/// The region of the page that has the rows, good until the next fill or the close; negative: errno or Code.
pub fn fill(handle: i32, row_count_max: u32, byte_count_max: u32, flags: u32) i32 {
    var failure: Fault = .{};
    const access: Access = if (flags & flag_cached != 0) .cached else .disk;
    return fillAs(handle, row_count_max, byte_count_max, access, &failure) catch failure.report();
}

/// The cursor_fill job: the same, on a thread that may wait.
pub fn run(job: *const abi.CursorJob, failure: *Fault) fault.Error!i32 {
    return fillAs(job.cursor, job.row_count_max, job.byte_count_max, .disk, failure);
}

pub fn close(handle: i32) i32 {
    return if (cursors.close(handle)) 0 else abi.Code.closed.int();
}

/// Ends the cursors of a session that is over.
pub fn closeAll(store: i32) void {
    var at: u32 = 0;
    while (cursors.next(&at)) |handle| {
        const cursor = cursors.acquire(handle) orelse continue;
        const belongs = cursor.store == store;
        cursors.release(handle);
        if (belongs) _ = cursors.close(handle);
    }
}

fn fillAs(handle: i32, row_count_max: u32, byte_count_max: u32, access: Access, failure: *Fault) fault.Error!i32 {
    const cursor = cursors.acquire(handle) orelse return failure.fail(.closed);
    defer cursors.release(handle);
    if (cursor.busy.swap(true, .acquire)) return failure.fail(.invalid);
    defer cursor.busy.store(false, .release);
    return cursor.fill(row_count_max, byte_count_max, access, failure);
}

const Cursor = struct {
    /// The session that opened it.
    store: i32,
    /// Zero: none.
    version: i32 = 0,
    memtables: std.ArrayList(Memtable) = .empty,
    sources: std.ArrayList(merge_iterator.Source) = .empty,
    /// The lower bound, then the upper one.
    bounds: []u8,
    walk: RangeWalk,
    /// Every entry that `walk.sequence` may see is in its memtable's index.
    indexed: bool = false,
    page: RowPage = .{},
    busy: std.atomic.Value(bool) = .init(false),

    fn create(context: region.Id, failure: *Fault) fault.Error!*Cursor {
        const memory = region.slice(context) orelse return failure.fail(.closed);
        if (memory.len < abi.context_bytes) return failure.fail(.invalid);
        const request: *const abi.CursorRequest = @ptrCast(@alignCast(memory.ptr + abi.cursor_request_offset));
        const highest: f64 = @floatFromInt(internal_key.sequence_max);
        if (!(request.sequence >= 0 and request.sequence <= highest)) return failure.fail(.invalid);
        // Written so that a NaN fails too.
        if (!(request.now >= 0)) return failure.fail(.invalid);
        const operator = std.enums.fromInt(abi.MergeOperator, request.merge_operator) orelse return failure.fail(.invalid);
        if (request.memtable_count > abi.cursor_memtables_max) return failure.fail(.invalid);
        if (request.lower_bytes > abi.key_bytes_max or request.upper_bytes > abi.key_bytes_max) return failure.fail(.invalid);

        const bounds_bytes = request.lower_bytes + request.upper_bytes;
        const bounds = gpa.dupe(u8, memory[abi.context_key_offset..][0..bounds_bytes]) catch return failure.fail(.no_memory);
        const self = gpa.create(Cursor) catch {
            gpa.free(bounds);
            return failure.fail(.no_memory);
        };
        self.* = .{
            .store = request.store,
            .bounds = bounds,
            .walk = .{
                .gpa = gpa,
                .merge = .{ .sources = &.{}, .heap = &.{} },
                .covers = .{ .gpa = gpa, .sequence = @intFromFloat(request.sequence) },
                .chain = .{
                    .gpa = gpa,
                    .operator = operator,
                    .newest_first = request.reverse == 0,
                    .keys_only = request.keys_only != 0,
                },
                .sequence = @intFromFloat(request.sequence),
                .now = request.now,
                .lower = bounds[0..request.lower_bytes],
                .upper = if (request.has_upper != 0) bounds[request.lower_bytes..] else null,
                .reverse = request.reverse != 0,
                .keys_only = request.keys_only != 0,
            },
        };
        errdefer self.destroy();
        try self.pin(request, failure);
        self.gatherSources() catch return failure.fail(.no_memory);
        try self.gatherRanges(failure);
        return self;
    }

    /// Called when the last user lets go.
    pub fn destroy(self: *Cursor) void {
        self.walk.deinit();
        self.sources.deinit(gpa);
        for (self.memtables.items) |memtable| _ = memtable.release();
        self.memtables.deinit(gpa);
        if (self.version != 0) table_set.versions.release(self.version);
        self.page.deinit();
        gpa.free(self.bounds);
        gpa.destroy(self);
    }

    fn pin(self: *Cursor, request: *const abi.CursorRequest, failure: *Fault) fault.Error!void {
        if (store_registry.acquire(request.store)) |store| {
            defer store_registry.release(request.store);
            self.walk.blobs = BlobValue.init(store.blobs) catch return failure.fail(.no_memory);
        }
        if (request.version != 0) {
            _ = table_set.versions.acquire(request.version) orelse return failure.fail(.closed);
            self.version = request.version;
        }
        self.memtables.ensureTotalCapacityPrecise(gpa, request.memtable_count) catch return failure.fail(.no_memory);
        for (request.memtables[0..request.memtable_count]) |id| {
            const memtable = Memtable.open(id) orelse return failure.fail(.closed);
            if (!memtable.retain()) return failure.fail(.closed);
            self.memtables.appendAssumeCapacity(memtable);
        }
    }

    /// One source for each memtable, each table of level 0 and each deeper level that may hold keys of the range.
    fn gatherSources(self: *Cursor) error{OutOfMemory}!void {
        for (self.memtables.items) |memtable| {
            try self.sources.append(gpa, .{ .from = .{ .memtable = .{ .memtable = memtable } } });
        }
        if (self.version != 0) {
            const version = table_set.versions.pinned(self.version);
            for (version.levels, 0..) |level, number| try self.gatherLevel(level, number > 0);
        }
        self.walk.merge = try .init(gpa, self.sources.items);
    }

    fn gatherLevel(self: *Cursor, level: []const *Table, is_sorted: bool) error{OutOfMemory}!void {
        var start: usize = 0;
        while (start < level.len) {
            var end = start;
            while (end < level.len and self.touches(level[end])) {
                end += 1;
                if (!is_sorted) break;
            }
            if (end > start) try self.sources.append(gpa, .{ .from = .{ .level = .init(gpa, level[start..end]) } });
            start = end + @intFromBool(end == start);
        }
    }

    /// The range tombstones of all sources. Those of a memtable may move on while the cursor is open: it keeps what it got.
    fn gatherRanges(self: *Cursor, failure: *Fault) fault.Error!void {
        const walk = &self.walk;
        const covers = &walk.covers;
        for (self.memtables.items) |memtable| {
            try memtable_ranges.collect(gpa, memtable, walk.sequence, walk.lower, walk.upper, &covers.kept, failure);
        }
        for (covers.kept.items) |fragments| covers.add(&.{fragments}) catch return failure.fail(.no_memory);
        var row: std.ArrayList(*const Fragments) = .empty;
        defer row.deinit(gpa);
        for (self.sources.items) |*source| switch (source.from) {
            .memtable => {},
            .level => |*level| {
                row.clearRetainingCapacity();
                for (level.tables) |table| {
                    const ranges = table.ranges orelse continue;
                    if (!range_cover.touches(ranges, walk.lower, walk.upper)) continue;
                    row.append(gpa, ranges) catch return failure.fail(.no_memory);
                }
                if (row.items.len > 0) covers.add(row.items) catch return failure.fail(.no_memory);
            },
        };
    }

    fn touches(self: *const Cursor, table: *const Table) bool {
        if (table.endsBefore(self.walk.lower)) return false;
        const upper = self.walk.upper orelse return true;
        return internal_key.compareKeys(table.properties.smallest_key, upper) == .lt;
    }

    fn fill(self: *Cursor, row_count_max: u32, byte_count_max: u32, access: Access, failure: *Fault) fault.Error!i32 {
        if (row_count_max == 0) return failure.fail(.invalid);
        if (!self.indexed) try self.bringIntoOrder(access, failure);
        try self.page.begin(@min(row_count_max, abi.page_row_count_max), byte_count_max, failure);
        try self.walk.fill(&self.page, access, failure);
        return self.page.finish(self.walk.state == .finished);
    }

    /// Once is enough: what comes later has a higher sequence number than the cursor may see.
    fn bringIntoOrder(self: *Cursor, access: Access, failure: *Fault) fault.Error!void {
        for (self.memtables.items) |memtable| {
            if (access == .cached and skip_list.unindexedCount(memtable) > unindexed_max) return failure.fail(.would_block);
            try skip_list.extend(memtable, access == .disk, failure);
        }
        self.indexed = true;
    }
};
