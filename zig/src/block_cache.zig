//! Blocks of tables in memory: one cache for the process. Any thread may call.
//!
//! A table keeps a `Slot` for each of its blocks, and a slot leads straight to the block while the cache holds it: a
//! hit costs no search and no lock but the slot's own, held for a few instructions. What comes and goes is decided in
//! shards, each under a mutex; shards take slots' locks, never the other way round.
//!
//! The budget is strict: what the cache holds, its own overhead included, never exceeds it. A block that is
//! evicted while somebody reads it lives until that reader releases it.
//!
//! Replacement is S3-FIFO: a new block enters a small queue (a tenth), and only if it is asked for again before it
//! gets to its end does it move to the main one. Fingerprints of what left the small queue lately let a block that
//! comes back enter the main one at once. Blocks that a scan reads ahead take only room that is free: they enter at
//! the small queue's end, and one that finds no room leaves its fingerprint, so that the next scan may bring it in.
//!
//! A cached block is decompressed, and the budget counts it so.

const std = @import("std");
const block_memory = @import("block_memory.zig");
const locks = @import("locks.zig");

const shard_count = 16;
const ghost_count = 4096;
const uses_max = 3;

pub const default_capacity = 64 << 20;

/// Where a table finds one of its blocks. All zeros: not in the cache.
pub const Slot = struct {
    /// Address of the block; the lowest bit is the lock.
    word: std.atomic.Value(usize) = .{ .raw = 0 },

    const locked: usize = 1;

    fn lock(self: *Slot) ?*Block {
        var spins: u32 = 0;
        while (true) {
            const word = self.word.fetchOr(locked, .acquire);
            if (word & locked == 0) return @ptrFromInt(word);
            spins += 1;
            // The holder may have lost its processor.
            if (spins % 64 == 0) std.Thread.yield() catch {} else std.atomic.spinLoopHint();
        }
    }

    fn unlock(self: *Slot, block: ?*Block) void {
        self.word.store(@intFromPtr(block), .release);
    }

    /// Asks the processor for a block's first and last lines, where a search begins.
    pub inline fn prefetch(self: *const Slot, bytes: usize) void {
        const address = self.word.load(.monotonic) & ~locked;
        if (address == 0) return;
        @prefetch(@as([*]const u8, @ptrFromInt(address)), .{});
        @prefetch(@as([*]const u8, @ptrFromInt(address + @sizeOf(Block) + bytes - 8)), .{});
    }
};

const QueueName = enum(u8) { none, small, main };

