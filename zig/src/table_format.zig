//! The bytes of a table file outside its blocks' content: block trailers, properties, footer. Pure; any thread.
//!
//!     data blocks … | ranges block | filter block | index block | properties block | zeros to a multiple of 4,096 | footer
//!
//! Blocks stand back to back from offset 0, each followed by its trailer; the footer is the file's last 64 bytes. The
//! ranges block (range_fragments.zig) and the filter may be missing, and there may be no data block: not all at once.
//! The checksums cover the file's number and the block's offset, so that a block of another file, or from
//! another place, or of an earlier file in the same place, does not check out. All integers are little-endian.

const std = @import("std");
const abi = @import("abi.zig");
const checksum = @import("checksum.zig");
const file_name = @import("file_name.zig");

pub const version: u32 = 1;
pub const magic: u64 = std.mem.readInt(u64, "VARVETBL", .little);
pub const file_align = 4096;

/// Trailer: compression u8 (abi.Compression) | three zero bytes | CRC-32C u32 over the content as it is stored, the
/// trailer's first four bytes, file number u64, block offset u64.
pub const trailer_bytes = 8;

pub const DecodeError = error{ Damaged, Unsupported };

/// Where a block's content lies, in the size in which it is stored; its trailer follows.
pub const BlockHandle = struct {
    offset: u64,
    bytes: u32,

    pub fn end(self: BlockHandle) u64 {
        return self.offset + self.bytes + trailer_bytes;
    }
};

fn blockChecksum(content: []const u8, head: *const [4]u8, number: u64, offset: u64) u32 {
    var place: [20]u8 = undefined;
    place[0..4].* = head.*;
    std.mem.writeInt(u64, place[4..12], number, .little);
    std.mem.writeInt(u64, place[12..20], offset, .little);
    return checksum.crc32cContinue(checksum.crc32c(content), &place);
}

pub fn blockTrailer(content: []const u8, compression: abi.Compression, number: u64, offset: u64) [trailer_bytes]u8 {
    var trailer: [trailer_bytes]u8 = @splat(0);
    trailer[0] = @intCast(@intFromEnum(compression));
    std.mem.writeInt(u32, trailer[4..8], blockChecksum(content, trailer[0..4], number, offset), .little);
    return trailer;
}

/// A block's content as it is stored.
pub const StoredBlock = struct { content: []const u8, compression: abi.Compression };

/// `bytes`: a block as read, trailer included.
pub fn openBlock(bytes: []const u8, number: u64, offset: u64) DecodeError!StoredBlock {
    if (bytes.len < trailer_bytes) return error.Damaged;
    const content = bytes[0 .. bytes.len - trailer_bytes];
    const trailer = bytes[content.len..][0..trailer_bytes];
    const stored = std.mem.readInt(u32, trailer[4..8], .little);
    if (blockChecksum(content, trailer[0..4], number, offset) != stored) return error.Damaged;
    // The checksum holds: another type was written on purpose, by a later version.
    const compression = std.enums.fromInt(abi.Compression, std.mem.readInt(u32, trailer[0..4], .little));
    return .{ .content = content, .compression = compression orelse return error.Unsupported };
}

/// The last 64 bytes:
///
///      0  magic u64 "VARVETBL"
///      8  version u32 | CRC-32C u32, over the other 60 bytes
///     16  file number u64
///     24  filter offset u64 (zero bytes long: no filter)
///     32  index offset u64
///     40  properties offset u64
///     48  filter bytes u32 | index bytes u32
///     56  properties bytes u32 | zero u32
pub const Footer = struct {
    number: u64,
    filter: BlockHandle,
    index: BlockHandle,
    properties: BlockHandle,

    pub const bytes = 64;

    pub fn encode(self: *const Footer) [bytes]u8 {
        var out: [bytes]u8 = @splat(0);
        std.mem.writeInt(u64, out[0..8], magic, .little);
        std.mem.writeInt(u32, out[8..12], version, .little);
        std.mem.writeInt(u64, out[16..24], self.number, .little);
        std.mem.writeInt(u64, out[24..32], self.filter.offset, .little);
        std.mem.writeInt(u64, out[32..40], self.index.offset, .little);
        std.mem.writeInt(u64, out[40..48], self.properties.offset, .little);
        std.mem.writeInt(u32, out[48..52], self.filter.bytes, .little);
        std.mem.writeInt(u32, out[52..56], self.index.bytes, .little);
        std.mem.writeInt(u32, out[56..60], self.properties.bytes, .little);
        std.mem.writeInt(u32, out[12..16], footerChecksum(&out), .little);
        return out;
    }

    /// `file_bytes`: the file's size, which the three blocks must fill up to the padding.
    pub fn decode(in: *const [bytes]u8, number: u64, file_bytes: u64) DecodeError!Footer {
        if (std.mem.readInt(u64, in[0..8], .little) != magic) return error.Damaged;
        if (std.mem.readInt(u32, in[12..16], .little) != footerChecksum(in)) return error.Damaged;
        if (std.mem.readInt(u32, in[8..12], .little) != version) return error.Unsupported;
        const footer: Footer = .{
            .number = std.mem.readInt(u64, in[16..24], .little),
            .filter = .{
                .offset = std.mem.readInt(u64, in[24..32], .little),
                .bytes = std.mem.readInt(u32, in[48..52], .little),
            },
            .index = .{
                .offset = std.mem.readInt(u64, in[32..40], .little),
                .bytes = std.mem.readInt(u32, in[52..56], .little),
            },
            .properties = .{
                .offset = std.mem.readInt(u64, in[40..48], .little),
                .bytes = std.mem.readInt(u32, in[56..60], .little),
            },
        };
        if (footer.number != number) return error.Damaged;
        if (footer.filter.offset > file_bytes or footer.index.offset > file_bytes) return error.Damaged;
        if (footer.properties.offset > file_bytes) return error.Damaged;
        const filter_end = if (footer.filter.bytes == 0) footer.filter.offset else footer.filter.end();
        if (footer.index.offset != filter_end) return error.Damaged;
        if (footer.properties.offset != footer.index.end()) return error.Damaged;
        if (fileBytes(footer.properties.end()) != file_bytes) return error.Damaged;
        return footer;
    }
};

