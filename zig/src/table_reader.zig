//! An open table: its filter, index and properties in memory, its blocks through the cache. Everything was checked
//! when it was opened, each block is checked when it comes from the disk. Immutable once open; any thread.
//!
//! `Access.cached` never touches the disk: `Code.would_block` where a block is missing.

const std = @import("std");
const abi = @import("abi.zig");
const blob_tally = @import("blob_tally.zig");
const block_cache = @import("block_cache.zig");
const block_reader = @import("block_reader.zig");
const compression = @import("compression.zig");
const fault = @import("fault.zig");
const filter = @import("filter.zig");
const format = @import("table_format.zig");
const internal_key = @import("internal_key.zig");
const locks = @import("locks.zig");
const table_file = @import("table_file.zig");
const index_value_bytes = @import("table_builder.zig").index_value_bytes;
const BlobTally = blob_tally.BlobTally;
const BlobValue = @import("blob_value.zig").BlobValue;
const File = @import("file_table.zig").File;
const Fragments = @import("range_fragments.zig").Fragments;
const Readahead = @import("readahead.zig").Readahead;
const TableFile = table_file.TableFile;
const Fault = fault.Fault;

const gpa = std.heap.c_allocator;

/// `compaction`: from the disk in long stretches, past the block cache, forward only.
pub const Access = enum { cached, disk, compaction };

/// One data block: its separator (an internal key >= its last entry, < the next block's first) and place.
const IndexEntry = struct {
    key: []const u8 = &.{},
    trailer: u64 = 0,
    block: format.BlockHandle = .{ .offset = 0, .bytes = 0 },
    /// Its size in memory, as far as it was ever read: where it is compressed, more than `block.bytes`.
    content_bytes: std.atomic.Value(u32) = .init(0),
    cached: block_cache.Slot = .{},
};

/// Whoever wants a block that somebody is reading right now waits for it: many reads at once often want the same one.
/// A gate is for many blocks, held for one read.
var gates: [64]locks.Mutex = @splat(.{});

var next_cache_id: std.atomic.Value(u64) = .init(1);

