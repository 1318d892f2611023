//! Writes one table file from entries in internal-key order, streaming: whole pieces of a mebibyte, the rest at
//! the end, padded to whole blocks of the disk. The layout stands in table_format.zig and block_reader.zig.
//! The caller creates the file before, and syncs nothing but through `finish`. Not thread-safe.

const std = @import("std");
const abi = @import("abi.zig");
const compression = @import("compression.zig");
const fault = @import("fault.zig");
const filter = @import("filter.zig");
const format = @import("table_format.zig");
const internal_key = @import("internal_key.zig");
const BlobTally = @import("blob_tally.zig").BlobTally;
const BlockBuilder = @import("block_builder.zig").BlockBuilder;
const File = @import("file_table.zig").File;
const Fault = fault.Fault;
const Fragments = @import("range_fragments.zig").Fragments;

const piece_bytes = 1 << 20;
pub const index_value_bytes = 12;
/// What an entry takes beside key and value: three short varints, the trailer, a restart point.
const entry_overhead_bytes = 5 + internal_key.trailer_bytes + 4;

pub const Options = struct {
    number: u64,
    family: u32,
    block_bytes: u32,
    filter_bits_per_key: u32,
    /// Of data blocks; filter, index and properties are read once and stay as they are.
    compression: abi.Compression = .none,
    /// zstd's, from `compression.level_min` to `level_max`.
    compression_level: u32 = 0,
    /// For repairs, and for people. Lent until `finish`.
    family_name: []const u8 = "",
    /// Likewise.
    origin: format.Origin = .{},
};

