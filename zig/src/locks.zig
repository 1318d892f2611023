//! Mutex, condition and futex, with a monotonic clock. Thin: pthreads under the first two, the system's own
//! address wait under the third. Nothing here allocates, installs a signal handler or touches a global, so a
//! host process (Deno, Bun) cannot notice it. Any thread may call.

const std = @import("std");
const builtin = @import("builtin");
const c = std.c;
const linux = std.os.linux;

pub const Mutex = struct {
    inner: c.pthread_mutex_t = .{},

    pub fn lock(self: *Mutex) void {
        const result = c.pthread_mutex_lock(&self.inner);
        std.debug.assert(result == .SUCCESS);
    }

    pub fn unlock(self: *Mutex) void {
        const result = c.pthread_mutex_unlock(&self.inner);
        std.debug.assert(result == .SUCCESS);
    }
};

/// For what is held for less than a microsecond: going to sleep would take longer. Held for longer by a thread that lost its processor,
/// and then waited for asleep.
pub const ShortLock = struct {
    /// 0: free, 1: held, 2: held, and somebody may sleep. Taken with acquire, freed with release.
    state: u32 = 0,

    /// Some ten microseconds.
    const spins_max = 300;

    pub fn lock(self: *ShortLock) void {
        for (0..spins_max) |_| {
            // Only looking costs the holder nothing.
            if (@atomicLoad(u32, &self.state, .monotonic) == 0 and
                @cmpxchgWeak(u32, &self.state, 0, 1, .acquire, .monotonic) == null) return;
            std.atomic.spinLoopHint();
        }
        while (@atomicRmw(u32, &self.state, .Xchg, 2, .acquire) != 0) futexWait(&self.state, 2, std.time.ns_per_s);
    }

    pub fn unlock(self: *ShortLock) void {
        if (@atomicRmw(u32, &self.state, .Xchg, 0, .release) == 2) futexWakeAll(&self.state);
    }
};

/// Woken for no reason now and then: callers wait in a loop on their predicate.
pub const Condition = struct {
    inner: c.pthread_cond_t = .{},

    pub fn wait(self: *Condition, mutex: *Mutex) void {
        _ = c.pthread_cond_wait(&self.inner, &mutex.inner);
    }

    pub fn signal(self: *Condition) void {
        _ = c.pthread_cond_signal(&self.inner);
    }

    pub fn broadcast(self: *Condition) void {
        _ = c.pthread_cond_broadcast(&self.inner);
    }
};

/// Sleeps while `*word == expected`, at most `timeout_ns`. Returns early on a signal, and for no reason too.
pub fn futexWait(word: *const u32, expected: u32, timeout_ns: u64) void {
    if (comptime builtin.os.tag.isDarwin()) {
        const microseconds = @max(1, @min(timeout_ns / 1000, std.math.maxInt(u32)));
        _ = c.__ulock_wait(
            .{ .op = .COMPARE_AND_WAIT, .NO_ERRNO = true },
            word,
            expected,
            @intCast(microseconds),
        );
    } else {
        const timeout: linux.timespec = .{
            .sec = @intCast(timeout_ns / std.time.ns_per_s),
            .nsec = @intCast(timeout_ns % std.time.ns_per_s),
        };
        _ = linux.futex_4arg(word, .{ .cmd = .WAIT, .private = true }, expected, &timeout);
    }
}

pub fn futexWakeAll(word: *const u32) void {
    if (comptime builtin.os.tag.isDarwin()) {
        _ = c.__ulock_wake(.{ .op = .COMPARE_AND_WAIT, .NO_ERRNO = true, .WAKE_ALL = true }, word, 0);
    } else {
        _ = linux.futex_3arg(word, .{ .cmd = .WAKE, .private = true }, std.math.maxInt(i32));
    }
}

pub fn nanoseconds() u64 {
    var now: c.timespec = undefined;
    _ = c.clock_gettime(.MONOTONIC, &now);
    return @as(u64, @intCast(now.sec)) * std.time.ns_per_s + @as(u64, @intCast(now.nsec));
}

test "futexWait() returns at once when the word has moved, and at the timeout when it has not" {
    var word: u32 = 7;
    futexWait(&word, 8, std.time.ns_per_s * 60);
    const before = nanoseconds();
    futexWait(&word, 7, 2 * std.time.ns_per_ms);
    try std.testing.expect(nanoseconds() - before < 10 * std.time.ns_per_s);
    futexWakeAll(&word);
}

test "a short lock lets one in at a time" {
    const threads = 4;
    const rounds = 20_000;
    const Room = struct {
        lock: ShortLock = .{},
        count: u32 = 0,

        fn enter(self: *@This()) void {
            for (0..rounds) |_| {
                self.lock.lock();
                defer self.lock.unlock();
                self.count += 1;
            }
        }
    };
    var room: Room = .{};
    var all: [threads]std.Thread = undefined;
    for (&all) |*each| each.* = try std.Thread.spawn(.{}, Room.enter, .{&room});
    for (all) |each| each.join();
    try std.testing.expectEqual(threads * rounds, room.count);
}
