//! Work that overlaps and ends in order. Whoever begins takes a place, then does what needs no order at the same time as others, and then
//! passes: what it leaves to do is done when everybody with an earlier place has passed, by whoever has the turn at that moment. So a
//! thread that sleeps or has lost its processor holds up only those behind it, and only until it passes itself; nobody who is ready
//! is ever waited for.
//!
//! Nobody may die with a place: it is taken and left within one native call.

const std = @import("std");
const locks = @import("locks.zig");

/// Some ten microseconds: longer than a small write takes, shorter than the rest of a time slice.
const spins_max = 300;
/// Then somebody before has lost its processor, and gets this one's.
const yields_max = 20;
/// Whoever sleeps is woken; this only bounds what a fault of ours could cost.
const sleep_ns = 100 * std.time.ns_per_ms;

/// One who passes, embedded in what it leaves to do.
pub const Passage = struct {
    /// Consecutive numbers from zero, modulo 2^32, given out under a lock of the caller's.
    place: u32 = 0,
    /// Called once, in the order of the places, one at a time, on any thread that passes.
    finish: *const fn (*Passage) void,
    state: std.atomic.Value(u32) = .init(pending),

    const pending = 0;
    const asleep = 1;
    /// Stored with release after `finish`; from then on nobody else touches the passage.
    const passed = 2;

    fn wait(self: *Passage) void {
        for (0..spins_max) |_| {
            if (self.state.load(.acquire) == passed) return;
            std.atomic.spinLoopHint();
        }
        for (0..yields_max) |_| {
            std.Thread.yield() catch {};
            if (self.state.load(.acquire) == passed) return;
        }
        while (self.state.cmpxchgStrong(pending, asleep, .acquire, .acquire) != passed) {
            locks.futexWait(&self.state.raw, asleep, sleep_ns);
        }
    }

    fn end(self: *Passage) void {
        // Its stack may be gone when it is woken: then somebody else looks once more for nothing.
        if (self.state.swap(passed, .release) == asleep) locks.futexWakeAll(&self.state.raw);
    }
};

pub const Turnstile = struct {
    /// One for each place under way: nobody, whose turn it is, or the passage that waits there. Exchanged with acquire and release:
    /// whoever has the turn sees all that was done in the turns before, and by the one who waits.
    slots: [places_max]usize align(std.atomic.cache_line) = [_]usize{has_turn} ++ [_]usize{nobody} ** (places_max - 1),

    /// Under way at the same time.
    pub const places_max = 64;
    const nobody: usize = 0;
    const has_turn: usize = 1;

    /// Returns when the passage is finished. REQUIRES: fewer than `places_max` others are under way.
    pub fn pass(self: *Turnstile, passage: *Passage) void {
        const found = @atomicRmw(usize, self.slotOf(passage.place), .Xchg, @intFromPtr(passage), .acq_rel);
        if (found == has_turn) self.finishFrom(passage) else passage.wait();
    }

    /// REQUIRES: it is the passage's turn, and this thread's own.
    fn finishFrom(self: *Turnstile, own: *Passage) void {
        var passage = own;
        while (true) {
            const next = passage.place +% 1;
            passage.finish(passage);
            @atomicStore(usize, self.slotOf(passage.place), nobody, .release);
            if (passage != own) passage.end();
            const found = @atomicRmw(usize, self.slotOf(next), .Xchg, has_turn, .acq_rel);
            if (found == nobody) return;
            passage = @ptrFromInt(found);
        }
    }

    fn slotOf(self: *Turnstile, place: u32) *usize {
        return &self.slots[place % places_max];
    }
};

test "what overlaps is finished in the order of the places" {
    const threads = 8;
    const rounds = 3000;
    const Shop = struct {
        lock: locks.ShortLock = .{},
        stile: Turnstile = .{},
        given: u32 = 0,
        next: u32 = 0,
        wrong: u32 = 0,

        const Visit = struct {
            shop: *Shop,
            passage: Passage = .{ .finish = finish },

            fn finish(passage: *Passage) void {
                const self: *Visit = @fieldParentPtr("passage", passage);
                if (self.shop.next != passage.place) self.shop.wrong += 1;
                self.shop.next += 1;
            }
        };
        const Shop = @This();

        fn visit(self: *Shop) void {
            for (0..rounds) |round| {
                var one: Visit = .{ .shop = self };
                self.lock.lock();
                one.passage.place = self.given;
                self.given += 1;
                self.lock.unlock();
                // Some are late, and others overtake them.
                if (round % 7 == 0) std.Thread.yield() catch {};
                self.stile.pass(&one.passage);
            }
        }
    };
    var shop: Shop = .{};
    var all: [threads]std.Thread = undefined;
    for (&all) |*each| each.* = try std.Thread.spawn(.{}, Shop.visit, .{&shop});
    for (all) |each| each.join();
    try std.testing.expectEqual(0, shop.wrong);
    try std.testing.expectEqual(threads * rounds, shop.next);
}
