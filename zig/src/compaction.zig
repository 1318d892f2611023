//! Compaction: tables in, fewer and newer ones out. TypeScript decides what is compacted (docs/tree.md) and calls
//! `varve_compaction_open`; the work is done by compaction_step jobs, each of which reads about so many bytes.
//!
//! Inputs are only read, past the block cache. Outputs are written, synced and opened; with the last step the directory is
//! synced once, and then the outputs' handles and files are the caller's. Whatever ends a compaction before that (an
//! error, `cancel`, `close`) removes what was made. One step at a time; `cancel` and `close` by any thread.
//! REQUIRES: it is closed before its store.

const std = @import("std");
const abi = @import("abi.zig");
const compaction_output = @import("compaction_output.zig");
const fault = @import("fault.zig");
const handle_table = @import("handle_table.zig");
const locks = @import("locks.zig");
const merge_iterator = @import("merge_iterator.zig");
const range_fragments = @import("range_fragments.zig");
const region = @import("region.zig");
const store_registry = @import("store.zig");
const table_description = @import("table_description.zig");
const table_output = @import("table_output.zig");
const table_set = @import("table_set.zig");
const version_filter = @import("version_filter.zig");
const CompactionOutput = compaction_output.CompactionOutput;
const BlobMover = @import("blob_mover.zig").BlobMover;
const Fault = fault.Fault;
const Fragments = range_fragments.Fragments;
const Store = store_registry.Store;
const TableFiles = @import("table_files.zig").TableFiles;
const Version = table_set.Version;

const gpa = std.heap.c_allocator;
/// Chains of a JavaScript operator with so many operands are worth the way there and back.
const handed_operands_min = 65;
/// A cancelled compaction is not asleep for longer.
const pace_slice_ns = 50 * std.time.ns_per_ms;

var compactions: handle_table.HandleTable(Compaction) = .{};

/// Reads the `CompactionRequest` at the front of the region. A handle, or a Code.
pub fn open(id: region.Id) i32 {
    var failure: Fault = .{};
    const bytes = region.part(id, 0, @sizeOf(abi.CompactionRequest)) orelse return abi.Code.closed.int();
    const request: *const abi.CompactionRequest = @ptrCast(@alignCast(bytes.ptr));
    const store = store_registry.acquire(request.store) orelse return abi.Code.closed.int();
    defer store_registry.release(request.store);
    return openIn(store, id, &failure) catch failure.report();
}

pub fn openIn(store: *Store, id: region.Id, failure: *Fault) fault.Error!i32 {
    const compaction = try Compaction.create(store, id, failure);
    compaction.store = store.handle;
    return compactions.open(compaction) orelse {
        compaction.destroy();
        return failure.fail(.exhausted);
    };
}

pub fn cancel(handle: i32) i32 {
    const compaction = compactions.acquire(handle) orelse return abi.Code.closed.int();
    defer compactions.release(handle);
    compaction.cancel();
    return 0;
}

pub fn close(handle: i32) i32 {
    const cancelled = cancel(handle);
    if (cancelled < 0) return cancelled;
    return if (compactions.close(handle)) 0 else abi.Code.closed.int();
}

/// What a session has left running when it ends.
pub fn cancelAll(store: i32) void {
    var at: u32 = 0;
    while (compactions.next(&at)) |handle| if (belongs(handle, store)) {
        _ = cancel(handle);
    };
}

/// REQUIRES: no job of the session runs any more.
pub fn closeAll(store: i32) void {
    var at: u32 = 0;
    while (compactions.next(&at)) |handle| if (belongs(handle, store)) {
        _ = close(handle);
    };
}

fn belongs(handle: i32, store: i32) bool {
    const compaction = compactions.acquire(handle) orelse return false;
    defer compactions.release(handle);
    return compaction.store == store;
}

/// The compaction_step job: an `abi.CompactionResult`.
pub fn run(store: *Store, job: *abi.CompactionJob, failure: *Fault) fault.Error!i32 {
    job.output_count = 0;
    const compaction = compactions.acquire(job.compaction) orelse return failure.fail(.closed);
    defer compactions.release(job.compaction);
    if (compaction.files != store.table_files) return failure.fail(.invalid);
    if (compaction.busy.swap(true, .acquire)) return failure.fail(.invalid);
    defer compaction.busy.store(false, .release);
    defer compaction.report(job);
    return compaction.step(job, failure);
}

