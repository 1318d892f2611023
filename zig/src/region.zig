//! Regions: ranges of native memory that JavaScript may view. A range is reserved once, costs nothing until it
//! is touched, and is never unmapped while the process lives: released, its pages go back to the system and
//! the range to a pool for its size, so that a late reader finds old bytes or zeros and never a fault.
//!
//! An id keeps its address and its length for ever; TypeScript makes one view per id and keeps it. Whoever
//! reserves a region finds it zeroed. Zero is no id. Any thread may call; looking a region up takes no lock.

const std = @import("std");
const builtin = @import("builtin");
const locks = @import("locks.zig");
const c = std.c;

pub const Id = i32;
pub const count_max = 65_536;
pub const bytes_min = 64 * 1024;
/// Largest region: views of more than 4 GiB are nowhere tried.
pub const bytes_max = 1 << 32;
pub const page_align = 4096;

const class_min = std.math.log2_int(u64, bytes_min);
const class_max = std.math.log2_int(u64, bytes_max);
const none: u32 = 0;

const Slot = struct {
    /// Zero until the range is mapped; then fixed. Published with release.
    address: std.atomic.Value(usize) = .init(0),
    /// Log2 of the length; written before `address`.
    class: u8 = 0,
    live: std.atomic.Value(bool) = .init(false),
    /// Token of the thread that the region goes with (threads.zig), zero: none.
    owner: std.atomic.Value(u32) = .init(0),
    companion: std.atomic.Value(?*Companion) = .init(null),
    /// Next free slot of the same class, under `mutex`.
    next: u32 = none,
};

/// Something kept beside a region, embedded in whatever it is: `release` ends it, so it never meets the region's next life.
pub const Companion = struct { destroy: *const fn (*Companion) void };

var slots: [count_max]Slot = @splat(.{});
var slot_count: u32 = 1;
var pools: [class_max + 1]u32 = @splat(none);
var mutex: locks.Mutex = .{};
var live_bytes: std.atomic.Value(u64) = .init(0);

pub fn reserve(bytes: u64) error{ OutOfMemory, Exhausted }!Id {
    if (bytes > bytes_max) return error.OutOfMemory;
    const class: u8 = @intCast(@max(class_min, std.math.log2_int_ceil(u64, @max(bytes, 1))));
    const bytes_reserved = @as(usize, 1) << @intCast(class);

    mutex.lock();
    defer mutex.unlock();
    const index = pools[class];
    if (index != none) {
        const slot = &slots[index];
        if (comptime !builtin.os.tag.isDarwin()) {
            // Zeroed by MADV_DONTNEED when it was released.
        } else if (!remap(slot.address.raw, bytes_reserved)) return error.OutOfMemory;
        pools[class] = slot.next;
        slot.next = none;
        slot.live.store(true, .release);
        _ = live_bytes.fetchAdd(bytes_reserved, .monotonic);
        return @intCast(index);
    }

    if (slot_count == count_max) return error.Exhausted;
    const mapped = map(bytes_reserved) orelse return error.OutOfMemory;
    adviseLargePages(mapped, bytes_reserved);
    const slot = &slots[slot_count];
    slot.class = class;
    slot.address.store(mapped, .release);
    slot.live.store(true, .release);
    _ = live_bytes.fetchAdd(bytes_reserved, .monotonic);
    slot_count += 1;
    return @intCast(slot_count - 1);
}

/// False if the region is not reserved (released before, or never). REQUIRES: nobody writes to it any more.
pub fn release(id: Id) bool {
    const slot = lookup(id) orelse return false;
    if (slot.live.cmpxchgStrong(true, false, .acq_rel, .monotonic) != null) return false;
    slot.owner.store(0, .monotonic);
    if (slot.companion.swap(null, .acq_rel)) |companion_left| companion_left.destroy(companion_left);
    const bytes = @as(usize, 1) << @intCast(slot.class);
    const advice: u32 = if (comptime builtin.os.tag.isDarwin()) c.MADV.FREE else c.MADV.DONTNEED;
    _ = c.madvise(@ptrFromInt(slot.address.raw), bytes, advice);
    _ = live_bytes.fetchSub(bytes, .monotonic);

    mutex.lock();
    defer mutex.unlock();
    slot.next = pools[slot.class];
    pools[slot.class] = @intCast(id);
    return true;
}

/// The same, of a region that goes with a thread.
pub fn reserveFor(bytes: u64, owner: u32) error{ OutOfMemory, Exhausted }!Id {
    const id = try reserve(bytes);
    lookup(id).?.owner.store(owner, .release);
    return id;
}

/// The region goes with no thread from now on. False if it is not reserved.
pub fn disown(id: Id) bool {
    const slot = lookup(id) orelse return false;
    if (!slot.live.load(.acquire)) return false;
    slot.owner.store(0, .release);
    return true;
}

/// Releases what goes with a thread. REQUIRES: it has ended, and nobody else uses those regions.
pub fn releaseOwned(owner: u32) void {
    mutex.lock();
    const count = slot_count;
    mutex.unlock();
    for (slots[1..count], 1..) |*slot, index| {
        if (slot.owner.load(.acquire) == owner) _ = release(@intCast(index));
    }
}

