//! The C ABI and nothing else: checks, calls, translates. A call returns zero, a count or a handle; a negative
//! errno; or an `abi.Code`. Buffers are lent for the call only. Any thread may call anything.

const std = @import("std");
const abi = @import("abi.zig");
const checksum = @import("checksum.zig");
const disk_registry = @import("disk_registry.zig");
const disk_simulated = @import("disk_simulated.zig");
const error_detail = @import("error_detail.zig");
const file_jobs = @import("file_jobs.zig");
const layout = @import("layout.zig");
const log_writer = @import("log_writer.zig");
const region = @import("region.zig");
const store_registry = @import("store.zig");
const system = @import("system.zig");
const tables = @import("tables.zig");

/// A fault of the host's is the host's to report; a panic of ours says so before it ends the process.
pub const std_options: std.Options = .{
    .enable_segfault_handler = false,
    // Else 256 KiB of every thread's local storage, for a handler that we do not install.
    .signal_stack_size = null,
};
pub const panic = std.debug.FullPanic(panicLine);

fn panicLine(message: []const u8, _: ?usize) noreturn {
    const parts = [_]std.posix.iovec_const{
        part("varve: panic: "),
        part(message),
        part("\nThis is a bug in Varve, not in the runtime: please report it to Varve with this line.\n"),
    };
    _ = std.c.writev(2, &parts, parts.len);
    std.c.abort();
}

fn part(text: []const u8) std.posix.iovec_const {
    return .{ .base = text.ptr, .len = text.len };
}

const closed = abi.Code.closed.int();
const invalid = abi.Code.invalid.int();

/// Null is an empty buffer: Deno passes it for one.
fn lent(pointer: ?[*]const u8, bytes: u32) []const u8 {
    return if (pointer) |start| start[0..bytes] else "";
}

fn copyOut(text: []const u8, out: ?[*]u8, out_bytes: u32) i32 {
    const start = out orelse return 0;
    const count = @min(text.len, out_bytes);
    @memcpy(start[0..count], text[0..count]);
    return @intCast(count);
}

// ---------------------------------------------------------------------------------------------------------------
// The library

/// What the generated TypeScript carries as `ABI_HASH`.
pub export fn varve_abi_hash() u32 {
    return layout.hash();
}

/// The name of an errno of this system, of either sign, or of one of our codes. The length; zero if there is none.
pub export fn varve_errno_name(errno: i32, out: ?[*]u8, out_bytes: u32) i32 {
    if (std.enums.fromInt(abi.Code, errno)) |code| return copyOut(@tagName(code), out, out_bytes);
    var buffer: [32]u8 = undefined;
    return copyOut(system.errnoName(@abs(errno), &buffer) orelse "", out, out_bytes);
}

/// A line about this thread's last call that failed; the length, zero if there is nothing to add.
pub export fn varve_error_detail(out: ?[*]u8, out_bytes: u32) i32 {
    return copyOut(error_detail.get(), out, out_bytes);
}

pub export fn varve_checksum(data: ?[*]const u8, bytes: u32) u32 {
    return checksum.crc32c(lent(data, bytes));
}

// ---------------------------------------------------------------------------------------------------------------
// Regions

pub export fn varve_region_reserve(bytes: f64) i32 {
    const wanted = file_jobs.whole(bytes) orelse return invalid;
    return region.reserve(wanted) catch |cause| store_registry.regionCode(cause);
}

pub export fn varve_region_release(id: i32) i32 {
    return if (region.release(id)) 0 else closed;
}

/// Zero for a region that is not reserved.
pub export fn varve_region_address(id: i32) f64 {
    return @floatFromInt(region.address(id));
}

pub export fn varve_region_bytes(id: i32) f64 {
    return @floatFromInt(region.length(id));
}

// ---------------------------------------------------------------------------------------------------------------
// Disks and stores

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

/// After `skip` operations of the kind, `count` fail with the errno (positive).
pub export fn varve_disk_fail(disk: i32, operation: u32, errno: u32, skip: u32, count: u32) i32 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    const kind = std.enums.fromInt(abi.DiskOperation, operation) orelse return invalid;
    if (errno == 0 or errno > 4095) return invalid;
    disk_simulated.failAfter(simulated, kind, errno, skip, count);
    return 0;
}

/// Operations of the kind fail by chance, from 0 to 1.
pub export fn varve_disk_fail_often(disk: i32, operation: u32, errno: u32, chance: f64) i32 {
    const simulated = acquireSimulated(disk) orelse return closed;
    defer disk_registry.release(disk);
    const kind = std.enums.fromInt(abi.DiskOperation, operation) orelse return invalid;
    if (errno == 0 or errno > 4095 or !(chance >= 0 and chance <= 1)) return invalid;
    disk_simulated.failOften(simulated, kind, errno, chance);
    return 0;
}

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

