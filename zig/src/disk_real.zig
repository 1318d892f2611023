//! The real disk: disk.zig's vtable over system.zig. What a volume lacks (direct I/O, RWF_DSYNC, F_FULLFSYNC,
//! fallocate) is found by trying once, and done without. Any thread may call.

const std = @import("std");
const abi = @import("abi.zig");
const coalesce = @import("coalesce.zig");
const disk = @import("disk.zig");
const system = @import("system.zig");

pub const real: disk.Disk = .{ .context = @ptrCast(@constCast(&context_byte)), .vtable = &vtable };

const context_byte: u8 = 0;

const vtable: disk.Disk.VTable = .{
    .directory_open = directoryOpen,
    .directory_close = directoryClose,
    .directory_sync = directorySync,
    .directory_identity = directoryIdentity,
    .directory_list = directoryList,
    .lock = lock,
    .lock_owner = lockOwner,
    .unlock = unlock,
    .file_open = fileOpen,
    .file_close = fileClose,
    .pread = pread,
    .next_data = nextData,
    .pwritev = pwritev,
    .data_sync = dataSync,
    .allocate = allocate,
    .truncate = truncate,
    .size = size,
    .rename = rename,
    .unlink = unlink,
    .directory_remove = directoryRemove,
    .subdirectory_open = subdirectoryOpen,
    .subdirectory_remove = subdirectoryRemove,
    .link = link,
    .now = now,
    .stepped = false,
};

/// A handle is a descriptor and what its volume cannot do.
const Handle = packed struct(usize) {
    descriptor: i32,
    direct: bool = false,
    /// macOS: the volume has no F_FULLFSYNC; `fsync` must do. Decided when the directory is opened.
    no_full_sync: bool = false,
    _: @Int(.unsigned, @bitSizeOf(usize) - 34) = 0,
};

/// Whether the kernel takes RWF_DSYNC. Cleared by the first refusal, for all files: a refusal costs a call.
var synced_writes_usable: std.atomic.Value(bool) = .init(!system.is_darwin);
/// For tests: as if there were no `pwritev`.
pub var vectored_writes: std.atomic.Value(bool) = .init(true);

fn directoryOpen(_: *anyopaque, path: []const u8, create: bool) disk.Result {
    if (path.len == 0) return system.failure(.NOENT);
    if (create) {
        const result = makeDirectory(path);
        if (result < 0) return result;
    }
    const descriptor = system.openAt(system.current_directory, path, .{ .directory = true, .follow = true });
    if (descriptor < 0) return descriptor;
    var handle: Handle = .{ .descriptor = @intCast(descriptor) };
    if (system.is_darwin) {
        const probe = system.fullSync(handle.descriptor);
        handle.no_full_sync = system.is(probe, .OPNOTSUPP) or system.is(probe, .INVAL) or system.is(probe, .NOTTY);
    }
    return @intCast(@as(usize, @bitCast(handle)));
}

/// Makes the directory and its missing parents. The name of each is synced before the next is made, and that of
/// the deepest one that was there already is synced too: whoever made it may have died before doing so.
fn makeDirectory(path: []const u8) i64 {
    const descriptor = system.openAt(system.current_directory, path, .{ .directory = true, .follow = true });
    if (descriptor >= 0) {
        system.close(@intCast(descriptor));
        // A parent that we may not even open was not made by us.
        _ = syncParent(path);
        return 0;
    }
    if (!system.is(descriptor, .NOENT)) return descriptor;

    const parent = std.fs.path.dirname(path) orelse ".";
    if (parent.len == path.len) return descriptor;
    const above = makeDirectory(parent);
    if (above < 0) return above;
    const made = system.makeDirectoryAt(system.current_directory, path);
    if (made < 0 and !system.is(made, .EXIST)) return made;
    return syncParent(path);
}

fn syncParent(path: []const u8) i64 {
    const parent = std.fs.path.dirname(path) orelse ".";
    const descriptor = system.openAt(system.current_directory, parent, .{ .directory = true, .follow = true });
    if (descriptor < 0) return descriptor;
    defer system.close(@intCast(descriptor));
    return syncDirectory(.{ .descriptor = @intCast(descriptor) });
}

fn syncDirectory(handle: Handle) i64 {
    const result = if (handle.no_full_sync) system.dataSync(handle.descriptor) else system.fullSync(handle.descriptor);
    // File systems that cannot sync a directory write names through, or not at all; there is nothing more to do.
    if (system.is(result, .INVAL) or system.is(result, .OPNOTSUPP)) return 0;
    return result;
}

