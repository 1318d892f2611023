//! A directory of its own for a test, removed with what is in it.

const std = @import("std");

extern "c" fn mkdtemp(template: [*:0]u8) ?[*:0]u8;
extern "c" fn system(command: [*:0]const u8) c_int;

pub const Scratch = struct {
    buffer: [64]u8,

    pub fn init() !Scratch {
        var scratch: Scratch = .{ .buffer = @splat(0) };
        const template = "/tmp/varve-test-XXXXXX";
        @memcpy(scratch.buffer[0..template.len], template);
        if (mkdtemp(@ptrCast(&scratch.buffer)) == null) return error.NoScratch;
        return scratch;
    }

    pub fn path(self: *const Scratch) []const u8 {
        return std.mem.sliceTo(&self.buffer, 0);
    }

    pub fn deinit(self: *Scratch) void {
        var command: [128]u8 = undefined;
        const text = std.fmt.bufPrintZ(&command, "rm -rf '{s}'", .{self.path()}) catch return;
        _ = system(text);
    }
};
