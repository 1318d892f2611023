//! The tables that a compaction makes: entries in internal-key order go in, files of about the wanted size come out,
//! one after the other, each written, synced and opened before the next is begun.
//!
//! A table ends between two user keys, and where it ends its range tombstones are cut: at the first key of the next one,
//! or at the lower bound of a piece before that key. So the spans of the tables are disjoint, exactly. The first one
//! begins, and the last one ends, where its own keys and tombstones do. Tombstones count towards the size and may fill a
//! table alone. One thread at a time.

const std = @import("std");
const abi = @import("abi.zig");
const blob_tally = @import("blob_tally.zig");
const fault = @import("fault.zig");
const internal_key = @import("internal_key.zig");
const table_builder = @import("table_builder.zig");
const table_output = @import("table_output.zig");
const BlobMover = @import("blob_mover.zig").BlobMover;
const Fault = fault.Fault;
const File = @import("file_table.zig").File;
const Fragments = @import("range_fragments.zig").Fragments;
const Table = @import("table_reader.zig").Table;
const TableBuilder = table_builder.TableBuilder;
const TableFiles = @import("table_files.zig").TableFiles;

/// What a piece takes in a ranges block beside its bounds and numbers, about.
const piece_overhead_bytes = 6;

pub const Options = struct {
    /// Of the first table; the next ones follow.
    number: u64,
    number_count: u64,
    target_bytes: u64,
    table: table_builder.Options,
};