pub const TableBuilder = struct {
    gpa: std.mem.Allocator,
    file: *File,
    options: Options,
    failure: *Fault,

    piece: []align(format.file_align) u8,
    piece_used: usize = 0,
    /// Bytes that went out before `piece`.
    written: u64 = 0,

    compressor: ?compression.Compressor = null,
    data: BlockBuilder,
    index: BlockBuilder,
    hashes: std.ArrayList(u64) = .empty,
    smallest_key: std.ArrayList(u8) = .empty,
    /// The last entry that was added.
    last_key: std.ArrayList(u8) = .empty,
    last_trailer: u64 = 0,
    /// The block before the current one, which waits for its separator.
    pending: ?format.BlockHandle = null,
    separator: std.ArrayList(u8) = .empty,

    entry_count: u64 = 0,
    delete_count: u64 = 0,
    merge_count: u64 = 0,
    expiring_count: u64 = 0,
    block_count: u64 = 0,
    raw_bytes: u64 = 0,
    smallest_sequence: u64 = std.math.maxInt(u64),
    largest_sequence: u64 = 0,
    blobs: BlobTally = .{},

    pub fn init(gpa: std.mem.Allocator, file: *File, options: Options, failure: *Fault) fault.Error!TableBuilder {
        const piece = gpa.alignedAlloc(u8, .fromByteUnits(format.file_align), piece_bytes) catch return failure.fail(.no_memory);
        errdefer gpa.free(piece);
        return .{
            .gpa = gpa,
            .file = file,
            .options = options,
            .failure = failure,
            .piece = piece,
            .compressor = switch (options.compression) {
                .none => null,
                .zstd => compression.Compressor.init(gpa, options.compression_level) catch return failure.fail(.no_memory),
            },
            .data = .{ .gpa = gpa },
            .index = .{ .gpa = gpa, .interval = 1 },
        };
    }

    pub fn deinit(self: *TableBuilder) void {
        self.gpa.free(self.piece);
        if (self.compressor) |*compressor| compressor.deinit();
        self.data.deinit();
        self.index.deinit();
        self.hashes.deinit(self.gpa);
        self.smallest_key.deinit(self.gpa);
        self.last_key.deinit(self.gpa);
        self.separator.deinit(self.gpa);
        self.blobs.deinit(self.gpa);
    }

    /// REQUIRES: sorts behind the entry before, or is that one, found in two tables: it counts once.
    pub fn add(self: *TableBuilder, key: []const u8, trailer: u64, value: []const u8) fault.Error!void {
        const first = self.entry_count == 0;
        const same_key = !first and internal_key.equalKeys(self.last_key.items, key);
        if (same_key and trailer == self.last_trailer) return;
        std.debug.assert(first or internal_key.compare(self.last_key.items, self.last_trailer, key, trailer) == .lt);

        // Blocks stay within their size, trailer included; what is larger than a block has one of its own.
        const entry_bytes = key.len + value.len + entry_overhead_bytes;
        const is_full = self.data.bytes() + entry_bytes + format.trailer_bytes > self.options.block_bytes;
        if (self.data.entry_count > 0 and is_full) try self.finishBlock();
        if (self.pending != null) try self.indexPending(if (same_key) null else key);

        self.data.add(key, trailer, value) catch |e| return self.translate(e);
        if (first) self.smallest_key.appendSlice(self.gpa, key) catch return self.failure.fail(.no_memory);
        if (!same_key) {
            if (self.options.filter_bits_per_key > 0)
                self.hashes.append(self.gpa, filter.hashKey(key)) catch return self.failure.fail(.no_memory);
            self.last_key.clearRetainingCapacity();
            self.last_key.appendSlice(self.gpa, key) catch return self.failure.fail(.no_memory);
        }
        self.last_trailer = trailer;
        self.entry_count += 1;
        switch (internal_key.typeOf(trailer)) {
            @intFromEnum(abi.EntryType.delete) => self.delete_count += 1,
            @intFromEnum(abi.EntryType.merge) => self.merge_count += 1,
            @intFromEnum(abi.EntryType.put_expiring) => self.expiring_count += 1,
            @intFromEnum(abi.EntryType.put_blob) => try self.countBlob(trailer, value),
            @intFromEnum(abi.EntryType.put_blob_expiring) => {
                self.expiring_count += 1;
                try self.countBlob(trailer, value);
            },
            else => {},
        }
        self.smallest_sequence = @min(self.smallest_sequence, internal_key.sequenceOf(trailer));
        self.largest_sequence = @max(self.largest_sequence, internal_key.sequenceOf(trailer));
    }

    fn countBlob(self: *TableBuilder, trailer: u64, value: []const u8) fault.Error!void {
        self.blobs.add(self.gpa, trailer, value) catch |e| return self.failure.fail(switch (e) {
            error.OutOfMemory => .no_memory,
            error.Damaged => .invalid,
        });
    }

    /// About what the file would have if it were finished now.
    pub fn bytes(self: *const TableBuilder) u64 {
        const filter_bytes = self.hashes.items.len * self.options.filter_bits_per_key / 8;
        return self.position() + self.data.bytes() + self.index.bytes() + filter_bytes;
    }

    /// Writes what is left and syncs the file. Its size. `ranges`: the range tombstones of the table. REQUIRES: at least
    /// one entry was added, or there is a range tombstone.
    pub fn finish(self: *TableBuilder, ranges: ?*const Fragments) fault.Error!u64 {
        const range_count = if (ranges) |pieces| pieces.count() else 0;
        std.debug.assert(self.entry_count > 0 or range_count > 0);
        if (self.data.entry_count > 0) try self.finishBlock();
        if (self.pending != null) try self.indexPending(null);

        var footer: format.Footer = undefined;
        footer.number = self.options.number;
        var ranges_place: format.BlockHandle = .{ .offset = self.position(), .bytes = 0 };
        if (range_count > 0) {
            const content = ranges.?.encode(self.gpa) catch return self.failure.fail(.no_memory);
            defer self.gpa.free(content);
            ranges_place = try self.writeBlock(content);
            self.smallest_sequence = @min(self.smallest_sequence, ranges.?.smallest_sequence);
            self.largest_sequence = @max(self.largest_sequence, ranges.?.largest_sequence);
        }
        footer.filter = .{ .offset = self.position(), .bytes = 0 };
        if (self.hashes.items.len > 0) {
            const content = filter.build(self.gpa, self.hashes.items, self.options.filter_bits_per_key) catch
                return self.failure.fail(.no_memory);
            defer self.gpa.free(content);
            footer.filter = try self.writeBlock(content);
        }
        footer.index = try self.writeBlock(self.index.finish() catch |e| return self.translate(e));

        const span = self.spanWith(if (range_count > 0) ranges else null);
        const properties = (format.Properties{
            .family = self.options.family,
            .block_bytes = self.options.block_bytes,
            .filter_bits_per_key = self.options.filter_bits_per_key,
            .number = self.options.number,
            .entry_count = self.entry_count,
            .delete_count = self.delete_count,
            .merge_count = self.merge_count,
            .expiring_count = self.expiring_count,
            .block_count = self.block_count,
            .raw_bytes = self.raw_bytes,
            .smallest_sequence = self.smallest_sequence,
            .largest_sequence = self.largest_sequence,
            .range_count = range_count,
            .ranges = ranges_place,
            .smallest_key = span.smallest,
            .largest_key = span.largest,
            .largest_kind = span.kind,
            .blobs = self.blobs.list.items,
            .family_name = self.options.family_name,
            .origin = self.options.origin,
        }).encode(self.gpa) catch return self.failure.fail(.no_memory);
        defer self.gpa.free(properties);
        footer.properties = try self.writeBlock(properties);

        const file_bytes = format.fileBytes(self.position());
        const zeros: [format.file_align]u8 = @splat(0);
        try self.write(zeros[0..@intCast(file_bytes - format.Footer.bytes - self.position())]);
        try self.write(&footer.encode());
        try self.flushPiece();
        const synced = self.file.dataSync();
        if (synced < 0) return self.failure.system(synced);
        return file_bytes;
    }

    const Span = struct { smallest: []const u8, largest: []const u8, kind: abi.BoundKind };

    /// Over points and range tombstones.
    fn spanWith(self: *const TableBuilder, ranges: ?*const Fragments) Span {
        const points: Span = .{ .smallest = self.smallest_key.items, .largest = self.last_key.items, .kind = .inclusive };
        const pieces = ranges orelse return points;
        var span: Span = if (pieces.highest()) |upper|
            .{ .smallest = pieces.lowest(), .largest = upper, .kind = .exclusive }
        else
            .{ .smallest = pieces.lowest(), .largest = "", .kind = .unbounded };
        if (self.entry_count == 0) return span;
        if (internal_key.compareKeys(points.smallest, span.smallest) == .lt) span.smallest = points.smallest;
        if (span.kind == .exclusive and internal_key.compareKeys(points.largest, span.largest) != .lt) {
            span.largest = points.largest;
            span.kind = .inclusive;
        }
        return span;
    }

    fn finishBlock(self: *TableBuilder) fault.Error!void {
        const content = self.data.finish() catch |e| return self.translate(e);
        std.debug.assert(self.pending == null);
        self.pending = try self.writeDataBlock(content);
        self.raw_bytes += content.len;
        self.block_count += 1;
        self.data.reset();
    }

    /// Enters the pending block under a key that is >= its last entry and, where the next user key is known,
    /// below that one and as short as may be.
    fn indexPending(self: *TableBuilder, next_key: ?[]const u8) fault.Error!void {
        const handle = self.pending.?;
        var key: []const u8 = self.last_key.items;
        var trailer = self.last_trailer;
        if (next_key) |next| {
            self.separator.resize(self.gpa, key.len) catch return self.failure.fail(.no_memory);
            key = internal_key.separator(key, next, self.separator.items);
            // Below every real trailer, so behind every version of this key.
            trailer = 0;
        }
        var value: [index_value_bytes]u8 = undefined;
        std.mem.writeInt(u64, value[0..8], handle.offset, .little);
        std.mem.writeInt(u32, value[8..12], handle.bytes, .little);
        self.index.add(key, trailer, &value) catch |e| return self.translate(e);
        self.pending = null;
    }

    fn writeDataBlock(self: *TableBuilder, content: []const u8) fault.Error!format.BlockHandle {
        if (self.compressor) |*compressor| {
            const smaller = compressor.compress(content) catch return self.failure.fail(.no_memory);
            if (smaller) |stored| return self.writeStored(stored, .zstd);
        }
        return self.writeBlock(content);
    }

    fn writeBlock(self: *TableBuilder, content: []const u8) fault.Error!format.BlockHandle {
        return self.writeStored(content, .none);
    }

    fn writeStored(self: *TableBuilder, content: []const u8, how: abi.Compression) fault.Error!format.BlockHandle {
        if (content.len > std.math.maxInt(u32)) return self.failure.fail(.invalid);
        const handle: format.BlockHandle = .{ .offset = self.position(), .bytes = @intCast(content.len) };
        try self.write(content);
        try self.write(&format.blockTrailer(content, how, self.options.number, handle.offset));
        return handle;
    }

    fn position(self: *const TableBuilder) u64 {
        return self.written + self.piece_used;
    }

    fn write(self: *TableBuilder, out: []const u8) fault.Error!void {
        var rest = out;
        while (rest.len > 0) {
            const part = @min(rest.len, self.piece.len - self.piece_used);
            @memcpy(self.piece[self.piece_used..][0..part], rest[0..part]);
            self.piece_used += part;
            rest = rest[part..];
            if (self.piece_used == self.piece.len) try self.flushPiece();
        }
    }

    fn flushPiece(self: *TableBuilder) fault.Error!void {
        const result = self.file.write(self.piece[0..self.piece_used], self.written);
        if (result < 0) return self.failure.system(result);
        self.written += self.piece_used;
        self.piece_used = 0;
    }

    fn translate(self: *TableBuilder, e: error{ OutOfMemory, TooLarge }) fault.Error {
        return self.failure.fail(switch (e) {
            error.OutOfMemory => .no_memory,
            error.TooLarge => .invalid,
        });
    }
};