/// A request as the rest needs it, checked.
const Plan = struct {
    words: []const i32,
    snapshots: []align(1) const f64,
    /// Numbers of blob segments.
    relocations: []align(1) const f64,
    operator: abi.MergeOperator,
    output: compaction_output.Options,

    fn read(id: region.Id, failure: *Fault) fault.Error!Plan {
        const memory = region.slice(id) orelse return failure.fail(.closed);
        const request: *const abi.CompactionRequest = @ptrCast(memory.ptr);
        const words_bytes = @as(u64, request.source_words) * 4;
        const snapshots_start = abi.compaction_arrays_offset + std.mem.alignForward(u64, words_bytes, 8);
        const words = region.part(id, abi.compaction_arrays_offset, words_bytes) orelse return failure.fail(.invalid);
        const snapshots_bytes = @as(u64, request.snapshot_count) * 8;
        const snapshots = region.part(id, snapshots_start, snapshots_bytes) orelse return failure.fail(.invalid);
        const relocations = region.part(id, snapshots_start + snapshots_bytes, @as(u64, request.relocation_count) * 8) orelse
            return failure.fail(.invalid);

        const number = table_output.numberOf(request.first_number) orelse return failure.fail(.invalid);
        const number_count = table_output.numberOf(request.number_count) orelse return failure.fail(.invalid);
        _ = table_output.numberOf(request.first_number + request.number_count) orelse return failure.fail(.invalid);
        const target_bytes = table_output.numberOf(request.target_bytes) orelse return failure.fail(.invalid);
        if (std.math.isNan(request.now) or !(request.bytes_per_second >= 0)) return failure.fail(.invalid);
        try table_output.checkOptions(request.block_bytes, request.filter_bits_per_key, request.compression, request.compression_level, failure);
        return .{
            .words = @ptrCast(@alignCast(words)),
            .snapshots = @ptrCast(snapshots),
            .relocations = @ptrCast(relocations),
            .operator = std.enums.fromInt(abi.MergeOperator, request.merge_operator) orelse return failure.fail(.invalid),
            .output = .{
                .number = number,
                .number_count = number_count,
                .target_bytes = target_bytes,
                .table = .{
                    .number = number,
                    .family = request.family,
                    .block_bytes = request.block_bytes,
                    .filter_bits_per_key = request.filter_bits_per_key,
                    .compression = @enumFromInt(request.compression),
                    .compression_level = request.compression_level,
                },
            },
        };
    }
};

