//! System calls, with their errno: every function returns zero or a count, or the negated errno. `EINTR` ends
//! here; short transfers do not (coalesce.zig and disk_real.zig loop). Linux is called directly, so the host's
//! `errno` is not even touched; macOS through libSystem. Any thread may call.

const std = @import("std");
const builtin = @import("builtin");
const disk = @import("disk.zig");
const c = std.c;
const linux = std.os.linux;

pub const is_darwin = builtin.os.tag.isDarwin();
pub const Descriptor = c_int;
pub const current_directory: Descriptor = if (is_darwin) c.AT.FDCWD else linux.AT.FDCWD;
pub const io_vectors_max = 1024;

/// A path with its zero, on the stack.
pub const Path = struct {
    buffer: [4096]u8,

    /// False if it is too long or holds a zero byte.
    pub fn set(self: *Path, text: []const u8) bool {
        if (text.len >= self.buffer.len) return false;
        if (std.mem.indexOfScalar(u8, text, 0) != null) return false;
        @memcpy(self.buffer[0..text.len], text);
        self.buffer[text.len] = 0;
        return true;
    }

    pub fn pointer(self: *const Path) [*:0]const u8 {
        return @ptrCast(&self.buffer);
    }
};

pub const name_too_long: i64 = failure(.NAMETOOLONG);

pub fn failure(comptime number: c.E) i32 {
    return -@as(i32, @intFromEnum(number));
}

pub fn is(result: i64, comptime number: c.E) bool {
    return result == failure(number);
}

/// `ENOSPC`, … for an errno of this system; null for a number it does not know.
pub fn errnoName(number: u32, buffer: *[32]u8) ?[]const u8 {
    if (number == 0 or number > 4095) return null;
    const Number = @typeInfo(c.E).@"enum".tag_type;
    const tag = std.enums.tagName(c.E, @enumFromInt(@as(Number, @intCast(number)))) orelse return null;
    return std.fmt.bufPrint(buffer, "E{s}", .{tag}) catch null;
}

pub const OpenOptions = struct {
    create: bool = false,
    write: bool = false,
    direct: bool = false,
    directory: bool = false,
    /// Follow a symbolic link at the end of the path.
    follow: bool = false,
    /// Never wait for the other end of a pipe that somebody planted.
    no_wait: bool = false,
    /// With `create`: the file must not exist.
    exclusive: bool = false,
};

pub fn openAt(directory: Descriptor, name: []const u8, options: OpenOptions) i64 {
    var path: Path = undefined;
    if (!path.set(name)) return name_too_long;
    var flags: c.O = .{ .ACCMODE = if (options.write) .RDWR else .RDONLY, .CLOEXEC = true };
    flags.CREAT = options.create;
    flags.EXCL = options.create and options.exclusive;
    flags.DIRECTORY = options.directory;
    flags.NOFOLLOW = !options.follow;
    flags.NONBLOCK = options.no_wait;
    if (!is_darwin) flags.DIRECT = options.direct;
    while (true) {
        const result = if (is_darwin)
            translate(c.openat(directory, path.pointer(), flags, @as(c_uint, 0o600)))
        else
            direct(linux.openat(directory, path.pointer(), flags, 0o600));
        if (!is(result, .INTR)) return result;
    }
}

/// Never repeated: on Linux the descriptor is gone even after `EINTR`.
pub fn close(descriptor: Descriptor) void {
    if (is_darwin) _ = c.close(descriptor) else _ = linux.close(descriptor);
}

pub fn pread(descriptor: Descriptor, buffer: []u8, offset: u64) i64 {
    const count = @min(buffer.len, transfer_bytes_max);
    while (true) {
        const result = if (is_darwin)
            translate(c.pread(descriptor, buffer.ptr, count, @intCast(offset)))
        else
            direct(linux.pread(descriptor, buffer.ptr, count, @intCast(offset)));
        if (!is(result, .INTR)) return result;
    }
}

pub const Seek = enum { data, hole };

/// Where the next data, or the next hole, begins. The descriptor's own place moves, and nobody uses it.
pub fn seek(descriptor: Descriptor, offset: u64, wanted: Seek) i64 {
    // macOS has the two the other way round.
    const whence: c_int = if ((wanted == .data) == is_darwin) 4 else 3;
    return translate(c.lseek(descriptor, @intCast(offset), whence));
}

