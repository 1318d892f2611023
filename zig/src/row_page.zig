//! A cursor's page: rows packed as abi.zig's `PageHeader` says, in a region of its own. A row is staged behind the
//! ones that count, may be staged anew, and is then committed. The page has room for at least one row, of whatever
//! size. Pages of the usual size are kept for the next cursor. One thread at a time; the kept ones are shared.

const std = @import("std");
const abi = @import("abi.zig");
const fault = @import("fault.zig");
const locks = @import("locks.zig");
const region = @import("region.zig");
const Fault = fault.Fault;

const none: region.Id = 0;
const usual_bytes = dataOffset(abi.page_row_count_max) + abi.page_data_bytes;

fn dataOffset(row_count_max: u64) u64 {
    return std.mem.alignForward(u64, abi.page_offsets_offset + 4 * (2 * row_count_max + 1), 64);
}

pub const RowPage = struct {
    id: region.Id = none,
    usual: bool = true,
    offsets: [*]u32 = undefined,
    data: [*]u8 = undefined,
    data_offset: u32 = 0,
    data_capacity: u64 = 0,
    /// Bytes of the committed rows.
    data_bytes: u32 = 0,
    count: u32 = 0,
    stack_count: u32 = 0,
    row_count_max: u32 = 0,
    byte_count_max: u32 = 0,
    staged_key_bytes: u32 = 0,
    staged_value_bytes: u32 = 0,

    pub fn deinit(self: *RowPage) void {
        if (self.id == none) return;
        if (!self.usual or !keepIdle(self.id)) _ = region.release(self.id);
    }

    /// Empties the page. REQUIRES: row_count_max is 1…`page_row_count_max`.
    pub fn begin(self: *RowPage, row_count_max: u32, byte_count_max: u32, failure: *Fault) fault.Error!void {
        std.debug.assert(row_count_max >= 1 and row_count_max <= abi.page_row_count_max);
        self.row_count_max = row_count_max;
        self.byte_count_max = @min(byte_count_max, abi.page_data_bytes);
        self.count = 0;
        self.stack_count = 0;
        self.data_bytes = 0;
        if (self.id != none and !self.usual) {
            _ = region.release(self.id);
            self.id = none;
        }
        if (self.id == none) {
            self.id = takeIdle() orelse try reserve(usual_bytes, failure);
            self.usual = true;
        }
        self.place(abi.page_data_bytes);
    }

    fn place(self: *RowPage, data_capacity: u64) void {
        const memory = region.slice(self.id).?;
        self.data_offset = @intCast(dataOffset(self.row_count_max));
        self.offsets = @ptrCast(@alignCast(memory.ptr + abi.page_offsets_offset));
        self.data = memory.ptr + self.data_offset;
        self.data_capacity = data_capacity;
        std.debug.assert(self.data_offset + data_capacity <= memory.len);
        self.offsets[0] = 0;
    }

    pub inline fn isFull(self: *const RowPage) bool {
        return self.count > 0 and (self.count == self.row_count_max or self.data_bytes >= self.byte_count_max);
    }

    /// Puts a row behind the committed ones, in the place of what was staged. False: it does not fit beside them.
    /// REQUIRES: fewer than `row_count_max` rows.
    pub inline fn stage(self: *RowPage, key: []const u8, value: []const u8, failure: *Fault) fault.Error!bool {
        std.debug.assert(self.count < self.row_count_max);
        const need = @as(u64, self.data_bytes) + key.len + value.len;
        if (need > self.data_capacity) {
            if (self.count > 0) return false;
            try self.enlarge(need, failure);
        }
        const target = self.data + self.data_bytes;
        copy(target, key);
        copy(target + key.len, value);
        self.staged_key_bytes = @intCast(key.len);
        self.staged_value_bytes = @intCast(value.len);
        return true;
    }

    /// Puts another value behind the staged key. False: it does not fit. REQUIRES: a row is staged; `value` is not part of it.
    pub fn stageValue(self: *RowPage, value: []const u8, failure: *Fault) fault.Error!bool {
        const need = @as(u64, self.data_bytes) + self.staged_key_bytes + value.len;
        if (need > self.data_capacity) {
            if (self.count > 0) return false;
            try self.enlarge(need, failure);
        }
        @memcpy(self.data[self.data_bytes + self.staged_key_bytes ..][0..value.len], value);
        self.staged_value_bytes = @intCast(value.len);
        return true;
    }

    pub fn stagedValue(self: *const RowPage) []const u8 {
        return self.data[self.data_bytes + self.staged_key_bytes ..][0..self.staged_value_bytes];
    }

    pub inline fn stagedKey(self: *const RowPage) []const u8 {
        return self.data[self.data_bytes..][0..self.staged_key_bytes];
    }

    /// Its key, good until the next `begin`.
    pub inline fn commit(self: *RowPage) []const u8 {
        const key = self.stagedKey();
        const value_at = self.data_bytes + self.staged_key_bytes;
        self.offsets[2 * self.count + 1] = value_at;
        self.data_bytes = value_at + self.staged_value_bytes;
        self.count += 1;
        self.offsets[2 * self.count] = self.data_bytes;
        return key;
    }

    /// The value of the last committed row is a `MergeStack`.
    pub fn markStack(self: *RowPage) void {
        self.offsets[2 * self.count - 1] |= abi.page_stack_bit;
        self.stack_count += 1;
    }

    pub fn finish(self: *RowPage, end: bool) region.Id {
        const header: *abi.PageHeader = @ptrCast(region.slice(self.id).?.ptr);
        header.* = .{
            .count = self.count,
            .end = @intFromBool(end),
            .data_offset = self.data_offset,
            .data_bytes = self.data_bytes,
            .stack_count = self.stack_count,
            .reserved = 0,
        };
        return self.id;
    }

    fn enlarge(self: *RowPage, data_bytes: u64, failure: *Fault) fault.Error!void {
        std.debug.assert(self.count == 0);
        const larger = try reserve(dataOffset(self.row_count_max) + data_bytes, failure);
        const staged_key = self.stagedKey();
        @memcpy(region.slice(larger).?[dataOffset(self.row_count_max)..][0..staged_key.len], staged_key);
        self.deinit();
        self.id = larger;
        self.usual = false;
        self.place(data_bytes);
    }
};

