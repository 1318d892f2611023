//! tail_lease.zig: commits of many threads are one sequence in the log, in memory and in numbers; what the lease does not cover is
//! refused with nothing done.

const std = @import("std");
const abi = @import("../abi.zig");
const disk_simulated = @import("../disk_simulated.zig");
const log_writer = @import("../log_writer.zig");
const region = @import("../region.zig");
const tail_lease = @import("../tail_lease.zig");
const Fixture = @import("store_fixture.zig").Fixture;
const Memtable = @import("../memtable_reader.zig").Memtable;
const testing = std.testing;

const family = 3;
const segment = 9;
const slot_count = 256;
const slots = abi.memtable_header_words + 6;
const log_bytes = 1 << 20;

const Setting = struct {
    fixture: Fixture,
    memtable: region.Id,
    file: i32,

    fn init(real: bool) !Setting {
        var fixture = try Fixture.init(real);
        fixture.store.core.shared().next_sequence = 1;
        const id = try region.reserve(4 << 20);
        const header: *abi.MemtableHeader = @ptrCast(region.slice(id).?.ptr);
        header.tail_words = slots + 2 * slot_count;
        header.capacity_words = @intCast(region.slice(id).?.len / 4);
        header.references = 1;
        header.family = family;
        header.budget_words = 1 << 19;
        header.is_active = 1;
        // The point index as TypeScript begins it: a directory of one array.
        header.slots = slots - 4;
        header.slot_count = slot_count;
        const words: [*]u32 = @ptrCast(region.slice(id).?.ptr);
        words[slots - 4] = slots;
        words[slots - 1] = slot_count;
        const file = try fixture.create(.log, segment, 0);
        return .{ .fixture = fixture, .memtable = id, .file = file };
    }

    fn deinit(self: *Setting) void {
        _ = region.release(self.memtable);
        self.fixture.deinit();
    }

    fn lease(self: *const Setting) *abi.TailLease {
        return self.fixture.store.core.part(abi.TailLease, abi.tail_lease_offset);
    }

    fn lend(self: *const Setting) !void {
        const words = self.lease();
        words.* = std.mem.zeroes(abi.TailLease);
        words.file = self.file;
        words.segment = segment;
        words.offset = 4096;
        words.end = log_bytes;
        words.allowance = log_bytes;
        try testing.expectEqual(0, tail_lease.lend(self.fixture.store));
    }

    /// Recalls it, and lends what the words say now.
    fn lendAgain(self: *const Setting) !void {
        const wanted = self.lease().*;
        _ = tail_lease.recall(self.fixture.store);
        self.lease().* = wanted;
        try testing.expectEqual(0, tail_lease.lend(self.fixture.store));
    }

    /// What the file holds.
    fn readLog(self: *const Setting) ![]const u8 {
        const job = self.fixture.prepare(2, .file_read, .read);
        job.file = self.file;
        job.bytes = log_bytes;
        try testing.expectEqual(0, try self.fixture.run(2));
        return self.fixture.bytes()[0..@intFromFloat(job.head.value)];
    }

    /// Where the sound frame at an offset ends.
    fn frameAfter(_: *const Setting, log: []const u8, offset: usize) !usize {
        try testing.expectEqual(.valid, log_writer.check(log[offset..], .{ .segment = segment }));
        const frame = std.mem.bytesToValue(abi.LogFrame, log[offset..][0..@sizeOf(abi.LogFrame)]);
        return offset + @sizeOf(abi.LogFrame) + frame.payload_bytes;
    }

    fn commit(self: *const Setting, run: region.Id, bytes: u32) i32 {
        return tail_lease.commit(self.fixture.store, run, bytes, self.memtable, 1, true);
    }
};

/// A run of entries with keys `from` to below `to`, four bytes each, and the key again as the value. Its bytes.
fn encode(run: region.Id, from: u32, to: u32) u32 {
    const words: [*]u32 = @ptrCast(region.slice(run).?.ptr);
    const header: *abi.LogRun = @ptrCast(region.slice(run).?.ptr);
    header.entry_count = to - from;
    var at: u32 = @sizeOf(abi.LogRun) / 4;
    for (from..to) |key| {
        words[at] = @intFromEnum(abi.EntryType.put) | (4 << 16);
        words[at + 1] = 4;
        words[at + 2] = family;
        words[at + 3] = @intCast(key);
        words[at + 4] = @intCast(key);
        at += 5;
    }
    if (at % 2 != 0) {
        words[at] = 0;
        at += 1;
    }
    return at * 4;
}

