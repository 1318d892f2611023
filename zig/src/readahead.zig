//! Reading ahead for whoever walks a level's blocks forward from the disk: the first block is read alone, for most
//! ranges are short; from the second on whole stretches are, twice as many bytes each time, up to 256 KiB in one call.
//! The stretch stays here, as it lies in the file, and blocks are taken from it one by one as they are come to; the
//! cache gets each as its coldest (block_cache.zig). One walk's own: one thread at a time.

const std = @import("std");
const block_cache = @import("block_cache.zig");
const fault = @import("fault.zig");
const table_file = @import("table_file.zig");
const table_reader = @import("table_reader.zig");
const Access = table_reader.Access;
const Fault = fault.Fault;
const Table = table_reader.Table;

pub const bytes_min = 16 << 10;
pub const bytes_max = 256 << 10;

/// What all walks of the process may keep; beyond, a walk reads block by block.
const total_max = 32 << 20;
var total: std.atomic.Value(usize) = .init(0);

/// A block's place in a level.
pub const Place = struct {
    table: usize,
    block: usize,

    fn isBehind(self: Place, last: Place) bool {
        if (self.table == last.table) return self.block == last.block or self.block == last.block + 1;
        return self.table == last.table + 1 and self.block == 0;
    }
};

pub const Readahead = struct {
    window: table_file.Window = .{},
    /// Whose bytes the window has.
    table: ?*const Table = null,
    /// Of the last stretch that was read; zero: the walk has not been seen to go on yet.
    bytes: usize = 0,
    last: ?Place = null,

    pub fn deinit(self: *Readahead) void {
        _ = total.fetchSub(self.window.memory.len, .monotonic);
        self.window.deinit();
    }

    /// The block at `place`, which is block `place.block` of `table`, with a reference for the caller.
    pub fn block(self: *Readahead, table: *Table, place: Place, access: Access, failure: *Fault) fault.Error!*block_cache.Block {
        const goes_on = if (self.last) |last| place.isBehind(last) else false;
        const found = table.cachedBlock(place.block) orelse try self.miss(table, place.block, goes_on, access, failure);
        self.last = place;
        return found;
    }

    fn miss(self: *Readahead, table: *Table, number: usize, goes_on: bool, access: Access, failure: *Fault) fault.Error!*block_cache.Block {
        if (self.stored(table, number)) |bytes| return take(table, number, bytes, failure);
        if (access == .cached) return failure.fail(.would_block);
        if (!goes_on) {
            self.bytes = 0;
            return table.block(number, access, failure);
        }
        const wanted = if (self.bytes == 0) bytes_min else @min(2 * self.bytes, bytes_max);
        // Nothing to gain where one block takes a read of its own anyway.
        if (table.storedBytes(number) >= wanted or !self.reserve(wanted)) {
            table.countMiss();
            return block_cache.global.insertColdest(try table.readBlock(number, failure));
        }
        self.bytes = wanted;
        return take(table, number, try self.read(table, number, wanted, failure), failure);
    }

    fn take(table: *Table, number: usize, bytes: []const u8, failure: *Fault) fault.Error!*block_cache.Block {
        table.countMiss();
        return block_cache.global.insertColdest(try table.decodeBlock(number, bytes, failure));
    }

    /// The block from the window, not from the cache, nor into it: for whoever wants the disk's own bytes.
    pub fn freshBlock(self: *Readahead, table: *Table, number: usize, failure: *Fault) fault.Error!*block_cache.Block {
        const is_large = table.storedBytes(number) >= bytes_max;
        const held = if (is_large) null else self.stored(table, number);
        if (held) |bytes| return table.decodeBlock(number, bytes, failure);
        if (is_large or !self.reserve(bytes_max)) return table.readBlock(number, failure);
        return table.decodeBlock(number, try self.read(table, number, bytes_max, failure), failure);
    }

    /// Fills the window with as many whole blocks from this one on as `wanted` bytes hold.
    fn read(self: *Readahead, table: *Table, number: usize, wanted: usize, failure: *Fault) fault.Error![]const u8 {
        self.table = null;
        const start = table.blockOffset(number);
        const result = self.window.read(&table.file, start, table.stretchBytes(number, wanted));
        if (result < 0) return failure.system(result);
        self.table = table;
        return self.stored(table, number) orelse failure.corrupt(table.file.number, start);
    }

    /// The block as it lies in the window, trailer included.
    fn stored(self: *const Readahead, table: *const Table, number: usize) ?[]const u8 {
        if (self.table != table) return null;
        return self.window.slice(table.blockOffset(number), table.storedBytes(number));
    }

    /// Room in the window for so many bytes. False: walks have taken enough.
    fn reserve(self: *Readahead, wanted: usize) bool {
        const needed = table_file.Window.memoryBytes(wanted);
        const has = self.window.memory.len;
        if (needed <= has) return true;
        if (total.fetchAdd(needed - has, .monotonic) + needed - has > total_max) {
            _ = total.fetchSub(needed - has, .monotonic);
            return false;
        }
        if (!self.window.resize(needed)) {
            _ = total.fetchSub(needed - has, .monotonic);
            return false;
        }
        self.table = null;
        return true;
    }
};