pub fn pwrite(descriptor: Descriptor, bytes: []const u8, offset: u64) i64 {
    const count = @min(bytes.len, transfer_bytes_max);
    while (true) {
        const result = if (is_darwin)
            translate(c.pwrite(descriptor, bytes.ptr, count, @intCast(offset)))
        else
            direct(linux.pwrite(descriptor, bytes.ptr, count, @intCast(offset)));
        if (!is(result, .INTR)) return result;
    }
}

/// One part goes the cheaper way. REQUIRES: at most `io_vectors_max` parts.
pub fn pwritev(descriptor: Descriptor, parts: []const disk.IoVec, offset: u64) i64 {
    std.debug.assert(parts.len <= io_vectors_max);
    if (parts.len == 1) return pwrite(descriptor, parts[0].base[0..parts[0].len], offset);
    while (true) {
        const result = if (is_darwin)
            translate(c.pwritev(descriptor, parts.ptr, @intCast(parts.len), @intCast(offset)))
        else
            direct(linux.pwritev(descriptor, parts.ptr, parts.len, @intCast(offset)));
        if (!is(result, .INTR)) return result;
    }
}

/// The written bytes are on stable storage on return. `EOPNOTSUPP` or `ENOSYS` where there is no such call.
pub fn pwritevSynced(descriptor: Descriptor, parts: []const disk.IoVec, offset: u64) i64 {
    if (is_darwin) return failure(.OPNOTSUPP);
    std.debug.assert(parts.len <= io_vectors_max);
    while (true) {
        const result = direct(linux.pwritev2(descriptor, parts.ptr, parts.len, @intCast(offset), linux.RWF.DSYNC));
        if (!is(result, .INTR)) return result;
    }
}

pub fn dataSync(descriptor: Descriptor) i64 {
    while (true) {
        const result = if (is_darwin) translate(c.fsync(descriptor)) else direct(linux.fdatasync(descriptor));
        if (!is(result, .INTR)) return result;
    }
}

/// macOS: down to the medium. Elsewhere `fsync`, for directories.
pub fn fullSync(descriptor: Descriptor) i64 {
    while (true) {
        const result = if (is_darwin)
            translate(c.fcntl(descriptor, c.F.FULLFSYNC))
        else
            direct(linux.fsync(descriptor));
        if (!is(result, .INTR)) return result;
    }
}

/// macOS: no caching from now on. Elsewhere asked for at open.
pub fn uncached(descriptor: Descriptor) i64 {
    if (!is_darwin) return 0;
    return translate(c.fcntl(descriptor, c.F.NOCACHE, @as(c_int, 1)));
}

const PreallocateRequest = extern struct {
    flags: c_uint,
    position_mode: c_int,
    offset: i64,
    bytes: i64,
    bytes_allocated: i64,
};

/// Reserves blocks; the file's size grows to cover them.
pub fn allocate(descriptor: Descriptor, offset: u64, bytes: u64) i64 {
    if (is_darwin) {
        const allocate_all = 4;
        const from_physical_end = 3;
        const before = size(descriptor);
        if (before < 0) return before;
        const end: i64 = @intCast(offset + bytes);
        if (end <= before) return 0;
        var request: PreallocateRequest = .{
            .flags = allocate_all,
            .position_mode = from_physical_end,
            .offset = 0,
            .bytes = end - before,
            .bytes_allocated = 0,
        };
        const result = translate(c.fcntl(descriptor, c.F.PREALLOCATE, &request));
        if (result < 0) return result;
        return truncate(descriptor, @intCast(end));
    }
    while (true) {
        const result = direct(linux.fallocate(descriptor, 0, @intCast(offset), @intCast(bytes)));
        if (!is(result, .INTR)) return result;
    }
}

pub fn truncate(descriptor: Descriptor, bytes: u64) i64 {
    while (true) {
        const result = if (is_darwin)
            translate(c.ftruncate(descriptor, @intCast(bytes)))
        else
            direct(linux.ftruncate(descriptor, @intCast(bytes)));
        if (!is(result, .INTR)) return result;
    }
}

