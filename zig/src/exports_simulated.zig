//! The part of the C ABI that makes simulated disks and says what befalls them (exports.zig has the rest, and the
//! rules). Only `varve/testing` calls it. Any thread may call anything.

const std = @import("std");
const abi = @import("abi.zig");
const disk_registry = @import("disk_registry.zig");
const disk_simulated = @import("disk_simulated.zig");
const file_jobs = @import("file_jobs.zig");
const simulated_tampering = @import("simulated_tampering.zig");

const closed = abi.Code.closed.int();
const invalid = abi.Code.invalid.int();

pub export fn varve_disk_create(seed: f64) i32 {
    return disk_registry.create(file_jobs.whole(seed) orelse return invalid);
}

pub export fn varve_disk_destroy(disk: i32) i32 {
    return disk_registry.destroy(disk);
}

/// The power fails, if it has not yet, and comes back.
pub export fn varve_disk_crash(disk: i32) i32 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    disk_simulated.crash(simulated) catch return abi.Code.no_memory.int();
    return 0;
}

/// The process dies, the machine goes on: nothing that was written is lost, nor synced.
pub export fn varve_disk_kill(disk: i32) i32 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    disk_simulated.kill(simulated);
    return 0;
}

/// The power is to fail behind so many further operations; zero: now.
pub export fn varve_disk_stop_after(disk: i32, operations: f64) i32 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    disk_simulated.stopAfter(simulated, file_jobs.whole(operations) orelse return invalid);
    return 0;
}

/// After `skip` operations of the kind, `count` fail with the errno (positive), or as `abi.fault_short` says.
pub export fn varve_disk_fail(disk: i32, operation: u32, errno: u32, skip: u32, count: u32) i32 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    const kind = std.enums.fromInt(abi.DiskOperation, operation) orelse return invalid;
    if (!isFault(kind, errno)) return invalid;
    disk_simulated.failAfter(simulated, kind, errno, skip, count);
    return 0;
}

/// Operations of the kind fail by chance, from 0 to 1.
pub export fn varve_disk_fail_often(disk: i32, operation: u32, errno: u32, chance: f64) i32 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    const kind = std.enums.fromInt(abi.DiskOperation, operation) orelse return invalid;
    if (!isFault(kind, errno) or !(chance >= 0 and chance <= 1)) return invalid;
    disk_simulated.failOften(simulated, kind, errno, chance);
    return 0;
}

fn isFault(kind: abi.DiskOperation, errno: u32) bool {
    if (errno == abi.fault_short) return kind == .read or kind == .write;
    return errno > 0 and errno < 4096;
}

/// Answers of the kind come late, by steps from `least` to `most`.
pub export fn varve_disk_delay(disk: i32, operation: u32, least: u32, most: u32) i32 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    const kind = std.enums.fromInt(abi.DiskOperation, operation) orelse return invalid;
    if (least > most or most > delay_steps_max) return invalid;
    disk_simulated.delay(simulated, kind, least, most);
    return 0;
}

const delay_steps_max = 1 << 20;

/// No fault is planned any more, and there is room.
pub export fn varve_disk_clear_faults(disk: i32) i32 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    disk_simulated.clearFaults(simulated);
    return 0;
}

/// All files together may have so many bytes.
pub export fn varve_disk_set_capacity(disk: i32, bytes: f64) i32 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    disk_simulated.setCapacity(simulated, file_jobs.whole(bytes) orelse return invalid);
    return 0;
}

/// Milliseconds since 1970.
pub export fn varve_disk_set_clock(disk: i32, milliseconds: f64) i32 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    if (!std.math.isFinite(milliseconds)) return invalid;
    disk_simulated.setClock(simulated, milliseconds);
    return 0;
}

/// Numbered operations so far.
pub export fn varve_disk_operation_count(disk: i32) f64 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    return @floatFromInt(disk_simulated.operationCount(simulated));
}

/// The log of operations from a byte on; how many bytes were copied.
pub export fn varve_disk_log(disk: i32, offset: f64, out: ?[*]u8, out_bytes: u32) i32 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    const from = file_jobs.whole(offset) orelse return invalid;
    return @intCast(disk_simulated.readLog(simulated, from, room(out, out_bytes)));
}

// ---------------------------------------------------------------------------------------------------------------
// Files, from outside

/// Turns a bit of a file over: eight times its offset, plus the bit. A negative offset, a bit beyond 7: drawn.
pub export fn varve_disk_rot(disk: i32, path: ?[*]const u8, path_bytes: u32, offset: f64, bit: u32) f64 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    const at: ?u64 = if (offset < 0) null else file_jobs.whole(offset) orelse return invalid;
    const turned: ?u3 = if (bit > 7) null else @intCast(bit);
    return @floatFromInt(simulated_tampering.rot(simulated, lent(path, path_bytes), at, turned));
}

/// Bytes of a file from an offset on; how many were copied.
pub export fn varve_disk_file_read(disk: i32, path: ?[*]const u8, path_bytes: u32, offset: f64, out: ?[*]u8, out_bytes: u32) i32 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    const from = file_jobs.whole(offset) orelse return invalid;
    return @intCast(simulated_tampering.read(simulated, lent(path, path_bytes), from, room(out, out_bytes)));
}

/// Puts a file with this content in place, durably; its directories too.
pub export fn varve_disk_file_put(disk: i32, path: ?[*]const u8, path_bytes: u32, data: ?[*]const u8, bytes: u32) i32 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    return @intCast(simulated_tampering.put(simulated, lent(path, path_bytes), lent(data, bytes)));
}

pub export fn varve_disk_file_remove(disk: i32, path: ?[*]const u8, path_bytes: u32) i32 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    return @intCast(simulated_tampering.remove(simulated, lent(path, path_bytes)));
}

/// Text from an offset on: size and name of each file in a directory, a line each; how many bytes were copied.
pub export fn varve_disk_list(disk: i32, path: ?[*]const u8, path_bytes: u32, offset: f64, out: ?[*]u8, out_bytes: u32) i32 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    const from = file_jobs.whole(offset) orelse return invalid;
    return @intCast(simulated_tampering.list(simulated, lent(path, path_bytes), from, room(out, out_bytes)));
}

// ---------------------------------------------------------------------------------------------------------------

fn lent(pointer: ?[*]const u8, bytes: u32) []const u8 {
    return if (pointer) |start| start[0..bytes] else "";
}

/// What a count of type i32 can say.
fn room(pointer: ?[*]u8, bytes: u32) []u8 {
    return if (pointer) |start| start[0..@min(bytes, std.math.maxInt(i32))] else &.{};
}

/// Null for the real disk too. REQUIRES: released by `disk_registry.release`.
fn acquireSimulated(disk: i32) ?*disk_simulated.Simulated {
    const found = disk_registry.acquire(disk) orelse return null;
    if (disk_simulated.from(found)) |simulated| return simulated;
    disk_registry.release(disk);
    return null;
}
