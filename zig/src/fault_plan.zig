//! Which operations of a simulated disk fail, and how: the next ones of a kind, or some of them by chance. And how late
//! their answers come. Under its disk's mutex.

const std = @import("std");
const abi = @import("abi.zig");
const system = @import("system.zig");

/// How an operation goes.
pub const Fault = union(enum) {
    none,
    /// A negative errno.
    failed: i32,
    /// A signal comes before anything is done; the call is made again.
    interrupted,
    /// Only part is transferred; the call is made again for the rest.
    short,
};

const kind_count = @typeInfo(abi.DiskOperation).@"enum".fields.len;

pub const FaultPlan = struct {
    rules: [kind_count]Rule = @splat(.{}),
    random: std.Random.DefaultPrng,

    /// After `skip` operations of the kind, `count` fail; and any other fails in `chance` of 2^32. An errno is one of
    /// the system's, or `abi.fault_short`.
    const Rule = struct { skip: u32 = 0, count: u32 = 0, errno: u32 = 0, chance: u32 = 0, chance_errno: u32 = 0 };

    pub fn failAfter(self: *FaultPlan, kind: abi.DiskOperation, errno: u32, skip: u32, count: u32) void {
        const rule = &self.rules[@intFromEnum(kind)];
        rule.skip = skip;
        rule.count = count;
        rule.errno = errno;
    }

    pub fn failOften(self: *FaultPlan, kind: abi.DiskOperation, errno: u32, chance: f64) void {
        const rule = &self.rules[@intFromEnum(kind)];
        rule.chance = @intFromFloat(std.math.clamp(chance, 0, 1) * std.math.maxInt(u32));
        rule.chance_errno = errno;
    }

    /// What chance decides stays.
    pub fn forgetPlanned(self: *FaultPlan) void {
        for (&self.rules) |*rule| rule.count = 0;
    }

    pub fn clear(self: *FaultPlan) void {
        self.rules = @splat(.{});
    }

    pub fn next(self: *FaultPlan, kind: abi.DiskOperation) Fault {
        const rule = &self.rules[@intFromEnum(kind)];
        if (rule.count > 0) {
            if (rule.skip == 0) {
                rule.count -= 1;
                return faultOf(rule.errno);
            }
            rule.skip -= 1;
        }
        if (rule.chance == 0 or self.random.random().int(u32) >= rule.chance) return .none;
        return faultOf(rule.chance_errno);
    }

    fn faultOf(errno: u32) Fault {
        if (errno == abi.fault_short) return .short;
        const negative = -@as(i32, @intCast(errno));
        return if (system.is(negative, .INTR)) .interrupted else .{ .failed = negative };
    }
};

/// Steps by which the answers of each kind of operation come late: a number drawn between two bounds.
pub const LatencyPlan = struct {
    rules: [kind_count]Rule = @splat(.{}),
    random: std.Random.DefaultPrng,
    /// Steps that operations since the last `take` asked for.
    owed: u32 = 0,

    const Rule = struct { least: u32 = 0, most: u32 = 0 };

    /// REQUIRES: `least` is at most `most`.
    pub fn set(self: *LatencyPlan, kind: abi.DiskOperation, least: u32, most: u32) void {
        self.rules[@intFromEnum(kind)] = .{ .least = least, .most = most };
    }

    pub fn add(self: *LatencyPlan, kind: abi.DiskOperation) void {
        const rule = self.rules[@intFromEnum(kind)];
        if (rule.most == 0) return;
        self.owed +|= self.random.random().intRangeAtMost(u32, rule.least, rule.most);
    }

    pub fn take(self: *LatencyPlan) u32 {
        defer self.owed = 0;
        return self.owed;
    }
};
