//! Handles for things that several threads use and one owner closes: a small positive integer with a generation,
//! so that use after close finds nothing, and a count of users, so that the last one out destroys.
//! Low 16 bits: slot. The 15 above: generation. Any thread may call; looking up takes no lock.

const std = @import("std");
const locks = @import("locks.zig");

pub const slot_count_max = 65_536;
const generation_count = 1 << 15;

/// `T.destroy(*T)` is called when the last reference goes, on the thread that gives it back.
pub fn HandleTable(comptime T: type) type {
    return struct {
        const Self = @This();

        const State = packed struct(u64) {
            references: u32 = 0,
            generation: u31 = 0,
            /// The owner has not closed it: the handle can be looked up.
            open: bool = false,
        };

        // Threads that use different items every microsecond never meet in a line of the cache.
        const Slot = struct {
            state: std.atomic.Value(u64) align(std.atomic.cache_line) = .{ .raw = 0 },
            item: ?*T = null,
            /// Under `mutex`.
            next_free: u32 = 0,
        };

        // All zeros, so that an unused table costs no page.
        slots: [slot_count_max]Slot = @splat(.{}),
        used_count: u32 = 0,
        first_free: u32 = 0,

        // Outside the struct: a mutex is not all zeros everywhere. One for all tables of a kind.
        var mutex: locks.Mutex = .{};

        /// The handle, with one reference that `close` gives back. Null when all slots are taken.
        pub fn open(self: *Self, item: *T) ?i32 {
            mutex.lock();
            defer mutex.unlock();
            var index = self.first_free;
            if (index != 0) {
                self.first_free = self.slots[index].next_free;
            } else {
                if (self.used_count + 1 == slot_count_max) return null;
                self.used_count += 1;
                index = self.used_count;
            }
            const slot = &self.slots[index];
            const generation = stateOf(slot.state.raw).generation;
            slot.item = item;
            slot.state.store(@bitCast(State{ .references = 1, .generation = generation, .open = true }), .release);
            return handleOf(index, generation);
        }

        /// The item, kept until `release`. Null for a handle that was closed or never given out.
        pub fn acquire(self: *Self, handle: i32) ?*T {
            const slot = self.find(handle) orelse return null;
            var seen = slot.state.load(.monotonic);
            while (true) {
                var state = stateOf(seen);
                if (!state.open or handleOf(indexOf(handle), state.generation) != handle) return null;
                state.references += 1;
                seen = slot.state.cmpxchgWeak(seen, @bitCast(state), .acquire, .monotonic) orelse return slot.item;
            }
        }

        /// REQUIRES: the caller holds a reference.
        pub fn pinned(self: *Self, handle: i32) *T {
            return self.slots[indexOf(handle)].item.?;
        }

        /// REQUIRES: `handle` was acquired (or opened) and not released since, closed or not.
        pub fn release(self: *Self, handle: i32) void {
            const slot = &self.slots[indexOf(handle)];
            const before = stateOf(slot.state.fetchSub(1, .acq_rel));
            std.debug.assert(before.references > 0);
            if (before.references > 1) return;
            const item = slot.item.?;
            slot.item = null;
            item.destroy();

            mutex.lock();
            defer mutex.unlock();
            slot.state.store(@bitCast(State{ .generation = (before.generation + 1) % generation_count }), .release);
            slot.next_free = self.first_free;
            self.first_free = indexOf(handle);
        }

        /// Ends the handle; whoever has acquired the item keeps it. False if it was closed before.
        pub fn close(self: *Self, handle: i32) bool {
            const slot = self.find(handle) orelse return false;
            var seen = slot.state.load(.monotonic);
            while (true) {
                var state = stateOf(seen);
                if (!state.open or handleOf(indexOf(handle), state.generation) != handle) return false;
                state.open = false;
                seen = slot.state.cmpxchgWeak(seen, @bitCast(state), .acq_rel, .monotonic) orelse break;
            }
            self.release(handle);
            return true;
        }

        /// How many users there are, the owner among them.
        pub fn referenceCount(self: *Self, handle: i32) u32 {
            return stateOf(self.slots[indexOf(handle)].state.load(.acquire)).references;
        }

        /// Walks the handles that are open now: start at zero; null at the end. Others may open and close meanwhile.
        pub fn next(self: *Self, cursor: *u32) ?i32 {
            while (cursor.* + 1 < slot_count_max) {
                cursor.* += 1;
                const state = stateOf(self.slots[cursor.*].state.load(.acquire));
                if (state.open) return handleOf(cursor.*, state.generation);
                if (cursor.* > @atomicLoad(u32, &self.used_count, .monotonic)) return null;
            }
            return null;
        }

        fn find(self: *Self, handle: i32) ?*Slot {
            if (handle <= 0) return null;
            return &self.slots[indexOf(handle)];
        }

        fn stateOf(raw: u64) State {
            return @bitCast(raw);
        }

        fn indexOf(handle: i32) u32 {
            return @as(u32, @bitCast(handle)) & 0xffff;
        }

        fn handleOf(index: u32, generation: u31) i32 {
            return @intCast((@as(u32, generation) << 16) | index);
        }
    };
}

test "a closed handle finds nothing, its users keep the item, and a slot's next handle differs" {
    const Item = struct {
        destroyed: bool = false,
        fn destroy(self: *@This()) void {
            self.destroyed = true;
        }
    };
    const Table = HandleTable(Item);
    const table = try std.testing.allocator.create(Table);
    defer std.testing.allocator.destroy(table);
    table.* = .{};
    var item: Item = .{};
    const handle = table.open(&item).?;
    try std.testing.expectEqual(&item, table.acquire(handle).?);
    try std.testing.expect(table.close(handle));
    try std.testing.expect(!table.close(handle));
    try std.testing.expectEqual(null, table.acquire(handle));
    try std.testing.expect(!item.destroyed);
    table.release(handle);
    try std.testing.expect(item.destroyed);
    var second: Item = .{};
    const next = table.open(&second).?;
    try std.testing.expect(next != handle);
    try std.testing.expectEqual(null, table.acquire(handle));
    for ([_]i32{ 0, -1, std.math.maxInt(i32), std.math.minInt(i32), 77 }) |wrong| {
        try std.testing.expectEqual(null, table.acquire(wrong));
        try std.testing.expect(!table.close(wrong));
    }
    try std.testing.expect(table.close(next));
}
