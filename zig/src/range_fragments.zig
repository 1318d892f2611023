//! Range tombstones, cut at each other's bounds: for any key, which of them cover it. Immutable once made and
//! counted; any thread may ask. Whoever makes one has the first reference.
//!
//! Tombstones may all begin at one key ("everything older than …", again and again), so to list for each piece the
//! numbers that cover it would take the square of their count. Each tombstone hangs on the few nodes of a segment
//! tree that make up its pieces instead: n tombstones take n log n, and a question walks one path.
//!
//! In a table the pieces stand one by one, after `prune` has left of each what some reader can tell apart:
//!
//!     version u32 (1) | piece count u32 | piece …
//!     piece = kind u8 | number count varint | lower bound, unless kind & 1 | upper bound, unless kind & 2 | number u64 …
//!     bound = bytes varint | bytes
//!
//! kind & 1: the lower bound is the upper one of the piece before. kind & 2: there is no upper bound; the last piece
//! only. Pieces ascend and do not overlap, numbers descend from the newest. All integers are little-endian.

const std = @import("std");
const abi = @import("abi.zig");
const block_reader = @import("block_reader.zig");
const internal_key = @import("internal_key.zig");

pub const Tombstone = struct {
    lower: []const u8,
    /// Exclusive; empty: to the end.
    upper: []const u8,
    sequence: u64,
};

pub const Piece = struct {
    lower: []const u8,
    /// Exclusive; empty where there is none.
    upper: []const u8,
    unbounded: bool,
    /// Newest first; at least one.
    sequences: []const u64,
};

const version = 1;
const kind_adjacent = 1;
const kind_unbounded = 2;
const header_bytes = 8;
const piece_bytes_min = 2 + 8;
/// Neighbours that a walker tries before it searches.
const walk_steps_max = 4;

