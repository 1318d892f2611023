//! The file behind an open table. Descriptors are scarcer than tables: at most a fraction of the process's limit
//! is open at a time, and a table's file is opened again when a read needs it. Files of one store and number never
//! change, and the reader checks what it reads against the number. Any thread may call.

const std = @import("std");
const abi = @import("abi.zig");
const disk = @import("disk.zig");
const file_name = @import("file_name.zig");
const file_table = @import("file_table.zig");
const locks = @import("locks.zig");
const system = @import("system.zig");

pub const TableFile = struct {
    disk: disk.Disk,
    directory: disk.DirectoryHandle,
    counters: *abi.Counters,
    number: u64,

    // Under `mutex`.
    file: ?*file_table.File = null,
    users: u32 = 0,
    /// Never closed before the table: its name is going to be unlinked.
    kept: bool = false,
    used_lately: bool = false,
    next: ?*TableFile = null,
    previous: ?*TableFile = null,

    /// Fills the buffer. The number of bytes read (short at the end of the file), or errno or Code.
    pub fn pread(self: *TableFile, buffer: []u8, offset: u64) i64 {
        const result = self.acquire();
        if (result < 0) return result;
        defer self.unuse();
        return self.file.?.pread(buffer, offset);
    }

    pub fn size(self: *TableFile) i64 {
        const result = self.acquire();
        if (result < 0) return result;
        defer self.unuse();
        return self.file.?.size();
    }

    /// Takes over a file that is open already.
    pub fn adopt(self: *TableFile, file: *file_table.File) void {
        mutex.lock();
        defer mutex.unlock();
        makeRoom();
        self.attach(file);
    }

    /// From now on the name may go: the descriptor stays. Zero, or errno or Code.
    pub fn keep(self: *TableFile) i64 {
        const result = self.acquire();
        if (result < 0) return result;
        mutex.lock();
        self.kept = true;
        mutex.unlock();
        self.unuse();
        return 0;
    }

    /// REQUIRES: nobody uses it any more.
    pub fn close(self: *TableFile) void {
        mutex.lock();
        const file = self.file;
        if (file != null) self.detach();
        mutex.unlock();
        if (file) |open| open.close();
    }

    fn acquire(self: *TableFile) i64 {
        mutex.lock();
        defer mutex.unlock();
        while (self.file == null) {
            makeRoom();
            var name_buffer: [file_name.name_bytes_max]u8 = undefined;
            const kind = @intFromEnum(abi.FileKind.table);
            const name = file_name.format(kind, @floatFromInt(self.number), &name_buffer) orelse return abi.Code.invalid.int();
            switch (file_table.open(self.disk, self.directory, name, .{ .read_only = true }, self.counters)) {
                .file => |file| self.attach(file),
                .failed => |result| {
                    const scarce = system.is(result, .MFILE) or system.is(result, .NFILE);
                    if (!scarce or !closeOne()) return result;
                },
            }
        }
        self.used_lately = true;
        self.users += 1;
        return 0;
    }

    fn unuse(self: *TableFile) void {
        mutex.lock();
        defer mutex.unlock();
        self.users -= 1;
    }

    fn attach(self: *TableFile, file: *file_table.File) void {
        self.file = file;
        self.used_lately = true;
        if (hand) |at| {
            self.next = at;
            self.previous = at.previous;
            at.previous.?.next = self;
            at.previous = self;
        } else {
            self.next = self;
            self.previous = self;
            hand = self;
        }
        open_count += 1;
    }

    fn detach(self: *TableFile) void {
        self.file = null;
        open_count -= 1;
        if (self.next == self) {
            hand = null;
        } else {
            self.previous.?.next = self.next;
            self.next.?.previous = self.previous;
            if (hand == self) hand = self.next;
        }
        self.next = null;
        self.previous = null;
    }
};

/// Held while a file is opened, too: that is rare, and two threads then never open the same one.
var mutex: locks.Mutex = .{};
/// Ring of the open ones, where the clock's hand stands.
var hand: ?*TableFile = null;
var open_count: u32 = 0;
var open_max: u32 = 0;

/// Half of what the process may have; the logs, the manifest and the host need theirs.
fn openMax() u32 {
    if (open_max != 0) return open_max;
    var limit: std.c.rlimit = undefined;
    const soft: u64 = if (std.c.getrlimit(.NOFILE, &limit) == 0) @intCast(limit.cur) else 256;
    open_max = @intCast(std.math.clamp(soft / 2, 8, 4096));
    return open_max;
}

fn makeRoom() void {
    while (open_count >= openMax()) if (!closeOne()) return;
}

/// Closes one that nobody is reading and that was not used since the hand last came by. False: there is none.
fn closeOne() bool {
    var steps = 2 * open_count;
    while (steps > 0) : (steps -= 1) {
        const at = hand orelse return false;
        hand = at.next;
        if (at.users > 0 or at.kept) continue;
        if (at.used_lately) {
            at.used_lately = false;
            continue;
        }
        const file = at.file.?;
        at.detach();
        file.close();
        return true;
    }
    return false;
}
