//! Commits that need nobody's decision. While the host's pipeline has nothing under way it lends the log's tail: where the next frame
//! goes, how much room there is, and so the right to the next numbers and to the active memtables. Any Worker then commits a run of plain
//! writes by one call, whole and visible when it returns; it waits for no event loop. Whatever the lease does not cover
//! (a sync, a full memtable, a new segment) is refused with nothing done, and goes to the host, who takes the tail back first.
//!
//! A commit takes its place under a short lock: numbers, room in the log and in the memtable, the checksum that chains it to the frame
//! before. It writes its frame and lays its entries down at the same time as others do. Then it passes the turnstile: it becomes visible,
//! and returns, after everything with an earlier place. So the log never ends before what a caller was told of.
//!
//! Lock and place are held within one call only, so no Worker can die with them.

const std = @import("std");
const abi = @import("abi.zig");
const disk = @import("disk.zig");
const file_jobs = @import("file_jobs.zig");
const file_table = @import("file_table.zig");
const locks = @import("locks.zig");
const log_writer = @import("log_writer.zig");
const region = @import("region.zig");
const store_registry = @import("store.zig");
const system = @import("system.zig");
const Core = store_registry.Core;
const Memtable = @import("memtable_reader.zig").Memtable;
const plain_run = @import("plain_run.zig");
const PlainRun = plain_run.PlainRun;
const Store = store_registry.Store;
const turnstile = @import("turnstile.zig");
const Passage = turnstile.Passage;

const refused: i32 = abi.tail_refused;
const frame_header_bytes = @sizeOf(abi.LogFrame);
comptime {
    // An entry by itself is written by one plain call.
    std.debug.assert(frame_header_bytes + plain_run.single_bytes_max <= log_writer.gathered_bytes_max);
    // A Worker is within one call at a time.
    std.debug.assert(abi.worker_count_max <= turnstile.Turnstile.places_max);
}

/// The tail as the library has it. What different steps of a commit change lies in cache lines of their own.
pub const Tail = struct {
    /// Whoever lends, recalls or takes a place. What follows is under it.
    lock: locks.ShortLock align(std.atomic.cache_line) = .{},
    is_lent: bool = false,
    places_given: u32 = 0,
    chain: u32 = 0,
    offset: u64 = 0,
    end: u64 = 0,
    allowance: f64 = 0,
    next_sequence: u64 = 0,
    /// Written while nobody commits.
    segment: f64 align(std.atomic.cache_line) = 0,
    synced_segment: f64 = 0,
    synced_offset: f64 = 0,
    /// The segment's, kept open until it is recalled; null: nothing that is logged may be committed.
    file: ?*file_table.File = null,
    handle: i32 = 0,
    /// Written in the order of the places.
    used: Used align(std.atomic.cache_line) = .{},
    turns: turnstile.Turnstile = .{},

    fn takePlace(self: *Tail) u32 {
        defer self.places_given +%= 1;
        return self.places_given;
    }

    fn keepFile(self: *Tail, handle: i32, owner: i32) void {
        self.forgetFile();
        self.file = file_table.acquire(handle, owner);
        self.handle = handle;
    }

    /// REQUIRES: nobody commits.
    pub fn forgetFile(self: *Tail) void {
        if (self.file != null) file_table.release(self.handle);
        self.file = null;
    }

    fn hasRoom(self: *const Tail, bytes: usize) bool {
        return self.file != null and self.offset + frame_header_bytes + bytes + abi.block_bytes <= self.end;
    }
};

/// What was done with a lease.
const Used = struct {
    frame_end: u64 = 0,
    frames: u32 = 0,
    groups: u32 = 0,
    writes: u32 = 0,
    logged_writes: u32 = 0,
    write_calls: u32 = 0,
    puts: u32 = 0,
    deletes: u32 = 0,
    merges: u32 = 0,
    /// Of runs; of those in the log; of those of more than one write.
    bytes: u64 = 0,
    logged_bytes: u64 = 0,
    bytes_coalesced: u64 = 0,
    failure: i32 = 0,
};

fn leaseOf(core: *const Core) *abi.TailLease {
    return core.part(abi.TailLease, abi.tail_lease_offset);
}

