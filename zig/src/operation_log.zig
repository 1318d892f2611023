//! The log of a simulated disk's operations: one line each, the same for the same seed. Numbered lines changed the
//! disk or made a change durable; lines with a dash only looked.
//!
//!     12 write /data/000004.log 4096 +4096 #8a21c07e synced
//!     13 rename /data/000003.temporary to CURRENT
//!     14 sync_directory /data EIO
//!     -- read /data/CURRENT 0 +20
//!     -- sync EINTR
//!     -- rot /data/CURRENT 3 bit 7

const std = @import("std");
const abi = @import("abi.zig");
const system = @import("system.zig");
const Directory = @import("simulated_directory.zig").Directory;

const gpa = std.heap.c_allocator;

pub const OperationLog = struct {
    text: std.ArrayList(u8) = .empty,
    /// Numbered operations so far.
    count: u64 = 0,

    /// `result` is written when it is an error. A line that finds no memory is left out.
    pub fn add(
        self: *OperationLog,
        operation: abi.DiskOperation,
        directory: *Directory,
        name: []const u8,
        comptime detail: []const u8,
        arguments: anytype,
        result: i64,
    ) void {
        switch (operation) {
            .open, .read, .list => self.print("-- ", .{}),
            else => {
                self.count += 1;
                self.print("{d} ", .{self.count});
            },
        }
        self.print("{s} ", .{@tagName(operation)});
        self.path(directory);
        if (directory.parent == null and name.len == 0) self.print("/", .{});
        if (name.len > 0) self.print("/{s}", .{name});
        self.print(detail, arguments);
        if (result < 0) self.failure(@intCast(result));
        self.print("\n", .{});
    }

    pub fn addInterruption(self: *OperationLog, operation: abi.DiskOperation) void {
        self.print("-- {s} EINTR\n", .{@tagName(operation)});
    }

    pub fn addDamage(self: *OperationLog, file: []const u8, offset: u64, bit: u3) void {
        self.print("-- rot {s} {d} bit {d}\n", .{ file, offset, bit });
    }

    pub fn addEvent(self: *OperationLog, event: []const u8) void {
        self.print("-- {s}\n", .{event});
    }

    pub fn copy(self: *const OperationLog, offset: u64, out: []u8) u32 {
        if (offset >= self.text.items.len) return 0;
        const rest = self.text.items[@intCast(offset)..];
        const count = @min(rest.len, out.len);
        @memcpy(out[0..count], rest[0..count]);
        return @intCast(count);
    }

    pub fn deinit(self: *OperationLog) void {
        self.text.deinit(gpa);
    }

    fn path(self: *OperationLog, directory: *Directory) void {
        const parent = directory.parent orelse return;
        self.path(parent);
        self.print("/{s}", .{directory.name});
    }

    fn failure(self: *OperationLog, result: i32) void {
        var buffer: [32]u8 = undefined;
        if (std.enums.fromInt(abi.Code, result)) |code| {
            self.print(" {s}", .{@tagName(code)});
        } else self.print(" {s}", .{system.errnoName(@abs(result), &buffer) orelse "error"});
    }

    fn print(self: *OperationLog, comptime format: []const u8, arguments: anytype) void {
        // Out of memory, the log ends early; the disk that it describes goes on.
        self.text.print(gpa, format, arguments) catch return;
    }
};
