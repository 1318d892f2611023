//! An open store for tests, on a disk of its own: the simulated one, or the real one in a scratch directory.

const std = @import("std");
const abi = @import("../abi.zig");
const disk_registry = @import("../disk_registry.zig");
const region = @import("../region.zig");
const store_registry = @import("../store.zig");
const Scratch = @import("scratch.zig").Scratch;
const testing = std.testing;
const Store = store_registry.Store;

pub const Fixture = struct {
    scratch: ?Scratch,
    disk_id: i32,
    handle: i32,
    store: *Store,
    data: region.Id,

    pub fn init(real: bool) !Fixture {
        var self: Fixture = .{
            .scratch = if (real) try Scratch.init() else null,
            .disk_id = if (real) 0 else disk_registry.create(7),
            .handle = 0,
            .store = undefined,
            .data = try region.reserve(16 << 20),
        };
        self.handle = store_registry.open(self.disk_id, self.path(), abi.OpenFlag.create, .{ .io_threads = 2 });
        try testing.expect(self.handle > 0);
        self.store = store_registry.acquire(self.handle).?;
        store_registry.release(self.handle);
        return self;
    }

    pub fn path(self: *const Fixture) []const u8 {
        return if (self.scratch) |*scratch| scratch.path() else "/store";
    }

    pub fn deinit(self: *Fixture) void {
        testing.expectEqual(0, store_registry.close(self.handle)) catch @panic("close failed");
        if (self.disk_id != 0) testing.expectEqual(0, disk_registry.destroy(self.disk_id)) catch @panic("disk in use");
        if (self.scratch) |*scratch| scratch.deinit();
        _ = region.release(self.data);
    }

    pub fn bytes(self: *const Fixture) []align(4096) u8 {
        return region.slice(self.data).?;
    }

    pub fn file(self: *const Fixture, job: u32) *abi.FileJob {
        return @ptrCast(@alignCast(self.store.runner.record(job)));
    }

    pub fn log(self: *const Fixture, job: u32) *abi.LogWriteJob {
        return @ptrCast(@alignCast(self.store.runner.record(job)));
    }

    /// A blank file job.
    pub fn prepare(self: *const Fixture, job: u32, opcode: abi.Opcode, lane: abi.Lane) *abi.FileJob {
        const record = self.file(job);
        record.* = std.mem.zeroes(abi.FileJob);
        record.head.opcode = @intFromEnum(opcode);
        record.head.lane = @intFromEnum(lane);
        record.region = self.data;
        return record;
    }

    /// Runs the job here; its result.
    pub fn run(self: *const Fixture, job: u32) !i32 {
        try testing.expectEqual(0, self.store.runner.run(self.store, job));
        try testing.expectEqual(@intFromEnum(abi.JobState.done), self.file(job).head.state);
        return self.file(job).head.result;
    }

    /// Submits the job and waits for it, stepping where nobody else would; its result.
    pub fn submit(self: *const Fixture, job: u32) !i32 {
        try testing.expectEqual(0, self.store.runner.submit(self.store, job));
        try self.finish(job);
        return self.file(job).head.result;
    }

    pub fn finish(self: *const Fixture, job: u32) !void {
        const head = &self.file(job).head;
        const shared = self.store.shared;
        while (true) {
            const seen = @atomicLoad(u32, &shared.completion_tail, .seq_cst);
            if (@atomicLoad(u32, &head.state, .acquire) == @intFromEnum(abi.JobState.done)) return;
            if (self.store.disk.vtable.stepped) {
                try testing.expectEqual(1, self.store.runner.step(self.store));
            } else _ = self.store.runner.wait(seen, 1_000_000);
        }
    }

    /// A new file, opened by a job; its handle.
    pub fn create(self: *const Fixture, kind: abi.FileKind, number: f64, flags: u32) !i32 {
        const job = self.prepare(0, .file_open, .read);
        job.kind = @intFromEnum(kind);
        job.number = number;
        job.file_flags = abi.FileFlag.create | flags;
        const handle = try self.run(0);
        try testing.expect(handle > 0);
        return handle;
    }
};