const threads = 4;
const runs = 60;
const entries = 5;

fn commitRuns(setting: *const Setting, thread: u32, committed: *std.atomic.Value(u32)) void {
    const run = region.reserve(4096) catch return;
    defer _ = region.release(run);
    for (0..runs) |index| {
        const from: u32 = (thread * runs + @as(u32, @intCast(index))) * entries;
        if (setting.commit(run, encode(run, from, from + entries)) != 0) return;
        _ = committed.fetchAdd(1, .monotonic);
    }
}

/// The same, until each is done: what is refused is tried again.
fn commitRunsAgain(setting: *const Setting, thread: u32, committed: *std.atomic.Value(u32)) void {
    const run = region.reserve(1 << 16) catch return;
    defer _ = region.release(run);
    for (0..runs) |number| {
        const from: u32 = thread * 1000 + @as(u32, @intCast(number)) * entries;
        while (setting.commit(run, encode(run, from, from + entries)) != 0) std.Thread.yield() catch {};
        _ = committed.fetchAdd(1, .monotonic);
    }
}

test "commits of many threads are one log, one memtable and one row of numbers" {
    for ([_]bool{ false, true }) |real| {
        var setting = try Setting.init(real);
        defer setting.deinit();
        try setting.lend();
        var committed: std.atomic.Value(u32) = .init(0);
        var all: [threads]std.Thread = undefined;
        for (&all, 0..) |*each, index| each.* = try std.Thread.spawn(.{}, commitRuns, .{ &setting, @as(u32, @intCast(index)), &committed });
        for (all) |each| each.join();
        try testing.expectEqual(threads * runs, committed.load(.monotonic));
        try testing.expectEqual(1, tail_lease.recall(setting.fixture.store));
        try testing.expectEqual(0, tail_lease.recall(setting.fixture.store));

        const count = threads * runs * entries;
        const lease = setting.lease();
        try testing.expectEqual(threads * runs, lease.frames);
        try testing.expectEqual(count, lease.puts);
        try testing.expectEqual(count, lease.entries);
        const shared = setting.fixture.store.core.shared();
        try testing.expectEqual(count + 1, shared.next_sequence);
        try testing.expectEqual(count, shared.visible_low);

        // In memory: from the newest back, every number once.
        const memtable = Memtable.open(setting.memtable).?;
        try testing.expectEqual(count, memtable.header.key_count);
        try testing.expectEqual(segment, memtable.header.first_segment);
        var at = memtable.newest();
        var number: u64 = count;
        while (at != 0) : (number -= 1) {
            const entry = memtable.entry(at).?;
            try testing.expectEqual(number, entry.trailer >> 8);
            try testing.expectEqualSlices(u8, entry.key, entry.value);
            at = entry.older;
        }
        try testing.expectEqual(0, number);

        // In the log: frame after frame, in the order of the numbers.
        const log = try setting.readLog();
        var offset: usize = 4096;
        var next: f64 = 1;
        var chain: u32 = 0;
        for (0..threads * runs) |_| {
            const after = try setting.frameAfter(log, offset);
            const frame = std.mem.bytesToValue(abi.LogFrame, log[offset..][0..@sizeOf(abi.LogFrame)]);
            const run = std.mem.bytesToValue(abi.LogRun, log[offset + @sizeOf(abi.LogFrame) ..][0..@sizeOf(abi.LogRun)]);
            try testing.expectEqual(chain, frame.chain);
            try testing.expectEqual(next, run.first_sequence);
            next += @floatFromInt(run.entry_count);
            chain = frame.checksum;
            offset = after;
        }
        try testing.expectEqual(lease.frame_end, @as(f64, @floatFromInt(offset)));
    }
}

