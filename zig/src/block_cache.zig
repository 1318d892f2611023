//! Blocks of tables in memory: one cache for the process, in shards with a lock each. Any thread may call.
//!
//! The budget is strict: what the cache holds, its own overhead included, never exceeds it. A block that is
//! evicted while somebody reads it lives until that reader releases it.
//!
//! Replacement is S3-FIFO: a new block enters a small queue (a tenth), and only if it is asked for again before it
//! gets to its end does it move to the main one; a scan passes through and leaves the rest alone. Fingerprints
//! of what left the small queue lately let a block that comes back enter the main one at once.

const std = @import("std");
const abi = @import("abi.zig");
const locks = @import("locks.zig");

const gpa = std.heap.c_allocator;
const shard_count = 16;
const ghost_count = 4096;
const uses_max = 3;

pub const default_capacity = 64 << 20;

pub const Block = struct {
    /// Readers, and the cache itself while it holds the block.
    references: std.atomic.Value(u32),
    table: u64,
    offset: u64,
    content: []u8,

    // Under the shard's lock.
    queue: enum(u8) { none, small, main } = .none,
    uses: u8 = 0,
    chain: ?*Block = null,
    newer: ?*Block = null,
    older: ?*Block = null,

    const alignment: std.mem.Alignment = .of(Block);

    /// A block of the caller's, with one reference and room for `bytes`. Null: no memory.
    pub fn create(table: u64, offset: u64, bytes: usize) ?*Block {
        const memory = gpa.alignedAlloc(u8, alignment, @sizeOf(Block) + bytes) catch return null;
        const block: *Block = @ptrCast(memory.ptr);
        block.* = .{
            .references = .init(1),
            .table = table,
            .offset = offset,
            .content = memory[@sizeOf(Block)..],
        };
        return block;
    }

    pub fn release(self: *Block) void {
        if (self.references.fetchSub(1, .acq_rel) > 1) return;
        const memory: [*]align(@alignOf(Block)) u8 = @ptrCast(self);
        gpa.free(memory[0 .. @sizeOf(Block) + self.content.len]);
    }

    /// The allocator's header and rounding, and the hash table's share, included.
    fn charge(self: *const Block) u64 {
        return @sizeOf(Block) + self.content.len + 48;
    }
};

/// Newest at the front, oldest at the back.
const Queue = struct {
    front: ?*Block = null,
    back: ?*Block = null,
    bytes: u64 = 0,

    fn push(self: *Queue, block: *Block) void {
        block.newer = null;
        block.older = self.front;
        if (self.front) |front| front.newer = block else self.back = block;
        self.front = block;
        self.bytes += block.charge();
    }

    fn remove(self: *Queue, block: *Block) void {
        if (block.newer) |newer| newer.older = block.older else self.front = block.older;
        if (block.older) |older| older.newer = block.newer else self.back = block.newer;
        self.bytes -= block.charge();
    }
};

const Shard = struct {
    mutex: locks.Mutex = .{},
    buckets: []?*Block = &.{},
    count: usize = 0,
    small: Queue = .{},
    main: Queue = .{},
    ghosts: [ghost_count]u32 = @splat(0),

    fn bytes(self: *const Shard) u64 {
        return self.small.bytes + self.main.bytes;
    }

    fn find(self: *Shard, hash: u64, table: u64, offset: u64) ?*Block {
        if (self.buckets.len == 0) return null;
        var at = self.buckets[bucketOf(hash, self.buckets.len)];
        while (at) |block| : (at = block.chain) {
            if (block.offset == offset and block.table == table) return block;
        }
        return null;
    }

    /// False: no memory for a larger table, and none at all so far.
    fn grow(self: *Shard) bool {
        if (self.count < self.buckets.len) return true;
        const larger = gpa.alloc(?*Block, @max(64, self.buckets.len * 2)) catch return self.buckets.len > 0;
        @memset(larger, null);
        for (self.buckets) |first| {
            var at = first;
            while (at) |block| {
                at = block.chain;
                const bucket = &larger[bucketOf(hashOf(block.table, block.offset), larger.len)];
                block.chain = bucket.*;
                bucket.* = block;
            }
        }
        gpa.free(self.buckets);
        self.buckets = larger;
        return true;
    }

    /// Takes the block out and gives the cache's reference back.
    fn drop(self: *Shard, block: *Block) void {
        var place = &self.buckets[bucketOf(hashOf(block.table, block.offset), self.buckets.len)];
        while (place.*.? != block) place = &place.*.?.chain;
        place.* = block.chain;
        self.count -= 1;
        switch (block.queue) {
            .small => self.small.remove(block),
            .main => self.main.remove(block),
            .none => unreachable,
        }
        block.queue = .none;
        block.release();
    }

    fn shrinkTo(self: *Shard, target: u64, capacity: u64) void {
        while (self.bytes() > target) {
            const from_small = self.main.back == null or (self.small.back != null and self.small.bytes > capacity / 10);
            if (from_small) {
                const block = self.small.back.?;
                if (block.uses > 1) {
                    self.small.remove(block);
                    block.uses = 0;
                    block.queue = .main;
                    self.main.push(block);
                } else {
                    const hash = hashOf(block.table, block.offset);
                    self.ghosts[ghostOf(hash)] = fingerprint(hash);
                    self.drop(block);
                }
            } else {
                const block = self.main.back.?;
                if (block.uses > 0) {
                    block.uses -= 1;
                    self.main.remove(block);
                    self.main.push(block);
                } else self.drop(block);
            }
        }
    }
};