fn directoryClose(_: *anyopaque, directory: disk.DirectoryHandle) void {
    system.close(of(directory).descriptor);
}

fn directorySync(_: *anyopaque, directory: disk.DirectoryHandle) disk.Result {
    return syncDirectory(of(directory));
}

fn directoryIdentity(_: *anyopaque, directory: disk.DirectoryHandle) disk.Identity {
    var found: system.Status = undefined;
    if (system.status(of(directory).descriptor, &found) < 0) return .{ .device = 0, .inode = 0 };
    return .{ .device = found.device, .inode = found.inode };
}

const Listing = struct {
    directory: i32,
    visitor: *anyopaque,
    visit: *const fn (*anyopaque, []const u8, u64) i32,

    fn one(self: *Listing, name: []const u8) i64 {
        var found: system.Status = undefined;
        const result = system.statusAt(self.directory, name, &found);
        // Gone since it was listed.
        if (system.is(result, .NOENT)) return 0;
        if (result < 0) return result;
        if (!found.regular) return 0;
        return self.visit(self.visitor, name, found.bytes);
    }
};

fn directoryList(
    _: *anyopaque,
    directory: disk.DirectoryHandle,
    visitor: *anyopaque,
    visit: *const fn (*anyopaque, name: []const u8, bytes: u64) i32,
) disk.Result {
    // A descriptor of its own, for the position in the listing belongs to it.
    const descriptor = system.openAt(of(directory).descriptor, ".", .{ .directory = true });
    if (descriptor < 0) return descriptor;
    defer system.close(@intCast(descriptor));
    var listing: Listing = .{ .directory = @intCast(descriptor), .visitor = visitor, .visit = visit };
    return system.list(@intCast(descriptor), &listing, Listing.one);
}

// ---------------------------------------------------------------------------------------------------------------
// The lock: `flock`, which belongs to the open file and not to the process, so that two copies of this library
// in one process exclude each other and closing another descriptor releases nothing. The owner locks the file
// LOCK and the directory; a reader locks LOCK, or the directory where there is no such file.

const lock_name = "LOCK";

/// Descriptors of LOCK and of the directory, each plus one; zero for none.
const LockHandle = packed struct(usize) { file: u32, directory: u32 };

fn lock(_: *anyopaque, directory: disk.DirectoryHandle, mode: disk.LockMode) disk.Result {
    const parent = of(directory).descriptor;
    var attempts: u32 = 0;
    const file = while (attempts < 16) : (attempts += 1) {
        const opened = system.openAt(parent, lock_name, .{
            .create = mode == .exclusive,
            .write = mode == .exclusive,
            .no_wait = true,
        });
        if (mode == .shared and system.is(opened, .NOENT)) break null;
        if (opened < 0) return opened;
        const descriptor: i32 = @intCast(opened);
        const result = system.lock(descriptor, mode);
        if (result < 0) {
            system.close(descriptor);
            return if (system.is(result, .AGAIN)) abi.Code.locked.int() else result;
        }
        if (isNamed(parent, descriptor)) break descriptor;
        // Unlinked between our open and our lock (the store was removed): what we hold excludes nobody.
        system.close(descriptor);
    } else return abi.Code.locked.int();

    const own = system.openAt(parent, ".", .{ .directory = true });
    if (own >= 0 and (mode == .exclusive or file == null)) {
        const result = system.lock(@intCast(own), mode);
        if (system.is(result, .AGAIN)) {
            system.close(@intCast(own));
            if (file) |descriptor| system.close(descriptor);
            return abi.Code.locked.int();
        }
        // Some network file systems lock no directories; LOCK stands alone there.
    }
    if (file) |descriptor| {
        if (mode == .exclusive) writeOwner(descriptor);
    }
    const handle: LockHandle = .{
        .file = if (file) |descriptor| @intCast(descriptor + 1) else 0,
        .directory = if (own >= 0) @intCast(own + 1) else 0,
    };
    return @intCast(@as(usize, @bitCast(handle)));
}

fn isNamed(parent: i32, descriptor: i32) bool {
    var held: system.Status = undefined;
    var named: system.Status = undefined;
    if (system.status(descriptor, &held) < 0) return false;
    if (system.statusAt(parent, lock_name, &named) < 0) return false;
    return held.device == named.device and held.inode == named.inode;
}

