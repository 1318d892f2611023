//! What went wrong below, with the number that crosses the C ABI: functions that can fail take a `*Fault`, fill
//! it in and return `error.Fault`. One per call; not shared between threads.

const std = @import("std");
const abi = @import("abi.zig");

pub const Error = error{Fault};

pub const Fault = struct {
    /// errno or `abi.Code`, negative; zero while nothing failed.
    code: i32 = 0,
    /// Where in the file the damage is (`Code.corruption`).
    offset: u64 = 0,

    pub fn fail(self: *Fault, code: abi.Code) Error {
        self.* = .{ .code = code.int() };
        return error.Fault;
    }

    pub fn corrupt(self: *Fault, offset: u64) Error {
        self.* = .{ .code = abi.Code.corruption.int(), .offset = offset };
        return error.Fault;
    }

    /// A negative result of the disk interface.
    pub fn system(self: *Fault, result: i64) Error {
        std.debug.assert(result < 0);
        self.* = .{ .code = @intCast(result) };
        return error.Fault;
    }

    pub fn is(self: *const Fault, code: abi.Code) bool {
        return self.code == code.int();
    }
};
