//! What went wrong below, with the number that crosses the C ABI: functions that can fail take a `*Fault`, fill
//! it in and return `error.Fault`. One per call; not shared between threads.

const std = @import("std");
const abi = @import("abi.zig");
const error_detail = @import("error_detail.zig");

pub const Error = error{Fault};

pub const Fault = struct {
    /// errno or `abi.Code`, negative; zero while nothing failed.
    code: i32 = 0,
    /// Where in the file the damage is (`Code.corruption`).
    offset: u64 = 0,
    /// Number of the file that is damaged.
    number: u64 = 0,
    /// That file is a blob segment, not a table.
    is_blob: bool = false,

    pub fn fail(self: *Fault, code: abi.Code) Error {
        self.* = .{ .code = code.int() };
        return error.Fault;
    }

    pub fn corrupt(self: *Fault, number: u64, offset: u64) Error {
        self.* = .{ .code = abi.Code.corruption.int(), .offset = offset, .number = number };
        return error.Fault;
    }

    pub fn corruptBlob(self: *Fault, number: u64, offset: u64) Error {
        self.* = .{ .code = abi.Code.corruption.int(), .offset = offset, .number = number, .is_blob = true };
        return error.Fault;
    }

    /// For a job's record: the number, negated for a blob segment. Those beyond 31 bits lose their high part.
    pub fn detail(self: *const Fault) i32 {
        const number: i32 = @intCast(self.number & 0x7fff_ffff);
        return if (self.is_blob) -number else number;
    }

    /// A negative result of the disk interface.
    pub fn system(self: *Fault, result: i64) Error {
        std.debug.assert(result < 0);
        self.* = .{ .code = @intCast(result) };
        return error.Fault;
    }

    /// The code, for a call whose caller gets nothing but that; what else there is to say goes to error_detail.zig.
    pub fn report(self: *const Fault) i32 {
        if (self.is(.corruption)) {
            const kind = if (self.is_blob) "blob" else "table";
            error_detail.set("{s} {d} is damaged at byte {d}", .{ kind, self.number, self.offset });
        } else error_detail.clear();
        return self.code;
    }

    pub fn is(self: *const Fault, code: abi.Code) bool {
        return self.code == code.int();
    }
};