pub const Status = struct { device: u64, inode: u64, links: u64, bytes: u64, regular: bool };

pub fn status(descriptor: Descriptor, out: *Status) i64 {
    return statusOf(descriptor, "", true, out);
}

/// Of the name itself, where it is a symbolic link.
pub fn statusAt(directory: Descriptor, name: []const u8, out: *Status) i64 {
    return statusOf(directory, name, false, out);
}

fn statusOf(descriptor: Descriptor, name: []const u8, itself: bool, out: *Status) i64 {
    var path: Path = undefined;
    if (!path.set(name)) return name_too_long;
    if (is_darwin) {
        var found: c.Stat = undefined;
        const result = translate(if (itself)
            c.fstat(descriptor, &found)
        else
            c.fstatat(descriptor, path.pointer(), &found, c.AT.SYMLINK_NOFOLLOW));
        if (result < 0) return result;
        out.* = .{
            .device = @as(u32, @bitCast(found.dev)),
            .inode = found.ino,
            .links = found.nlink,
            .bytes = @intCast(found.size),
            .regular = c.S.ISREG(found.mode),
        };
        return 0;
    }
    var found: linux.Statx = undefined;
    const flags: u32 = linux.AT.SYMLINK_NOFOLLOW | (if (itself) @as(u32, linux.AT.EMPTY_PATH) else 0);
    const wanted: linux.STATX = .{ .TYPE = true, .NLINK = true, .INO = true, .SIZE = true };
    const result = direct(linux.statx(descriptor, path.pointer(), flags, wanted, &found));
    if (result < 0) return result;
    out.* = .{
        .device = (@as(u64, found.dev_major) << 32) | found.dev_minor,
        .inode = found.ino,
        .links = found.nlink,
        .bytes = found.size,
        .regular = linux.S.ISREG(found.mode),
    };
    return 0;
}

pub fn size(descriptor: Descriptor) i64 {
    var found: Status = undefined;
    const result = status(descriptor, &found);
    return if (result < 0) result else @intCast(found.bytes);
}

/// Whether direct I/O in units of `unit` bytes works on the file: false only where the system says that it does not.
pub fn directIsUsable(descriptor: Descriptor, unit: u32) bool {
    if (is_darwin) return true;
    var found: linux.Statx = undefined;
    const dio_align: u32 = 0x2000;
    const result = direct(linux.statx(descriptor, "", linux.AT.EMPTY_PATH, @bitCast(dio_align), &found));
    if (result < 0) return true;
    if (@as(u32, @bitCast(found.mask)) & dio_align == 0) return true;
    if (found.dio_mem_align == 0 or found.dio_offset_align == 0) return false;
    return found.dio_mem_align <= unit and found.dio_offset_align <= unit;
}

pub fn renameAt(directory: Descriptor, from: []const u8, to: []const u8) i64 {
    var from_path: Path = undefined;
    var to_path: Path = undefined;
    if (!from_path.set(from) or !to_path.set(to)) return name_too_long;
    while (true) {
        const result = if (is_darwin)
            translate(c.renameat(directory, from_path.pointer(), directory, to_path.pointer()))
        else
            direct(linux.renameat(directory, from_path.pointer(), directory, to_path.pointer()));
        if (!is(result, .INTR)) return result;
    }
}

/// A second name for a file, in whichever directory of the same volume.
pub fn linkAt(directory: Descriptor, name: []const u8, target: Descriptor, target_name: []const u8) i64 {
    var path: Path = undefined;
    var target_path: Path = undefined;
    if (!path.set(name) or !target_path.set(target_name)) return name_too_long;
    while (true) {
        const result = if (is_darwin)
            translate(c.linkat(directory, path.pointer(), target, target_path.pointer(), 0))
        else
            direct(linux.linkat(directory, path.pointer(), target, target_path.pointer(), 0));
        if (!is(result, .INTR)) return result;
    }
}

pub fn unlinkAt(directory: Descriptor, name: []const u8, is_directory: bool) i64 {
    var path: Path = undefined;
    if (!path.set(name)) return name_too_long;
    const flags: u32 = if (!is_directory) 0 else if (is_darwin) c.AT.REMOVEDIR else linux.AT.REMOVEDIR;
    while (true) {
        const result = if (is_darwin)
            translate(c.unlinkat(directory, path.pointer(), flags))
        else
            direct(linux.unlinkat(directory, path.pointer(), flags));
        if (!is(result, .INTR)) return result;
    }
}