pub const Fragments = struct {
    gpa: std.mem.Allocator,
    references: std.atomic.Value(u32) = .init(1),
    /// Strictly ascending. Interval i goes from bound i to the next one, the last to the end where `unbounded`.
    bounds: []const []const u8,
    interval_count: usize,
    unbounded: bool,
    /// Intervals that something covers.
    piece_count: usize,
    /// Of all tombstones; zero where there are none.
    smallest_sequence: u64,
    largest_sequence: u64,
    /// Numbers on node v of the tree, descending: numbers[starts[v]..starts[v + 1]]. Interval i is node
    /// `interval_count` + i, and the parent of v is v / 2.
    starts: []const u32,
    numbers: []const u64,
    /// What the bounds point into.
    bytes: []const u8,

    /// Tombstones of any order; one with an empty range covers nothing. The caller keeps their bytes.
    pub fn build(gpa: std.mem.Allocator, tombstones: []const Tombstone) error{OutOfMemory}!*Fragments {
        const order = try gpa.alloc(Tombstone, tombstones.len);
        defer gpa.free(order);
        var used: usize = 0;
        for (tombstones) |tombstone| {
            if (tombstone.upper.len > 0 and internal_key.compareKeys(tombstone.lower, tombstone.upper) != .lt) continue;
            order[used] = tombstone;
            used += 1;
        }
        const covering = order[0..used];
        std.mem.sort(Tombstone, covering, {}, isNewer);

        var keys: std.ArrayList([]const u8) = .empty;
        defer keys.deinit(gpa);
        try keys.ensureTotalCapacity(gpa, 2 * covering.len);
        var unbounded = false;
        for (covering) |tombstone| {
            keys.appendAssumeCapacity(tombstone.lower);
            if (tombstone.upper.len == 0) unbounded = true else keys.appendAssumeCapacity(tombstone.upper);
        }
        std.mem.sort([]const u8, keys.items, {}, isBelow);
        var distinct: usize = 0;
        for (keys.items) |key| {
            if (distinct > 0 and internal_key.equalKeys(keys.items[distinct - 1], key)) continue;
            keys.items[distinct] = key;
            distinct += 1;
        }

        const self = try create(gpa, keys.items[0..distinct], unbounded);
        errdefer self.destroy();
        try self.hang(covering);
        return self;
    }

    pub fn retain(self: *Fragments) *Fragments {
        _ = self.references.fetchAdd(1, .monotonic);
        return self;
    }

    pub fn release(self: *Fragments) void {
        if (self.references.fetchSub(1, .acq_rel) == 1) self.destroy();
    }

    fn destroy(self: *Fragments) void {
        self.gpa.free(self.bounds);
        self.gpa.free(self.starts);
        self.gpa.free(self.numbers);
        self.gpa.free(self.bytes);
        self.gpa.destroy(self);
    }

    /// With bounds and no numbers yet.
    fn create(gpa: std.mem.Allocator, keys: []const []const u8, unbounded: bool) error{OutOfMemory}!*Fragments {
        var length: usize = 0;
        for (keys) |key| length += key.len;
        const bytes = try gpa.alloc(u8, length);
        errdefer gpa.free(bytes);
        const bounds = try gpa.alloc([]const u8, keys.len);
        errdefer gpa.free(bounds);
        var at: usize = 0;
        for (keys, bounds) |key, *bound| {
            @memcpy(bytes[at..][0..key.len], key);
            bound.* = bytes[at..][0..key.len];
            at += key.len;
        }
        const self = try gpa.create(Fragments);
        self.* = .{
            .gpa = gpa,
            .bounds = bounds,
            .interval_count = if (unbounded or keys.len == 0) keys.len else keys.len - 1,
            .unbounded = unbounded,
            .piece_count = 0,
            .smallest_sequence = 0,
            .largest_sequence = 0,
            .starts = &.{},
            .numbers = &.{},
            .bytes = bytes,
        };
        return self;
    }

    /// Fills the tree. REQUIRES: newest first, and every bound is in `bounds`.
    fn hang(self: *Fragments, tombstones: []const Tombstone) error{OutOfMemory}!void {
        const node_count = 2 * self.interval_count;
        const starts = try self.gpa.alloc(u32, node_count + 1);
        self.starts = starts;
        @memset(starts, 0);
        const covered = try self.gpa.alloc(i32, self.interval_count + 1);
        defer self.gpa.free(covered);
        @memset(covered, 0);

        var total: usize = 0;
        for (tombstones) |tombstone| {
            const span = self.intervalsOf(tombstone);
            covered[span.from] += 1;
            covered[span.to] -= 1;
            var nodes: Nodes = .of(span, self.interval_count);
            while (nodes.next()) |node| {
                starts[node + 1] += 1;
                total += 1;
            }
        }
        if (total > std.math.maxInt(u32)) return error.OutOfMemory;
        for (1..starts.len) |node| starts[node] += starts[node - 1];
        var open: i32 = 0;
        for (covered[0..self.interval_count]) |change| {
            open += change;
            self.piece_count += @intFromBool(open > 0);
        }

        const numbers = try self.gpa.alloc(u64, total);
        self.numbers = numbers;
        const fill = try self.gpa.dupe(u32, starts);
        defer self.gpa.free(fill);
        for (tombstones) |tombstone| {
            var nodes: Nodes = .of(self.intervalsOf(tombstone), self.interval_count);
            while (nodes.next()) |node| {
                numbers[fill[node]] = tombstone.sequence;
                fill[node] += 1;
            }
        }
        if (tombstones.len == 0) return;
        self.largest_sequence = tombstones[0].sequence;
        self.smallest_sequence = tombstones[tombstones.len - 1].sequence;
    }

    fn intervalsOf(self: *const Fragments, tombstone: Tombstone) Span {
        return .{
            .from = self.boundsUpTo(tombstone.lower) - 1,
            .to = if (tombstone.upper.len == 0) self.interval_count else self.boundsUpTo(tombstone.upper) - 1,
        };
    }

    // -----------------------------------------------------------------------------------------------------------

    /// How many pieces there are: stretches of keys that the same tombstones cover.
    pub fn count(self: *const Fragments) usize {
        return self.piece_count;
    }

    /// The greatest number <= `sequence` of a tombstone that covers the key; zero if there is none.
    pub fn cover(self: *const Fragments, key: []const u8, sequence: u64) u64 {
        const below = self.boundsUpTo(key);
        return if (below == 0) 0 else self.coverOf(below - 1, sequence);
    }

    pub fn memoryBytes(self: *const Fragments) u64 {
        return @sizeOf(Fragments) + self.bytes.len + std.mem.sliceAsBytes(self.bounds).len +
            std.mem.sliceAsBytes(self.starts).len + std.mem.sliceAsBytes(self.numbers).len;
    }

    /// The first key that something covers. REQUIRES: there are pieces.
    pub fn lowest(self: *const Fragments) []const u8 {
        return self.bounds[0];
    }

    /// The bound behind the last piece; null where that has none. REQUIRES: there are pieces.
    pub fn highest(self: *const Fragments) ?[]const u8 {
        return if (self.unbounded) null else self.bounds[self.bounds.len - 1];
    }

    fn coverOf(self: *const Fragments, interval: usize, sequence: u64) u64 {
        if (interval >= self.interval_count) return 0;
        var best: u64 = 0;
        var node = self.interval_count + interval;
        while (node > 0) : (node /= 2) {
            const numbers = self.numbers[self.starts[node]..self.starts[node + 1]];
            if (numbers.len == 0 or numbers[numbers.len - 1] > sequence or numbers[0] <= best) continue;
            best = @max(best, numbers[firstUpTo(numbers, sequence)]);
        }
        return best;
    }

    /// How many bounds are <= `key`.
    fn boundsUpTo(self: *const Fragments, key: []const u8) usize {
        var low: usize = 0;
        var high = self.bounds.len;
        while (low < high) {
            const middle = low + (high - low) / 2;
            const above = internal_key.compareKeys(self.bounds[middle], key) == .gt;
            if (above) high = middle else low = middle + 1;
        }
        return low;
    }

    /// For keys that come in order, up or down; any other order is right too.
    pub const Walker = struct {
        fragments: *const Fragments,
        /// Bounds <= the last key.
        below: usize = 0,

        pub fn init(fragments: *const Fragments) Walker {
            return .{ .fragments = fragments };
        }

        pub fn cover(self: *Walker, key: []const u8, sequence: u64) u64 {
            self.move(key);
            return if (self.below == 0) 0 else self.fragments.coverOf(self.below - 1, sequence);
        }

        fn move(self: *Walker, key: []const u8) void {
            const bounds = self.fragments.bounds;
            for (0..walk_steps_max) |_| {
                if (self.below > 0 and internal_key.compareKeys(bounds[self.below - 1], key) == .gt) {
                    self.below -= 1;
                } else if (self.below < bounds.len and internal_key.compareKeys(bounds[self.below], key) != .gt) {
                    self.below += 1;
                } else return;
            }
            self.below = self.fragments.boundsUpTo(key);
        }
    };

    pub fn walker(self: *const Fragments) Walker {
        return .init(self);
    }

    /// The pieces in order. What it gives is good until the next one is asked for.
    pub const Iterator = struct {
        fragments: *const Fragments,
        interval: usize = 0,
        sequences: std.ArrayList(u64) = .empty,

        pub fn deinit(self: *Iterator) void {
            self.sequences.deinit(self.fragments.gpa);
        }

        pub fn next(self: *Iterator) error{OutOfMemory}!?Piece {
            const all = self.fragments;
            while (self.interval < all.interval_count) {
                const interval = self.interval;
                self.interval += 1;
                self.sequences.clearRetainingCapacity();
                var node = all.interval_count + interval;
                while (node > 0) : (node /= 2) {
                    try self.sequences.appendSlice(all.gpa, all.numbers[all.starts[node]..all.starts[node + 1]]);
                }
                if (self.sequences.items.len == 0) continue;
                std.mem.sort(u64, self.sequences.items, {}, std.sort.desc(u64));
                return all.pieceOf(interval, self.sequences.items);
            }
            return null;
        }
    };

    pub fn iterator(self: *const Fragments) Iterator {
        return .{ .fragments = self };
    }

    fn pieceOf(self: *const Fragments, interval: usize, sequences: []const u64) Piece {
        const unbounded = interval + 1 == self.bounds.len;
        return .{
            .lower = self.bounds[interval],
            .upper = if (unbounded) "" else self.bounds[interval + 1],
            .unbounded = unbounded,
            .sequences = sequences,
        };
    }

    // -----------------------------------------------------------------------------------------------------------

    /// What must be kept of them: of each piece, one number for each stretch of sequence numbers between two snapshots
    /// (ascending), the newest; with `bottom` (nothing older lies below), none that is newer than no snapshot. Pieces that
    /// do not differ any more are one.
    pub fn prune(self: *const Fragments, gpa: std.mem.Allocator, snapshots: []const u64, bottom: bool) error{OutOfMemory}!*Fragments {
        var made: Assembler = .{ .gpa = gpa };
        defer made.deinit();
        var kept: std.ArrayList(u64) = .empty;
        defer kept.deinit(gpa);
        for (0..self.interval_count) |interval| {
            kept.clearRetainingCapacity();
            var from: u64 = std.math.maxInt(u64);
            while (true) {
                const number = self.coverOf(interval, from);
                if (number == 0) break;
                const older = snapshotBelow(snapshots, number);
                if (!(bottom and older == null)) try kept.append(gpa, number);
                from = older orelse break;
            }
            if (kept.items.len > 0) try made.add(self.pieceOf(interval, kept.items));
        }
        return made.finish();
    }

    /// What of them covers keys from `lower` to below `upper`; null: to the end.
    pub fn cut(self: *const Fragments, gpa: std.mem.Allocator, lower: []const u8, upper: ?[]const u8) error{OutOfMemory}!*Fragments {
        var made: Assembler = .{ .gpa = gpa };
        defer made.deinit();
        var pieces = self.iterator();
        defer pieces.deinit();
        pieces.interval = self.boundsUpTo(lower) -| 1;
        while (try pieces.next()) |piece| {
            if (upper) |end| if (internal_key.compareKeys(piece.lower, end) != .lt) break;
            if (!piece.unbounded and internal_key.compareKeys(piece.upper, lower) != .gt) continue;
            var part = piece;
            if (internal_key.compareKeys(part.lower, lower) == .lt) part.lower = lower;
            if (upper) |end| if (part.unbounded or internal_key.compareKeys(end, part.upper) == .lt) {
                part.upper = end;
                part.unbounded = false;
            };
            try made.add(part);
        }
        return made.finish();
    }

    /// The content of a ranges block. The caller frees it. REQUIRES: there are pieces.
    pub fn encode(self: *const Fragments, gpa: std.mem.Allocator) error{OutOfMemory}![]u8 {
        std.debug.assert(self.piece_count > 0);
        var out: std.ArrayList(u8) = .empty;
        errdefer out.deinit(gpa);
        try appendInt(gpa, &out, u32, version);
        try appendInt(gpa, &out, u32, std.math.cast(u32, self.piece_count) orelse return error.OutOfMemory);
        var pieces = self.iterator();
        defer pieces.deinit();
        var before: ?[]const u8 = null;
        while (try pieces.next()) |piece| {
            const adjacent = if (before) |bound| internal_key.equalKeys(bound, piece.lower) else false;
            const kind = @as(u8, if (adjacent) kind_adjacent else 0) | @as(u8, if (piece.unbounded) kind_unbounded else 0);
            try out.append(gpa, kind);
            try appendVarint(gpa, &out, piece.sequences.len);
            if (!adjacent) try appendBound(gpa, &out, piece.lower);
            if (!piece.unbounded) try appendBound(gpa, &out, piece.upper);
            for (piece.sequences) |sequence| try appendInt(gpa, &out, u64, sequence);
            before = piece.upper;
        }
        return out.toOwnedSlice(gpa);
    }

    /// From the content of a ranges block, which may hold anything.
    pub fn decode(gpa: std.mem.Allocator, content: []const u8) error{ OutOfMemory, Damaged }!*Fragments {
        if (content.len < header_bytes + piece_bytes_min) return error.Damaged;
        if (std.mem.readInt(u32, content[0..4], .little) != version) return error.Damaged;
        const piece_count = std.mem.readInt(u32, content[4..8], .little);
        if (piece_count == 0 or piece_count > (content.len - header_bytes) / piece_bytes_min) return error.Damaged;
        var made: Assembler = .{ .gpa = gpa };
        defer made.deinit();
        var reader: Reader = .{ .content = content, .at = header_bytes };
        var sequences: std.ArrayList(u64) = .empty;
        defer sequences.deinit(gpa);
        for (0..piece_count) |index| {
            const piece = try reader.piece(gpa, if (index == 0) null else made.pieces.items[made.pieces.items.len - 1], &sequences);
            if (piece.unbounded and index + 1 != piece_count) return error.Damaged;
            try made.addAsIs(piece);
        }
        if (reader.at != content.len) return error.Damaged;
        return made.finish();
    }
};

