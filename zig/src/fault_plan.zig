//! Which operations of a simulated disk fail, and with which error: the next ones of a kind, or some of them by
//! chance. Under its disk's mutex.

const std = @import("std");
const abi = @import("abi.zig");

pub const FaultPlan = struct {
    rules: [kind_count]Rule = @splat(.{}),
    random: std.Random.DefaultPrng,

    const kind_count = @typeInfo(abi.DiskOperation).@"enum".fields.len;

    /// After `skip` operations of the kind, `count` fail; and any other fails in `chance` of 2^32.
    const Rule = struct { skip: u32 = 0, count: u32 = 0, errno: i32 = 0, chance: u32 = 0, chance_errno: i32 = 0 };

    pub fn failAfter(self: *FaultPlan, kind: abi.DiskOperation, errno: i32, skip: u32, count: u32) void {
        const rule = &self.rules[@intFromEnum(kind)];
        rule.skip = skip;
        rule.count = count;
        rule.errno = errno;
    }

    pub fn failOften(self: *FaultPlan, kind: abi.DiskOperation, errno: i32, chance: f64) void {
        const rule = &self.rules[@intFromEnum(kind)];
        rule.chance = @intFromFloat(std.math.clamp(chance, 0, 1) * std.math.maxInt(u32));
        rule.chance_errno = errno;
    }

    pub fn clear(self: *FaultPlan) void {
        self.rules = @splat(.{});
    }

    /// The negative errno that this operation ends with, or zero.
    pub fn next(self: *FaultPlan, kind: abi.DiskOperation) i32 {
        const rule = &self.rules[@intFromEnum(kind)];
        if (rule.count > 0) {
            if (rule.skip == 0) {
                rule.count -= 1;
                return -rule.errno;
            }
            rule.skip -= 1;
        }
        if (rule.chance == 0 or self.random.random().int(u32) >= rule.chance) return 0;
        return -rule.chance_errno;
    }
};