pub const Table = struct {
    file: TableFile,
    file_bytes: u64,
    /// Names the table's blocks in the cache; never used twice in a process.
    cache_id: u64,
    properties: format.Properties,
    filter: ?filter.Filter = null,
    /// The range tombstones; null: there are none.
    ranges: ?*Fragments = null,
    index: []IndexEntry = &.{},
    /// Bytes that every separator starts with, and of each the eight behind those.
    index_shared: []const u8 = &.{},
    index_prefixes: []u64 = &.{},

    // What the slices above point into.
    properties_content: []u8 = &.{},
    filter_content: []u8 = &.{},
    index_content: []u8 = &.{},

    /// `opened`: the file, where it is open already; the table closes it, on failure too. `expected_bytes`: what the
    /// manifest says; null where this process has just written the file. `family`: likewise; null for whichever it is.
    pub fn open(file: TableFile, opened: ?*File, expected_bytes: ?u64, family: ?u32, failure: *Fault) fault.Error!*Table {
        const self = gpa.create(Table) catch {
            if (opened) |handle| handle.close();
            return failure.fail(.no_memory);
        };
        file.files.retain();
        self.* = .{
            .file = file,
            .file_bytes = 0,
            .cache_id = next_cache_id.fetchAdd(1, .monotonic),
            .properties = undefined,
        };
        if (opened) |handle| self.file.adopt(handle);
        errdefer self.destroy();
        try self.load(expected_bytes, family, failure);
        return self;
    }

    pub fn destroy(self: *Table) void {
        for (self.index) |*entry| block_cache.global.erase(&entry.cached, self.cache_id, entry.block.offset);
        self.file.close();
        self.file.files.release();
        if (self.ranges) |ranges| ranges.release();
        gpa.free(self.index);
        gpa.free(self.index_prefixes);
        gpa.free(self.properties_content);
        gpa.free(self.filter_content);
        gpa.free(self.index_content);
        gpa.destroy(self);
    }

    /// Memory that stays taken while the table is open.
    pub fn memoryBytes(self: *const Table) u64 {
        return @sizeOf(Table) + self.index.len * (@sizeOf(IndexEntry) + 8) +
            self.properties_content.len + self.filter_content.len + self.index_content.len +
            if (self.ranges) |ranges| ranges.memoryBytes() else 0;
    }

    fn load(self: *Table, expected_bytes: ?u64, family: ?u32, failure: *Fault) fault.Error!void {
        const size = self.file.size();
        if (size < 0) return failure.system(size);
        self.file_bytes = @intCast(size);
        if (expected_bytes) |expected| if (self.file_bytes != expected) return self.damaged(failure, @min(expected, self.file_bytes));
        if (self.file_bytes < format.file_align or self.file_bytes % format.file_align != 0) return self.damaged(failure, 0);

        var bytes: [format.Footer.bytes]u8 = undefined;
        const footer_offset = self.file_bytes - bytes.len;
        try self.readExactly(&bytes, footer_offset, failure);
        const footer = format.Footer.decode(&bytes, self.file.number, self.file_bytes) catch |e|
            return self.translate(e, footer_offset, failure);

        try self.checkPadding(footer.properties.end(), footer_offset, failure);
        self.properties_content = try self.loadBlock(footer.properties, failure);
        self.properties = format.Properties.decode(self.properties_content[0..footer.properties.bytes]) catch |e|
            return self.translate(e, footer.properties.offset, failure);
        if (self.properties.number != self.file.number or self.properties.family != family orelse self.properties.family)
            return self.damaged(failure, footer.properties.offset);
        try self.loadRanges(footer, failure);
        if (footer.filter.bytes > 0) {
            self.filter_content = try self.loadBlock(footer.filter, failure);
            self.filter = filter.Filter.parse(self.filter_content[0..footer.filter.bytes]) catch |e|
                return self.translate(e, footer.filter.offset, failure);
        }
        self.index_content = try self.loadBlock(footer.index, failure);
        try self.loadIndex(footer, failure);
    }

    /// Zeros, up to the footer: nothing in the file is left unchecked.
    fn checkPadding(self: *Table, start: u64, end: u64, failure: *Fault) fault.Error!void {
        var padding: [format.file_align]u8 = undefined;
        const part = padding[0..@intCast(end - start)];
        if (part.len == 0) return;
        try self.readExactly(part, start, failure);
        if (!std.mem.allEqual(u8, part, 0)) return self.damaged(failure, start);
    }

    /// The range tombstones must lie in the table's span, and before the filter.
    fn loadRanges(self: *Table, footer: format.Footer, failure: *Fault) fault.Error!void {
        const properties = &self.properties;
        const place = properties.ranges;
        if (place.offset > footer.filter.offset) return self.damaged(failure, footer.properties.offset);
        const end = if (place.bytes == 0) place.offset else place.end();
        if (end != footer.filter.offset) return self.damaged(failure, footer.properties.offset);
        if (place.bytes == 0) return;
        const content = try self.loadBlock(place, failure);
        defer gpa.free(content);
        const ranges = Fragments.decode(gpa, content[0..place.bytes]) catch |e| return switch (e) {
            error.Damaged => self.damaged(failure, place.offset),
            error.OutOfMemory => failure.fail(.no_memory),
        };
        self.ranges = ranges;
        const is_inside = ranges.count() == properties.range_count and
            ranges.smallest_sequence >= properties.smallest_sequence and ranges.largest_sequence <= properties.largest_sequence and
            internal_key.compareKeys(properties.smallest_key, ranges.lowest()) != .gt and
            switch (properties.largest_kind) {
                .unbounded => ranges.highest() == null,
                .exclusive => if (ranges.highest()) |upper| internal_key.equalKeys(upper, properties.largest_key) else false,
                .inclusive => if (ranges.highest()) |upper| internal_key.compareKeys(upper, properties.largest_key) != .gt else false,
            };
        if (!is_inside) return self.damaged(failure, place.offset);
    }

    /// Blocks must follow one another from the file's start to the range tombstones, and their keys ascend.
    fn loadIndex(self: *Table, footer: format.Footer, failure: *Fault) fault.Error!void {
        const at = footer.index.offset;
        if (self.properties.block_count == 0) {
            const is_empty = std.mem.eql(u8, self.index_content[0..footer.index.bytes], &.{ 0, 0, 0, 0 });
            if (!is_empty or self.properties.ranges.offset != 0) return self.damaged(failure, at);
            return;
        }
        const content = block_reader.Block.parse(self.index_content[0..footer.index.bytes]) catch return self.damaged(failure, at);
        // Each entry is a restart point, so their number is known, and bounded by the block's size.
        const count = content.restarts.len;
        if (count != self.properties.block_count) return self.damaged(failure, at);
        self.index = gpa.alloc(IndexEntry, count) catch return failure.fail(.no_memory);
        @memset(self.index, .{});
        self.index_prefixes = gpa.alloc(u64, count) catch return failure.fail(.no_memory);

        var rows: block_reader.Iterator = .{ .gpa = gpa };
        defer rows.deinit();
        rows.attach(content);
        rows.seekFirst() catch return self.damaged(failure, at);
        var offset: u64 = 0;
        for (self.index, 0..) |*entry, i| {
            if (!rows.valid or rows.value.len != index_value_bytes) return self.damaged(failure, at);
            // Not cut, so it lies in the block and stays there.
            if (@intFromPtr(rows.key.ptr) < @intFromPtr(content.entries.ptr) or
                @intFromPtr(rows.key.ptr) > @intFromPtr(content.entries.ptr) + content.entries.len) return self.damaged(failure, at);
            entry.* = .{
                .key = rows.key,
                .trailer = rows.trailer,
                .block = .{
                    .offset = std.mem.readInt(u64, rows.value[0..8], .little),
                    .bytes = std.mem.readInt(u32, rows.value[8..12], .little),
                },
            };
            if (entry.block.offset != offset) return self.damaged(failure, at);
            offset = entry.block.end();
            if (i > 0) {
                const before = self.index[i - 1];
                if (internal_key.compare(before.key, before.trailer, entry.key, entry.trailer) != .lt) return self.damaged(failure, at);
            }
            rows.next() catch return self.damaged(failure, at);
        }
        if (rows.valid or offset != self.properties.ranges.offset) return self.damaged(failure, at);

        const first = self.index[0].key;
        // Sorted, so what the first and the last share, all share.
        self.index_shared = first[0..internal_key.sharedBytes(first, self.index[count - 1].key)];
        for (self.index, self.index_prefixes) |*entry, *prefix| prefix.* = internal_key.prefix(entry.key[self.index_shared.len..]);
    }

    /// The content and trailer of a block that stays in memory, checked.
    fn loadBlock(self: *Table, handle: format.BlockHandle, failure: *Fault) fault.Error![]u8 {
        const bytes = gpa.alloc(u8, @as(usize, handle.bytes) + format.trailer_bytes) catch return failure.fail(.no_memory);
        errdefer gpa.free(bytes);
        try self.readExactly(bytes, handle.offset, failure);
        const stored = try self.openBlock(bytes, handle, failure);
        if (stored.compression != .none) return failure.fail(.unsupported);
        return bytes;
    }

    fn openBlock(self: *const Table, bytes: []const u8, handle: format.BlockHandle, failure: *Fault) fault.Error!format.StoredBlock {
        return format.openBlock(bytes, self.file.number, handle.offset) catch |e| self.translate(e, handle.offset, failure);
    }

    fn readExactly(self: *Table, bytes: []u8, offset: u64, failure: *Fault) fault.Error!void {
        const result = self.file.pread(bytes, offset);
        if (result < 0) return failure.system(result);
        if (result != bytes.len) return self.damaged(failure, offset);
    }

    fn damaged(self: *const Table, failure: *Fault, offset: u64) fault.Error {
        return failure.corrupt(self.file.number, offset);
    }

    fn translate(self: *const Table, e: format.DecodeError, offset: u64, failure: *Fault) fault.Error {
        return switch (e) {
            error.Damaged => self.damaged(failure, offset),
            error.Unsupported => failure.fail(.unsupported),
        };
    }

    // -----------------------------------------------------------------------------------------------------------

    /// Whether the whole span lies below the key.
    pub fn endsBefore(self: *const Table, key: []const u8) bool {
        const order = internal_key.compareKeys(self.properties.largest_key, key);
        return switch (self.properties.largest_kind) {
            .inclusive => order == .lt,
            .exclusive => order != .gt,
            .unbounded => false,
        };
    }

    pub fn mayContain(self: *const Table, hash: u64) bool {
        if (self.filter) |*present| {
            if (!present.mayContain(hash)) {
                bump(&self.file.counters.filter_negatives);
                return false;
            }
        }
        return true;
    }

    /// Number of the first block that may hold an entry >= (key, trailer); the block count if none does.
    pub fn blockFor(self: *const Table, key: []const u8, trailer: u64) usize {
        const shared = self.index_shared;
        const common = internal_key.sharedBytes(shared, key);
        if (common < shared.len) {
            const smaller = common == key.len or key[common] < shared[common];
            return if (smaller) 0 else self.index.len;
        }
        const prefix = internal_key.prefix(key[shared.len..]);
        // By prefix first, and exactly among those that tie.
        var low = partition(self.index_prefixes, prefix, prefixBelow);
        if (low == self.index.len or self.index_prefixes[low] != prefix) return low;
        const ties = partition(self.index_prefixes[low..], prefix, prefixNotAbove);
        low += partition(self.index[low..][0..ties], Target{ .key = key, .trailer = trailer }, entryBelow);
        return low;
    }

    /// The share of the file that belongs to the keys from `lower` to below `upper`: whole blocks, as the index has them.
    pub fn bytesBetween(self: *const Table, lower: []const u8, upper: ?[]const u8) f64 {
        // Before every version of the key that each bound names.
        const trailer = internal_key.seekTrailer(internal_key.sequence_max);
        const first = self.blockFor(lower, trailer);
        var last = self.index.len;
        if (upper) |key| {
            if (internal_key.compareKeys(key, self.properties.smallest_key) != .gt) return 0;
            last = @min(last, self.blockFor(key, trailer) + 1);
        }
        if (first >= last or self.endsBefore(lower)) return 0;
        const data_bytes: f64 = @floatFromInt(self.index[self.index.len - 1].block.end());
        const share: f64 = @floatFromInt(self.index[last - 1].block.end() - self.index[first].block.offset);
        return share / data_bytes * @as(f64, @floatFromInt(self.file_bytes));
    }

    /// A block with a reference for the caller.
    pub fn block(self: *Table, number: usize, access: Access, failure: *Fault) fault.Error!*block_cache.Block {
        if (self.cachedBlock(number)) |found| return found;
        if (access == .cached) return failure.fail(.would_block);
        const gate = &gates[@intCast((self.cache_id *% 31 +% number) % gates.len)];
        gate.lock();
        defer gate.unlock();
        if (self.cachedBlock(number)) |found| return found;
        self.countMiss();
        return block_cache.global.insert(try self.readBlock(number, failure));
    }

    /// The same, if the cache has it.
    pub inline fn cachedBlock(self: *Table, number: usize) ?*block_cache.Block {
        const found = block_cache.global.find(&self.index[number].cached) orelse return null;
        bump(&self.file.counters.cache_hits);
        return found;
    }

    pub fn countMiss(self: *const Table) void {
        bump(&self.file.counters.cache_misses);
    }

    /// The block from the disk, which the cache knows nothing of yet.
    pub fn readBlock(self: *Table, number: usize, failure: *Fault) fault.Error!*block_cache.Block {
        const entry = &self.index[number];
        const handle = entry.block;
        if (self.file.files.options.direct_reads) {
            var window: table_file.Window = .{};
            defer window.deinit();
            if (!window.resize(table_file.Window.memoryBytes(self.storedBytes(number)))) return failure.fail(.no_memory);
            const result = window.read(&self.file, handle.offset, self.storedBytes(number));
            if (result < 0) return failure.system(result);
            const bytes = window.slice(handle.offset, self.storedBytes(number)) orelse return self.damaged(failure, handle.offset);
            return self.decodeBlock(number, bytes, failure);
        }
        // Straight into the place where it stays, if it is not compressed.
        const read = try self.createBlock(number, self.storedBytes(number), failure);
        var stays = false;
        defer if (!stays) read.release();
        try self.readExactly(read.content, handle.offset, failure);
        const stored = try self.openBlock(read.content, handle, failure);
        if (stored.compression != .none) return self.decompressBlock(number, stored.content, failure);
        try self.check(number, read, failure);
        stays = true;
        return read;
    }

    /// `bytes`: the block as it lies in the file, trailer included.
    pub fn decodeBlock(self: *Table, number: usize, bytes: []const u8, failure: *Fault) fault.Error!*block_cache.Block {
        const stored = try self.openBlock(bytes, self.index[number].block, failure);
        switch (stored.compression) {
            .none => {
                const fresh = try self.createBlock(number, bytes.len, failure);
                errdefer fresh.release();
                @memcpy(fresh.content, bytes);
                try self.check(number, fresh, failure);
                return fresh;
            },
            .zstd => return self.decompressBlock(number, stored.content, failure),
        }
    }

    fn decompressBlock(self: *Table, number: usize, stored: []const u8, failure: *Fault) fault.Error!*block_cache.Block {
        const at = self.index[number].block.offset;
        const raw_bytes = compression.rawBytes(stored) catch return self.damaged(failure, at);
        // In memory every block has room for a trailer, so that compressed ones and others look the same.
        const fresh = try self.createBlock(number, @as(usize, raw_bytes) + format.trailer_bytes, failure);
        errdefer fresh.release();
        compression.decompress(stored, fresh.content[0..raw_bytes]) catch |e| return switch (e) {
            error.Damaged => self.damaged(failure, at),
            error.OutOfMemory => failure.fail(.no_memory),
        };
        try self.check(number, fresh, failure);
        return fresh;
    }

    fn createBlock(self: *Table, number: usize, bytes: usize, failure: *Fault) fault.Error!*block_cache.Block {
        const entry = &self.index[number];
        return block_cache.Block.create(&entry.cached, self.cache_id, entry.block.offset, bytes) orelse failure.fail(.no_memory);
    }

    fn check(self: *Table, number: usize, fresh: *const block_cache.Block, failure: *Fault) fault.Error!void {
        const entry = &self.index[number];
        const content = contentOf(fresh);
        _ = block_reader.Block.parse(content) catch return self.damaged(failure, entry.block.offset);
        entry.content_bytes.store(@intCast(content.len), .monotonic);
    }

    pub fn contentOf(cached: *const block_cache.Block) []const u8 {
        return cached.content[0 .. cached.content.len - format.trailer_bytes];
    }

    pub fn blockOffset(self: *const Table, number: usize) u64 {
        return self.index[number].block.offset;
    }

    /// What the block takes in the file, trailer included.
    pub fn storedBytes(self: *const Table, number: usize) usize {
        return @as(usize, self.index[number].block.bytes) + format.trailer_bytes;
    }

    /// What the blocks from this one on take that fit into `bytes_max` together; this one's own bytes if it does not.
    pub fn stretchBytes(self: *const Table, number: usize, bytes_max: usize) usize {
        const start = self.blockOffset(number);
        var end = self.index[number].block.end();
        for (self.index[number + 1 ..]) |*entry| {
            if (entry.block.end() - start > bytes_max) break;
            end = entry.block.end();
        }
        return @intCast(end - start);
    }

    pub const Found = struct {
        trailer: u64,
        /// In `block`, which the caller releases.
        value: []const u8,
        block: *block_cache.Block,
    };

    /// The newest version of the key that `sequence` may see. `hash`: of the key, for the filter.
    pub fn find(self: *Table, key: []const u8, hash: u64, sequence: u64, access: Access, failure: *Fault) fault.Error!?Found {
        if (!self.mayContain(hash)) return null;
        const wanted = internal_key.seekTrailer(sequence);
        const number = self.blockFor(key, wanted);
        if (number == self.index.len) return null;
        self.index[number].cached.prefetch(self.index[number].content_bytes.load(.monotonic));
        const held = try self.block(number, access, failure);
        errdefer held.release();
        const match = block_reader.Block.parsed(contentOf(held)).find(key, wanted) catch
            return self.damaged(failure, self.index[number].block.offset);
        if (match) |found| return .{ .trailer = found.trailer, .value = found.value, .block = held };
        held.release();
        return null;
    }

    /// Reads every block from the disk and every entry in it: order, counts and bounds must be what the index, the
    /// filter and the properties say. The range tombstones were read when the table was opened, and are read again.
    pub fn verify(self: *Table, values: ?*BlobValue, failure: *Fault) fault.Error!void {
        const properties = &self.properties;
        if (properties.ranges.bytes > 0) gpa.free(try self.loadBlock(properties.ranges, failure));
        var rows: block_reader.Iterator = .{ .gpa = gpa };
        defer rows.deinit();
        var found: Tally = .{};
        defer found.deinit();
        var ahead: Readahead = .{};
        defer ahead.deinit();
        for (self.index, 0..) |*entry, number| {
            const fresh = try ahead.freshBlock(self, number, failure);
            defer fresh.release();
            const at = entry.block.offset;
            rows.attach(block_reader.Block.parsed(contentOf(fresh)));
            rows.seekFirst() catch return self.damaged(failure, at);
            while (rows.valid) : (rows.next() catch return self.damaged(failure, at)) {
                const ascends = found.entries == 0 or
                    internal_key.compare(found.last_key.items, found.last_trailer, rows.key, rows.trailer) == .lt;
                if (!ascends) return self.damaged(failure, at);
                if (found.entries == 0 and internal_key.compareKeys(rows.key, properties.smallest_key) == .lt) return self.damaged(failure, at);
                if (self.filter) |*present| {
                    if (!present.mayContain(filter.hashKey(rows.key))) return self.damaged(failure, at);
                }
                const sequence = internal_key.sequenceOf(rows.trailer);
                if (sequence < properties.smallest_sequence or sequence > properties.largest_sequence) return self.damaged(failure, at);
                found.add(rows.key, rows.trailer, rows.value) catch |e| return switch (e) {
                    error.Damaged => self.damaged(failure, at),
                    error.OutOfMemory => failure.fail(.no_memory),
                };
                if (values) |reader| {
                    // The tally has looked at it.
                    const address = blob_tally.addressOf(rows.trailer, rows.value) catch unreachable orelse continue;
                    _ = try reader.read(std.mem.asBytes(&address), .disk, failure);
                }
            }
            if (internal_key.compare(found.last_key.items, found.last_trailer, entry.key, entry.trailer) == .gt) return self.damaged(failure, at);
            found.raw_bytes += contentOf(fresh).len;
        }
        if (!found.isAs(properties)) return self.damaged(failure, 0);
        if (!self.spans(&found)) return self.damaged(failure, 0);
    }

    /// The span is as narrow as points and range tombstones allow.
    fn spans(self: *const Table, found: *const Tally) bool {
        const properties = &self.properties;
        if (found.entries > 0 and self.endsBefore(found.last_key.items)) return false;
        const reaches_up = properties.largest_kind != .inclusive or
            (found.entries > 0 and internal_key.equalKeys(found.last_key.items, properties.largest_key));
        const from_points = found.entries > 0 and internal_key.equalKeys(found.first_key.items, properties.smallest_key);
        const from_ranges = if (self.ranges) |ranges| internal_key.equalKeys(ranges.lowest(), properties.smallest_key) else false;
        return reaches_up and (from_points or from_ranges);
    }
};