/// For people who ask who has the store; nothing depends on it.
fn writeOwner(descriptor: i32) void {
    var buffer: [16]u8 = undefined;
    const text = std.fmt.bufPrint(&buffer, "{d}\n", .{system.processId()}) catch return;
    _ = system.truncate(descriptor, 0);
    const parts = [1]disk.IoVec{.{ .base = text.ptr, .len = text.len }};
    _ = system.pwritev(descriptor, &parts, 0);
}

fn lockOwner(_: *anyopaque, directory: disk.DirectoryHandle) i32 {
    const opened = system.openAt(of(directory).descriptor, lock_name, .{ .no_wait = true });
    if (opened < 0) return 0;
    defer system.close(@intCast(opened));
    var buffer: [16]u8 = undefined;
    const got = system.pread(@intCast(opened), &buffer, 0);
    if (got <= 0) return 0;
    const text = std.mem.trimEnd(u8, buffer[0..@intCast(got)], "\n");
    return std.fmt.parseInt(i32, text, 10) catch 0;
}

fn unlock(_: *anyopaque, handle: disk.FileHandle) void {
    const held: LockHandle = @bitCast(handle);
    if (held.directory != 0) system.close(@intCast(held.directory - 1));
    if (held.file != 0) system.close(@intCast(held.file - 1));
}

// ---------------------------------------------------------------------------------------------------------------

fn fileOpen(
    _: *anyopaque,
    directory: disk.DirectoryHandle,
    name: []const u8,
    mode: disk.OpenMode,
    out: *disk.OpenedFile,
) disk.Result {
    const parent = of(directory);
    var options: system.OpenOptions = .{
        .create = mode.create,
        .exclusive = mode.create,
        .write = !mode.read_only,
        .direct = mode.direct,
        .no_wait = true,
    };
    var descriptor = system.openAt(parent.descriptor, name, options);
    if (mode.direct and system.is(descriptor, .INVAL)) {
        // Some file systems make the file and then refuse the flag.
        if (mode.create) _ = system.unlinkAt(parent.descriptor, name, false);
        options.direct = false;
        descriptor = system.openAt(parent.descriptor, name, options);
    }
    if (descriptor < 0) return descriptor;
    if (options.direct and !system.directIsUsable(@intCast(descriptor), abi.block_bytes)) {
        system.close(@intCast(descriptor));
        options.direct = false;
        options.create = false;
        descriptor = system.openAt(parent.descriptor, name, options);
        if (descriptor < 0) return descriptor;
    }
    var found: system.Status = undefined;
    var result = system.status(@intCast(descriptor), &found);
    // A pipe or a device that somebody planted.
    if (result >= 0 and !found.regular) result = system.failure(.INVAL);
    if (result < 0) {
        system.close(@intCast(descriptor));
        return result;
    }
    if (options.direct and system.uncached(@intCast(descriptor)) < 0) options.direct = false;
    const handle: Handle = .{
        .descriptor = @intCast(descriptor),
        .direct = options.direct,
        .no_full_sync = parent.no_full_sync,
    };
    out.* = .{ .handle = @bitCast(handle), .direct = options.direct };
    return 0;
}

fn fileClose(_: *anyopaque, file: disk.FileHandle) void {
    system.close(of(file).descriptor);
}

fn nextData(_: *anyopaque, file: disk.FileHandle, offset: u64, end: *u64) disk.Result {
    const descriptor = of(file).descriptor;
    const start = system.seek(descriptor, offset, .data);
    if (start < 0) {
        const is_behind_all = system.is(start, .NXIO);
        end.* = if (is_behind_all) offset else std.math.maxInt(u64);
        return @intCast(offset);
    }
    const hole = system.seek(descriptor, @intCast(start), .hole);
    end.* = if (hole < 0) std.math.maxInt(u64) else @intCast(hole);
    return start;
}

fn pread(_: *anyopaque, file: disk.FileHandle, buffer: []u8, offset: u64) disk.Result {
    const handle = of(file);
    var done: usize = 0;
    while (done < buffer.len) {
        const got = system.pread(handle.descriptor, buffer[done..], offset + done);
        if (got < 0) return got;
        done += @intCast(got);
        if (got == 0) break;
        // Only the end of a file ends a direct transfer inside a sector; to ask again from there is an error.
        if (handle.direct and done % 512 != 0) break;
    }
    return @intCast(done);
}