pub const Block = struct {
    /// Readers, and the cache itself while it holds the block.
    references: std.atomic.Value(u32),
    /// Hits since it last reached the end of a queue, up to `uses_max`. Written without a lock: a hint.
    uses: std.atomic.Value(u32) = .init(0),
    content: []u8,
    slot: *Slot,
    hash: u64,

    // Under the shard's mutex.
    queue: QueueName = .none,
    newer: ?*Block = null,
    older: ?*Block = null,

    /// A block of the caller's, with one reference and room for `bytes`. `table` and `offset` say what it is, over the
    /// whole process. Null: no memory.
    pub fn create(slot: *Slot, table: u64, offset: u64, bytes: usize) ?*Block {
        const memory = block_memory.create(@sizeOf(Block) + bytes) orelse return null;
        const block: *Block = @ptrCast(memory);
        block.* = .{
            .references = .init(1),
            .content = memory[@sizeOf(Block)..][0..bytes],
            .slot = slot,
            .hash = hashOf(table, offset),
        };
        return block;
    }

    pub inline fn release(self: *Block) void {
        if (self.references.fetchSub(1, .acq_rel) == 1) self.free();
    }

    fn free(self: *Block) void {
        block_memory.destroy(@ptrCast(@alignCast(self)), @sizeOf(Block) + self.content.len);
    }

    fn charge(self: *const Block) u64 {
        return block_memory.takenBytes(@sizeOf(Block) + self.content.len);
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

    fn pushBack(self: *Queue, block: *Block) void {
        block.older = null;
        block.newer = self.back;
        if (self.back) |back| back.older = block else self.front = block;
        self.back = block;
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
    small: Queue = .{},
    main: Queue = .{},
    ghosts: [ghost_count]u32 = @splat(0),

    fn bytes(self: *const Shard) u64 {
        return self.small.bytes + self.main.bytes;
    }

    fn hasSeen(self: *const Shard, block: *const Block) bool {
        return self.ghosts[ghostOf(block.hash)] == fingerprint(block.hash);
    }

    fn remember(self: *Shard, block: *const Block) void {
        self.ghosts[ghostOf(block.hash)] = fingerprint(block.hash);
    }

    /// Puts the block into its slot and a queue, with a reference for the cache.
    fn enter(self: *Shard, block: *Block, queue: QueueName, end: enum { front, back }) void {
        block.queue = queue;
        const chosen = if (queue == .main) &self.main else &self.small;
        if (end == .front) chosen.push(block) else chosen.pushBack(block);
        _ = block.references.fetchAdd(1, .monotonic);
        _ = block.slot.lock();
        block.slot.unlock(block);
    }

    /// Takes the block out of its slot and its queue, and gives the cache's reference back.
    fn drop(self: *Shard, block: *Block) void {
        const slot = block.slot;
        _ = slot.lock();
        slot.unlock(null);
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
            const block = if (from_small) self.small.back.? else self.main.back.?;
            const uses = block.uses.load(.monotonic);
            if (from_small and uses > 1) {
                self.small.remove(block);
                block.uses.store(0, .monotonic);
                block.queue = .main;
                self.main.push(block);
            } else if (!from_small and uses > 0) {
                block.uses.store(uses - 1, .monotonic);
                self.main.remove(block);
                self.main.push(block);
            } else {
                if (from_small) self.remember(block);
                self.drop(block);
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

    /// The slot's block, with a reference for the caller.
    pub inline fn find(self: *BlockCache, slot: *Slot) ?*Block {
        _ = self;
        if (slot.word.load(.monotonic) == 0) return null;
        const found = slot.lock();
        if (found) |block| _ = block.references.fetchAdd(1, .monotonic);
        slot.unlock(found);
        const block = found orelse return null;
        const uses = block.uses.load(.monotonic);
        if (uses < uses_max) block.uses.store(uses + 1, .monotonic);
        return block;
    }

    /// Offers a block that `create` made and its caller filled; the caller's reference stays the caller's. Returns the
    /// block to use: another thread may have been first, and then the offered one is released.
    pub fn insert(self: *BlockCache, block: *Block) *Block {
        const shard = self.shardOf(block);
        shard.mutex.lock();
        defer shard.mutex.unlock();
        if (self.find(block.slot)) |first| {
            block.release();
            return first;
        }
        const share = self.capacity() / shard_count;
        if (block.charge() > share) return block;
        shard.shrinkTo(share - block.charge(), share);
        const seen_lately = shard.hasSeen(block);
        shard.enter(block, if (seen_lately) .main else .small, .front);
        return block;
    }

    /// As `insert`, for a block that a scan came by: it drives nothing out and is the next to go. Only one that a scan
    /// had to leave out lately enters as a new block does.
    pub fn insertColdest(self: *BlockCache, block: *Block) *Block {
        const shard = self.shardOf(block);
        shard.mutex.lock();
        defer shard.mutex.unlock();
        if (self.find(block.slot)) |first| {
            block.release();
            return first;
        }
        const share = self.capacity() / shard_count;
        if (block.charge() > share) return block;
        const seen_lately = shard.hasSeen(block);
        if (shard.bytes() + block.charge() > share) {
            if (!seen_lately) {
                shard.remember(block);
                return block;
            }
            shard.shrinkTo(share - block.charge(), share);
        }
        shard.enter(block, .small, if (seen_lately) .front else .back);
        return block;
    }

    /// Forgets a block: its slot is going away. REQUIRES: nobody reads through the slot any more.
    pub fn erase(self: *BlockCache, slot: *Slot, table: u64, offset: u64) void {
        if (slot.word.load(.monotonic) == 0) return;
        const shard = &self.shards[shardIndex(hashOf(table, offset))];
        shard.mutex.lock();
        defer shard.mutex.unlock();
        // Under the mutex nobody else evicts it.
        const word = slot.word.load(.acquire);
        if (word != 0) shard.drop(@ptrFromInt(word));
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

    fn shardOf(self: *BlockCache, block: *const Block) *Shard {
        return &self.shards[shardIndex(block.hash)];
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

fn shardIndex(hash: u64) usize {
    return @intCast(hash >> 60);
}

fn ghostOf(hash: u64) usize {
    return @intCast((hash >> 20) & (ghost_count - 1));
}

/// Never zero, which marks an empty place.
fn fingerprint(hash: u64) u32 {
    return @as(u32, @truncate(hash >> 28)) | 1;
}

const testing = std.testing;

fn use(cache: *BlockCache, slot: *Slot, table: u64, number: usize, length: usize) bool {
    if (cache.find(slot)) |block| {
        block.release();
        return true;
    }
    cache.insert(Block.create(slot, table, number * length, length).?).release();
    return false;
}

test "the cache keeps within its budget, and a scan does not drive out what is used" {
    const cache = try testing.allocator.create(BlockCache);
    defer testing.allocator.destroy(cache);
    cache.* = .{};
    cache.setCapacity(4 << 20);
    const scanned = try testing.allocator.alloc(Slot, 20_000);
    defer testing.allocator.free(scanned);
    @memset(scanned, .{});
    var hot: [200]Slot = @splat(.{});
    // 200 blocks of 4 KiB are used over and over, while 20,000 pass by.
    for (scanned, 0..) |*slot, i| {
        try testing.expect(!use(cache, slot, 1, i, 4096));
        for (0..3) |k| _ = use(cache, &hot[(i * 3 + k) % hot.len], 2, (i * 3 + k) % hot.len, 4096);
        if (i % 100 == 0) try testing.expect(cache.bytes() <= 4 << 20);
    }
    var found: u32 = 0;
    for (&hot, 0..) |*slot, i| found += @intFromBool(use(cache, slot, 2, i, 4096));
    try testing.expect(found > 195);

    // Too large for a shard, evicted under a reader, and given up altogether.
    var large: Slot = .{};
    try testing.expect(!use(cache, &large, 3, 0, 1 << 20));
    try testing.expectEqual(null, cache.find(&large));
    var slot: Slot = .{};
    const held = cache.insert(Block.create(&slot, 4, 0, 4096).?);
    @memset(held.content, 7);
    cache.erase(&hot[0], 2, 0);
    try testing.expectEqual(null, cache.find(&hot[0]));
    cache.setCapacity(0);
    try testing.expectEqual(0, cache.bytes());
    try testing.expectEqual(null, cache.find(&slot));
    try testing.expectEqual(7, held.content[4095]);
    held.release();
}

/// What a scan does with a block that it read ahead. False: the cache left it out.
fn pass(cache: *BlockCache, slot: *Slot, table: u64, number: usize) bool {
    cache.insertColdest(Block.create(slot, table, number * 4096, 4096).?).release();
    return slot.word.load(.monotonic) != 0;
}

test "blocks that a scan reads ahead take free room, drive nothing out, and are the next to go" {
    const cache = try testing.allocator.create(BlockCache);
    defer testing.allocator.destroy(cache);
    cache.* = .{};
    cache.setCapacity(4 << 20);
    const used = try testing.allocator.alloc(Slot, 5_000);
    defer testing.allocator.free(used);
    @memset(used, .{});
    const scanned = try testing.allocator.alloc(Slot, 5_000);
    defer testing.allocator.free(scanned);
    @memset(scanned, .{});

    // An empty cache keeps what it has room for.
    var kept: u32 = 0;
    for (scanned[0..500], 0..) |*slot, i| kept += @intFromBool(pass(cache, slot, 1, i));
    try testing.expect(kept == 500);
    // Blocks that are used drive those out first.
    for (used[0..500], 0..) |*slot, i| try testing.expect(!use(cache, slot, 2, i, 4096));
    for (used[500..900], 500..) |*slot, i| try testing.expect(!use(cache, slot, 2, i, 4096));
    var found: u32 = 0;
    for (used[0..800]) |*slot| found += @intFromBool(slot.word.load(.monotonic) != 0);
    try testing.expect(found > 700);
    // A full one keeps none of a long scan, and all of what it had.
    for (used[900..2_000], 900..) |*slot, i| _ = use(cache, slot, 2, i, 4096);
    var before: u32 = 0;
    for (used) |*slot| before += @intFromBool(slot.word.load(.monotonic) != 0);
    kept = 0;
    for (scanned[500..3_000], 500..) |*slot, i| kept += @intFromBool(pass(cache, slot, 1, i));
    // Fingerprints are 32 bits of a place in a table: chance may let one through.
    try testing.expect(kept <= 5);
    var after: u32 = 0;
    for (used) |*slot| after += @intFromBool(slot.word.load(.monotonic) != 0);
    try testing.expect(after + 5 >= before);
    // A scan that comes back soon finds its blocks let in, a few at a time.
    kept = 0;
    for (scanned[2_900..3_000], 2_900..) |*slot, i| kept += @intFromBool(pass(cache, slot, 1, i));
    try testing.expect(kept > 90);
    try testing.expect(cache.bytes() <= 4 << 20);
    for (used, 0..) |*slot, i| cache.erase(slot, 2, i * 4096);
    for (scanned, 0..) |*slot, i| cache.erase(slot, 1, i * 4096);
    try testing.expectEqual(0, cache.bytes());
}

const Contest = struct {
    cache: *BlockCache,
    slots: []Slot,
    wrong: std.atomic.Value(u32) = .init(0),

    fn run(self: *Contest, seed: u64) void {
        var random = std.Random.DefaultPrng.init(seed);
        for (0..30_000) |_| {
            const i = random.random().uintLessThan(usize, self.slots.len);
            const block = self.cache.find(&self.slots[i]) orelse made: {
                const fresh = Block.create(&self.slots[i], 9, i, 512).?;
                @memset(fresh.content, @truncate(i));
                break :made if (i % 2 == 0) self.cache.insert(fresh) else self.cache.insertColdest(fresh);
            };
            defer block.release();
            if (!std.mem.allEqual(u8, block.content, @truncate(i))) _ = self.wrong.fetchAdd(1, .monotonic);
            if (random.random().uintLessThan(u32, 1000) == 0) self.cache.setCapacity(random.random().uintLessThan(u64, 200_000));
        }
    }
};

test "threads that find, insert and evict the same blocks never see another's bytes" {
    const cache = try testing.allocator.create(BlockCache);
    defer testing.allocator.destroy(cache);
    cache.* = .{};
    const slots = try testing.allocator.alloc(Slot, 300);
    defer testing.allocator.free(slots);
    @memset(slots, .{});
    cache.setCapacity(100_000);
    var contest: Contest = .{ .cache = cache, .slots = slots };
    var threads: [4]std.Thread = undefined;
    for (&threads, 1..) |*thread, seed| thread.* = try std.Thread.spawn(.{}, Contest.run, .{ &contest, seed });
    for (threads) |thread| thread.join();
    try testing.expectEqual(0, contest.wrong.load(.monotonic));
    for (slots, 0..) |*slot, i| cache.erase(slot, 9, i);
    try testing.expectEqual(0, cache.bytes());
}
