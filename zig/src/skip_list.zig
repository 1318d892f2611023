//! The ordered index over a memtable: a skip list inside the memtable's own region, brought up to date when
//! somebody asks for order (`extend`). Entries that are in it never leave it and never move. Range tombstones are not.
//!
//! One thread extends at a time, under the header's `index_claim`; readers take no lock and may go on while it
//! runs. A reader sees at least every entry that was there when its `extend` returned. Nodes come from the
//! memtable's bump pointer, at most `wordsMax(entries)` words, for which the writer must leave room.
//!
//! A node, in words: [entry, node before it, key prefix high, key prefix low, next at level 0, 1, …].
//! The head node has the shape of the tallest; its first words hold the index's own figures.

const std = @import("std");
const abi = @import("abi.zig");
const entry_sort = @import("entry_sort.zig");
const fault = @import("fault.zig");
const internal_key = @import("internal_key.zig");
const locks = @import("locks.zig");
const memtable_reader = @import("memtable_reader.zig");
const Memtable = memtable_reader.Memtable;
const Fault = fault.Fault;

const level_count_max = 12;
const node_words = 4;
const before_word = 1;
const prefix_word = 2;

const Head = extern struct {
    node_count: u32,
    /// The last node: where a backward walk starts. In the place of `before_word`.
    last: u32,
    /// Links handed out so far, which bound the list's size.
    link_count: u32,
    random: u32,
    next: [level_count_max]u32,
};
const head_words = @sizeOf(Head) / 4;

/// Words that the index over `entry_count` entries may take at most: 5.5 an entry and 48.
pub fn wordsMax(entry_count: u64) u64 {
    return head_words + entry_count * node_words + linksMax(entry_count);
}

/// Towers are drawn at random (4/3 links on average); this is where the drawing is cut off.
fn linksMax(node_count: u64) u64 {
    return node_count + node_count / 2 + 32;
}

const Claim = struct {
    const free: u32 = 0;
    const held: u32 = 1;
    const awaited: u32 = 2;
    const wait_slice_ns = 2 * std.time.ns_per_ms;
    const wait_slices_max = 5_000;
};

/// Entries that the index does not hold yet, as far as the header tells.
pub fn unindexedCount(memtable: Memtable) u32 {
    const entries = @atomicLoad(u32, &memtable.header.entry_count, .monotonic) -| memtable.rangeCount();
    if (memtable.newest() == @atomicLoad(u32, &memtable.header.indexed_entry, .acquire)) return 0;
    const head = headOf(memtable) orelse return entries;
    return entries -| @atomicLoad(u32, &head.node_count, .monotonic);
}

/// Brings every entry that is there now into the index. Errors: `exhausted` when the region has no room for the
/// nodes, `no_memory`, `invalid` when an entry lies outside the region; the index stays as it was.
/// Without `may_wait`, `would_block` if another thread is extending it.
pub fn extend(memtable: Memtable, may_wait: bool, failure: *Fault) fault.Error!void {
    const target = memtable.newest();
    const claim = &memtable.header.index_claim;
    var slices: u32 = 0;
    while (true) {
        if (covers(memtable, target)) return;
        if (@cmpxchgStrong(u32, claim, Claim.free, Claim.held, .acquire, .monotonic) == null) break;
        if (!may_wait or slices == Claim.wait_slices_max) return failure.fail(.would_block);
        // Whoever waits marks the claim, so that its holder knows to wake.
        const held = @cmpxchgStrong(u32, claim, Claim.held, Claim.awaited, .monotonic, .monotonic);
        if (held == null or held == Claim.awaited) {
            locks.futexWait(claim, Claim.awaited, Claim.wait_slice_ns);
            slices += 1;
        }
    }
    defer if (@atomicRmw(u32, claim, .Xchg, Claim.free, .release) == Claim.awaited) locks.futexWakeAll(claim);
    if (covers(memtable, target)) return;
    try extendClaimed(memtable, failure);
}

/// Newer entries have greater offsets, so one number tells what the index holds.
fn covers(memtable: Memtable, target: u32) bool {
    return @atomicLoad(u32, &memtable.header.indexed_entry, .acquire) >= target;
}