const Compaction = struct {
    /// The session that opened it.
    store: i32 = 0,
    files: *TableFiles,
    inputs: *Version,
    /// The inputs' file numbers.
    input_numbers: []u64,
    snapshots: []u64,
    now: f64,
    operator: abi.MergeOperator,
    bottom: bool,
    hands_chains: bool,
    options: compaction_output.Options,
    mover: ?BlobMover,
    pace: Pace,

    state: enum { fresh, merging, written, done, failed } = .fresh,
    /// What ended it; everything below fails into this.
    failure: Fault = .{},
    busy: std.atomic.Value(bool) = .init(false),
    /// One: end. Also a futex.
    cancel_word: u32 = 0,
    merger: ?Merger = null,
    /// The filter has a chain that waits for an answer.
    chain_waits: bool = false,

    bytes_read: u64 = 0,
    entries_in: u64 = 0,

    fn create(store: *Store, id: region.Id, failure: *Fault) fault.Error!*Compaction {
        const files = store.table_files;
        const plan = try Plan.read(id, failure);
        const request: *const abi.CompactionRequest = @ptrCast(region.slice(id).?.ptr);
        const snapshots = try table_output.copySnapshots(gpa, plan.snapshots, failure);
        errdefer gpa.free(snapshots);
        const inputs = table_set.build(plan.words) catch |e| return failure.fail(switch (e) {
            error.OutOfMemory => .no_memory,
            error.Invalid => .invalid,
            error.Closed => .closed,
        });
        errdefer inputs.destroy();
        for (inputs.list) |table| if (table.properties.family != request.family) return failure.fail(.invalid);
        const numbers = gpa.alloc(u64, inputs.list.len) catch return failure.fail(.no_memory);
        errdefer gpa.free(numbers);
        for (inputs.list, numbers) |table, *number| number.* = table.file.number;
        var mover = try BlobMover.init(store, request, plan.relocations, failure);
        errdefer if (mover) |*each| each.deinit();
        const self = gpa.create(Compaction) catch return failure.fail(.no_memory);
        files.retain();
        var options = plan.output;
        options.table.origin = .{ .inputs = numbers, .first_output = options.number };
        // A table that a repair made up a family for knows no name.
        for (inputs.list) |table| if (table.properties.family_name.len > 0) {
            options.table.family_name = table.properties.family_name;
        };
        self.* = .{
            .files = files,
            .inputs = inputs,
            .input_numbers = numbers,
            .snapshots = snapshots,
            .now = request.now,
            .operator = plan.operator,
            .bottom = request.bottom != 0,
            .hands_chains = request.hands_chains != 0,
            .options = options,
            .mover = mover,
            .pace = .{ .bytes_per_second = if (files.disk.vtable.stepped) 0 else request.bytes_per_second },
        };
        return self;
    }

    /// Called when the last user lets go.
    pub fn destroy(self: *Compaction) void {
        if (self.merger) |*merger| merger.deinit();
        if (self.mover) |*mover| mover.deinit();
        self.inputs.destroy();
        gpa.free(self.input_numbers);
        gpa.free(self.snapshots);
        self.files.release();
        gpa.destroy(self);
    }

    fn cancel(self: *Compaction) void {
        @atomicStore(u32, &self.cancel_word, 1, .release);
        locks.futexWakeAll(&self.cancel_word);
    }

    fn isCancelled(self: *const Compaction) bool {
        return @atomicLoad(u32, &self.cancel_word, .acquire) != 0;
    }

    fn report(self: *const Compaction, job: *abi.CompactionJob) void {
        job.bytes_read = @floatFromInt(self.bytes_read);
        job.entries_in = @floatFromInt(self.entries_in);
        job.bytes_written = if (self.merger) |*merger| @floatFromInt(merger.output.bytesWritten()) else 0;
        job.blob_bytes = @floatFromInt(self.bytesMoved());
        job.entries_out = if (self.merger) |*merger| @floatFromInt(merger.output.entry_count) else 0;
    }

    fn bytesMoved(self: *const Compaction) u64 {
        return if (self.mover) |*mover| mover.bytesWritten() else 0;
    }

    fn step(self: *Compaction, job: *abi.CompactionJob, failure: *Fault) fault.Error!i32 {
        if (self.state == .done) return failure.fail(.invalid);
        if (self.state == .failed) return self.failed(failure);
        // Written so that a NaN is a step too: one block.
        const bytes = if (job.step_bytes > 0) @min(job.step_bytes, 1 << 53) else 0;
        if (self.state != .written) {
            self.takeAnswer(job) catch return self.fail(failure);
            self.work(@intFromFloat(bytes)) catch |e| switch (e) {
                error.Fault => return self.fail(failure),
                error.ChainWaits => {
                    self.handChain(job) catch return self.fail(failure);
                    return @intFromEnum(abi.CompactionResult.chain);
                },
            };
            if (self.state != .written) return @intFromEnum(abi.CompactionResult.more);
        }
        const need = self.merger.?.descriptionBytes();
        const target = region.part(job.description_region, 0, need) orelse {
            failure.* = .{ .code = abi.Code.exhausted.int(), .offset = need };
            return error.Fault;
        };
        self.handOver(target) catch return self.fail(failure);
        job.output_count = @intCast(self.merger.?.output.tables.items.len);
        self.merger.?.output.tables.clearRetainingCapacity();
        self.state = .done;
        return @intFromEnum(abi.CompactionResult.done);
    }

    fn fail(self: *Compaction, failure: *Fault) fault.Error {
        self.state = .failed;
        if (self.merger) |*merger| {
            merger.output.abandon();
            merger.merge.letGo();
        }
        return self.failed(failure);
    }

    fn failed(self: *const Compaction, failure: *Fault) fault.Error {
        failure.* = self.failure;
        return error.Fault;
    }

    fn handChain(self: *Compaction, job: *const abi.CompactionJob) fault.Error!void {
        const page = self.merger.?.versions.page.items;
        const target = region.part(job.chain_region, 0, page.len) orelse return self.failure.fail(.invalid);
        @memcpy(target, page);
        self.chain_waits = true;
    }

    fn takeAnswer(self: *Compaction, job: *const abi.CompactionJob) fault.Error!void {
        if (!self.chain_waits) return;
        const versions = &self.merger.?.versions;
        switch (std.enums.fromInt(abi.ChainAnswer, job.chain_answer) orelse .none) {
            .none => return self.failure.fail(.invalid),
            .carried => versions.carryOn(),
            .folded => {
                const value = region.part(job.chain_region, 0, job.chain_bytes) orelse return self.failure.fail(.invalid);
                versions.takeFolded(value) catch return self.failure.fail(.no_memory);
            },
        }
        self.chain_waits = false;
    }

    /// Goes on with the merge until so many bytes were read, or a chain waits, or to its end (`written`).
    fn work(self: *Compaction, bytes: u64) (error{ChainWaits} || fault.Error)!void {
        const limit = self.bytes_read +| bytes;
        if (self.state == .fresh) try self.begin();
        const merger = &self.merger.?;
        while (merger.merge.top()) |top| {
            if (self.isCancelled()) return self.failure.fail(.cancelled);
            const level = &top.from.level;
            const read_before = level.bytes_read;
            const moved_before = self.bytesMoved();
            // One block's entries, or those up to where another source goes on, or up to a large value that moves.
            while (true) {
                merger.versions.add(top.key, top.trailer, top.value, &merger.output) catch |e| return self.translate(e, top);
                self.entries_in += 1;
                try merger.merge.advance(.forward, .compaction, &self.failure);
                if (level.bytes_read != read_before or self.bytesMoved() != moved_before or merger.merge.top() != top) break;
            }
            self.bytes_read += level.bytes_read - read_before + self.bytesMoved() - moved_before;
            self.pace.wait(merger.output.bytesWritten(), &self.cancel_word);
            if (self.bytes_read >= limit and merger.merge.top() != null) return;
        }
        if (self.isCancelled()) return self.failure.fail(.cancelled);
        merger.versions.finish(&merger.output) catch |e| return self.translate(e, null);
        try merger.output.finish();
        self.state = .written;
    }

    fn begin(self: *Compaction) fault.Error!void {
        self.merger = @as(Merger, undefined);
        Merger.init(&self.merger.?, self) catch |e| {
            self.merger = null;
            return e;
        };
        self.state = .merging;
        const merger = &self.merger.?;
        try merger.merge.seek(.forward, null, .compaction, &self.failure);
        for (merger.sources) |*source| self.bytes_read += source.from.level.bytes_read;
    }

    fn translate(self: *Compaction, e: version_filter.Error, at: ?*const merge_iterator.Source) (error{ChainWaits} || fault.Error) {
        return switch (e) {
            error.Fault => error.Fault,
            error.ChainWaits => error.ChainWaits,
            error.OutOfMemory => self.failure.fail(.no_memory),
            error.Damaged => if (at) |source| source.damaged(&self.failure) else self.failure.fail(.corruption),
        };
    }

    /// Names the outputs durably, gives them handles and describes them.
    fn handOver(self: *Compaction, target: []u8) fault.Error!void {
        const tables = self.merger.?.output.tables.items;
        if (self.isCancelled()) return self.failure.fail(.cancelled);
        if (tables.len > 0) try table_output.syncDirectory(self.files, &self.failure);
        const handles = gpa.alloc(i32, tables.len) catch return self.failure.fail(.no_memory);
        defer gpa.free(handles);
        for (tables, handles, 0..) |table, *handle, count| {
            handle.* = table_set.tables.open(table.?) orelse {
                // The tables go with their handles, their names as those of the others do.
                for (handles[0..count], tables[0..count]) |given, *gone| {
                    _ = table_set.tables.close(given);
                    gone.* = null;
                }
                return self.failure.fail(.exhausted);
            };
        }
        var at: usize = 0;
        for (tables, handles) |table, handle| {
            const bytes = table_description.bytesOf(table.?);
            table_description.write(table.?, handle, target[at..][0..bytes]);
            at += bytes;
        }
    }
};