/// Milliseconds since 1970, of any disk.
pub export fn varve_disk_clock(disk: i32) f64 {
    const found = disk_registry.acquire(disk) orelse return closed;
    defer disk_registry.release(disk);
    return found.vtable.now(found.context);
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
    const start = out orelse return 0;
    return @intCast(disk_simulated.readLog(simulated, from, start[0..@min(out_bytes, std.math.maxInt(i32))]));
}

/// Null for the real disk too. REQUIRES: released by `disk_registry.release`.
fn acquireSimulated(disk: i32) ?*disk_simulated.Simulated {
    const found = disk_registry.acquire(disk) orelse return null;
    if (disk_simulated.from(found)) |simulated| return simulated;
    disk_registry.release(disk);
    return null;
}

pub export fn varve_store_open(disk: i32, path: ?[*]const u8, path_bytes: u32, flags: u32, io_threads: u32, open_files_max: u32) i32 {
    error_detail.clear();
    const limits: store_registry.Limits = .{ .io_threads = io_threads, .open_files_max = open_files_max };
    return store_registry.open(disk, lent(path, path_bytes), flags, limits);
}

pub export fn varve_store_region(store: i32) i32 {
    const found = store_registry.acquire(store) orelse return closed;
    defer store_registry.release(store);
    return found.shared_region;
}

pub export fn varve_store_close(store: i32) i32 {
    return store_registry.close(store);
}

pub export fn varve_store_remove(disk: i32, path: ?[*]const u8, path_bytes: u32) i32 {
    error_detail.clear();
    return store_registry.remove(disk, lent(path, path_bytes));
}

pub export fn varve_job_run(store: i32, job: u32) i32 {
    const found = store_registry.acquire(store) orelse return closed;
    defer store_registry.release(store);
    return found.runner.run(found, job);
}

pub export fn varve_job_submit(store: i32, job: u32) i32 {
    const found = store_registry.acquire(store) orelse return closed;
    defer store_registry.release(store);
    return found.runner.submit(found, job);
}

/// On a stepped disk: one when a queued job has been run, zero when there is none.
pub export fn varve_store_step(store: i32) i32 {
    const found = store_registry.acquire(store) orelse return closed;
    defer store_registry.release(store);
    return found.runner.step(found);
}

/// One when the completions have moved on from `seen`; zero after the timeout or a signal.
pub export fn varve_store_wait(store: i32, seen: u32, timeout_us: u32) i32 {
    const found = store_registry.acquire(store) orelse return closed;
    defer store_registry.release(store);
    return found.runner.wait(seen, timeout_us);
}

/// The frame between `offset` and `limit` of a region: `log_writer.Check`.
pub export fn varve_frame_check(id: i32, offset: f64, limit: f64, segment: f64) i32 {
    const from = file_jobs.whole(offset) orelse return invalid;
    const to = file_jobs.whole(limit) orelse return invalid;
    if (to < from) return invalid;
    const bytes = region.part(id, from, to - from) orelse return if (region.slice(id) == null) closed else invalid;
    return @intFromEnum(log_writer.check(bytes, segment));
}

// ---------------------------------------------------------------------------------------------------------------
// Reading

pub export fn varve_memtable_release(id: i32) i32 {
    return tables.memtableRelease(id);
}

pub export fn varve_version_create(context: i32, count: u32) i32 {
    return tables.versionCreate(context, count);
}

pub export fn varve_version_release(version: i32) i32 {
    return tables.versionRelease(version);
}

pub export fn varve_table_release(table: i32) i32 {
    return tables.tableRelease(table);
}

pub export fn varve_get(version: i32, context: i32, key_bytes: u32, sequence: f64, flags: u32) i32 {
    return tables.get(version, context, key_bytes, sequence, flags);
}

pub export fn varve_cursor_open(context: i32) i32 {
    return tables.cursorOpen(context);
}

pub export fn varve_cursor_fill(cursor: i32, row_count_max: u32, byte_count_max: u32, flags: u32) i32 {
    return tables.cursorFill(cursor, row_count_max, byte_count_max, flags);
}

pub export fn varve_cursor_close(cursor: i32) i32 {
    return tables.cursorClose(cursor);
}

/// Bounds the block cache, which all stores of the process share.
pub export fn varve_cache_resize(bytes: f64) i32 {
    return tables.cacheSetCapacity(bytes);
}

pub export fn varve_cache_bytes() f64 {
    return tables.cacheBytes();
}