fn extendClaimed(memtable: Memtable, failure: *Fault) fault.Error!void {
    const gpa = std.heap.c_allocator;
    const newest = memtable.newest();
    const indexed = @atomicLoad(u32, &memtable.header.indexed_entry, .monotonic);
    const items = entry_sort.gather(gpa, memtable, newest, indexed, unindexedCount(memtable)) catch |e| return switch (e) {
        error.OutOfMemory => failure.fail(.no_memory),
        error.Damaged => failure.fail(.invalid),
    };
    defer gpa.free(items);
    if (items.len == 0) {
        // Range tombstones alone.
        @atomicStore(u32, &memtable.header.indexed_entry, newest, .release);
        return;
    }
    entry_sort.sort(gpa, memtable, items) catch return failure.fail(.no_memory);

    const head_offset = try headOrNew(memtable, failure);
    const head: *Head = @ptrCast(memtable.words + head_offset);
    // All nodes are taken at once: the bulk lies in key order, and a full region leaves the index untouched.
    var link_count = head.link_count;
    for (items, 1..) |*item, added| {
        // At least one is left: the bound grows by one or two with each node.
        const links_left = linksMax(head.node_count + added) - link_count;
        item.spare = @intCast(@min(drawHeight(&head.random), links_left));
        link_count += item.spare;
    }
    const words = items.len * node_words + (link_count - head.link_count);
    var node = allocate(memtable, words) orelse return failure.fail(.exhausted);

    var finger: [level_count_max]u32 = @splat(head_offset);
    var first = true;
    for (items) |item| {
        insert(memtable, head_offset, &finger, first, node, item);
        first = false;
        node += node_words + item.spare;
    }
    head.link_count = link_count;
    @atomicStore(u32, &head.node_count, head.node_count + @as(u32, @intCast(items.len)), .monotonic);
    @atomicStore(u32, &memtable.header.indexed_entry, newest, .release);
}

/// REQUIRES: the item sorts behind the one inserted before it, whose predecessors are in `finger`.
fn insert(memtable: Memtable, head: u32, finger: *[level_count_max]u32, first: bool, node: u32, item: entry_sort.Item) void {
    const words = memtable.words;
    const entry = memtable.entry(item.entry).?;
    const key_prefix = internal_key.prefix(entry.key);
    const target: Target = .{ .key = entry.key, .trailer = entry.trailer, .prefix = key_prefix };

    // Climb while the finger is behind the target one level up, then walk down: near-linear for sorted bulks.
    var level: u32 = if (first) level_count_max - 1 else 0;
    while (level + 1 < level_count_max and isBefore(memtable, link(words, finger[level + 1], level + 1).*, target)) level += 1;
    var at = finger[level];
    while (true) : (level -= 1) {
        while (true) {
            const next = link(words, at, level).*;
            if (!isBefore(memtable, next, target)) break;
            at = next;
        }
        finger[level] = at;
        if (level == 0) break;
    }

    const next = link(words, at, 0).*;
    words[node] = item.entry;
    words[node + before_word] = if (at == head) 0 else at;
    words[node + prefix_word] = @intCast(key_prefix >> 32);
    words[node + prefix_word + 1] = @truncate(key_prefix);
    for (0..item.spare) |i| words[node + node_words + i] = link(words, finger[i], @intCast(i)).*;
    for (0..item.spare) |i| {
        @atomicStore(u32, link(words, finger[i], @intCast(i)), node, .release);
        finger[i] = node;
    }
    // The head's `last` sits where other nodes have `before`.
    const behind = if (next == 0) head else next;
    @atomicStore(u32, &words[behind + before_word], node, .release);
}

fn drawHeight(state: *u32) u32 {
    var x = state.*;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    state.* = x;
    return @min(level_count_max, 1 + @ctz(x | (1 << 31)) / 2);
}

fn headOf(memtable: Memtable) ?*Head {
    const offset = @atomicLoad(u32, &memtable.header.index_head, .acquire);
    if (offset == 0) return null;
    return @ptrCast(memtable.words + offset);
}

fn headOrNew(memtable: Memtable, failure: *Fault) fault.Error!u32 {
    const existing = @atomicLoad(u32, &memtable.header.index_head, .acquire);
    if (existing != 0) return existing;
    const offset = allocate(memtable, head_words) orelse return failure.fail(.exhausted);
    const head: *Head = @ptrCast(memtable.words + offset);
    head.* = .{ .node_count = 0, .last = 0, .link_count = 0, .random = 0x9e37_79b9, .next = @splat(0) };
    @atomicStore(u32, &memtable.header.index_head, offset, .release);
    return offset;
}