/// Of the tombstones' intervals, from the first to below `to`.
const Span = struct { from: usize, to: usize };

/// The nodes whose intervals together are those of a span.
const Nodes = struct {
    left: usize,
    right: usize,
    pending: ?usize = null,

    fn of(span: Span, interval_count: usize) Nodes {
        return .{ .left = span.from + interval_count, .right = span.to + interval_count };
    }

    fn next(self: *Nodes) ?usize {
        if (self.pending) |node| {
            self.pending = null;
            return node;
        }
        while (self.left < self.right) {
            var first: ?usize = null;
            if (self.left % 2 == 1) {
                first = self.left;
                self.left += 1;
            }
            if (self.right % 2 == 1) {
                self.right -= 1;
                self.pending = self.right;
            }
            self.left /= 2;
            self.right /= 2;
            if (first) |node| return node;
            if (self.pending) |node| {
                self.pending = null;
                return node;
            }
        }
        return null;
    }
};

/// Makes fragments of pieces that come in order. The pieces' bounds must stay until `finish`.
const Assembler = struct {
    gpa: std.mem.Allocator,
    pieces: std.ArrayList(Kept) = .empty,
    numbers: std.ArrayList(u64) = .empty,

    const Kept = struct { lower: []const u8, upper: []const u8, unbounded: bool, start: usize, count: usize };

    fn deinit(self: *Assembler) void {
        self.pieces.deinit(self.gpa);
        self.numbers.deinit(self.gpa);
    }

    /// Joined to the one before where the two do not differ.
    fn add(self: *Assembler, piece: Piece) error{OutOfMemory}!void {
        if (self.pieces.items.len > 0) {
            const last = &self.pieces.items[self.pieces.items.len - 1];
            const numbers = self.numbers.items[last.start..][0..last.count];
            if (internal_key.equalKeys(last.upper, piece.lower) and std.mem.eql(u64, numbers, piece.sequences)) {
                last.upper = piece.upper;
                last.unbounded = piece.unbounded;
                return;
            }
        }
        try self.addAsIs(piece);
    }

    fn addAsIs(self: *Assembler, piece: Piece) error{OutOfMemory}!void {
        try self.pieces.append(self.gpa, .{
            .lower = piece.lower,
            .upper = piece.upper,
            .unbounded = piece.unbounded,
            .start = self.numbers.items.len,
            .count = piece.sequences.len,
        });
        try self.numbers.appendSlice(self.gpa, piece.sequences);
    }

    fn finish(self: *Assembler) error{OutOfMemory}!*Fragments {
        const gpa = self.gpa;
        const pieces = self.pieces.items;
        var keys: std.ArrayList([]const u8) = .empty;
        defer keys.deinit(gpa);
        for (pieces, 0..) |piece, index| {
            const adjacent = index > 0 and internal_key.equalKeys(pieces[index - 1].upper, piece.lower);
            if (!adjacent) try keys.append(gpa, piece.lower);
            if (!piece.unbounded) try keys.append(gpa, piece.upper);
        }
        const made = try Fragments.create(gpa, keys.items, pieces.len > 0 and pieces[pieces.len - 1].unbounded);
        errdefer made.destroy();
        const starts = try gpa.alloc(u32, 2 * made.interval_count + 1);
        made.starts = starts;
        made.numbers = try gpa.dupe(u64, self.numbers.items);
        if (made.numbers.len > std.math.maxInt(u32)) return error.OutOfMemory;
        made.piece_count = pieces.len;
        if (pieces.len > 0) {
            made.smallest_sequence = std.mem.min(u64, made.numbers);
            made.largest_sequence = std.mem.max(u64, made.numbers);
        }
        // Pieces are leaves, in order; the nodes above them are bare.
        @memset(starts, 0);
        var piece: usize = 0;
        for (0..made.interval_count) |interval| {
            const node = made.interval_count + interval;
            starts[node + 1] = starts[node];
            if (piece == pieces.len or !internal_key.equalKeys(pieces[piece].lower, made.bounds[interval])) continue;
            starts[node + 1] += @intCast(pieces[piece].count);
            piece += 1;
        }
        return made;
    }
};