test "what a lease does not cover is refused, and nothing is done" {
    var setting = try Setting.init(false);
    defer setting.deinit();
    const run = try region.reserve(1 << 17);
    defer _ = region.release(run);
    const words: [*]u32 = @ptrCast(region.slice(run).?.ptr);
    const memtable = Memtable.open(setting.memtable).?.header;
    const bytes = encode(run, 0, 2);
    const refused: i32 = abi.tail_refused;

    try testing.expectEqual(refused, setting.commit(run, bytes)); // nothing is lent
    try setting.lend();
    setting.lease().allowance = @floatFromInt(bytes - 1);
    try setting.lendAgain();
    try testing.expectEqual(refused, setting.commit(run, bytes));
    setting.lease().allowance = log_bytes;
    setting.lease().end = 4096 + @as(f64, @floatFromInt(bytes));
    try setting.lendAgain();
    try testing.expectEqual(refused, setting.commit(run, bytes));
    setting.lease().file = 0;
    try setting.lendAgain();
    try testing.expectEqual(refused, setting.commit(run, bytes));
    _ = tail_lease.recall(setting.fixture.store);
    setting.lease().offset = 4097; // no place for a frame
    try testing.expectEqual(abi.Code.invalid.int(), tail_lease.lend(setting.fixture.store));
    try setting.lend();
    try testing.expectEqual(refused, setting.commit(run, bytes + 4)); // no multiple of eight
    try testing.expectEqual(refused, setting.commit(run, 8)); // no run
    try testing.expectEqual(refused, setting.commit(run, bytes - 16)); // an entry is cut
    try testing.expectEqual(refused, setting.commit(-1, bytes));
    try testing.expectEqual(refused, tail_lease.commit(setting.fixture.store, run, bytes, -1, 1, true));
    for ([_]struct { u32, u32 }{ .{ 0, @intFromEnum(abi.EntryType.delete_range) | (4 << 16) }, .{ 0, 0xffff_0001 }, .{ 1, 0xffff_ffff }, .{ 2, family + 1 } }) |bad| {
        _ = encode(run, 0, 2);
        words[@sizeOf(abi.LogRun) / 4 + bad[0]] = bad[1];
        try testing.expectEqual(refused, setting.commit(run, bytes));
    }
    _ = encode(run, 0, 2);
    memtable.is_active = 0;
    try testing.expectEqual(refused, setting.commit(run, bytes));
    memtable.is_active = 1;
    memtable.budget_words = memtable.tail_words + 15;
    try testing.expectEqual(refused, setting.commit(run, bytes));
    memtable.budget_words = 1 << 19;

    try testing.expectEqual(1, tail_lease.recall(setting.fixture.store));
    try testing.expectEqual(0, memtable.entry_count);
    try testing.expectEqual(1, setting.fixture.store.core.shared().next_sequence);
    try testing.expectEqual(0, setting.lease().groups);
    try setting.lend();
    try testing.expectEqual(0, setting.commit(run, bytes));
    try testing.expectEqual(2, memtable.entry_count);
}

test "a log write that fails ends the lease for everybody behind it, and no number is given again" {
    var setting = try Setting.init(false);
    defer setting.deinit();
    try setting.lend();
    const sound = 100;
    disk_simulated.failAfter(disk_simulated.from(setting.fixture.store.disk).?, .write, 5, sound, 1);
    var committed: std.atomic.Value(u32) = .init(0);
    var all: [threads]std.Thread = undefined;
    for (&all, 0..) |*each, index| each.* = try std.Thread.spawn(.{}, commitRuns, .{ &setting, @as(u32, @intCast(index)), &committed });
    for (all) |each| each.join();
    try testing.expectEqual(0, tail_lease.recall(setting.fixture.store));
    try testing.expect(setting.lease().failure < 0);

    // As many are acknowledged as there are whole frames before the one that failed; what was written behind it is not.
    const acknowledged = committed.load(.monotonic);
    try testing.expect(acknowledged < sound + threads and acknowledged + threads > sound);
    const log = try setting.readLog();
    var offset: usize = 4096;
    for (0..acknowledged) |_| offset = try setting.frameAfter(log, offset);
    // A failed write leaves nothing, or a part.
    try testing.expect(log_writer.check(log[offset..], .{ .segment = segment }) != .valid);

    const shared = setting.fixture.store.core.shared();
    const seen = acknowledged * entries;
    try testing.expectEqual(seen, shared.visible_low);
    try testing.expectEqual(seen, Memtable.open(setting.memtable).?.header.entry_count);
    try testing.expect(shared.next_sequence > @as(f64, @floatFromInt(seen + 1)));
    const run = try region.reserve(4096);
    defer _ = region.release(run);
    try testing.expectEqual(abi.tail_refused, @as(u32, @intCast(setting.commit(run, encode(run, 0, 2)))));
}

