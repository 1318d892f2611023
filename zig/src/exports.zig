//! The C ABI and nothing else: checks, calls, translates. A call returns zero, a count or a handle; a negative
//! errno; or an `abi.Code`. Buffers are lent for the call only. Any thread may call anything.

const std = @import("std");
const abi = @import("abi.zig");
const checksum = @import("checksum.zig");
const disk_registry = @import("disk_registry.zig");
const error_detail = @import("error_detail.zig");
const file_jobs = @import("file_jobs.zig");
const layout = @import("layout.zig");
const log_walk = @import("log_walk.zig");
const log_writer = @import("log_writer.zig");
const region = @import("region.zig");
const store_registry = @import("store.zig");
const system = @import("system.zig");
const table_inspection = @import("table_inspection.zig");
const tables = @import("tables.zig");
const tail_lease = @import("tail_lease.zig");
const Fault = @import("fault.zig").Fault;
const threads = @import("threads.zig");
const words = @import("words.zig");

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

fn given(pointer: ?[*]u8, bytes: u32) []u8 {
    return if (pointer) |start| start[0..bytes] else &.{};
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
    const owner = if (threads.current()) |thread| thread.token else 0;
    return region.reserveFor(wanted, owner) catch |cause| store_registry.regionCode(cause);
}

/// A region goes back when the thread that reserved it has ended. Not this one any more.
pub export fn varve_region_disown(id: i32) i32 {
    return if (region.disown(id)) 0 else closed;
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

/// Milliseconds since 1970, of any disk.
pub export fn varve_disk_clock(disk: i32) f64 {
    const found = disk_registry.acquire(disk) orelse return closed;
    defer disk_registry.release(disk);
    return found.vtable.now(found.context);
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

/// One more session on a store that is open in this process, by the number of its core. `Code.exhausted`: there are
/// `worker_count_max` already.
pub export fn varve_store_attach(core: i32, io_threads: u32) i32 {
    return store_registry.attach(core, io_threads);
}

/// The number of the core that a session is on: the same for all sessions of one directory.
pub export fn varve_store_core(store: i32) i32 {
    const found = store_registry.acquire(store) orelse return closed;
    defer store_registry.release(store);
    return found.core.id;
}

/// The region that all sessions of a core share.
pub export fn varve_store_core_region(store: i32) i32 {
    const found = store_registry.acquire(store) orelse return closed;
    defer store_registry.release(store);
    return found.core.shared_region;
}

/// The session's slot there.
pub export fn varve_store_slot(store: i32) i32 {
    const found = store_registry.acquire(store) orelse return closed;
    defer store_registry.release(store);
    return @intCast(found.slot);
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

/// Lends the tail of the log, as the host has described it in the core's `TailLease`.
pub export fn varve_tail_lend(store: i32) i32 {
    const found = store_registry.acquire(store) orelse return closed;
    defer store_registry.release(store);
    return tail_lease.lend(found);
}

/// Takes it back: nobody commits there any more, and what was committed stands in the `TailLease`. One if it was lent.
pub export fn varve_tail_recall(store: i32) i32 {
    const found = store_registry.acquire(store) orelse return closed;
    defer store_registry.release(store);
    return tail_lease.recall(found);
}

/// Commits the run in front of a region to the log (if `logged`) and to a memtable, visible at once. Zero; `tail_refused`, with
/// nothing done; or errno: the log's write failed. REQUIRES: the caller keeps the memtable from being released.
pub export fn varve_tail_commit(store: i32, run: i32, bytes: u32, memtable: i32, write_count: u32, logged: u32) i32 {
    const found = store_registry.acquire(store) orelse return closed;
    defer store_registry.release(store);
    return tail_lease.commit(found, run, bytes, memtable, write_count, logged != 0);
}

/// The same for one entry, which lies where its caller has it. `head`: as in `LogEntry`, the type and the key's bytes, and
/// `tail_unlogged`. `tail_refused` also where it is too large for this.
pub export fn varve_tail_commit_entry(store: i32, memtable: i32, head: u32, key: ?[*]const u8, value: ?[*]const u8, value_bytes: u32) i32 {
    const found = store_registry.acquire(store) orelse return closed;
    defer store_registry.release(store);
    const logged = head & abi.tail_unlogged == 0;
    return tail_lease.commitEntry(found, memtable, head & ~abi.tail_unlogged, lent(key, head >> 16), lent(value, value_bytes), logged);
}

/// One when the word at a byte offset of a region is no longer `seen`; zero after the timeout or a signal.
pub export fn varve_word_wait(id: i32, offset: u32, seen: u32, timeout_us: u32) i32 {
    return words.wait(id, offset, seen, timeout_us);
}

/// Wakes whoever waits for that word.
pub export fn varve_word_wake(id: i32, offset: u32) i32 {
    return words.wake(id, offset);
}

/// The frame between `offset` and `limit` of a region: `log_writer.Check`. `segment` and `mark`: as the frame has to have them.
pub export fn varve_frame_check(id: i32, offset: f64, limit: f64, segment: f64, mark: u32) i32 {
    const from = file_jobs.whole(offset) orelse return invalid;
    const to = file_jobs.whole(limit) orelse return invalid;
    if (to < from) return invalid;
    const bytes = region.part(id, from, to - from) orelse return if (region.slice(id) == null) closed else invalid;
    return @intFromEnum(log_writer.check(bytes, .{ .segment = segment, .mark = mark }));
}

/// The bytes of the run between `offset` and `limit` of a region if it is sound, else `Code.corruption`.
pub export fn varve_run_check(id: i32, offset: f64, limit: f64) f64 {
    const from = file_jobs.whole(offset) orelse return invalid;
    const to = file_jobs.whole(limit) orelse return invalid;
    if (to < from) return invalid;
    const bytes = region.part(id, from, to - from) orelse return if (region.slice(id) == null) closed else invalid;
    return @floatFromInt(log_walk.soundRun(bytes) orelse return abi.Code.corruption.int());
}

/// Walks the frames of a log segment in memory, as the `LogWalk` at the front of a region says: an `abi.WalkStop`.
/// REQUIRES, where entries are put into memtables: the pipeline's claim.
pub export fn varve_log_walk(id: i32) i32 {
    return log_walk.walk(id);
}

// ---------------------------------------------------------------------------------------------------------------
// Reading

pub export fn varve_memtable_release(id: i32) i32 {
    return tables.memtableRelease(id);
}

/// The greatest number, at most `sequence`, of a range tombstone of the memtable that covers the key, which lies in the
/// context; zero: none does; negative: a Code.
pub export fn varve_memtable_cover(id: i32, context: i32, key_bytes: u32, sequence: f64) f64 {
    return tables.memtableCover(id, context, key_bytes, sequence);
}

pub export fn varve_version_create(context: i32, count: u32) i32 {
    return tables.versionCreate(context, count);
}

pub export fn varve_version_release(version: i32) i32 {
    return tables.versionRelease(version);
}

/// Bytes of table files that hold the keys between two bounds, from their indexes in memory: the lower bound at
/// `context_key_offset`, the upper one (unless `has_upper` is zero) right behind it. Negative: a Code.
pub export fn varve_version_size(version: i32, context: i32, lower_bytes: u32, upper_bytes: u32, has_upper: u32) f64 {
    return tables.versionSize(version, context, lower_bytes, upper_bytes, has_upper != 0);
}

pub export fn varve_table_release(table: i32) i32 {
    return tables.tableRelease(table);
}

pub export fn varve_get(version: i32, context: i32, key_bytes: u32, sequence: f64, flags: u32) i32 {
    return tables.get(version, context, key_bytes, sequence, flags);
}

/// The value at an address, read on this thread and checked; `bytes` is what `out` has room for.
pub export fn varve_blob_read(store: i32, number: f64, offset: f64, bytes: u32, crc: u32, out: ?[*]u8) i32 {
    const found = store_registry.acquire(store) orelse return closed;
    defer store_registry.release(store);
    if (bytes > abi.value_bytes_max) return invalid;
    const target: []u8 = if (out) |start| start[0..bytes] else &.{};
    if (target.len < bytes) return invalid;
    var failure: Fault = .{};
    const address: abi.BlobAddress = .{ .number = number, .offset = offset, .bytes = bytes, .checksum = crc };
    found.blobs.read(address, target, &failure) catch return failure.report();
    return 0;
}

/// What blob segments there are now stay readable until `varve_blob_unpin` gets what this returns. Negative: a Code.
pub export fn varve_blob_pin(store: i32) f64 {
    const found = store_registry.acquire(store) orelse return @floatFromInt(closed);
    defer store_registry.release(store);
    const generation = found.blobs.pin() catch return @floatFromInt(abi.Code.no_memory.int());
    return @floatFromInt(generation);
}

pub export fn varve_blob_unpin(store: i32, generation: f64) i32 {
    const pinned = file_jobs.whole(generation) orelse return invalid;
    const found = store_registry.acquire(store) orelse return closed;
    defer store_registry.release(store);
    found.blobs.unpin(pinned);
    return 0;
}

/// Zero: the segment's name may be unlinked; who can still come upon a value of it goes on reading it.
pub export fn varve_blob_retire(store: i32, number: f64) i32 {
    const found = store_registry.acquire(store) orelse return closed;
    defer store_registry.release(store);
    return @intCast(found.blobs.retire(file_jobs.whole(number) orelse return invalid));
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

// ---------------------------------------------------------------------------------------------------------------
// Compaction: its steps are jobs (`CompactionJob`).

/// Reads the `CompactionRequest` in the region. A handle, or a Code.
pub export fn varve_compaction_open(id: i32) i32 {
    return tables.compactionOpen(id);
}

/// A step that runs ends at its next block with `Code.cancelled`, and so does every later one.
pub export fn varve_compaction_cancel(compaction: i32) i32 {
    return tables.compactionCancel(compaction);
}

/// Ends the handle, and the step that runs; unlinks what was made, unless the last step was done.
pub export fn varve_compaction_close(compaction: i32) i32 {
    return tables.compactionClose(compaction);
}

// ---------------------------------------------------------------------------------------------------------------
// Files by themselves, part by part: results are byte counts, or Codes.

/// The last bytes of a table file of this size, as a `TableFooter`.
pub export fn varve_footer_decode(footer: ?[*]const u8, bytes: u32, file_bytes: f64, out: ?[*]u8, out_bytes: u32) i32 {
    const size = file_jobs.whole(file_bytes) orelse return invalid;
    return table_inspection.footer(lent(footer, bytes), size, given(out, out_bytes));
}

/// The content of a table's properties block, as a `TableProperties` and what follows that. `out` takes what the struct and the
/// content take together.
pub export fn varve_properties_decode(content: ?[*]const u8, bytes: u32, out: ?[*]u8, out_bytes: u32) i32 {
    return table_inspection.properties(lent(content, bytes), given(out, out_bytes));
}

/// Checks a block of a table, trailer included; what its content takes when it is expanded.
pub export fn varve_block_check(block: ?[*]const u8, bytes: u32, table: f64, offset: f64) i32 {
    const number = file_jobs.whole(table) orelse return invalid;
    const place = file_jobs.whole(offset) orelse return invalid;
    return table_inspection.blockBytes(lent(block, bytes), number, place);
}

/// The content of a block that was checked; `out` has the size that `varve_block_check` told.
pub export fn varve_block_expand(block: ?[*]const u8, bytes: u32, out: ?[*]u8, out_bytes: u32) i32 {
    return table_inspection.expand(lent(block, bytes), given(out, out_bytes));
}

/// How many probes a filter block's content asks for.
pub export fn varve_filter_probes(content: ?[*]const u8, bytes: u32) i32 {
    return table_inspection.filterProbes(lent(content, bytes));
}

// ---------------------------------------------------------------------------------------------------------------

/// Bounds the block cache, which all stores of the process share.
pub export fn varve_cache_resize(bytes: f64) i32 {
    return tables.cacheSetCapacity(bytes);
}

pub export fn varve_cache_bytes() f64 {
    return tables.cacheBytes();
}
