//! Keeps the library in memory for good. A host unloads it when the Worker that loaded it ends, while threads of
//! ours may still be inside; after the first open that can no longer happen.

const std = @import("std");
const system = @import("system.zig");
const c = std.c;

const Information = extern struct {
    file: ?[*:0]const u8,
    base: ?*anyopaque,
    symbol: ?[*:0]const u8,
    address: ?*anyopaque,
};

extern "c" fn dladdr(address: *const anyopaque, out: *Information) c_int;

var pinned: std.atomic.Value(bool) = .init(false);

pub fn pinOnce() void {
    if (pinned.swap(true, .acq_rel)) return;
    var found: Information = undefined;
    if (dladdr(@ptrCast(&pinOnce), &found) == 0) return;
    const file = found.file orelse return;
    // Counted once more and never given back. In a test's own executable it does nothing.
    _ = c.dlopen(file, .{ .NOW = true, .NODELETE = true });
}