/// From the bump pointer that TypeScript uses too. A compare-and-swap, so that a full region is never overrun.
fn allocate(memtable: Memtable, words: usize) ?u32 {
    const tail = &memtable.header.tail_words;
    var offset = @atomicLoad(u32, tail, .monotonic);
    while (true) {
        if (offset > memtable.word_count or words > memtable.word_count - offset) return null;
        const end = offset + @as(u32, @intCast(words));
        offset = @cmpxchgWeak(u32, tail, offset, end, .monotonic, .monotonic) orelse return offset;
    }
}

const Target = struct { key: []const u8, trailer: u64, prefix: u64 };

inline fn link(words: [*]u32, node: u32, level: u32) *u32 {
    return &words[node + node_words + level];
}

inline fn nextOf(memtable: Memtable, node: u32, level: u32) u32 {
    return @atomicLoad(u32, link(memtable.words, node, level), .acquire);
}

/// Does the node sort before the target? Null (zero) stands behind everything.
inline fn isBefore(memtable: Memtable, node: u32, target: Target) bool {
    if (node == 0) return false;
    const words = memtable.words;
    const key_prefix = (@as(u64, words[node + prefix_word]) << 32) | words[node + prefix_word + 1];
    if (key_prefix != target.prefix) return key_prefix < target.prefix;
    const entry = memtable.entry(words[node]) orelse return false;
    return internal_key.compare(entry.key, entry.trailer, target.key, target.trailer) == .lt;
}

/// A place in the index. Copies freely; valid as long as the memtable is referenced.
pub const Iterator = struct {
    memtable: Memtable,
    node: u32 = 0,

    /// The first entry >= (key, trailer).
    pub fn seek(self: *Iterator, key: []const u8, trailer: u64) void {
        const before = self.findBefore(key, trailer);
        self.node = if (before == 0) 0 else nextOf(self.memtable, before, 0);
    }

    /// The last entry < (key, trailer).
    pub fn seekBefore(self: *Iterator, key: []const u8, trailer: u64) void {
        const before = self.findBefore(key, trailer);
        self.node = if (before == self.headOffset()) 0 else before;
    }

    pub fn seekFirst(self: *Iterator) void {
        const head = self.headOffset();
        self.node = if (head == 0) 0 else nextOf(self.memtable, head, 0);
    }

    pub fn seekLast(self: *Iterator) void {
        const head = self.headOffset();
        self.node = if (head == 0) 0 else self.beforeOf(head);
    }

    /// REQUIRES: `node` is not zero.
    pub inline fn next(self: *Iterator) void {
        self.node = nextOf(self.memtable, self.node, 0);
    }

    /// REQUIRES: `node` is not zero.
    pub inline fn previous(self: *Iterator) void {
        self.node = self.beforeOf(self.node);
    }

    /// Null at either end.
    pub inline fn entry(self: *const Iterator) ?memtable_reader.Entry {
        if (self.node == 0) return null;
        return self.memtable.entry(self.memtable.words[self.node]);
    }

    fn headOffset(self: *const Iterator) u32 {
        return @atomicLoad(u32, &self.memtable.header.index_head, .acquire);
    }

    inline fn beforeOf(self: *const Iterator, node: u32) u32 {
        return @atomicLoad(u32, &self.memtable.words[node + before_word], .acquire);
    }

    /// The last node < (key, trailer); the head if there is none.
    fn findBefore(self: *const Iterator, key: []const u8, trailer: u64) u32 {
        const target: Target = .{ .key = key, .trailer = trailer, .prefix = internal_key.prefix(key) };
        var at = self.headOffset();
        if (at == 0) return 0;
        // The nearest node known to stand behind; often met again one level down.
        var limit: u32 = 0;
        var level: u32 = level_count_max;
        while (level > 0) {
            level -= 1;
            while (true) {
                const candidate = nextOf(self.memtable, at, level);
                if (candidate == limit) break;
                if (!isBefore(self.memtable, candidate, target)) {
                    limit = candidate;
                    break;
                }
                at = candidate;
            }
        }
        return at;
    }
};