fn footerChecksum(footer: *const [Footer.bytes]u8) u32 {
    return checksum.crc32cContinue(checksum.crc32c(footer[0..12]), footer[16..]);
}

/// Size of a file whose blocks end at `blocks_end`.
pub fn fileBytes(blocks_end: u64) u64 {
    return std.mem.alignForward(u64, blocks_end + Footer.bytes, file_align);
}

/// Bytes of values in one blob segment.
pub const BlobUse = extern struct { number: u64, bytes: u64 };

/// What a table was made from, for repairs: whoever finds inputs beside outputs must know which of them count. Of a flush
/// nothing.
pub const Origin = struct {
    /// File numbers of the tables that the compaction read.
    inputs: []align(1) const u64 = &.{},
    /// The compaction's tables have the numbers from here on, without a gap, up to its last one.
    first_output: u64 = 0,
    is_last_output: bool = false,
};

/// Content of the properties block: these fields in order, then what has no fixed size. Where the table comes from, and
/// its family's name, are for repairs.
pub const Properties = struct {
    family: u32,
    block_bytes: u32,
    filter_bits_per_key: u32,
    number: u64,
    /// Point entries of all types, and how many are deletes, merge operands, values that expire.
    entry_count: u64,
    delete_count: u64,
    merge_count: u64,
    expiring_count: u64,
    block_count: u64,
    /// Of the data blocks' contents before compression.
    raw_bytes: u64,
    /// Of point entries and range tombstones.
    smallest_sequence: u64,
    largest_sequence: u64,
    /// Pieces of range tombstones.
    range_count: u64,
    /// Zero bytes long: there is none, and no trailer.
    ranges: BlockHandle,
    /// The span: over points and range tombstones.
    smallest_key: []const u8,
    largest_key: []const u8,
    largest_kind: abi.BoundKind,
    /// By number, ascending.
    blobs: []align(1) const BlobUse,
    /// At most `family_name_bytes_max`; may be empty.
    family_name: []const u8,
    origin: Origin,

    ///      0  version u32 | family u32
    ///      8  block bytes u32 | filter bits per key u32
    ///     16  file number u64
    ///     24  entry count u64
    ///     32  delete count u64
    ///     40  merge count u64
    ///     48  expiring count u64
    ///     56  data block count u64
    ///     64  raw bytes u64
    ///     72  smallest sequence number u64
    ///     80  largest sequence number u64
    ///     88  range piece count u64
    ///     96  ranges offset u64
    ///    104  ranges bytes u32 | largest key's kind u32 (abi.BoundKind)
    ///    112  smallest key's bytes u32 | largest key's bytes u32
    ///    120  blob segment count u32 | family name's bytes u32
    ///    128  first output u64
    ///    136  input count u32 | 1 for the last output u32
    ///    144  blob segments: number u64, bytes u64
    ///         inputs: number u64
    ///         smallest key, largest key, family name
    pub const fixed_bytes = 144;
    pub const family_name_bytes_max = 255;

    const number_fields = .{
        "number",    "entry_count",       "delete_count",     "merge_count", "expiring_count", "block_count",
        "raw_bytes", "smallest_sequence", "largest_sequence", "range_count",
    };

    pub fn encode(self: *const Properties, gpa: std.mem.Allocator) error{OutOfMemory}![]u8 {
        const blobs = std.mem.sliceAsBytes(self.blobs);
        const inputs = std.mem.sliceAsBytes(self.origin.inputs);
        const keys_bytes = self.smallest_key.len + self.largest_key.len;
        const out = try gpa.alloc(u8, fixed_bytes + blobs.len + inputs.len + keys_bytes + self.family_name.len);
        @memset(out[0..fixed_bytes], 0);
        std.mem.writeInt(u32, out[0..4], version, .little);
        std.mem.writeInt(u32, out[4..8], self.family, .little);
        std.mem.writeInt(u32, out[8..12], self.block_bytes, .little);
        std.mem.writeInt(u32, out[12..16], self.filter_bits_per_key, .little);
        inline for (number_fields, 0..) |name, i| std.mem.writeInt(u64, out[16 + 8 * i ..][0..8], @field(self, name), .little);
        std.mem.writeInt(u64, out[96..104], self.ranges.offset, .little);
        std.mem.writeInt(u32, out[104..108], self.ranges.bytes, .little);
        std.mem.writeInt(u32, out[108..112], @intFromEnum(self.largest_kind), .little);
        std.mem.writeInt(u32, out[112..116], @intCast(self.smallest_key.len), .little);
        std.mem.writeInt(u32, out[116..120], @intCast(self.largest_key.len), .little);
        std.mem.writeInt(u32, out[120..124], @intCast(self.blobs.len), .little);
        std.mem.writeInt(u32, out[124..128], @intCast(self.family_name.len), .little);
        std.mem.writeInt(u64, out[128..136], self.origin.first_output, .little);
        std.mem.writeInt(u32, out[136..140], @intCast(self.origin.inputs.len), .little);
        std.mem.writeInt(u32, out[140..144], @intFromBool(self.origin.is_last_output), .little);
        var at: usize = fixed_bytes;
        for ([_][]const u8{ blobs, inputs, self.smallest_key, self.largest_key, self.family_name }) |part| {
            @memcpy(out[at..][0..part.len], part);
            at += part.len;
        }
        return out;
    }

    /// What has no fixed size points into `content`.
    pub fn decode(content: []const u8) DecodeError!Properties {
        if (content.len < fixed_bytes) return error.Damaged;
        if (std.mem.readInt(u32, content[0..4], .little) != version) return error.Unsupported;
        const smallest_bytes = std.mem.readInt(u32, content[112..116], .little);
        const largest_bytes = std.mem.readInt(u32, content[116..120], .little);
        if (smallest_bytes > abi.key_bytes_max or largest_bytes > abi.key_bytes_max) return error.Damaged;
        const blob_bytes = @as(u64, std.mem.readInt(u32, content[120..124], .little)) * @sizeOf(BlobUse);
        const name_bytes = std.mem.readInt(u32, content[124..128], .little);
        if (name_bytes > family_name_bytes_max) return error.Damaged;
        const input_bytes = @as(u64, std.mem.readInt(u32, content[136..140], .little)) * @sizeOf(u64);
        if (content.len != fixed_bytes + blob_bytes + input_bytes + smallest_bytes + largest_bytes + name_bytes) return error.Damaged;
        const blobs = content[fixed_bytes..][0..@intCast(blob_bytes)];
        const inputs = content[fixed_bytes + blobs.len ..][0..@intCast(input_bytes)];
        const keys = content[fixed_bytes + blobs.len + inputs.len ..];

        var self: Properties = .{
            .family = std.mem.readInt(u32, content[4..8], .little),
            .block_bytes = std.mem.readInt(u32, content[8..12], .little),
            .filter_bits_per_key = std.mem.readInt(u32, content[12..16], .little),
            .ranges = .{
                .offset = std.mem.readInt(u64, content[96..104], .little),
                .bytes = std.mem.readInt(u32, content[104..108], .little),
            },
            .smallest_key = keys[0..smallest_bytes],
            .largest_key = keys[smallest_bytes..][0..largest_bytes],
            .family_name = content[content.len - name_bytes ..],
            .largest_kind = std.enums.fromInt(abi.BoundKind, std.mem.readInt(u32, content[108..112], .little)) orelse
                return error.Damaged,
            .blobs = @ptrCast(blobs),
            .origin = .{
                .inputs = @ptrCast(inputs),
                .first_output = std.mem.readInt(u64, content[128..136], .little),
                .is_last_output = switch (std.mem.readInt(u32, content[140..144], .little)) {
                    0 => false,
                    1 => true,
                    else => return error.Damaged,
                },
            },
            .number = undefined,
            .entry_count = undefined,
            .delete_count = undefined,
            .merge_count = undefined,
            .expiring_count = undefined,
            .block_count = undefined,
            .raw_bytes = undefined,
            .smallest_sequence = undefined,
            .largest_sequence = undefined,
            .range_count = undefined,
        };
        inline for (number_fields, 0..) |name, i| @field(self, name) = std.mem.readInt(u64, content[16 + 8 * i ..][0..8], .little);
        if (!self.isConsistent()) return error.Damaged;
        return self;
    }

    fn isConsistent(self: *const Properties) bool {
        if (self.entry_count == 0 and self.range_count == 0) return false;
        if ((self.entry_count == 0) != (self.block_count == 0)) return false;
        if ((self.range_count == 0) != (self.ranges.bytes == 0)) return false;
        if (self.ranges.offset > std.math.maxInt(u63)) return false;
        if (self.largest_kind == .unbounded and self.largest_key.len > 0) return false;
        if (self.largest_kind != .inclusive and self.range_count == 0) return false;
        var before: u64 = 0;
        for (self.blobs) |blob| {
            if (blob.number <= before or blob.number > file_name.number_max) return false;
            before = blob.number;
        }
        for (self.origin.inputs) |number| if (number > file_name.number_max) return false;
        if (self.origin.first_output > self.number) return false;
        return true;
    }
};