/// What the entries of a table come to.
const Tally = struct {
    entries: u64 = 0,
    deletes: u64 = 0,
    merges: u64 = 0,
    expiring: u64 = 0,
    raw_bytes: u64 = 0,
    first_key: std.ArrayList(u8) = .empty,
    last_key: std.ArrayList(u8) = .empty,
    last_trailer: u64 = 0,
    blobs: BlobTally = .{},

    fn deinit(self: *Tally) void {
        self.first_key.deinit(gpa);
        self.last_key.deinit(gpa);
        self.blobs.deinit(gpa);
    }

    fn add(self: *Tally, key: []const u8, trailer: u64, value: []const u8) error{ OutOfMemory, Damaged }!void {
        switch (std.enums.fromInt(abi.EntryType, internal_key.typeOf(trailer)) orelse return error.Damaged) {
            .put => {},
            .delete => self.deletes += 1,
            .merge => self.merges += 1,
            .delete_range => return error.Damaged,
            .put_expiring, .put_blob_expiring => self.expiring += 1,
            .put_blob => {},
        }
        try self.blobs.add(gpa, trailer, value);
        if (self.entries == 0) try self.first_key.appendSlice(gpa, key);
        self.entries += 1;
        self.last_key.clearRetainingCapacity();
        try self.last_key.appendSlice(gpa, key);
        self.last_trailer = trailer;
    }

    fn isAs(self: *const Tally, properties: *const format.Properties) bool {
        return self.entries == properties.entry_count and self.deletes == properties.delete_count and
            self.merges == properties.merge_count and self.expiring == properties.expiring_count and
            self.raw_bytes == properties.raw_bytes and
            std.mem.eql(u8, std.mem.sliceAsBytes(self.blobs.list.items), std.mem.sliceAsBytes(properties.blobs));
    }
};

const Target = struct { key: []const u8, trailer: u64 };

fn prefixBelow(stored: *const u64, wanted: u64) bool {
    return stored.* < wanted;
}

fn prefixNotAbove(stored: *const u64, wanted: u64) bool {
    return stored.* <= wanted;
}

fn entryBelow(stored: *const IndexEntry, wanted: Target) bool {
    return internal_key.compare(stored.key, stored.trailer, wanted.key, wanted.trailer) == .lt;
}

/// How many of the sorted items satisfy `below`, which holds for a beginning of them.
inline fn partition(items: anytype, target: anytype, comptime below: anytype) usize {
    var low: usize = 0;
    var length = items.len;
    while (length > 0) {
        const half = length / 2;
        const yes = below(&items[low + half], target);
        low = if (yes) low + half + 1 else low;
        length = if (yes) length - half - 1 else half;
    }
    return low;
}

fn bump(counter: *u64) void {
    _ = @atomicRmw(u64, counter, .Add, 1, .monotonic);
}