pub const CompactionOutput = struct {
    gpa: std.mem.Allocator,
    files: *TableFiles,
    options: Options,
    /// Stays where it is as long as this.
    failure: *Fault,
    /// What is left of the inputs' range tombstones.
    ranges: *const Fragments,
    /// Moves large values, where that is asked for. Stays where it is, too.
    mover: ?*BlobMover,

    /// Finished: open, and numbered from the first number on. Null: gone, all but its name.
    tables: std.ArrayList(?*Table) = .empty,
    current: ?Current = null,
    /// Where the current table begins; the first one begins anywhere.
    lower: std.ArrayList(u8) = .empty,
    pieces: Fragments.Iterator,
    /// The first piece that does not count towards the current table's size, or an earlier one's.
    piece: ?Piece = null,
    /// Of the pieces that do.
    range_bytes: u64 = 0,
    finished_bytes: u64 = 0,
    entry_count: u64 = 0,

    const Current = struct { file: *File, builder: TableBuilder };
    const Piece = struct { lower: []const u8, bytes: u64 };

    pub fn init(gpa: std.mem.Allocator, files: *TableFiles, ranges: *const Fragments, mover: ?*BlobMover, options: Options, failure: *Fault) fault.Error!CompactionOutput {
        var self: CompactionOutput = .{
            .gpa = gpa,
            .mover = mover,
            .files = files,
            .options = options,
            .failure = failure,
            .ranges = ranges,
            .pieces = ranges.iterator(),
        };
        errdefer self.pieces.deinit();
        try self.nextPiece();
        return self;
    }

    /// Removes the files of all tables that `tables` still has, and the one that was not finished.
    pub fn deinit(self: *CompactionOutput) void {
        self.abandon();
        self.tables.deinit(self.gpa);
        self.lower.deinit(self.gpa);
        self.pieces.deinit();
    }

    pub fn abandon(self: *CompactionOutput) void {
        const number = self.options.number + self.tables.items.len;
        if (self.current) |*current| {
            current.builder.deinit();
            current.file.close();
            table_output.remove(self.files, number);
            self.current = null;
        }
        for (self.tables.items, self.options.number..) |item, made| {
            if (item) |table| table.destroy();
            table_output.remove(self.files, made);
        }
        self.tables.clearRetainingCapacity();
    }

    /// Bytes that went to the disk.
    pub fn bytesWritten(self: *const CompactionOutput) u64 {
        const moved = if (self.mover) |mover| mover.bytesWritten() else 0;
        return self.finished_bytes + moved + if (self.current) |*current| current.builder.written else 0;
    }

    /// The sink of the filter.
    pub fn add(self: *CompactionOutput, key: []const u8, trailer: u64, value: []const u8) fault.Error!void {
        if (!self.isAt(key)) try self.moveTo(key);
        const builder = try self.currentBuilder();
        switch (internal_key.typeOf(trailer)) {
            @intFromEnum(abi.EntryType.put_blob), @intFromEnum(abi.EntryType.put_blob_expiring) => try self.addBlob(builder, key, trailer, value),
            else => try builder.add(key, trailer, value),
        }
        self.entry_count += 1;
    }

    /// The one way of an entry whose value lies in a blob segment: one that is to be emptied is left, under another address.
    fn addBlob(self: *CompactionOutput, builder: *TableBuilder, key: []const u8, trailer: u64, value: []const u8) fault.Error!void {
        const mover = self.mover orelse return builder.add(key, trailer, value);
        // The filter has looked at it.
        const address = (blob_tally.addressOf(trailer, value) catch unreachable).?;
        const moved = try mover.move(address, self.failure) orelse return builder.add(key, trailer, value);
        var stored: [blob_tally.expiry_bytes + blob_tally.address_bytes]u8 = undefined;
        const before = value.len - blob_tally.address_bytes;
        @memcpy(stored[0..before], value[0..before]);
        @memcpy(stored[before..][0..blob_tally.address_bytes], std.mem.asBytes(&moved));
        return builder.add(key, trailer, stored[0..value.len]);
    }

    /// After the last entry: what is left of the range tombstones, and the last table.
    pub fn finish(self: *CompactionOutput) fault.Error!void {
        while (self.piece != null) try self.countPiece();
        try self.endTable(null);
    }

    /// Another version of the last key?
    fn isAt(self: *const CompactionOutput, key: []const u8) bool {
        const current = if (self.current) |*current| current else return false;
        return current.builder.entry_count > 0 and internal_key.equalKeys(current.builder.last_key.items, key);
    }

    fn moveTo(self: *CompactionOutput, key: []const u8) fault.Error!void {
        while (self.piece) |piece| {
            if (internal_key.compareKeys(piece.lower, key) == .gt) break;
            try self.countPiece();
        }
        if (self.isFull()) try self.endTable(key);
    }

    /// REQUIRES: there is a piece, and it begins behind the last key.
    fn countPiece(self: *CompactionOutput) fault.Error!void {
        const piece = self.piece.?;
        if (self.isFull()) try self.endTable(piece.lower);
        self.range_bytes += piece.bytes;
        try self.nextPiece();
    }

    fn nextPiece(self: *CompactionOutput) fault.Error!void {
        const next = self.pieces.next() catch return self.failure.fail(.no_memory);
        const piece = next orelse {
            self.piece = null;
            return;
        };
        const bytes = piece_overhead_bytes + piece.lower.len + piece.upper.len + 8 * piece.sequences.len;
        self.piece = .{ .lower = piece.lower, .bytes = bytes };
    }

    fn isFull(self: *const CompactionOutput) bool {
        const points = if (self.current) |*current| current.builder.bytes() else 0;
        return points + self.range_bytes >= @max(1, self.options.target_bytes);
    }

    fn currentBuilder(self: *CompactionOutput) fault.Error!*TableBuilder {
        if (self.current == null) {
            if (self.tables.items.len == self.options.number_count) return self.failure.fail(.exhausted);
            var options = self.options.table;
            options.number = self.options.number + self.tables.items.len;
            // There is room for the table before there is a file.
            self.tables.ensureUnusedCapacity(self.gpa, 1) catch return self.failure.fail(.no_memory);
            const file = try table_output.create(self.files, options.number, self.failure);
            errdefer {
                file.close();
                table_output.remove(self.files, options.number);
            }
            self.current = .{ .file = file, .builder = try .init(self.gpa, file, options, self.failure) };
        }
        return &self.current.?.builder;
    }

    /// The current table ends before `border`; null: with the compaction.
    fn endTable(self: *CompactionOutput, border: ?[]const u8) fault.Error!void {
        const part = self.ranges.cut(self.gpa, self.lower.items, border) catch return self.failure.fail(.no_memory);
        defer part.release();
        if (self.current != null or part.count() > 0) {
            const builder = try self.currentBuilder();
            builder.options.origin.is_last_output = border == null;
            self.finished_bytes += try builder.finish(part);
            const number = builder.options.number;
            const file = self.current.?.file;
            builder.deinit();
            self.current = null;
            const table = table_output.open(self.files, file, number, self.options.table.family, self.failure) catch |e| {
                table_output.remove(self.files, number);
                return e;
            };
            self.tables.appendAssumeCapacity(table);
        }
        self.range_bytes = 0;
        if (border) |key| {
            self.lower.clearRetainingCapacity();
            self.lower.appendSlice(self.gpa, key) catch return self.failure.fail(.no_memory);
        }
    }
};