/// Short copies without a call; the source may be read in pieces that overlap.
inline fn copy(target: [*]u8, source: []const u8) void {
    const n = source.len;
    if (n > 32) return @memcpy(target[0..n], source);
    if (n >= 16) {
        const front: @Vector(16, u8) = source[0..16].*;
        const back: @Vector(16, u8) = source[n - 16 ..][0..16].*;
        target[0..16].* = front;
        target[n - 16 ..][0..16].* = back;
    } else if (n >= 8) {
        const front = source[0..8].*;
        const back = source[n - 8 ..][0..8].*;
        target[0..8].* = front;
        target[n - 8 ..][0..8].* = back;
    } else for (source, target[0..n]) |byte, *to| {
        to.* = byte;
    }
}

fn reserve(bytes: u64, failure: *Fault) fault.Error!region.Id {
    return region.reserve(bytes) catch |e| failure.fail(switch (e) {
        error.OutOfMemory => .no_memory,
        error.Exhausted => .exhausted,
    });
}

/// Pages of closed cursors, so that a short range costs no system call.
var idle: [16]region.Id = @splat(none);
var idle_count: usize = 0;
var mutex: locks.Mutex = .{};

fn takeIdle() ?region.Id {
    mutex.lock();
    defer mutex.unlock();
    if (idle_count == 0) return null;
    idle_count -= 1;
    return idle[idle_count];
}

fn keepIdle(id: region.Id) bool {
    mutex.lock();
    defer mutex.unlock();
    if (idle_count == idle.len) return false;
    idle[idle_count] = id;
    idle_count += 1;
    return true;
}