pub const BlockCache = struct {
    shards: [shard_count]Shard = @splat(.{}),
    /// Zero means `default_capacity`, so that an unused cache is all zeros; off is 1.
    capacity_setting: std.atomic.Value(u64) = .{ .raw = 0 },

    pub fn capacity(self: *const BlockCache) u64 {
        const setting = self.capacity_setting.load(.monotonic);
        return if (setting == 0) default_capacity else setting;
    }

    /// Takes effect at once. Shared evenly by the shards, so a block larger than a sixteenth is never kept.
    pub fn setCapacity(self: *BlockCache, bytes_max: u64) void {
        self.capacity_setting.store(@max(1, bytes_max), .monotonic);
        for (&self.shards) |*shard| {
            shard.mutex.lock();
            defer shard.mutex.unlock();
            const share = self.capacity() / shard_count;
            shard.shrinkTo(share, share);
        }
    }

    /// The block, with a reference for the caller.
    pub fn find(self: *BlockCache, table: u64, offset: u64) ?*Block {
        const hash = hashOf(table, offset);
        const shard = self.shardOf(hash);
        shard.mutex.lock();
        defer shard.mutex.unlock();
        const block = shard.find(hash, table, offset) orelse return null;
        if (block.uses < uses_max) block.uses += 1;
        _ = block.references.fetchAdd(1, .monotonic);
        return block;
    }

    /// Offers a block that `create` made and its caller filled; the caller's reference stays the caller's. Returns the
    /// block to use: another thread may have been first, and then the offered one is released.
    pub fn insert(self: *BlockCache, block: *Block) *Block {
        const hash = hashOf(block.table, block.offset);
        const shard = self.shardOf(hash);
        shard.mutex.lock();
        defer shard.mutex.unlock();
        if (shard.find(hash, block.table, block.offset)) |first| {
            _ = first.references.fetchAdd(1, .monotonic);
            block.release();
            return first;
        }
        const share = self.capacity() / shard_count;
        if (block.charge() > share or !shard.grow()) return block;
        shard.shrinkTo(share - block.charge(), share);
        const ghost = &shard.ghosts[ghostOf(hash)];
        const seen_lately = ghost.* == fingerprint(hash);
        const bucket = &shard.buckets[bucketOf(hash, shard.buckets.len)];
        block.chain = bucket.*;
        bucket.* = block;
        shard.count += 1;
        block.uses = 0;
        block.queue = if (seen_lately) .main else .small;
        if (seen_lately) shard.main.push(block) else shard.small.push(block);
        _ = block.references.fetchAdd(1, .monotonic);
        return block;
    }

    /// Forgets a block: its table is gone.
    pub fn erase(self: *BlockCache, table: u64, offset: u64) void {
        const hash = hashOf(table, offset);
        const shard = self.shardOf(hash);
        shard.mutex.lock();
        defer shard.mutex.unlock();
        if (shard.find(hash, table, offset)) |block| shard.drop(block);
    }

    /// Bytes held now, overhead included.
    pub fn bytes(self: *BlockCache) u64 {
        var sum: u64 = 0;
        for (&self.shards) |*shard| {
            shard.mutex.lock();
            defer shard.mutex.unlock();
            sum += shard.bytes();
        }
        return sum;
    }

    fn shardOf(self: *BlockCache, hash: u64) *Shard {
        return &self.shards[@intCast(hash >> 60)];
    }
};

/// The one of the process.
pub var global: BlockCache = .{};

fn hashOf(table: u64, offset: u64) u64 {
    var h = (table *% 0x9e37_79b9_7f4a_7c15) ^ offset;
    h = (h ^ (h >> 32)) *% 0xd6e8_feb8_6659_fd93;
    h = (h ^ (h >> 32)) *% 0xd6e8_feb8_6659_fd93;
    return h ^ (h >> 32);
}

fn bucketOf(hash: u64, bucket_count: usize) usize {
    return @intCast(hash & (bucket_count - 1));
}

fn ghostOf(hash: u64) usize {
    return @intCast((hash >> 20) & (ghost_count - 1));
}

/// Never zero, which marks an empty place.
fn fingerprint(hash: u64) u32 {
    return @as(u32, @truncate(hash >> 28)) | 1;
}

const testing = std.testing;

test "the cache keeps within its budget, and a scan does not drive out what is used" {
    const cache = try testing.allocator.create(BlockCache);
    defer testing.allocator.destroy(cache);
    cache.* = .{};
    defer for (&cache.shards) |*shard| gpa.free(shard.buckets);
    cache.setCapacity(4 << 20);
    // 200 blocks of 4 KiB are used over and over, while 20,000 pass by.
    for (0..20_000) |i| {
        cache.insert(Block.create(1, i * 4096, 4096).?).release();
        for (0..3) |k| {
            const hot = (i * 3 + k) % 200;
            if (cache.find(2, hot * 4096)) |block| block.release() else cache.insert(Block.create(2, hot * 4096, 4096).?).release();
        }
        if (i % 100 == 0) try testing.expect(cache.bytes() <= 4 << 20);
    }
    var found: u32 = 0;
    for (0..200) |hot| {
        if (cache.find(2, hot * 4096)) |block| {
            found += 1;
            block.release();
        }
    }
    try testing.expect(found > 195);

    // Too large for a shard, evicted under a reader, and given up altogether.
    cache.insert(Block.create(3, 0, 1 << 20).?).release();
    try testing.expectEqual(null, cache.find(3, 0));
    const held = cache.insert(Block.create(4, 0, 4096).?);
    @memset(held.content, 7);
    cache.setCapacity(0);
    try testing.expectEqual(0, cache.bytes());
    try testing.expectEqual(7, held.content[4095]);
    held.release();
}
