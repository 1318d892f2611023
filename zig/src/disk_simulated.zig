//! A disk in memory that forgets what was not synced. Each file has what a reader sees and what is durable, with
//! the changes between; each directory has its names and its durable names. A crash keeps what is durable and, of the
//! rest, what the disk's seed decides (simulated_file.zig, simulated_directory.zig). Nothing happens by itself:
//! no thread runs jobs on it, its clock stands until it is set.
//!
//! Whatever changes the disk, or makes a change durable, is an operation: counted, and logged with its result.
//! The power can be made to fail behind any of them; then every call is `Code.crashed` until `crash` turns it on
//! again, and those on handles from before stay so for good.
//!
//! One mutex per disk; any thread may call. REQUIRES: nothing is open when the disk is destroyed.

const std = @import("std");
const abi = @import("abi.zig");
const disk = @import("disk.zig");
const simulated_data = @import("simulated_data.zig");
const simulated_names = @import("simulated_names.zig");
const simulated_state = @import("simulated_state.zig");
const Operation = abi.DiskOperation;
const never = simulated_state.never;
const of = simulated_state.of;
pub const Simulated = simulated_state.Simulated;

const gpa = std.heap.c_allocator;

pub fn create(seed: u64) error{OutOfMemory}!disk.Disk {
    const self = try gpa.create(Simulated);
    errdefer gpa.destroy(self);
    self.* = .{
        .root = undefined,
        .seed = seed,
        .faults = .{ .random = .init(seed ^ 0xfa17) },
        .latency = .{ .random = .init(seed ^ 0x1a7e) },
        .schedule = .init(seed),
        .random = .init(seed ^ 0xc4a5),
    };
    self.root = try self.makeDirectory(null, "");
    return .{ .context = self, .vtable = &vtable };
}

pub fn destroy(simulated: disk.Disk) void {
    const self = of(simulated.context);
    for (self.inodes.items) |inode| inode.destroy();
    self.inodes.deinit(gpa);
    for (self.directories.items) |directory| directory.destroy();
    self.directories.deinit(gpa);
    self.recycled.deinit(gpa);
    self.log.deinit();
    gpa.destroy(self);
}

/// The simulation behind the disk; null for the real one.
pub fn from(any: disk.Disk) ?*Simulated {
    return if (any.vtable == &vtable) of(any.context) else null;
}

/// A number below `below`, drawn from the disk's seed, for the order of jobs.
pub fn draw(self: *Simulated, below: u32) u32 {
    self.mutex.lock();
    defer self.mutex.unlock();
    return self.schedule.random().uintLessThan(u32, below);
}

/// The power fails, if it has not yet, and comes back. Handles from before are dead; locks are released; planned
/// faults are forgotten but those by chance.
pub fn crash(self: *Simulated) error{OutOfMemory}!void {
    self.mutex.lock();
    defer self.mutex.unlock();
    // Drawn anew for each crash, so that one point behind the other does not mean the same outcome at each.
    self.random = .init(self.seed ^ 0xc4a5 ^ ((self.log.count + 1) *% 0x9e3779b97f4a7c15));
    const mood = self.drawMood();
    for (self.inodes.items) |inode| try inode.crash(&mood);
    for (self.directories.items) |directory| try directory.crash(&mood);
    self.epoch += 1;
    self.off = false;
    self.off_after = never;
    self.faults.forgetPlanned();
    self.sweep();
    self.log.addEvent("crash");
}

/// The process dies and the machine goes on: handles are dead and locks released, but what was written is still
/// there to be read, and still not synced.
pub fn kill(self: *Simulated) void {
    self.mutex.lock();
    defer self.mutex.unlock();
    for (self.directories.items) |directory| {
        directory.readers = 0;
        directory.writer = false;
    }
    self.epoch += 1;
    self.off = false;
    self.off_after = never;
    self.log.addEvent("kill");
}

/// The power is to fail behind so many further operations; zero: now.
pub fn stopAfter(self: *Simulated, operations: u64) void {
    self.mutex.lock();
    defer self.mutex.unlock();
    self.off_after = self.log.count + operations;
    if (operations == 0) self.off = true;
}

pub fn failAfter(self: *Simulated, operation: Operation, errno: u32, skip: u32, count: u32) void {
    self.mutex.lock();
    defer self.mutex.unlock();
    self.faults.failAfter(operation, errno, skip, count);
}

pub fn failOften(self: *Simulated, operation: Operation, errno: u32, chance: f64) void {
    self.mutex.lock();
    defer self.mutex.unlock();
    self.faults.failOften(operation, errno, chance);
}

/// Answers of this kind of operation come late, by a number of steps from `least` to `most`.
pub fn delay(self: *Simulated, operation: Operation, least: u32, most: u32) void {
    self.mutex.lock();
    defer self.mutex.unlock();
    self.latency.set(operation, least, most);
}

/// Steps by which operations since the last call asked their answers to be late.
pub fn takeDelay(self: *Simulated) u32 {
    self.mutex.lock();
    defer self.mutex.unlock();
    return self.latency.take();
}

/// Counts crashes and kills: what an operation of an earlier time has to say, nobody is there to hear.
pub fn epochOf(self: *Simulated) u32 {
    self.mutex.lock();
    defer self.mutex.unlock();
    return self.epoch;
}

pub fn clearFaults(self: *Simulated) void {
    self.mutex.lock();
    defer self.mutex.unlock();
    self.faults.clear();
    self.capacity = never;
}

pub fn setCapacity(self: *Simulated, bytes: u64) void {
    self.mutex.lock();
    defer self.mutex.unlock();
    self.capacity = bytes;
}

pub fn setClock(self: *Simulated, milliseconds: f64) void {
    self.mutex.lock();
    defer self.mutex.unlock();
    self.clock = milliseconds;
}

pub fn operationCount(self: *Simulated) u64 {
    self.mutex.lock();
    defer self.mutex.unlock();
    return self.log.count;
}

/// Copies the log's text from `offset` on; returns how many bytes.
pub fn readLog(self: *Simulated, offset: u64, out: []u8) u32 {
    self.mutex.lock();
    defer self.mutex.unlock();
    return self.log.copy(offset, out);
}

// ---------------------------------------------------------------------------------------------------------------

const vtable: disk.Disk.VTable = .{
    .directory_open = simulated_names.directoryOpen,
    .directory_close = simulated_names.handleClose,
    .directory_sync = simulated_names.directorySync,
    .directory_identity = simulated_names.directoryIdentity,
    .directory_list = simulated_names.directoryList,
    .lock = simulated_names.lock,
    .lock_owner = simulated_names.lockOwner,
    .unlock = simulated_names.unlock,
    .file_open = simulated_data.fileOpen,
    .file_close = simulated_names.handleClose,
    .pread = simulated_data.pread,
    .next_data = simulated_data.nextData,
    .pwritev = simulated_data.pwritev,
    .data_sync = simulated_data.dataSync,
    .allocate = simulated_data.allocate,
    .truncate = simulated_data.truncate,
    .size = simulated_data.size,
    .rename = simulated_names.rename,
    .unlink = simulated_names.unlink,
    .directory_remove = simulated_names.directoryRemove,
    .subdirectory_open = simulated_names.subdirectoryOpen,
    .subdirectory_remove = simulated_names.subdirectoryRemove,
    .link = simulated_names.link,
    .now = now,
    .stepped = true,
};

fn now(context: *anyopaque) f64 {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    return self.clock;
}