/// Reads pieces out of bytes that nobody vouches for.
const Reader = struct {
    content: []const u8,
    at: usize,

    fn piece(self: *Reader, gpa: std.mem.Allocator, before: ?Assembler.Kept, sequences: *std.ArrayList(u64)) error{ OutOfMemory, Damaged }!Piece {
        const kind = (try self.take(1))[0];
        if (kind > kind_adjacent | kind_unbounded) return error.Damaged;
        const count = try block_reader.varint(self.content, &self.at);
        var lower: []const u8 = undefined;
        if (kind & kind_adjacent != 0) {
            lower = (before orelse return error.Damaged).upper;
        } else {
            lower = try self.bound();
            if (before) |last| if (internal_key.compareKeys(last.upper, lower) != .lt) return error.Damaged;
        }
        const unbounded = kind & kind_unbounded != 0;
        const upper = if (unbounded) "" else try self.bound();
        if (!unbounded and internal_key.compareKeys(lower, upper) != .lt) return error.Damaged;
        if (count == 0 or count > (self.content.len - self.at) / 8) return error.Damaged;
        sequences.clearRetainingCapacity();
        try sequences.ensureTotalCapacity(gpa, count);
        var newer: u64 = internal_key.sequence_max + 1;
        for (0..count) |_| {
            const number = std.mem.readInt(u64, (try self.take(8))[0..8], .little);
            if (number == 0 or number >= newer) return error.Damaged;
            sequences.appendAssumeCapacity(number);
            newer = number;
        }
        return .{ .lower = lower, .upper = upper, .unbounded = unbounded, .sequences = sequences.items };
    }

    fn bound(self: *Reader) error{Damaged}![]const u8 {
        const bytes = try block_reader.varint(self.content, &self.at);
        if (bytes > abi.key_bytes_max) return error.Damaged;
        return self.take(bytes);
    }

    fn take(self: *Reader, bytes: usize) error{Damaged}![]const u8 {
        if (bytes > self.content.len - self.at) return error.Damaged;
        defer self.at += bytes;
        return self.content[self.at..][0..bytes];
    }
};