/// What a merge consists of. Its parts point to each other: it stays where it is.
const Merger = struct {
    /// All of the inputs' range tombstones, and what is left of them.
    ranges: *Fragments,
    kept: *Fragments,
    sources: []merge_iterator.Source,
    merge: merge_iterator.MergeIterator,
    versions: version_filter.VersionFilter,
    output: CompactionOutput,

    fn init(self: *Merger, compaction: *Compaction) fault.Error!void {
        const failure = &compaction.failure;
        self.ranges = rangesOf(compaction.inputs) catch return failure.fail(.no_memory);
        errdefer self.ranges.release();
        self.kept = self.ranges.prune(gpa, compaction.snapshots, compaction.bottom) catch return failure.fail(.no_memory);
        errdefer self.kept.release();
        self.sources = sourcesOf(compaction.inputs) catch return failure.fail(.no_memory);
        errdefer gpa.free(self.sources);
        self.merge = merge_iterator.MergeIterator.init(gpa, self.sources) catch return failure.fail(.no_memory);
        errdefer self.merge.deinit(gpa);
        const mover = if (compaction.mover) |*mover| mover else null;
        self.output = try .init(gpa, compaction.files, self.kept, mover, compaction.options, failure);
        self.versions = .init(gpa, .{
            .snapshots = compaction.snapshots,
            .ranges = if (self.ranges.count() > 0) self.ranges else null,
            .now = compaction.now,
            .operator = compaction.operator,
            .bottom = compaction.bottom,
            .handed_operands_min = if (compaction.hands_chains) handed_operands_min else null,
        });
    }

    fn deinit(self: *Merger) void {
        self.versions.deinit();
        self.output.deinit();
        self.merge.deinit(gpa);
        gpa.free(self.sources);
        self.kept.release();
        self.ranges.release();
    }

    fn descriptionBytes(self: *const Merger) usize {
        var bytes: usize = 0;
        for (self.output.tables.items) |table| bytes += table_description.bytesOf(table.?);
        return bytes;
    }
};

