//! Copies living values out of the blob segments that a compaction is to empty, into one that its caller has made for it
//! (docs/blobs.md). Values lie there one after the other, each from a block's start. Making the segment durable, and
//! naming it, is the caller's. One thread at a time.
//!
//! A value that cannot be read stays where it is, and its segment with it: a damaged value is its reader's to hear of, and no
//! reason to keep the tree as it is.

const std = @import("std");
const abi = @import("abi.zig");
const blob_set = @import("blob_set.zig");
const checksum = @import("checksum.zig");
const fault = @import("fault.zig");
const file_table = @import("file_table.zig");
const table_output = @import("table_output.zig");
const BlobValue = @import("blob_value.zig").BlobValue;
const Fault = fault.Fault;
const Store = @import("store.zig").Store;

const gpa = std.heap.c_allocator;

pub const BlobMover = struct {
    /// Ascending numbers of the segments to empty.
    sources: []u64,
    /// Handle of the new segment's file, and whose it is.
    file: i32,
    owner: i32,
    number: u64,
    /// Where the next value goes.
    end: u64 = abi.block_bytes,
    values: BlobValue,

    /// Null where the request asks for nothing of the kind.
    pub fn init(store: *Store, request: *const abi.CompactionRequest, sources: []align(1) const f64, failure: *Fault) fault.Error!?BlobMover {
        if (sources.len == 0) return null;
        const number = table_output.numberOf(request.blob_number) orelse return failure.fail(.invalid);
        if (number == 0) return failure.fail(.invalid);
        const numbers = try table_output.copySnapshots(gpa, sources, failure);
        errdefer gpa.free(numbers);
        if (std.mem.indexOfScalar(u64, numbers, number) != null) return failure.fail(.invalid);
        return .{
            .sources = numbers,
            .file = request.blob_file,
            .owner = store.handle,
            .number = number,
            .values = BlobValue.init(store.blobs) catch return failure.fail(.no_memory),
        };
    }

    pub fn deinit(self: *BlobMover) void {
        self.values.deinit();
        gpa.free(self.sources);
    }

    /// Bytes that went to the segment.
    pub fn bytesWritten(self: *const BlobMover) u64 {
        return self.end - abi.block_bytes;
    }

    /// The value's new address; null: it stays.
    pub fn move(self: *BlobMover, address: abi.BlobAddress, failure: *Fault) fault.Error!?abi.BlobAddress {
        const from = table_output.numberOf(address.number) orelse return null;
        if (std.sort.binarySearch(u64, self.sources, from, order) == null) return null;
        var unreadable: Fault = .{};
        const value = self.values.read(std.mem.asBytes(&address), .disk, &unreadable) catch {
            if (!unreadable.is(.no_memory) and !unreadable.is(.closed)) return null;
            failure.* = unreadable;
            return error.Fault;
        };
        // Read into whole blocks, so written from there.
        const blocks = self.values.buffer[0..std.mem.alignForward(usize, value.len, abi.block_bytes)];
        @memset(blocks[value.len..], 0);
        const file = file_table.acquire(self.file, self.owner) orelse return failure.fail(.closed);
        defer file_table.release(self.file);
        const written = file.write(blocks, self.end);
        if (written < 0) return failure.system(written);
        const moved: abi.BlobAddress = .{
            .number = @floatFromInt(self.number),
            .offset = @floatFromInt(self.end),
            .bytes = address.bytes,
            .checksum = blob_set.checksumOf(checksum.crc32c(value), self.number, self.end),
        };
        self.end += blocks.len;
        return moved;
    }

    fn order(wanted: u64, item: u64) std.math.Order {
        return std.math.order(wanted, item);
    }
};
