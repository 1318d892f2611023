//! The file behind an open table, or behind a blob segment's reader; table_files.zig opens and closes it as descriptors
//! allow. What a file of one store and number once held never changes, and the reader checks what it reads against the
//! number. Any thread may call.

const std = @import("std");
const abi = @import("abi.zig");
const file_table = @import("file_table.zig");
const table_files = @import("table_files.zig");
const TableFiles = table_files.TableFiles;

const gpa = std.heap.c_allocator;
/// What direct reads take: offsets, lengths and memory in multiples of this. Tables are whole multiples, too.
pub const unit_bytes = abi.block_bytes;

pub const TableFile = struct {
    files: *TableFiles,
    counters: *abi.Counters,
    number: u64,
    kind: abi.FileKind = .table,

    // Under `table_files.mutex`.
    file: ?*file_table.File = null,
    users: u32 = 0,
    /// Not closed before the table, while there is a store: its name is going to be unlinked.
    kept: bool = false,
    newer: ?*TableFile = null,
    older: ?*TableFile = null,

    pub fn init(files: *TableFiles, number: u64) TableFile {
        return .{ .files = files, .counters = files.counters, .number = number };
    }

    /// Fills the buffer. The number of bytes read (short at the end of the file), or errno or Code.
    pub fn pread(self: *TableFile, buffer: []u8, offset: u64) i64 {
        const result = self.acquire();
        if (result < 0) return result;
        defer self.unuse();
        const file = self.file.?;
        if (!file.direct) return file.pread(buffer, offset);
        _ = @atomicRmw(u64, &self.counters.table_reads_direct, .Add, 1, .monotonic);
        const is_aligned = (@intFromPtr(buffer.ptr) | buffer.len | offset) % unit_bytes == 0;
        return if (is_aligned) file.pread(buffer, offset) else preadAround(file, buffer, offset);
    }

    /// The covering units by way of memory of their own.
    fn preadAround(file: *file_table.File, buffer: []u8, offset: u64) i64 {
        const start = std.mem.alignBackward(u64, offset, unit_bytes);
        const skipped: usize = @intCast(offset - start);
        const bytes = std.mem.alignForward(usize, skipped + buffer.len, unit_bytes);
        const memory = gpa.alignedAlloc(u8, .fromByteUnits(unit_bytes), bytes) catch return abi.Code.no_memory.int();
        defer gpa.free(memory);
        const result = file.pread(memory, start);
        if (result < 0) return result;
        const got = @min(@as(usize, @intCast(result)) -| skipped, buffer.len);
        @memcpy(buffer[0..got], memory[skipped..][0..got]);
        return @intCast(got);
    }

    pub fn size(self: *TableFile) i64 {
        const result = self.acquire();
        if (result < 0) return result;
        defer self.unuse();
        return self.file.?.size();
    }

    /// Takes over a file that is open already.
    pub fn adopt(self: *TableFile, file: *file_table.File) void {
        table_files.mutex.lock();
        defer table_files.mutex.unlock();
        self.files.makeRoom();
        self.files.attach(self, file);
    }

    /// From now on the name may go: the descriptor stays. Zero, or errno or Code.
    pub fn keep(self: *TableFile) i64 {
        const result = self.acquire();
        if (result < 0) return result;
        table_files.mutex.lock();
        self.kept = true;
        table_files.mutex.unlock();
        self.unuse();
        return 0;
    }

    /// REQUIRES: nobody uses it any more.
    pub fn close(self: *TableFile) void {
        table_files.mutex.lock();
        defer table_files.mutex.unlock();
        if (self.file != null) self.closeNow();
    }

    /// REQUIRES: `table_files.mutex`; open, and without users.
    pub fn closeNow(self: *TableFile) void {
        std.debug.assert(self.users == 0);
        const file = self.file.?;
        self.files.detach(self);
        file.close();
    }

    /// Zero, and the file is open until `unuse`; or errno or Code.
    pub fn acquire(self: *TableFile) i64 {
        table_files.mutex.lock();
        defer table_files.mutex.unlock();
        if (self.file == null) {
            const result = self.files.open(self);
            if (result < 0) return result;
        }
        self.files.touch(self);
        self.users += 1;
        return 0;
    }

    pub fn unuse(self: *TableFile) void {
        table_files.mutex.lock();
        defer table_files.mutex.unlock();
        self.users -= 1;
    }
};

/// Consecutive bytes of a table's file in memory of its own, in whole units, as a direct read takes them.
pub const Window = struct {
    memory: []align(unit_bytes) u8 = &.{},
    offset: u64 = 0,
    filled: usize = 0,

    pub fn deinit(self: *Window) void {
        gpa.free(self.memory);
        self.* = .{};
    }

    /// What memory a window over so many bytes takes at most.
    pub fn memoryBytes(bytes: usize) usize {
        // The range may begin and end inside of units.
        return std.mem.alignForward(usize, bytes, unit_bytes) + unit_bytes;
    }

    /// Gives the window other memory, and empties it. False: there is none, and the window is as it was.
    pub fn resize(self: *Window, memory_bytes: usize) bool {
        const memory = gpa.alignedAlloc(u8, .fromByteUnits(unit_bytes), memory_bytes) catch return false;
        gpa.free(self.memory);
        self.* = .{ .memory = memory };
        return true;
    }

    /// Reads what covers the range, in one call. Zero, or errno or Code, and then the window is empty. A file that ends
    /// before leaves the window short. REQUIRES: memory of `memoryBytes(bytes)`.
    pub fn read(self: *Window, file: *TableFile, offset: u64, bytes: usize) i64 {
        self.filled = 0;
        self.offset = std.mem.alignBackward(u64, offset, unit_bytes);
        const wanted: usize = @intCast(std.mem.alignForward(u64, offset + bytes, unit_bytes) - self.offset);
        const result = file.pread(self.memory[0..wanted], self.offset);
        if (result < 0) return result;
        self.filled = @intCast(result);
        return 0;
    }

    /// Null: the window does not hold all of it.
    pub fn slice(self: *const Window, offset: u64, bytes: usize) ?[]const u8 {
        if (offset < self.offset) return null;
        const at = offset - self.offset;
        if (at > self.filled or bytes > self.filled - at) return null;
        return self.memory[@intCast(at)..][0..bytes];
    }
};
