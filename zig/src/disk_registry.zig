//! Disks by number, for the C ABI: zero is the real one, others are simulated and made by tests. A disk in use
//! by a store is not destroyed. Any thread may call.

const abi = @import("abi.zig");
const disk = @import("disk.zig");
const disk_real = @import("disk_real.zig");
const disk_simulated = @import("disk_simulated.zig");
const locks = @import("locks.zig");

pub const Id = i32;
const count_max = 1024;
const generation_count = 0x7fff;

const Slot = struct { disk: ?disk.Disk = null, users: u32 = 0, generation: u16 = 0 };

var slots: [count_max]Slot = @splat(.{});
var mutex: locks.Mutex = .{};

/// Positive, or a Code.
pub fn create(seed: u64) Id {
    mutex.lock();
    defer mutex.unlock();
    for (slots[1..], 1..) |*slot, index| {
        if (slot.disk != null) continue;
        slot.disk = disk_simulated.create(seed) catch return abi.Code.no_memory.int();
        slot.users = 0;
        return idOf(index);
    }
    return abi.Code.exhausted.int();
}

/// `Code.attached` while a store is open on the disk.
pub fn destroy(id: Id) i32 {
    mutex.lock();
    defer mutex.unlock();
    const slot = find(id) orelse return abi.Code.closed.int();
    if (slot.users > 0) return abi.Code.attached.int();
    disk_simulated.destroy(slot.disk.?);
    slot.disk = null;
    slot.generation = (slot.generation + 1) % generation_count;
    return 0;
}

/// The disk, kept until `release`. Null if there is none of that number.
pub fn acquire(id: Id) ?disk.Disk {
    if (id == 0) return disk_real.real;
    mutex.lock();
    defer mutex.unlock();
    const slot = find(id) orelse return null;
    slot.users += 1;
    return slot.disk;
}

pub fn release(id: Id) void {
    if (id == 0) return;
    mutex.lock();
    defer mutex.unlock();
    find(id).?.users -= 1;
}

fn find(id: Id) ?*Slot {
    const bits: u32 = @bitCast(id);
    const index = bits & 0xffff;
    if (id <= 0 or index == 0 or index >= count_max or idOf(index) != id) return null;
    return if (slots[index].disk == null) null else &slots[index];
}

fn idOf(index: usize) Id {
    return @intCast(((@as(u32, slots[index].generation) + 1) << 16) | index);
}

test "a disk in use stays, a destroyed one is gone for good" {
    const testing = @import("std").testing;
    const id = create(1);
    try testing.expect(id > 0);
    try testing.expect(acquire(id) != null);
    try testing.expectEqual(abi.Code.attached.int(), destroy(id));
    release(id);
    try testing.expectEqual(0, destroy(id));
    try testing.expectEqual(abi.Code.closed.int(), destroy(id));
    const next = create(1);
    try testing.expect(next != id);
    try testing.expectEqual(null, acquire(id));
    for ([_]Id{ -1, 1, 1 << 16, 0x7fffffff }) |wrong| try testing.expectEqual(null, acquire(wrong));
    try testing.expectEqual(0, destroy(next));
    try testing.expectEqual(abi.Code.closed.int(), destroy(0));
}