/// Each table of the first level by itself, for they may overlap; each deeper level as one.
fn sourcesOf(inputs: *const Version) error{OutOfMemory}![]merge_iterator.Source {
    var sources: std.ArrayList(merge_iterator.Source) = .empty;
    errdefer sources.deinit(gpa);
    for (inputs.levels, 0..) |level, number| {
        if (number == 0) {
            for (level, 0..) |_, i| try sources.append(gpa, .{ .from = .{ .level = .init(gpa, level[i..][0..1]) } });
        } else if (level.len > 0) {
            try sources.append(gpa, .{ .from = .{ .level = .init(gpa, level) } });
        }
    }
    return sources.toOwnedSlice(gpa);
}

fn rangesOf(inputs: *const Version) error{OutOfMemory}!*Fragments {
    var list: std.ArrayList(range_fragments.Tombstone) = .empty;
    defer list.deinit(gpa);
    for (inputs.list) |table| {
        const ranges = table.ranges orelse continue;
        var pieces = ranges.iterator();
        defer pieces.deinit();
        while (try pieces.next()) |piece| {
            for (piece.sequences) |sequence| try list.append(gpa, .{ .lower = piece.lower, .upper = piece.upper, .sequence = sequence });
        }
    }
    return Fragments.build(gpa, list.items);
}

/// Lets so many bytes a second through, by sleeping behind what was written.
const Pace = struct {
    /// Zero: all.
    bytes_per_second: f64,
    passed: u64 = 0,
    /// When what has passed is paid for, on the monotonic clock.
    due_ns: u64 = 0,

    fn wait(self: *Pace, written: u64, cancel_word: *const u32) void {
        if (self.bytes_per_second == 0 or written == self.passed) return;
        const seconds = @as(f64, @floatFromInt(written - self.passed)) / self.bytes_per_second;
        self.passed = written;
        var now = locks.nanoseconds();
        self.due_ns = @max(self.due_ns, now) +| std.math.lossyCast(u64, seconds * std.time.ns_per_s);
        while (now < self.due_ns and @atomicLoad(u32, cancel_word, .acquire) == 0) : (now = locks.nanoseconds()) {
            locks.futexWait(cancel_word, 0, @min(self.due_ns - now, pace_slice_ns));
        }
    }
};
