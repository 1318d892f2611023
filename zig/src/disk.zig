//! The one way to a file. Everything that Varve reads or writes goes through this vtable; behind it stands the
//! real disk (disk_real.zig) or a simulated one in memory (disk_simulated.zig). Any thread may call; a file is
//! closed only when nobody uses it.
//!
//! Results follow the C ABI's habit: zero or a count, or a negative errno or `abi.Code`. `EINTR` and short
//! transfers end here: `pread` is short only at the end of a file, `pwritev` writes everything or fails.

const std = @import("std");

pub const Result = i64;
pub const FileHandle = usize;
pub const DirectoryHandle = usize;

pub const IoVec = std.posix.iovec_const;

/// Who a directory is, whatever its spelling.
pub const Identity = struct { device: u64, inode: u64 };

pub const OpenMode = struct {
    create: bool = false,
    direct: bool = false,
    read_only: bool = false,
};

pub const OpenedFile = struct {
    handle: FileHandle,
    /// False where direct I/O was asked for and the file system refused.
    direct: bool,
};

pub const LockMode = enum { exclusive, shared };

/// How a `pwritev` reached the system, for the counters.
pub const WriteOutcome = struct { result: Result, calls: u32 };

pub const Disk = struct {
    context: *anyopaque,
    vtable: *const VTable,

    pub const VTable = struct {
        /// Opens a directory. With `create`, makes it and its missing parents, and syncs each parent that gained a name.
        directory_open: *const fn (*anyopaque, path: []const u8, create: bool) Result,
        directory_close: *const fn (*anyopaque, DirectoryHandle) void,
        directory_sync: *const fn (*anyopaque, DirectoryHandle) Result,
        directory_identity: *const fn (*anyopaque, DirectoryHandle) Identity,
        /// Calls `visit` for each plain file's name and size; a non-zero return stops.
        directory_list: *const fn (*anyopaque, DirectoryHandle, visitor: *anyopaque, visit: *const fn (*anyopaque, name: []const u8, bytes: u64) i32) Result,
        /// Takes the lock file in the directory; `Code.locked` at once if another has it (its pid: `lock_owner`).
        /// A shared lock creates nothing: without a lock file it locks the directory itself.
        lock: *const fn (*anyopaque, DirectoryHandle, LockMode) Result,
        lock_owner: *const fn (*anyopaque, DirectoryHandle) i32,
        unlock: *const fn (*anyopaque, lock: FileHandle) void,
        /// Never follows a symbolic link; files are created readable and writable by their owner only (0o600).
        file_open: *const fn (*anyopaque, DirectoryHandle, name: []const u8, OpenMode, *OpenedFile) Result,
        file_close: *const fn (*anyopaque, FileHandle) void,
        pread: *const fn (*anyopaque, FileHandle, buffer: []u8, offset: u64) Result,
        /// Where the first stretch from `offset` on begins that is no hole; `end` is where it ends, and the same if there is none.
        /// Everything from `offset` on, where the system cannot tell.
        next_data: *const fn (*anyopaque, FileHandle, offset: u64, end: *u64) Result,
        /// `data_sync`: the data of this write is on stable storage when the call returns (RWF_DSYNC or its like).
        pwritev: *const fn (*anyopaque, FileHandle, parts: []const IoVec, offset: u64, data_sync: bool) WriteOutcome,
        /// fdatasync, or F_FULLFSYNC on macOS. A failure is final: never called again for the same bytes.
        data_sync: *const fn (*anyopaque, FileHandle) Result,
        /// Reserves blocks; `ENOSPC` is found here. Falls back to nothing where the system has no such call.
        allocate: *const fn (*anyopaque, FileHandle, offset: u64, bytes: u64) Result,
        truncate: *const fn (*anyopaque, FileHandle, bytes: u64) Result,
        size: *const fn (*anyopaque, FileHandle) Result,
        /// Of a file, or of a directory within the directory; that one may take the place of an empty one.
        rename: *const fn (*anyopaque, DirectoryHandle, from: []const u8, to: []const u8) Result,
        unlink: *const fn (*anyopaque, DirectoryHandle, name: []const u8) Result,
        /// Removes the (empty) directory itself and syncs its parent.
        directory_remove: *const fn (*anyopaque, path: []const u8) Result,
        /// Opens a directory within another. Follows no symbolic link; with `create`, makes it if it is missing and syncs
        /// the one that it is in.
        subdirectory_open: *const fn (*anyopaque, DirectoryHandle, name: []const u8, create: bool) Result,
        /// Removes an empty directory within another. Syncs nothing.
        subdirectory_remove: *const fn (*anyopaque, DirectoryHandle, name: []const u8) Result,
        /// Gives a file a second name, in whichever directory of the disk.
        link: *const fn (*anyopaque, DirectoryHandle, name: []const u8, target: DirectoryHandle, target_name: []const u8) Result,
        /// Milliseconds since 1970.
        now: *const fn (*anyopaque) f64,
        /// True: no thread may run jobs; the caller steps them.
        stepped: bool,
    };
};