/// REQUIRES: it is not lent.
pub fn lend(session: *Store) i32 {
    const core = session.core;
    const lease = leaseOf(core);
    const tail = &core.tail;
    const invalid = abi.Code.invalid.int();
    if (core.read_only) return system.failure(.ROFS);
    const offset = file_jobs.whole(lease.offset) orelse return invalid;
    const end = file_jobs.whole(lease.end) orelse return invalid;
    const next_sequence = file_jobs.whole(core.shared().next_sequence) orelse return invalid;
    if (offset % log_writer.padding_bytes != 0) return invalid;
    tail.lock.lock();
    defer tail.lock.unlock();
    tail.keepFile(lease.file, session.handle);
    tail.chain = lease.chain;
    tail.segment = lease.segment;
    tail.offset = offset;
    tail.end = end;
    tail.synced_segment = lease.synced_segment;
    tail.synced_offset = lease.synced_offset;
    tail.allowance = lease.allowance;
    tail.next_sequence = next_sequence;
    tail.is_lent = true;
    return 0;
}

/// Returns when every commit that has a place has ended: it takes the last place itself. Zero if the tail was lent to nobody.
pub fn recall(session: *Store) i32 {
    const core = session.core;
    const tail = &core.tail;
    var last: Passage = .{ .finish = finishNothing };
    const was_lent = withdraw(tail, &last);
    tail.turns.pass(&last);
    if (!was_lent and tail.used.failure == 0) return 0;
    tell(core);
    tail.forgetFile();
    tail.used = .{};
    return @intFromBool(was_lent);
}

fn withdraw(tail: *Tail, last: *Passage) bool {
    tail.lock.lock();
    defer tail.lock.unlock();
    last.place = tail.takePlace();
    defer tail.is_lent = false;
    return tail.is_lent;
}

fn finishNothing(_: *Passage) void {}

/// Says what became of the lease. REQUIRES: nobody commits.
fn tell(core: *Core) void {
    const tail = &core.tail;
    const used = tail.used;
    const lease = leaseOf(core);
    lease.chain = tail.chain;
    lease.offset = number(tail.offset);
    inline for (.{ "frame_end", "writes", "bytes", "bytes_coalesced" }) |name| @field(lease, name) = number(@field(used, name));
    inline for (.{ "frames", "groups", "puts", "deletes", "merges", "failure" }) |name| @field(lease, name) = @field(used, name);
    lease.entries = number(used.puts + used.deletes + used.merges);
    const shared = core.shared();
    shared.next_sequence = number(tail.next_sequence);
    file_table.add(&shared.counters.writes_in, used.logged_writes);
    file_table.add(&shared.counters.write_calls, used.write_calls);
    file_table.add(&shared.counters.bytes_written, used.logged_bytes + @as(u64, used.frames) * frame_header_bytes);
}

fn number(value: anytype) f64 {
    return @floatFromInt(value);
}

pub fn commit(session: *Store, id: region.Id, bytes: u32, memtable_id: region.Id, write_count: u32, logged: bool) i32 {
    if (bytes < @sizeOf(abi.LogRun) or bytes % 8 != 0) return refused;
    const part = region.part(id, 0, bytes) orelse return refused;
    const memtable = Memtable.open(memtable_id) orelse return refused;
    return commitRun(session, @alignCast(part), memtable, write_count, logged);
}

/// Commits one entry, from its caller's memory. `head`: of the entry.
pub fn commitEntry(session: *Store, memtable_id: region.Id, head: u32, key: []const u8, value: []const u8, logged: bool) i32 {
    if (key.len != head >> 16 or key.len + value.len > abi.tail_entry_bytes_max) return refused;
    const memtable = Memtable.open(memtable_id) orelse return refused;
    var run: [plain_run.single_bytes_max]u8 align(8) = undefined;
    return commitRun(session, plain_run.encode(head, memtable.header.family, key, value, &run), memtable, 1, logged);
}

fn commitRun(session: *Store, bytes: []align(8) u8, memtable: Memtable, write_count: u32, logged: bool) i32 {
    const run = PlainRun.check(@ptrCast(bytes), memtable) orelse return refused;
    var self: Commit = .{ .core = session.core, .run = run, .bytes = bytes, .write_count = write_count, .logged = logged };
    self.run.begin(&self.batch);
    if (!self.takePlace()) return refused;
    // First: what it waits for memory then arrives while the system writes.
    self.run.lay(self.first_sequence);
    if (logged) self.writeFrame();
    session.core.tail.turns.pass(&self.passage);
    return self.result;
}

