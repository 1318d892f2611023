//! What a flush or a compaction may leave out (docs/tree.md): the one filter that the versions of a merged stream pass
//! through on their way to a table. Every snapshot, and whoever reads the newest, finds the same before and after.
//!
//! Snapshots cut the sequence numbers into stripes: two versions are in one stripe if no snapshot sees the older
//! without the newer. Within a stripe only the newest version that stands alone counts, with the merge operands above it.
//!
//! What comes in is compared with what came before, not trusted: a key out of order, a number used twice or a value that
//! its type does not allow is `error.Damaged`. A chain that does not fold (an integer of another length, a result
//! that is too long) stays as it is: its reader is told. One thread at a time.
//!
//! Chains of a JavaScript operator stay as they are, too, but for long ones where the options say so: then `add` or `finish` is
//! `error.ChainWaits`, `page` has the chain, and the same call is to be made once more after `carryOn` or `takeFolded`.
//! Of the operator no more is asked than its contract has: operands go onto the value before them, or onto none.

const std = @import("std");
const abi = @import("abi.zig");
const blob_tally = @import("blob_tally.zig");
const chain_page = @import("chain_page.zig");
const fault = @import("fault.zig");
const internal_key = @import("internal_key.zig");
const merge_operator = @import("merge_operator.zig");
const Fragments = @import("range_fragments.zig").Fragments;

pub const Error = error{ Damaged, OutOfMemory, ChainWaits } || fault.Error;

const expiry_bytes = blob_tally.expiry_bytes;
/// Operands of one key that are folded at once; a longer chain is left in several.
const chain_bytes_max = 32 << 20;
/// The same of those that JavaScript folds, as a page has them; the oldest of a longer chain are folded.
const handed_bytes_max = 1 << 20;
/// What an operand takes in a page beside its bytes, at most.
const handed_overhead_bytes = 7;
const newest = std.math.maxInt(u64);

pub const Options = struct {
    /// Ascending.
    snapshots: []const u64,
    /// All range tombstones of the inputs. Kept by the caller.
    ranges: ?*const Fragments,
    /// The store's time, milliseconds since 1970.
    now: f64,
    operator: abi.MergeOperator,
    /// Nothing older than the inputs lies below the output.
    bottom: bool,
    /// Chains of a JavaScript operator that have so many operands are handed over. Null: none is.
    handed_operands_min: ?usize = null,
};

