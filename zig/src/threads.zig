//! What a thread of JavaScript leaves behind when it ends: the sessions that it had open, and the regions that it had
//! reserved. A Worker that is terminated says nothing; its thread's end does, by a destructor of thread-local storage.
//!
//! A thread is known from its first reserved region or first session on. Its regions go back to the pool when its last
//! session has been closed (somebody else may still be reading what it had submitted), unless they were disowned: those
//! are the store's. Any thread may call; nothing here runs while JavaScript of that thread can still run.

const std = @import("std");
const locks = @import("locks.zig");
const pin = @import("pin.zig");
const region = @import("region.zig");
const store = @import("store.zig");
const c = std.c;

const gpa = std.heap.c_allocator;

pub const Thread = struct {
    /// Never zero, never given twice.
    token: u32,
    // Under `mutex`.
    session_count: u32 = 0,
    ended: bool = false,
};

threadlocal var own: ?*Thread = null;

var key: c.pthread_key_t = undefined;
var key_made = false;
var token_last: u32 = 0;
var mutex: locks.Mutex = .{};

/// The calling thread; null when the system refuses to watch over it.
pub fn current() ?*Thread {
    return own orelse make();
}

fn make() ?*Thread {
    pin.pinOnce();
    const made = gpa.create(Thread) catch return null;
    mutex.lock();
    defer mutex.unlock();
    if (!key_made and c.pthread_key_create(&key, end) != .SUCCESS) {
        gpa.destroy(made);
        return null;
    }
    key_made = true;
    token_last += 1;
    made.* = .{ .token = token_last };
    if (c.pthread_setspecific(key, made) != 0) {
        gpa.destroy(made);
        return null;
    }
    own = made;
    return made;
}

pub fn sessionOpened(thread: *Thread) void {
    mutex.lock();
    defer mutex.unlock();
    thread.session_count += 1;
}

/// The last one of a thread that has ended takes the thread's regions with it.
pub fn sessionClosed(thread: *Thread) void {
    mutex.lock();
    thread.session_count -= 1;
    const over = thread.ended and thread.session_count == 0;
    mutex.unlock();
    if (over) forget(thread);
}

fn end(value: *anyopaque) callconv(.c) void {
    const thread: *Thread = @ptrCast(@alignCast(value));
    // Counted as a session, so that none of those that are closed here ends the record.
    mutex.lock();
    thread.ended = true;
    thread.session_count += 1;
    mutex.unlock();
    store.threadEnded(thread);
    sessionClosed(thread);
}

fn forget(thread: *Thread) void {
    region.releaseOwned(thread.token);
    gpa.destroy(thread);
}

test "the regions of a thread that ends go back, but for those that it disowned" {
    const testing = std.testing;
    const Body = struct {
        fn run(ids: *[2]region.Id) void {
            const thread = current().?;
            for (ids) |*id| id.* = region.reserveFor(region.bytes_min, thread.token) catch unreachable;
            _ = region.disown(ids[1]);
        }
    };
    var ids: [2]region.Id = undefined;
    const thread = try std.Thread.spawn(.{}, Body.run, .{&ids});
    thread.join();
    try testing.expectEqual(null, region.slice(ids[0]));
    try testing.expect(region.slice(ids[1]) != null);
    try testing.expect(region.release(ids[1]));
}