/// One call's run on its way.
const Commit = struct {
    core: *Core,
    run: PlainRun,
    batch: plain_run.Batch = .{},
    /// The run as it goes into the log.
    bytes: []u8,
    write_count: u32,
    logged: bool,
    passage: Passage = .{ .finish = finish },
    first_sequence: u64 = 0,
    /// Where its frame goes.
    offset: u64 = 0,
    frame: abi.LogFrame = undefined,
    write_calls: u32 = 0,
    /// Negative: errno or Code.
    result: i32 = 0,

    /// False where the lease does not cover the run.
    fn takePlace(self: *Commit) bool {
        const tail = &self.core.tail;
        tail.lock.lock();
        defer tail.lock.unlock();
        const bytes: f64 = @floatFromInt(self.bytes.len);
        if (!tail.is_lent or tail.allowance < bytes) return false;
        if (self.logged and !tail.hasRoom(self.bytes.len)) return false;
        if (!self.run.takeRoom()) return false;

        self.passage.place = tail.takePlace();
        self.first_sequence = tail.next_sequence;
        tail.next_sequence += self.run.entry_count;
        tail.allowance -= bytes;
        const header: *abi.LogRun = @ptrCast(@alignCast(self.bytes.ptr));
        header.bytes = @intCast(self.bytes.len);
        header.first_sequence = @floatFromInt(self.first_sequence);
        if (self.logged) self.takeRoomInLog(tail);
        return true;
    }

    fn takeRoomInLog(self: *Commit, tail: *Tail) void {
        self.offset = tail.offset;
        self.frame = .{
            .checksum = 0,
            .payload_bytes = @intCast(self.bytes.len),
            .chain = tail.chain,
            .mark = 0, // a segment that is written in bytes is a new file
            .segment = tail.segment,
            .synced_segment = tail.synced_segment,
            .synced_offset = tail.synced_offset,
        };
        log_writer.seal(&self.frame, &.{.{ .base = self.bytes.ptr, .len = self.bytes.len }});
        tail.chain = self.frame.checksum;
        tail.offset = self.frameEnd();
    }

    fn frameEnd(self: *const Commit) u64 {
        return self.offset + frame_header_bytes + self.bytes.len;
    }

    fn writeFrame(self: *Commit) void {
        const parts = [_]disk.IoVec{
            .{ .base = std.mem.asBytes(&self.frame), .len = frame_header_bytes },
            .{ .base = self.bytes.ptr, .len = self.bytes.len },
        };
        var gathered: [log_writer.gathered_bytes_max]u8 = undefined;
        const whole = log_writer.gather(&parts, &gathered);
        const file = self.core.tail.file.?;
        const written = file.pwritevUncounted(if (whole) |part| &.{part} else &parts, self.offset, false);
        self.write_calls = written.calls;
        if (written.result < 0) self.result = @intCast(written.result);
    }

    /// In the order of the places, on whichever thread.
    fn finish(passage: *Passage) void {
        const self: *Commit = @fieldParentPtr("passage", passage);
        const used = &self.core.tail.used;
        // Nothing may be committed on top of what is in doubt.
        if (used.failure != 0) self.result = used.failure;
        if (self.result < 0) return self.fail(used);
        self.run.link(&self.batch, self.first_sequence, if (self.logged) self.frame.segment else 0) catch {
            self.result = abi.Code.no_memory.int();
            return self.fail(used);
        };
        publish(self.core.shared(), self.first_sequence + self.run.entry_count - 1);
        self.count(used);
    }

    /// Whether the log has it is in doubt, and so is everything behind it.
    fn fail(self: *const Commit, used: *Used) void {
        const tail = &self.core.tail;
        tail.lock.lock();
        defer tail.lock.unlock();
        used.failure = self.result;
        tail.is_lent = false;
    }

    fn count(self: *const Commit, used: *Used) void {
        used.groups += 1;
        used.writes += self.write_count;
        used.bytes += self.bytes.len;
        used.puts += self.run.puts;
        used.deletes += self.run.deletes;
        used.merges += self.run.merges;
        if (!self.logged) return;
        used.frames += 1;
        used.frame_end = self.frameEnd();
        used.logged_writes += self.write_count;
        used.logged_bytes += self.bytes.len;
        used.write_calls += self.write_calls;
        if (self.write_count > 1) used.bytes_coalesced += self.bytes.len;
    }
};

/// As `src/commit/visibility.ts` does.
fn publish(shared: *abi.StoreShared, sequence: u64) void {
    const high: u32 = @intCast(sequence >> 32);
    @atomicStore(u32, &shared.visible_high_first, high, .release);
    @atomicStore(u32, &shared.visible_low, @truncate(sequence), .release);
    @atomicStore(u32, &shared.visible_high_last, high, .release);
}
