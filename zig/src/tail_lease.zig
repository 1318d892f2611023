//! Commits that need nobody's decision. While the host's pipeline has nothing under way it lends the log's tail: where the next frame
//! goes, how much room there is, and so the right to the next numbers and to the active memtables. Any Worker then commits a run of plain
//! writes by one call, whole and visible when it returns; it waits for no event loop. Whatever the lease does not cover
//! (a sync, a full memtable, a new segment) is refused with nothing done, and goes to the host, who takes the tail back first.
//!
//! The lock is held within one call only, so no Worker can die with it.

const std = @import("std");
const abi = @import("abi.zig");
const locks = @import("locks.zig");
const log_writer = @import("log_writer.zig");
const region = @import("region.zig");
const store_registry = @import("store.zig");
const Core = store_registry.Core;
const Memtable = @import("memtable_reader.zig").Memtable;
const PlainRun = @import("plain_run.zig").PlainRun;
const Store = store_registry.Store;

const refused: i32 = abi.tail_refused;

fn leaseOf(core: *const Core) *abi.TailLease {
    return core.part(abi.TailLease, abi.tail_lease_offset);
}

pub fn lend(session: *Store) i32 {
    const core = session.core;
    core.tail_mutex.lockSpinning();
    defer core.tail_mutex.unlock();
    leaseOf(core).is_lent = 1;
    return 0;
}

pub fn recall(session: *Store) i32 {
    const core = session.core;
    core.tail_mutex.lockSpinning();
    defer core.tail_mutex.unlock();
    const lease = leaseOf(core);
    const was_lent = lease.is_lent;
    lease.is_lent = 0;
    return @intCast(was_lent);
}

pub fn commit(session: *Store, id: region.Id, bytes: u32, memtable_id: region.Id, write_count: u32, logged: bool) i32 {
    if (bytes < @sizeOf(abi.LogRun) or bytes % 8 != 0) return refused;
    const part = region.part(id, 0, bytes) orelse return refused;
    const words: []align(8) u32 = @ptrCast(@alignCast(part));
    const memtable = Memtable.open(memtable_id) orelse return refused;

    const core = session.core;
    core.tail_mutex.lockSpinning();
    defer core.tail_mutex.unlock();
    const lease = leaseOf(core);
    if (lease.is_lent != 1 or lease.allowance < @as(f64, @floatFromInt(bytes))) return refused;
    const header: *abi.LogRun = @ptrCast(words.ptr);
    const run = PlainRun.check(words, header.entry_count, memtable) orelse return refused;
    if (logged and !hasRoom(lease, bytes)) return refused;

    const shared = core.shared();
    const first = shared.next_sequence;
    shared.next_sequence = first + @as(f64, @floatFromInt(run.entry_count));
    header.bytes = bytes;
    header.first_sequence = first;
    if (logged) {
        const result = writeFrame(lease, id, bytes, write_count);
        if (result < 0) return end(lease, result);
        if (write_count > 1) lease.bytes_coalesced += @floatFromInt(bytes);
    }
    run.insert(@intFromFloat(first), if (logged) lease.segment else 0) catch return end(lease, abi.Code.no_memory.int());
    publish(shared, @as(u64, @intFromFloat(shared.next_sequence)) - 1);
    count(lease, run, bytes, write_count);
    return 0;
}

/// What failed is in doubt: nothing may be committed on top of it.
fn end(lease: *abi.TailLease, failure: i32) i32 {
    lease.failure = failure;
    lease.is_lent = 0;
    return failure;
}

fn hasRoom(lease: *const abi.TailLease, bytes: u32) bool {
    const needed: f64 = @floatFromInt(@sizeOf(abi.LogFrame) + @as(u64, bytes) + abi.block_bytes);
    return lease.file != 0 and lease.offset + needed <= lease.end;
}

/// Zero, or errno or Code.
fn writeFrame(lease: *abi.TailLease, run: region.Id, bytes: u32, write_count: u32) i32 {
    const host = store_registry.acquire(lease.session) orelse return abi.Code.closed.int();
    defer store_registry.release(lease.session);
    var job: abi.LogWriteJob = undefined;
    job.head = .{ .opcode = @intFromEnum(abi.Opcode.log_write), .state = 0, .flags = 0, .lane = 0, .result = 0, .detail = 0, .value = 0 };
    job.file = lease.file;
    job.chain = lease.chain;
    job.offset = lease.offset;
    job.segment = lease.segment;
    job.synced_segment = lease.synced_segment;
    job.synced_offset = lease.synced_offset;
    job.write_count = write_count;
    job.sync_file_count = 0;
    job.extent_count = 1;
    job.extents[0] = .{ .region = run, .offset = 0, .bytes = bytes };
    log_writer.run(host, &job);
    if (job.head.result < 0) return job.head.result;
    lease.chain = job.frame_checksum;
    lease.frame_end = lease.offset + @as(f64, @floatFromInt(@sizeOf(abi.LogFrame) + @as(u64, bytes)));
    lease.offset = job.end_offset;
    lease.frames += 1;
    return 0;
}

/// As `src/commit/visibility.ts` does.
fn publish(shared: *abi.StoreShared, sequence: u64) void {
    const high: u32 = @intCast(sequence >> 32);
    @atomicStore(u32, &shared.visible_high_first, high, .seq_cst);
    @atomicStore(u32, &shared.visible_low, @truncate(sequence), .seq_cst);
    @atomicStore(u32, &shared.visible_high_last, high, .seq_cst);
}

fn count(lease: *abi.TailLease, run: PlainRun, bytes: u32, write_count: u32) void {
    lease.allowance -= @floatFromInt(bytes);
    lease.groups += 1;
    lease.writes += @floatFromInt(write_count);
    lease.entries += @floatFromInt(run.entry_count);
    lease.bytes += @floatFromInt(bytes);
    lease.puts += run.puts;
    lease.deletes += run.deletes;
    lease.merges += run.merges;
}
