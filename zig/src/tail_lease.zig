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
const memtable_writer = @import("memtable_writer.zig");
const Memtable = @import("memtable_reader.zig").Memtable;
const PlainRun = @import("plain_run.zig").PlainRun;
const Store = store_registry.Store;
const turnstile = @import("turnstile.zig");
const Passage = turnstile.Passage;

const refused: i32 = abi.tail_refused;
const frame_header_bytes = @sizeOf(abi.LogFrame);
const run_header_words = @sizeOf(abi.LogRun) / 4;
const entry_header_words = memtable_writer.log_entry_words;
/// Of the run that an entry by itself makes, with its padding.
const run_bytes_max = (run_header_words + entry_header_words + 3) * 4 + abi.tail_entry_bytes_max;
comptime {
    // It is written by one plain call.
    std.debug.assert(frame_header_bytes + run_bytes_max <= log_writer.gathered_bytes_max);
}

/// What the library knows of the tail beside the words that it shares with TypeScript.
pub const Tail = struct {
    /// Whoever lends, recalls or takes a place.
    lock: locks.ShortLock = .{},
    /// Places are taken under the lock.
    turns: turnstile.Turnstile = .{},
    /// The segment that is lent, kept open until it is recalled.
    file: ?*file_table.File = null,
    handle: i32 = 0,
    /// Written in the order of the places; counted for all at the end.
    writes_in: u64 = 0,
    write_calls: u64 = 0,
    bytes_written: u64 = 0,

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

    /// REQUIRES: nobody commits.
    fn tellCounters(self: *Tail, counters: *abi.Counters) void {
        inline for (.{ "writes_in", "write_calls", "bytes_written" }) |name| {
            _ = @atomicRmw(u64, &@field(counters, name), .Add, @field(self, name), .monotonic);
            @field(self, name) = 0;
        }
    }
};

fn leaseOf(core: *const Core) *abi.TailLease {
    return core.part(abi.TailLease, abi.tail_lease_offset);
}

/// REQUIRES: it is not lent.
pub fn lend(session: *Store) i32 {
    const core = session.core;
    const lease = leaseOf(core);
    if (core.read_only) return system.failure(.ROFS);
    const offset = file_jobs.whole(lease.offset) orelse return abi.Code.invalid.int();
    if (offset % log_writer.padding_bytes != 0) return abi.Code.invalid.int();
    core.tail.lock.lock();
    defer core.tail.lock.unlock();
    core.tail.keepFile(lease.file, session.handle);
    lease.is_lent = 1;
    return 0;
}

/// Returns when every commit that has a place has ended: it takes the last place itself.
pub fn recall(session: *Store) i32 {
    const core = session.core;
    var last: Passage = .{ .finish = finishNothing };
    const was_lent = withdraw(core, &last);
    core.tail.turns.pass(&last);
    core.tail.forgetFile();
    core.tail.tellCounters(&core.shared().counters);
    return @intCast(was_lent);
}

fn withdraw(core: *Core, last: *Passage) u32 {
    core.tail.lock.lock();
    defer core.tail.lock.unlock();
    last.place = core.tail.turns.take();
    const lease = leaseOf(core);
    defer lease.is_lent = 0;
    return lease.is_lent;
}

fn finishNothing(_: *Passage) void {}

pub fn commit(session: *Store, id: region.Id, bytes: u32, memtable_id: region.Id, write_count: u32, logged: bool) i32 {
    if (bytes < @sizeOf(abi.LogRun) or bytes % 8 != 0) return refused;
    const part = region.part(id, 0, bytes) orelse return refused;
    return commitRun(session, @alignCast(part), memtable_id, write_count, logged);
}

/// Commits one entry, from its caller's memory. `head`: of the entry.
pub fn commitEntry(session: *Store, memtable_id: region.Id, head: u32, key: []const u8, value: []const u8, logged: bool) i32 {
    if (key.len != head >> 16 or key.len + value.len > abi.tail_entry_bytes_max) return refused;
    const memtable = Memtable.open(memtable_id) orelse return refused;
    var run: [run_bytes_max]u8 align(8) = undefined;
    const words: [*]u32 = @ptrCast(&run);
    const header: *abi.LogRun = @ptrCast(&run);
    header.entry_count = 1;
    const entry: *abi.LogEntry = @ptrCast(words + run_header_words);
    entry.* = .{
        .type_and_key_bytes = head,
        .value_bytes = @intCast(value.len),
        .family = memtable.header.family,
    };
    var at: u32 = run_header_words + entry_header_words;
    for ([_][]const u8{ key, value }) |bytes| {
        const end = at + memtable_writer.wordsOf(@intCast(bytes.len));
        if (end > at) words[end - 1] = 0;
        @memcpy(run[at * 4 ..][0..bytes.len], bytes);
        at = end;
    }
    if (at % 2 != 0) {
        words[at] = 0;
        at += 1;
    }
    return commitRun(session, run[0 .. at * 4], memtable_id, 1, logged);
}

