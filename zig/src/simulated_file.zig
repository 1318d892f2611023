//! A file of the simulated disk: what a reader sees, what is durable, and the changes between. Under its disk's
//! mutex. What a crash makes of the changes is here, for it is the whole point of the disk: see `crash`.

const std = @import("std");

const gpa = std.heap.c_allocator;
const Bytes = std.ArrayList(u8);

/// A change of a file since its last sync. `synced` ones (RWF_DSYNC) survive, the others may.
pub const Change = struct {
    what: union(enum) { write: struct { offset: u64, bytes: []u8 }, size },
    /// The size that the file had then.
    size: u64,
    synced: bool,
};

/// How one crash, or one failed sync, treats what was not synced. Drawn once, so that "all of it", "none of it" and
/// "nearly all" are as likely as any mixture.
pub const Mood = struct {
    random: std.Random,
    /// The unit in which the medium is written: within it a write is there whole or not at all.
    sector_bytes: u64,
    /// Of 256 changes, so many arrive.
    keep: u32,
    /// What deleted files held: it may shine through where data never arrived.
    recycled: []const u8,

    pub fn draw(random: std.Random, recycled: []const u8) Mood {
        const chances = [_]u32{ 0, 0, 16, 128, 128, 240, 256 };
        return .{
            .random = random,
            .sector_bytes = if (random.boolean()) 512 else 4096,
            .keep = chances[random.uintLessThan(usize, chances.len)],
            .recycled = recycled,
        };
    }

    pub fn keeps(self: *const Mood) bool {
        return self.random.uintLessThan(u32, 256) < self.keep;
    }
};

const Fate = enum { arrived, missing, torn };