fn pwritev(
    _: *anyopaque,
    file: disk.FileHandle,
    parts: []const disk.IoVec,
    offset: u64,
    data_sync: bool,
) disk.WriteOutcome {
    const handle = of(file);
    var calls: u32 = 0;
    // A write of several calls is cheaper to sync once, behind the last.
    const one_call = parts.len <= coalesce.parts_max and coalesce.bytesOf(parts) <= coalesce.call_bytes_max;
    if (data_sync and one_call and synced_writes_usable.load(.monotonic)) {
        const outcome = coalesce.writeRun(sinkOf(file, writeSynced), parts, offset);
        if (!system.is(outcome.result, .OPNOTSUPP) and !system.is(outcome.result, .NOSYS)) return outcome;
        synced_writes_usable.store(false, .monotonic);
        calls = outcome.calls;
    }
    var outcome = coalesce.writeRun(sinkOf(file, writePlain), parts, offset);
    outcome.calls += calls;
    if (!data_sync or outcome.result < 0) return outcome;
    const synced = syncFile(handle);
    if (synced < 0) outcome.result = synced;
    return outcome;
}

fn sinkOf(file: disk.FileHandle, write: *const fn (*anyopaque, []const disk.IoVec, u64) i64) coalesce.Sink {
    // The handle travels in the pointer itself, one up: a descriptor may be zero, a pointer may not.
    return .{ .context = @ptrFromInt(file + 1), .write = write, .vectored = vectored_writes.load(.monotonic) };
}

fn writePlain(context: *anyopaque, parts: []const disk.IoVec, offset: u64) i64 {
    return system.pwritev(of(@intFromPtr(context) - 1).descriptor, parts, offset);
}

fn writeSynced(context: *anyopaque, parts: []const disk.IoVec, offset: u64) i64 {
    return system.pwritevSynced(of(@intFromPtr(context) - 1).descriptor, parts, offset);
}

fn dataSync(_: *anyopaque, file: disk.FileHandle) disk.Result {
    return syncFile(of(file));
}

fn syncFile(handle: Handle) i64 {
    if (system.is_darwin and !handle.no_full_sync) return system.fullSync(handle.descriptor);
    return system.dataSync(handle.descriptor);
}

fn allocate(_: *anyopaque, file: disk.FileHandle, offset: u64, bytes: u64) disk.Result {
    const result = system.allocate(of(file).descriptor, offset, bytes);
    if (system.is(result, .OPNOTSUPP) or system.is(result, .NOSYS)) return 0;
    return result;
}

fn truncate(_: *anyopaque, file: disk.FileHandle, bytes: u64) disk.Result {
    return system.truncate(of(file).descriptor, bytes);
}

fn size(_: *anyopaque, file: disk.FileHandle) disk.Result {
    return system.size(of(file).descriptor);
}

fn rename(_: *anyopaque, directory: disk.DirectoryHandle, from: []const u8, to: []const u8) disk.Result {
    return system.renameAt(of(directory).descriptor, from, to);
}

fn unlink(_: *anyopaque, directory: disk.DirectoryHandle, name: []const u8) disk.Result {
    return system.unlinkAt(of(directory).descriptor, name, false);
}

fn directoryRemove(_: *anyopaque, path: []const u8) disk.Result {
    const result = system.unlinkAt(system.current_directory, path, true);
    if (result < 0) return result;
    return syncParent(path);
}

fn subdirectoryOpen(_: *anyopaque, directory: disk.DirectoryHandle, name: []const u8, create: bool) disk.Result {
    const parent = of(directory);
    if (create) {
        const made = system.makeDirectoryAt(parent.descriptor, name);
        if (made < 0 and !system.is(made, .EXIST)) return made;
        // One that was there too: whoever made it may have died before this.
        const synced = syncDirectory(parent);
        if (synced < 0) return synced;
    }
    const descriptor = system.openAt(parent.descriptor, name, .{ .directory = true });
    if (descriptor < 0) return descriptor;
    const handle: Handle = .{ .descriptor = @intCast(descriptor), .no_full_sync = parent.no_full_sync };
    return @intCast(@as(usize, @bitCast(handle)));
}

fn subdirectoryRemove(_: *anyopaque, directory: disk.DirectoryHandle, name: []const u8) disk.Result {
    return system.unlinkAt(of(directory).descriptor, name, true);
}

fn link(
    _: *anyopaque,
    directory: disk.DirectoryHandle,
    name: []const u8,
    target: disk.DirectoryHandle,
    target_name: []const u8,
) disk.Result {
    return system.linkAt(of(directory).descriptor, name, of(target).descriptor, target_name);
}

fn now(_: *anyopaque) f64 {
    return system.now();
}

fn of(handle: usize) Handle {
    return @bitCast(handle);
}