test "a recall returns when what has a place has ended" {
    var setting = try Setting.init(true);
    defer setting.deinit();
    const shared = setting.fixture.store.core.shared();
    const lease = setting.lease();
    try setting.lend();
    var committed: std.atomic.Value(u32) = .init(0);
    var all: [threads]std.Thread = undefined;
    for (&all, 0..) |*each, index| each.* = try std.Thread.spawn(.{}, commitRunsAgain, .{ &setting, @as(u32, @intCast(index)), &committed });
    while (committed.load(.monotonic) < threads * runs) {
        _ = tail_lease.recall(setting.fixture.store);
        // Nothing moves now.
        try testing.expectEqual(shared.next_sequence - 1, @as(f64, @floatFromInt(shared.visible_low)));
        try testing.expectEqual(lease.offset, if (lease.frames > 0) lease.frame_end else lease.offset);
        lease.frames = 0;
        lease.allowance = log_bytes;
        try testing.expectEqual(0, tail_lease.lend(setting.fixture.store));
        std.Thread.yield() catch {};
    }
    for (all) |each| each.join();
    _ = tail_lease.recall(setting.fixture.store);
    try testing.expectEqual(threads * runs * entries, shared.visible_low);
    const log = try setting.readLog();
    var offset: usize = 4096;
    for (0..threads * runs) |_| offset = try setting.frameAfter(log, offset);
}

test "an entry by itself becomes the run that a write buffer would have" {
    var setting = try Setting.init(false);
    defer setting.deinit();
    const store = setting.fixture.store;
    try setting.lend();
    const bytes = [_]u8{0xab} ** (abi.tail_entry_bytes_max + 1);
    const put: u32 = @intFromEnum(abi.EntryType.put);
    const refused: i32 = abi.tail_refused;
    try testing.expectEqual(refused, tail_lease.commitEntry(store, setting.memtable, put | (4 << 16), bytes[0..4], bytes[4..], true));
    try testing.expectEqual(refused, tail_lease.commitEntry(store, setting.memtable, put | (5 << 16), bytes[0..4], "", true));
    try testing.expectEqual(refused, tail_lease.commitEntry(store, setting.memtable, @intFromEnum(abi.EntryType.delete_range), "", "", true));
    var count: u32 = 0;
    for (0..9) |key_bytes| {
        for ([_]usize{ 0, 1, 3, 4, 7, abi.tail_entry_bytes_max - 8 }) |value_bytes| {
            const head = put | @as(u32, @intCast(key_bytes)) << 16;
            try testing.expectEqual(0, tail_lease.commitEntry(store, setting.memtable, head, bytes[0..key_bytes], bytes[0..value_bytes], true));
            count += 1;
            const memtable = Memtable.open(setting.memtable).?;
            const entry = memtable.entry(memtable.newest()).?;
            try testing.expectEqualSlices(u8, bytes[0..key_bytes], entry.key);
            try testing.expectEqualSlices(u8, bytes[0..value_bytes], entry.value);
            try testing.expectEqual(count, entry.trailer >> 8);
        }
    }
    _ = tail_lease.recall(store);
    const log = try setting.readLog();
    var offset: usize = 4096;
    for (0..count) |_| offset = try setting.frameAfter(log, offset);
    try testing.expectEqual(setting.lease().frame_end, @as(f64, @floatFromInt(offset)));
    try testing.expectEqual(count, setting.lease().puts);
}
