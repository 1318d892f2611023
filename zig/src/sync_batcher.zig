//! Syncs of one file, shared. A request that arrives while a sync runs may have written what that sync missed:
//! it waits for the next one, and everybody who waits shares that. Any thread may call.
//!
//! A failed sync is final: the kernel reports lost pages once and then forgets them, so every later request
//! gets the same error and the file is never synced again.

const std = @import("std");
const abi = @import("abi.zig");
const locks = @import("locks.zig");

pub const SyncBatcher = struct {
    mutex: locks.Mutex = .{},
    finished_condition: locks.Condition = .{},
    running: bool = false,
    /// Syncs begun and ended so far; sync n covers whoever asked before it began.
    started: u64 = 0,
    finished: u64 = 0,
    /// Zero, or the error of the sync numbered `failed_at`.
    failure: i64 = 0,
    failed_at: u64 = 0,

    /// `sync(context)` returns zero or a negative error.
    pub fn request(
        self: *SyncBatcher,
        context: anytype,
        comptime sync: fn (@TypeOf(context)) i64,
        counters: ?*abi.Counters,
    ) i64 {
        self.mutex.lock();
        defer self.mutex.unlock();
        if (self.failure != 0) return self.failure;

        const target = self.started + 1;
        var ran = false;
        while (self.finished < target) {
            if (self.failure != 0) return self.failure;
            if (self.running) {
                self.finished_condition.wait(&self.mutex);
                continue;
            }
            self.running = true;
            self.started += 1;
            ran = true;
            self.mutex.unlock();
            const result = sync(context);
            self.mutex.lock();
            self.running = false;
            self.finished = self.started;
            if (result < 0 and self.failure == 0) self.setFailure(result);
            self.finished_condition.broadcast();
        }
        if (counters) |all| {
            const counter = if (ran) &all.syncs else &all.syncs_shared;
            _ = @atomicRmw(u64, counter, .Add, 1, .monotonic);
        }
        return if (self.failure != 0 and self.failed_at <= target) self.failure else 0;
    }

    /// A write that was to be durable by itself has failed: whether its sync did, nobody can tell.
    pub fn fail(self: *SyncBatcher, result: i64) void {
        self.mutex.lock();
        defer self.mutex.unlock();
        if (self.failure == 0) self.setFailure(result);
    }

    fn setFailure(self: *SyncBatcher, result: i64) void {
        self.failure = result;
        self.failed_at = self.started;
    }
};

const testing = std.testing;

const Probe = struct {
    calls: std.atomic.Value(u32) = .init(0),
    gate: std.atomic.Value(bool) = .init(true),
    result: i64 = 0,

    fn sync(self: *Probe) i64 {
        _ = self.calls.fetchAdd(1, .seq_cst);
        while (!self.gate.load(.seq_cst)) std.Thread.yield() catch {};
        return self.result;
    }
};

test "requests that arrive during a sync share the next one" {
    var batcher: SyncBatcher = .{};
    var probe: Probe = .{ .gate = .init(false) };
    var counters: abi.Counters = std.mem.zeroes(abi.Counters);
    const run = struct {
        fn run(b: *SyncBatcher, p: *Probe, all: *abi.Counters) void {
            testing.expectEqual(0, b.request(p, Probe.sync, all)) catch @panic("sync failed");
        }
    }.run;

    const first = try std.Thread.spawn(.{}, run, .{ &batcher, &probe, &counters });
    while (probe.calls.load(.seq_cst) == 0) try std.Thread.yield();
    var others: [8]std.Thread = undefined;
    for (&others) |*thread| thread.* = try std.Thread.spawn(.{}, run, .{ &batcher, &probe, &counters });
    // All eight are given time to ask while the first sync still runs.
    const deadline = locks.nanoseconds() + 50 * std.time.ns_per_ms;
    while (locks.nanoseconds() < deadline) try std.Thread.yield();
    probe.gate.store(true, .seq_cst);
    first.join();
    for (others) |thread| thread.join();

    try testing.expectEqual(9, counters.syncs + counters.syncs_shared);
    try testing.expect(counters.syncs == 2);
    try testing.expectEqual(counters.syncs, probe.calls.load(.seq_cst));
}

test "a failed sync is final" {
    var batcher: SyncBatcher = .{};
    var probe: Probe = .{ .result = -5 };
    try testing.expectEqual(-5, batcher.request(&probe, Probe.sync, null));
    probe.result = 0;
    try testing.expectEqual(-5, batcher.request(&probe, Probe.sync, null));
    try testing.expectEqual(1, probe.calls.load(.seq_cst));
}