pub const VersionFilter = struct {
    gpa: std.mem.Allocator,
    options: Options,
    ranges: ?Fragments.Walker,
    folds: bool,
    hands: bool,

    /// The user key that the stream is at.
    key: std.ArrayList(u8) = .empty,
    has_key: bool = false,
    /// Number of the version before, of that key.
    last_sequence: u64 = 0,

    stripe: Stripe = .{ .first = 0, .last = newest },
    /// The newest range tombstone over the key that the stripe's readers see.
    cover: u64 = 0,
    /// What the stripe's readers see is decided: nothing older in it counts.
    settled: bool = false,

    /// Operands of the stripe that wait for what they stand on, newest first.
    chain: std.ArrayList(Operand) = .empty,
    chain_bytes: std.ArrayList(u8) = .empty,
    operands: std.ArrayList([]const u8) = .empty,
    folded: std.ArrayList(u8) = .empty,
    /// The chain that waits, a `ChainPage`, and what became of it.
    page: std.ArrayList(u8) = .empty,
    answer: abi.ChainAnswer = .none,

    const Operand = struct { trailer: u64, start: usize, bytes: usize };

    /// Numbers from `first` to `last`, a snapshot's or `newest`.
    const Stripe = struct {
        first: u64,
        last: u64,

        fn of(snapshots: []const u64, sequence: u64) Stripe {
            var low: usize = 0;
            var high = snapshots.len;
            while (low < high) {
                const middle = low + (high - low) / 2;
                if (snapshots[middle] < sequence) low = middle + 1 else high = middle;
            }
            return .{
                .first = if (low == 0) 0 else snapshots[low - 1] + 1,
                .last = if (low == snapshots.len) newest else snapshots[low],
            };
        }

        fn isOldest(self: Stripe) bool {
            return self.first == 0;
        }

        /// No snapshot sees it.
        fn isNewest(self: Stripe) bool {
            return self.last == newest;
        }
    };

    pub fn init(gpa: std.mem.Allocator, options: Options) VersionFilter {
        return .{
            .gpa = gpa,
            .options = options,
            .ranges = if (options.ranges) |ranges| ranges.walker() else null,
            .folds = merge_operator.isNative(options.operator),
            .hands = options.operator == .custom and options.handed_operands_min != null,
        };
    }

    pub fn deinit(self: *VersionFilter) void {
        self.key.deinit(self.gpa);
        self.chain.deinit(self.gpa);
        self.chain_bytes.deinit(self.gpa);
        self.operands.deinit(self.gpa);
        self.folded.deinit(self.gpa);
        self.page.deinit(self.gpa);
    }

    /// The chain that waits stays as it is.
    pub fn carryOn(self: *VersionFilter) void {
        self.answer = .carried;
    }

    /// What the chain that waits comes to.
    pub fn takeFolded(self: *VersionFilter, value: []const u8) error{OutOfMemory}!void {
        self.folded.clearRetainingCapacity();
        try self.folded.appendSlice(self.gpa, value);
        self.answer = .folded;
    }

    /// The next version in internal-key order. What stays goes to `sink.add(key, trailer, value)`, in order too, at once
    /// or when a later version comes.
    pub fn add(self: *VersionFilter, key: []const u8, trailer: u64, value: []const u8, sink: anytype) Error!void {
        const sequence = internal_key.sequenceOf(trailer);
        const last_sequence = self.last_sequence;
        // A chain that waits has settled nothing, and the version will come once more.
        errdefer |e| if (e == error.ChainWaits) {
            self.last_sequence = last_sequence;
            self.settled = false;
        };
        const order = if (self.has_key) internal_key.compareKeys(self.key.items, key) else .lt;
        switch (order) {
            .lt => try self.beginKey(key, sequence, sink),
            .eq => {
                if (sequence >= self.last_sequence) return error.Damaged;
                if (sequence < self.stripe.first) {
                    try self.endStripe(false, sink);
                    self.enterStripe(sequence);
                }
            },
            .gt => return error.Damaged,
        }
        self.last_sequence = sequence;
        if (self.settled or sequence <= self.cover) return;

        const entry_type = std.enums.fromInt(abi.EntryType, internal_key.typeOf(trailer)) orelse return error.Damaged;
        switch (entry_type) {
            .put => try self.addPut(trailer, value, sink),
            .delete => try self.addDelete(trailer, sink),
            .merge => try self.addOperand(trailer, value, sink),
            .put_expiring => {
                if (value.len < expiry_bytes) return error.Damaged;
                if (self.isExpired(value)) try self.addDelete(trailer, sink) else try self.addBase(trailer, value, sink);
            },
            .put_blob => {
                _ = try blob_tally.addressOf(trailer, value);
                try self.addBase(trailer, value, sink);
            },
            .put_blob_expiring => {
                _ = try blob_tally.addressOf(trailer, value);
                if (self.isExpired(value)) try self.addDelete(trailer, sink) else try self.addBase(trailer, value, sink);
            },
            .delete_range => return error.Damaged,
        }
    }

    /// After the last version.
    pub fn finish(self: *VersionFilter, sink: anytype) Error!void {
        if (self.has_key) try self.endStripe(true, sink);
        self.has_key = false;
    }

    fn beginKey(self: *VersionFilter, key: []const u8, sequence: u64, sink: anytype) Error!void {
        if (self.has_key) try self.endStripe(true, sink);
        self.key.clearRetainingCapacity();
        try self.key.appendSlice(self.gpa, key);
        self.has_key = true;
        self.enterStripe(sequence);
    }

    fn enterStripe(self: *VersionFilter, sequence: u64) void {
        self.settled = false;
        self.stripe = .of(self.options.snapshots, sequence);
        self.cover = if (self.ranges) |*ranges| ranges.cover(self.key.items, self.stripe.last) else 0;
    }

    /// `key_ended`: no version of the key is older.
    fn endStripe(self: *VersionFilter, key_ended: bool, sink: anytype) Error!void {
        if (self.chain.items.len == 0) return;
        // A range tombstone of this stripe lies under the operands, or nothing at all does.
        const on_nothing = self.cover >= self.stripe.first and self.cover > 0;
        const put = on_nothing or (key_ended and self.options.bottom);
        try self.emitChain(if (put) .put else .merge, null, sink);
    }

    /// A snapshot judges at the time it was made, which nobody knows here: what one may see is not expired.
    fn isExpired(self: *const VersionFilter, value: []const u8) bool {
        const expiry: f64 = @bitCast(std.mem.readInt(u64, value[0..expiry_bytes], .little));
        return self.stripe.isNewest() and !(self.options.now < expiry);
    }

    fn addPut(self: *VersionFilter, trailer: u64, value: []const u8, sink: anytype) Error!void {
        self.settled = true;
        if (self.chain.items.len > 0) {
            if (try self.emitFolded(.put, value, sink)) return;
            try self.emitOperands(sink);
        }
        try sink.add(self.key.items, trailer, value);
    }

    fn addDelete(self: *VersionFilter, trailer: u64, sink: anytype) Error!void {
        self.settled = true;
        if (self.chain.items.len > 0) {
            if (try self.emitFolded(.put, null, sink)) return;
            try self.emitOperands(sink);
        }
        if (self.options.bottom and self.stripe.isOldest()) return;
        const sequence = internal_key.sequenceOf(trailer);
        try sink.add(self.key.items, internal_key.trailer(sequence, @intFromEnum(abi.EntryType.delete)), "");
    }

    /// A value that operands cannot be folded onto here: it lies elsewhere, or there may be a time without it.
    fn addBase(self: *VersionFilter, trailer: u64, value: []const u8, sink: anytype) Error!void {
        self.settled = true;
        if (self.chain.items.len > 0) try self.emitChain(.merge, null, sink);
        try sink.add(self.key.items, trailer, value);
    }

    fn addOperand(self: *VersionFilter, trailer: u64, value: []const u8, sink: anytype) Error!void {
        if (self.hands) {
            if (!try self.makeRoom(value.len, sink)) return sink.add(self.key.items, trailer, value);
        } else if (!self.folds) {
            return sink.add(self.key.items, trailer, value);
        } else if (self.chain.items.len > 0 and self.chain_bytes.items.len + value.len > chain_bytes_max) {
            try self.emitChain(.merge, null, sink);
        }
        try self.chain.append(self.gpa, .{ .trailer = trailer, .start = self.chain_bytes.items.len, .bytes = value.len });
        try self.chain_bytes.appendSlice(self.gpa, value);
    }

    /// Lets the newest half of a chain go on, again and again until it has room for one more operand. False: none has.
    fn makeRoom(self: *VersionFilter, bytes: usize, sink: anytype) Error!bool {
        while (self.chain_bytes.items.len + bytes + (self.chain.items.len + 1) * handed_overhead_bytes > handed_bytes_max) {
            const operands = self.chain.items;
            if (operands.len == 0) return false;
            const gone = (operands.len + 1) / 2;
            for (operands[0..gone]) |operand| try sink.add(self.key.items, operand.trailer, self.bytesOf(operand));
            const left = operands.len - gone;
            const start = if (left > 0) operands[gone].start else self.chain_bytes.items.len;
            for (operands[0..left], operands[gone..]) |*to, from| {
                to.* = .{ .trailer = from.trailer, .start = from.start - start, .bytes = from.bytes };
            }
            self.chain.shrinkRetainingCapacity(left);
            const bytes_left = self.chain_bytes.items.len - start;
            std.mem.copyForwards(u8, self.chain_bytes.items[0..bytes_left], self.chain_bytes.items[start..]);
            self.chain_bytes.shrinkRetainingCapacity(bytes_left);
        }
        return true;
    }

    fn emitChain(self: *VersionFilter, entry_type: abi.EntryType, base: ?[]const u8, sink: anytype) Error!void {
        if (!try self.emitFolded(entry_type, base, sink)) try self.emitOperands(sink);
    }

    /// One entry for the chain, under the number of its newest operand. False: it does not fold.
    fn emitFolded(self: *VersionFilter, entry_type: abi.EntryType, base: ?[]const u8, sink: anytype) Error!bool {
        if (self.hands) {
            if (entry_type != .put or !try self.isFoldedByHand(base)) return false;
        } else {
            try self.collectOperands();
            merge_operator.fold(self.gpa, self.options.operator, base, self.operands.items, &self.folded) catch |e| switch (e) {
                error.OutOfMemory => return error.OutOfMemory,
                error.Damaged, error.TooLarge => return false,
            };
        }
        const sequence = internal_key.sequenceOf(self.chain.items[0].trailer);
        self.chain.clearRetainingCapacity();
        self.chain_bytes.clearRetainingCapacity();
        try sink.add(self.key.items, internal_key.trailer(sequence, @intCast(@intFromEnum(entry_type))), self.folded.items);
        return true;
    }

    /// Whether `folded` is what JavaScript made of the chain. `ChainWaits`: it is to be asked.
    fn isFoldedByHand(self: *VersionFilter, base: ?[]const u8) Error!bool {
        if (self.answer != .none) {
            defer self.answer = .none;
            return self.answer == .folded;
        }
        if (self.chain.items.len < self.options.handed_operands_min.?) return false;
        try self.collectOperands();
        if (!try chain_page.write(self.gpa, &self.page, self.key.items, base, self.operands.items)) return false;
        return error.ChainWaits;
    }

    /// Oldest first.
    fn collectOperands(self: *VersionFilter) error{OutOfMemory}!void {
        self.operands.clearRetainingCapacity();
        try self.operands.ensureTotalCapacity(self.gpa, self.chain.items.len);
        var at = self.chain.items.len;
        while (at > 0) {
            at -= 1;
            self.operands.appendAssumeCapacity(self.bytesOf(self.chain.items[at]));
        }
    }

    fn emitOperands(self: *VersionFilter, sink: anytype) Error!void {
        for (self.chain.items) |operand| try sink.add(self.key.items, operand.trailer, self.bytesOf(operand));
        self.chain.clearRetainingCapacity();
        self.chain_bytes.clearRetainingCapacity();
    }

    fn bytesOf(self: *const VersionFilter, operand: Operand) []const u8 {
        return self.chain_bytes.items[operand.start..][0..operand.bytes];
    }
};