fn isNewer(_: void, a: Tombstone, b: Tombstone) bool {
    return a.sequence > b.sequence;
}

fn isBelow(_: void, a: []const u8, b: []const u8) bool {
    return internal_key.compareKeys(a, b) == .lt;
}

/// Index of the first number <= `sequence`. REQUIRES: there is one; the numbers descend.
fn firstUpTo(numbers: []const u64, sequence: u64) usize {
    var low: usize = 0;
    var high = numbers.len - 1;
    while (low < high) {
        const middle = low + (high - low) / 2;
        if (numbers[middle] > sequence) low = middle + 1 else high = middle;
    }
    return low;
}

/// The greatest snapshot < `number`.
fn snapshotBelow(snapshots: []const u64, number: u64) ?u64 {
    var low: usize = 0;
    var high = snapshots.len;
    while (low < high) {
        const middle = low + (high - low) / 2;
        if (snapshots[middle] < number) low = middle + 1 else high = middle;
    }
    return if (low == 0) null else snapshots[low - 1];
}

fn appendInt(gpa: std.mem.Allocator, out: *std.ArrayList(u8), comptime T: type, value: T) error{OutOfMemory}!void {
    try out.appendSlice(gpa, &std.mem.toBytes(std.mem.nativeToLittle(T, value)));
}

fn appendVarint(gpa: std.mem.Allocator, out: *std.ArrayList(u8), value: usize) error{OutOfMemory}!void {
    var rest = value;
    while (rest >= 0x80) : (rest >>= 7) try out.append(gpa, @as(u8, @truncate(rest)) | 0x80);
    try out.append(gpa, @intCast(rest));
}

fn appendBound(gpa: std.mem.Allocator, out: *std.ArrayList(u8), key: []const u8) error{OutOfMemory}!void {
    try appendVarint(gpa, out, key.len);
    try out.appendSlice(gpa, key);
}