pub const Inode = struct {
    number: u64,
    /// The last name that it got, for the log of operations.
    name: []u8 = &.{},
    opens: u32 = 0,
    /// For the sweep of files that nothing leads to.
    reached: bool = false,
    seen: Bytes = .empty,
    durable: Bytes = .empty,
    changes: std.ArrayList(Change) = .empty,

    pub fn write(self: *Inode, offset: u64, bytes: []const u8, synced: bool) error{OutOfMemory}!void {
        if (bytes.len == 0) return;
        const direct = synced and self.changes.items.len == 0;
        if (!direct) try self.changes.ensureUnusedCapacity(gpa, 1);
        const copy: ?[]u8 = if (direct) null else try gpa.dupe(u8, bytes);
        errdefer if (copy) |made| gpa.free(made);
        try put(&self.seen, offset, bytes);
        if (copy) |made| self.changes.appendAssumeCapacity(.{
            .what = .{ .write = .{ .offset = offset, .bytes = made } },
            .size = self.seen.items.len,
            .synced = synced,
        }) else try put(&self.durable, offset, bytes);
    }

    pub fn resize(self: *Inode, bytes: u64) error{OutOfMemory}!void {
        if (bytes == self.seen.items.len) return;
        try self.changes.ensureUnusedCapacity(gpa, 1);
        try setSize(&self.seen, bytes);
        self.changes.appendAssumeCapacity(.{ .what = .size, .size = bytes, .synced = false });
    }

    /// What was written since the last sync, and is not lost, becomes durable.
    pub fn sync(self: *Inode) error{OutOfMemory}!void {
        for (self.changes.items) |change| switch (change.what) {
            .write => |written| try put(&self.durable, written.offset, written.bytes),
            .size => if (change.size < self.durable.items.len) try setSize(&self.durable, change.size),
        };
        try setSize(&self.durable, self.seen.items.len);
        self.forgetChanges();
    }

    /// A sync that failed: what of the changes reached the medium is decided now, and no later sync writes the rest,
    /// though readers go on seeing it.
    pub fn lose(self: *Inode, mood: *const Mood) error{OutOfMemory}!void {
        try self.settle(mood);
    }

    /// Power failure: readers find what is durable, and of the rest what arrived.
    pub fn crash(self: *Inode, mood: *const Mood) error{OutOfMemory}!void {
        try self.settle(mood);
        self.seen.clearRetainingCapacity();
        try self.seen.appendSlice(gpa, self.durable.items);
    }

    /// Changes are drawn one by one: a write arrives whole, not at all, or sector by sector; the file has one of the
    /// sizes that it went through. Synced writes always arrive, and so does the size that they need. Where a write
    /// did not arrive, the medium has what was there before, zeros, or what a deleted file left.
    fn settle(self: *Inode, mood: *const Mood) error{OutOfMemory}!void {
        const changes = self.changes.items;
        if (changes.len == 0) return;
        const random = mood.random;
        const durable_bytes = self.durable.items.len;

        var bytes_needed = durable_bytes;
        var bytes_max = durable_bytes;
        for (changes) |change| {
            bytes_max = @max(bytes_max, change.size);
            switch (change.what) {
                .write => |written| if (change.synced) {
                    bytes_needed = @max(bytes_needed, written.offset + written.bytes.len);
                },
                .size => {},
            }
        }
        const size_index = sizeIndex(mood, changes.len);
        const size_drawn = if (size_index == 0) durable_bytes else changes[size_index - 1].size;

        try setSize(&self.durable, bytes_max);
        for (changes) |change| if (!change.synced and change.what == .write) {
            const written = change.what.write;
            self.haunt(mood, @max(written.offset, durable_bytes), written.offset + written.bytes.len);
        };
        for (changes, 1..) |change, index| switch (change.what) {
            .size => if (index <= size_index and change.size < bytes_max) {
                @memset(self.durable.items[@intCast(change.size)..], 0);
            },
            .write => |written| {
                const fate: Fate = if (change.synced) .arrived else fateOf(mood, written.bytes.len);
                if (fate == .missing) continue;
                var at: u64 = 0;
                while (at < written.bytes.len) {
                    const sector_end = (written.offset + at) / mood.sector_bytes * mood.sector_bytes + mood.sector_bytes;
                    const piece_end = @min(sector_end - written.offset, written.bytes.len);
                    if (fate == .arrived or random.boolean()) {
                        const piece = written.bytes[@intCast(at)..@intCast(piece_end)];
                        @memcpy(self.durable.items[@intCast(written.offset + at)..][0..piece.len], piece);
                    }
                    at = piece_end;
                }
            },
        };
        // Shrinking is only ever undone as a whole: what is needed for synced writes stands.
        const shrunk = size_index > 0 and size_drawn < durable_bytes;
        try setSize(&self.durable, if (shrunk) size_drawn else @max(size_drawn, bytes_needed));
        self.forgetChanges();
    }

    /// Old content of recycled blocks, now and then, where the file had none of its own.
    fn haunt(self: *Inode, mood: *const Mood, start: u64, end: u64) void {
        if (start >= end or mood.recycled.len == 0 or mood.random.uintLessThan(u32, 4) != 0) return;
        const target = self.durable.items[@intCast(start)..@intCast(end)];
        for (target, @as(usize, @intCast(start))..) |*byte, at| byte.* = mood.recycled[at % mood.recycled.len];
    }

    /// A bit of the medium turns over, in what is on its way there too. REQUIRES: `offset` is in the file.
    pub fn rot(self: *Inode, offset: u64, bit: u3) void {
        const mask = @as(u8, 1) << bit;
        self.seen.items[@intCast(offset)] ^= mask;
        if (offset < self.durable.items.len) self.durable.items[@intCast(offset)] ^= mask;
        for (self.changes.items) |change| switch (change.what) {
            .write => |written| if (offset >= written.offset and offset - written.offset < written.bytes.len) {
                written.bytes[@intCast(offset - written.offset)] ^= mask;
            },
            .size => {},
        };
    }

    /// Other content, durable.
    pub fn replace(self: *Inode, content: []const u8) error{OutOfMemory}!void {
        for ([_]*Bytes{ &self.seen, &self.durable }) |list| {
            try list.ensureTotalCapacity(gpa, content.len);
            list.clearRetainingCapacity();
            list.appendSliceAssumeCapacity(content);
        }
        self.forgetChanges();
    }

    pub fn forgetChanges(self: *Inode) void {
        for (self.changes.items) |change| switch (change.what) {
            .write => |written| gpa.free(written.bytes),
            .size => {},
        };
        self.changes.clearRetainingCapacity();
    }

    pub fn setName(self: *Inode, name: []const u8) error{OutOfMemory}!void {
        const copy = try gpa.dupe(u8, name);
        gpa.free(self.name);
        self.name = copy;
    }

    pub fn destroy(self: *Inode) void {
        self.forgetChanges();
        self.changes.deinit(gpa);
        self.seen.deinit(gpa);
        self.durable.deinit(gpa);
        gpa.free(self.name);
        gpa.destroy(self);
    }
};

/// Zero: none of the new sizes arrived.
fn sizeIndex(mood: *const Mood, count: usize) usize {
    if (mood.keep == 0) return 0;
    if (mood.keep == 256) return count;
    return mood.random.uintAtMost(usize, count);
}

fn fateOf(mood: *const Mood, bytes: usize) Fate {
    if (mood.keep == 0) return .missing;
    if (mood.keep == 256) return .arrived;
    if (bytes > 1 and mood.random.uintLessThan(u32, 3) == 0) return .torn;
    return if (mood.keeps()) .arrived else .missing;
}

fn put(into: *Bytes, offset: u64, bytes: []const u8) error{OutOfMemory}!void {
    const end: usize = @intCast(offset + bytes.len);
    if (end > into.items.len) try setSize(into, end);
    @memcpy(into.items[@intCast(offset)..end], bytes);
}

fn setSize(list: *Bytes, bytes: u64) error{OutOfMemory}!void {
    const before = list.items.len;
    try list.resize(gpa, @intCast(bytes));
    if (bytes > before) @memset(list.items[before..], 0);
}