/// What goes with the region. REQUIRES, as `accompany` does: the caller keeps the region from being released.
pub fn companionOf(id: Id) ?*Companion {
    const slot = lookup(id) orelse return null;
    return slot.companion.load(.acquire);
}

/// Makes `offered` the region's companion, unless it has one; whichever it is now. REQUIRES: the region is reserved.
pub fn accompany(id: Id, offered: *Companion) *Companion {
    const held = lookup(id).?.companion.cmpxchgStrong(null, offered, .acq_rel, .acquire) orelse return offered;
    return held.?;
}

/// Null for a region that is not reserved.
pub fn slice(id: Id) ?[]align(page_align) u8 {
    const slot = lookup(id) orelse return null;
    if (!slot.live.load(.acquire)) return null;
    const start: [*]align(page_align) u8 = @ptrFromInt(slot.address.raw);
    return start[0 .. @as(usize, 1) << @intCast(slot.class)];
}

/// `bytes` from `offset`; null where that is not wholly inside a reserved region.
pub fn part(id: Id, offset: u64, bytes: u64) ?[]u8 {
    const whole = slice(id) orelse return null;
    if (offset > whole.len or bytes > whole.len - offset) return null;
    return whole[@intCast(offset)..][0..@intCast(bytes)];
}

pub fn address(id: Id) usize {
    const found = slice(id) orelse return 0;
    return @intFromPtr(found.ptr);
}

pub fn length(id: Id) u64 {
    const found = slice(id) orelse return 0;
    return found.len;
}

/// Bytes reserved and not released, touched or not.
pub fn reservedBytes() u64 {
    return live_bytes.load(.monotonic);
}

fn lookup(id: Id) ?*Slot {
    if (id <= 0 or id >= count_max) return null;
    const slot = &slots[@intCast(id)];
    if (slot.address.load(.acquire) == 0) return null;
    return slot;
}

const large_page_bytes = 2 << 20;
const large_page_region_bytes_min = 4 * large_page_bytes;

fn map(bytes: usize) ?usize {
    return mapAt(null, bytes, false);
}

/// Fresh zero pages in place of the old ones: where MADV_FREE may leave old bytes.
fn remap(at: usize, bytes: usize) bool {
    return mapAt(@ptrFromInt(at), bytes, true) != null;
}

/// Large pages beyond the first one: random inserts into a big memtable take a third less time (docs/decisions.md), and a
/// small one still takes only the small pages that it touches.
fn adviseLargePages(address_first: usize, bytes: usize) void {
    if (comptime builtin.os.tag != .linux) return;
    if (bytes < large_page_region_bytes_min) return;
    _ = c.madvise(@ptrFromInt(address_first + large_page_bytes), bytes - large_page_bytes, c.MADV.HUGEPAGE);
}

fn mapAt(at: ?*align(std.heap.page_size_min) anyopaque, bytes: usize, fixed: bool) ?usize {
    const flags: c.MAP = .{ .TYPE = .PRIVATE, .ANONYMOUS = true, .NORESERVE = true, .FIXED = fixed };
    const result = @intFromPtr(c.mmap(at, bytes, .{ .READ = true, .WRITE = true }, flags, -1, 0));
    return if (result == std.math.maxInt(usize)) null else result;
}

const testing = std.testing;

test "reserve() rounds to a power of two, zeroed and page-aligned, and an id keeps its address" {
    const id = try reserve(100_000);
    const bytes = slice(id).?;
    try testing.expectEqual(131_072, bytes.len);
    try testing.expectEqual(0, @intFromPtr(bytes.ptr) % page_align);
    const before = address(id);
    @memset(bytes, 0xaa);
    try testing.expect(release(id));
    try testing.expectEqual(null, slice(id));

    const again = try reserve(131_072);
    try testing.expectEqual(id, again);
    try testing.expectEqual(before, address(again));
    try testing.expectEqual(0, slice(again).?[131_071]);
    try testing.expect(release(again));
}

test "release() refuses a region released before, and ids that never were" {
    const id = try reserve(1);
    try testing.expectEqual(bytes_min, length(id));
    try testing.expect(release(id));
    try testing.expect(!release(id));
    for ([_]Id{ 0, -1, count_max, count_max - 1, std.math.minInt(i32), std.math.maxInt(i32) }) |foreign| {
        try testing.expect(!release(foreign));
        try testing.expectEqual(null, slice(foreign));
    }
    try testing.expectError(error.OutOfMemory, reserve(bytes_max + 1));
}

test "part() stays inside the region" {
    const id = try reserve(bytes_min);
    defer _ = release(id);
    try testing.expectEqual(16, part(id, bytes_min - 16, 16).?.len);
    try testing.expectEqual(null, part(id, bytes_min - 16, 17));
    try testing.expectEqual(null, part(id, std.math.maxInt(u64), 1));
    try testing.expectEqual(0, part(id, bytes_min, 0).?.len);
}