pub fn makeDirectoryAt(directory: Descriptor, name: []const u8) i64 {
    var path: Path = undefined;
    if (!path.set(name)) return name_too_long;
    while (true) {
        const result = if (is_darwin)
            translate(c.mkdirat(directory, path.pointer(), 0o700))
        else
            direct(linux.mkdirat(directory, path.pointer(), 0o700));
        if (!is(result, .INTR)) return result;
    }
}

/// Without waiting: `EWOULDBLOCK` if another descriptor has it.
pub fn lock(descriptor: Descriptor, mode: disk.LockMode) i64 {
    const shared = 1;
    const exclusive = 2;
    const no_wait = 4;
    const operation: c_int = no_wait | @as(c_int, if (mode == .shared) shared else exclusive);
    while (true) {
        const result = if (is_darwin)
            translate(c.flock(descriptor, operation))
        else
            direct(linux.flock(descriptor, operation));
        if (!is(result, .INTR)) return result;
    }
}

/// Calls `visit` for each name but `.` and `..`. REQUIRES: the descriptor was opened for this and nothing else.
pub fn list(descriptor: Descriptor, visitor: anytype, comptime visit: fn (@TypeOf(visitor), []const u8) i64) i64 {
    if (is_darwin) {
        const duplicate = translate(c.dup(descriptor));
        if (duplicate < 0) return duplicate;
        const stream = c.fdopendir(@intCast(duplicate)) orelse {
            const result = translate(@as(c_int, -1));
            close(@intCast(duplicate));
            return result;
        };
        defer _ = c.closedir(stream);
        while (true) {
            c._errno().* = 0;
            const entry = c.readdir(stream) orelse return -@as(i64, c._errno().*);
            const name = entry.name[0..entry.namlen];
            if (isDot(name)) continue;
            const result = visit(visitor, name);
            if (result != 0) return result;
        }
    }
    var buffer: [8192]u8 align(8) = undefined;
    while (true) {
        const got = direct(linux.getdents64(descriptor, &buffer, buffer.len));
        if (got <= 0) return got;
        var at: usize = 0;
        while (at < got) {
            const entry: *align(8) const linux.dirent64 = @ptrCast(@alignCast(&buffer[at]));
            const name_offset = @offsetOf(linux.dirent64, "name");
            const name = std.mem.sliceTo(buffer[at + name_offset .. at + entry.reclen], 0);
            at += entry.reclen;
            if (isDot(name)) continue;
            const result = visit(visitor, name);
            if (result != 0) return result;
        }
    }
}

fn isDot(name: []const u8) bool {
    return std.mem.eql(u8, name, ".") or std.mem.eql(u8, name, "..");
}

pub fn processId() i32 {
    return c.getpid();
}

/// Milliseconds since 1970.
pub fn now() f64 {
    var time: c.timespec = undefined;
    _ = c.clock_gettime(.REALTIME, &time);
    return @as(f64, @floatFromInt(time.sec)) * 1000 + @floor(@as(f64, @floatFromInt(time.nsec)) / 1e6);
}

/// The most that one call moves on Linux, rounded down to a block.
const transfer_bytes_max = 0x7fff_f000;

fn direct(result: usize) i64 {
    return @as(isize, @bitCast(result));
}

fn translate(result: anytype) i64 {
    return if (result == -1) -@as(i64, c._errno().*) else result;
}

test "errnoName() knows this system's numbers and refuses others" {
    var buffer: [32]u8 = undefined;
    try std.testing.expectEqualStrings("ENOSPC", errnoName(@intFromEnum(c.E.NOSPC), &buffer).?);
    try std.testing.expectEqual(null, errnoName(0, &buffer));
    try std.testing.expectEqual(null, errnoName(4000, &buffer));
}

test "Path refuses a zero byte and a path that is too long" {
    var path: Path = undefined;
    try std.testing.expect(!path.set("a\x00b"));
    try std.testing.expect(!path.set("a" ** 4096));
    try std.testing.expect(path.set("a"));
}