fn commitRun(session: *Store, bytes: []align(8) u8, memtable_id: region.Id, write_count: u32, logged: bool) i32 {
    const memtable = Memtable.open(memtable_id) orelse return refused;
    const run = PlainRun.check(@ptrCast(bytes), memtable) orelse return refused;
    run.prefetch();

    var self: Commit = .{ .core = session.core, .run = run, .bytes = bytes, .write_count = write_count, .logged = logged };
    if (!self.takePlace()) return refused;
    if (logged) self.writeFrame();
    self.run.lay(self.first_sequence);
    session.core.tail.turns.pass(&self.passage);
    return self.result;
}

/// One call's run on its way.
const Commit = struct {
    core: *Core,
    run: PlainRun,
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
        const lease = leaseOf(self.core);
        const bytes: f64 = @floatFromInt(self.bytes.len);
        if (lease.is_lent != 1 or lease.allowance < bytes) return false;
        if (self.logged and !hasRoom(tail, lease, self.bytes.len)) return false;
        if (!self.run.takeRoom()) return false;

        const shared = self.core.shared();
        const first = shared.next_sequence;
        shared.next_sequence = first + @as(f64, @floatFromInt(self.run.entry_count));
        lease.allowance -= bytes;
        self.passage.place = tail.turns.take();
        self.first_sequence = @intFromFloat(first);
        const header: *abi.LogRun = @ptrCast(@alignCast(self.bytes.ptr));
        header.bytes = @intCast(self.bytes.len);
        header.first_sequence = first;
        if (self.logged) self.takeRoomInLog(lease);
        return true;
    }

    fn takeRoomInLog(self: *Commit, lease: *abi.TailLease) void {
        self.offset = @intFromFloat(lease.offset);
        self.frame = .{
            .checksum = 0,
            .payload_bytes = @intCast(self.bytes.len),
            .chain = lease.chain,
            .reserved = 0,
            .segment = lease.segment,
            .synced_segment = lease.synced_segment,
            .synced_offset = lease.synced_offset,
        };
        log_writer.seal(&self.frame, &.{.{ .base = self.bytes.ptr, .len = self.bytes.len }});
        lease.chain = self.frame.checksum;
        lease.offset = @floatFromInt(self.frameEnd());
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
        const lease = leaseOf(self.core);
        // Nothing may be committed on top of what is in doubt.
        if (lease.failure != 0) self.result = lease.failure;
        if (self.result < 0) return self.fail(lease);
        self.run.link(self.first_sequence, if (self.logged) self.frame.segment else 0) catch {
            self.result = abi.Code.no_memory.int();
            return self.fail(lease);
        };
        publish(self.core.shared(), self.first_sequence + self.run.entry_count - 1);
        self.count(lease);
    }

    /// Whether the log has it is in doubt, and so is everything behind it.
    fn fail(self: *const Commit, lease: *abi.TailLease) void {
        self.core.tail.lock.lock();
        defer self.core.tail.lock.unlock();
        lease.failure = self.result;
        lease.is_lent = 0;
    }

    fn count(self: *const Commit, lease: *abi.TailLease) void {
        const bytes: f64 = @floatFromInt(self.bytes.len);
        lease.groups += 1;
        lease.writes += @floatFromInt(self.write_count);
        lease.entries += @floatFromInt(self.run.entry_count);
        lease.bytes += bytes;
        lease.puts += self.run.puts;
        lease.deletes += self.run.deletes;
        lease.merges += self.run.merges;
        if (!self.logged) return;
        const tail = &self.core.tail;
        tail.writes_in += self.write_count;
        tail.write_calls += self.write_calls;
        tail.bytes_written += frame_header_bytes + self.bytes.len;
        lease.frames += 1;
        lease.frame_end = @floatFromInt(self.frameEnd());
        if (self.write_count > 1) lease.bytes_coalesced += bytes;
    }
};

fn hasRoom(tail: *const Tail, lease: *const abi.TailLease, bytes: usize) bool {
    const needed: f64 = @floatFromInt(frame_header_bytes + bytes + abi.block_bytes);
    return tail.file != null and lease.offset + needed <= lease.end;
}

/// As `src/commit/visibility.ts` does.
fn publish(shared: *abi.StoreShared, sequence: u64) void {
    const high: u32 = @intCast(sequence >> 32);
    @atomicStore(u32, &shared.visible_high_first, high, .release);
    @atomicStore(u32, &shared.visible_low, @truncate(sequence), .release);
    @atomicStore(u32, &shared.visible_high_last, high, .release);
}
