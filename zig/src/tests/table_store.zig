//! A store for tests of the reading side: a simulated disk, a directory, counters, and the calls that TypeScript
//! would make. One thread, unless a test says otherwise.

const std = @import("std");
const abi = @import("../abi.zig");
const compaction = @import("../compaction.zig");
const disk = @import("../disk.zig");
const disk_simulated = @import("../disk_simulated.zig");
const fault = @import("../fault.zig");
const region = @import("../region.zig");
const table_files = @import("../table_files.zig");
const tables = @import("../tables.zig");
const Store = @import("../store.zig").Store;
const TableFiles = table_files.TableFiles;

pub const family_name = "a family's name";

pub const TableStore = struct {
    store: Store,
    counters: *abi.Counters,
    context: region.Id,
    description: region.Id,
    block_bytes: u32 = 4096,
    filter_bits_per_key: u32 = 10,
    compression: abi.Compression = .none,
    now: f64 = 0,
    merge_operator: abi.MergeOperator = .none,

    pub fn init(self: *TableStore) !void {
        const on = try disk_simulated.create(1);
        try self.initOn(on, "/store");
    }

    pub fn initOn(self: *TableStore, on: disk.Disk, path: []const u8) !void {
        try self.initWith(on, path, .{});
    }

    pub fn initWith(self: *TableStore, on: disk.Disk, path: []const u8, files: table_files.Options) !void {
        const directory = on.vtable.directory_open(on.context, path, true);
        if (directory < 0) return error.NoDirectory;
        self.* = .{
            .store = undefined,
            .counters = try std.testing.allocator.create(abi.Counters),
            .context = try region.reserve(abi.context_bytes),
            .description = try region.reserve(256 * 1024),
        };
        self.counters.* = std.mem.zeroes(abi.Counters);
        self.store.disk = on;
        self.store.directory = @intCast(directory);
        self.store.counters = self.counters;
        self.store.table_files = try TableFiles.create(on, @intCast(directory), self.counters, files);
    }

    pub fn deinit(self: *TableStore) void {
        self.closeDirectory();
        disk_simulated.destroy(self.store.disk);
    }

    pub fn closeDirectory(self: *TableStore) void {
        self.store.table_files.close();
        self.store.disk.vtable.directory_close(self.store.disk.context, self.store.directory);
        std.testing.allocator.destroy(self.counters);
        _ = region.release(self.context);
        _ = region.release(self.description);
    }

    /// From now on everything goes by way of this disk.
    pub fn useDisk(self: *TableStore, on: disk.Disk) void {
        self.store.disk = on;
        self.store.table_files.disk = on;
    }

    /// A table's handle, or the job's error.
    pub fn flush(self: *TableStore, memtable: region.Id, number: f64, snapshots: []const f64) !i32 {
        const list = try region.reserve(@max(8, snapshots.len * 8));
        defer _ = region.release(list);
        for (snapshots, 0..) |snapshot, i| {
            region.slice(list).?[8 * i ..][0..8].* = @bitCast(snapshot);
        }
        var job = self.tableJob(.table_flush, number);
        job.source = memtable;
        job.snapshot_count = @intCast(snapshots.len);
        job.snapshot_region = list;
        tables.run(&self.store, &job.head);
        return job.head.result;
    }

    pub fn open(self: *TableStore, number: f64, file_bytes: f64) abi.JobHead {
        var job = self.tableJob(.table_open, number);
        job.file_bytes = file_bytes;
        tables.run(&self.store, &job.head);
        return job.head;
    }

    pub fn verify(self: *TableStore, table: i32) abi.JobHead {
        var job = self.tableJob(.table_verify, 0);
        job.source = table;
        tables.run(&self.store, &job.head);
        return job.head;
    }

    pub fn tableJob(self: *TableStore, opcode: abi.Opcode, number: f64) abi.TableJob {
        var job = std.mem.zeroes(abi.TableJob);
        job.head.opcode = @intFromEnum(opcode);
        job.number = number;
        job.block_bytes = self.block_bytes;
        job.filter_bits_per_key = self.filter_bits_per_key;
        job.family = 7;
        job.compression = @intFromEnum(self.compression);
        job.compression_level = 3;
        job.now = self.now;
        job.merge_operator = @intFromEnum(self.merge_operator);
        job.description_region = self.description;
        if (opcode == .table_flush) {
            job.family_name_bytes = family_name.len;
            @memcpy(region.slice(self.description).?[0..family_name.len], family_name);
        }
        return job;
    }

    pub fn described(self: *TableStore) *abi.TableDescription {
        return @ptrCast(region.slice(self.description).?.ptr);
    }

    pub fn version(self: *TableStore, levels: []const []const i32) i32 {
        const memory = region.slice(self.context).?;
        const words: [*]i32 = @ptrCast(@alignCast(memory.ptr + abi.context_key_offset));
        var count: u32 = 1;
        words[0] = @intCast(levels.len);
        for (levels) |level| {
            words[count] = @intCast(level.len);
            for (level, 0..) |table, i| words[count + 1 + i] = table;
            count += 1 + @as(u32, @intCast(level.len));
        }
        return tables.versionCreate(self.context, count);
    }

    pub const Answer = struct { code: i32, entry_type: u32 = 0, sequence: f64 = 0, value: []const u8 = "" };

    /// The value lies in the context, until the next call; one too large for it is not returned here.
    pub fn get(self: *TableStore, in_version: i32, key: []const u8, sequence: u64, flags: u32) Answer {
        const memory = region.slice(self.context).?;
        @memcpy(memory[abi.context_key_offset..][0..key.len], key);
        const code = tables.get(in_version, self.context, @intCast(key.len), @floatFromInt(sequence), flags);
        const result: *abi.GetResult = @ptrCast(memory.ptr);
        if (code < 0) return .{ .code = code };
        return .{
            .code = code,
            .entry_type = result.entry_type,
            .sequence = result.sequence,
            .value = memory[abi.context_value_offset..][0..if (result.value_region < 0) result.value_bytes else 0],
        };
    }

    pub const Range = struct {
        version: i32 = 0,
        memtables: []const region.Id = &.{},
        sequence: u64,
        lower: []const u8 = "",
        upper: ?[]const u8 = null,
        reverse: bool = false,
        keys_only: bool = false,
        now: f64 = 0,
        merge_operator: abi.MergeOperator = .none,
    };

    pub fn cursor(self: *TableStore, range: Range) i32 {
        const memory = region.slice(self.context).?;
        const request: *abi.CursorRequest = @ptrCast(@alignCast(memory.ptr + abi.cursor_request_offset));
        const upper = range.upper orelse "";
        request.* = .{
            .version = range.version,
            .memtable_count = @intCast(range.memtables.len),
            .sequence = @floatFromInt(range.sequence),
            .lower_bytes = @intCast(range.lower.len),
            .upper_bytes = @intCast(upper.len),
            .has_upper = @intFromBool(range.upper != null),
            .reverse = @intFromBool(range.reverse),
            .keys_only = @intFromBool(range.keys_only),
            .merge_operator = @intFromEnum(range.merge_operator),
            .store = 0,
            .reserved = 0,
            .now = range.now,
            .memtables = @splat(0),
        };
        @memcpy(request.memtables[0..range.memtables.len], range.memtables);
        @memcpy(memory[abi.context_key_offset..][0..range.lower.len], range.lower);
        @memcpy(memory[abi.context_key_offset + range.lower.len ..][0..upper.len], upper);
        return tables.cursorOpen(self.context);
    }

    pub fn fillByJob(self: *TableStore, handle: i32, row_count_max: u32, byte_count_max: u32) abi.JobHead {
        var job = std.mem.zeroes(abi.CursorJob);
        job.head.opcode = @intFromEnum(abi.Opcode.cursor_fill);
        job.cursor = handle;
        job.row_count_max = row_count_max;
        job.byte_count_max = byte_count_max;
        tables.run(&self.store, &job.head);
        return job.head;
    }
};

/// A compaction as its caller drives it.
pub const CompactionOrder = struct {
    levels: []const []const i32,
    bottom: bool = false,
    snapshots: []const u64 = &.{},
    first_number: f64,
    number_count: f64 = 1000,
    target_bytes: f64 = 1 << 20,
    bytes_per_second: f64 = 0,
    hands_chains: bool = false,

    /// A handle, or a Code.
    pub fn open(self: CompactionOrder, store: *TableStore) !i32 {
        const id = try region.reserve(1 << 16);
        defer _ = region.release(id);
        self.write(store, id);
        var failure: fault.Fault = .{};
        return compaction.openIn(&store.store, id, &failure) catch failure.code;
    }

    pub fn write(self: CompactionOrder, store: *TableStore, id: region.Id) void {
        const memory = region.slice(id).?;
        const request: *abi.CompactionRequest = @ptrCast(memory.ptr);
        const words: [*]i32 = @ptrCast(@alignCast(memory.ptr + abi.compaction_arrays_offset));
        words[0] = @intCast(self.levels.len);
        var count: u32 = 1;
        for (self.levels) |level| {
            words[count] = @intCast(level.len);
            for (level, 0..) |table, i| words[count + 1 + i] = table;
            count += 1 + @as(u32, @intCast(level.len));
        }
        const snapshots: [*]f64 = @ptrCast(@alignCast(words + std.mem.alignForward(u32, count, 2)));
        for (self.snapshots, snapshots) |snapshot, *number| number.* = @floatFromInt(snapshot);
        request.* = .{
            .store = 0,
            .family = 7,
            .source_words = count,
            .snapshot_count = @intCast(self.snapshots.len),
            .relocation_count = 0,
            .level = 1,
            .bottom = @intFromBool(self.bottom),
            .merge_operator = @intFromEnum(store.merge_operator),
            .block_bytes = store.block_bytes,
            .filter_bits_per_key = store.filter_bits_per_key,
            .compression = @intFromEnum(store.compression),
            .compression_level = 3,
            .first_number = self.first_number,
            .number_count = self.number_count,
            .blob_file = 0,
            .hands_chains = @intFromBool(self.hands_chains),
            .blob_number = 0,
            .target_bytes = self.target_bytes,
            .now = store.now,
            .bytes_per_second = self.bytes_per_second,
        };
    }
};

pub fn compactionJob(handle: i32, description: region.Id, step_bytes: f64) abi.CompactionJob {
    var job = std.mem.zeroes(abi.CompactionJob);
    job.head.opcode = @intFromEnum(abi.Opcode.compaction_step);
    job.compaction = handle;
    job.description_region = description;
    job.step_bytes = step_bytes;
    return job;
}

/// A page as its reader sees it.
pub const Page = struct {
    header: *const abi.PageHeader,
    offsets: [*]const u32,
    data: [*]const u8,

    pub fn of(id: region.Id) Page {
        const memory = region.slice(id).?;
        const header: *const abi.PageHeader = @ptrCast(memory.ptr);
        return .{
            .header = header,
            .offsets = @ptrCast(@alignCast(memory.ptr + abi.page_offsets_offset)),
            .data = memory.ptr + header.data_offset,
        };
    }

    pub fn key(self: Page, row: usize) []const u8 {
        return self.data[self.offsets[2 * row]..self.valueStart(row)];
    }

    pub fn value(self: Page, row: usize) []const u8 {
        return self.data[self.valueStart(row)..self.offsets[2 * row + 2]];
    }

    pub fn isStack(self: Page, row: usize) bool {
        return self.offsets[2 * row + 1] & abi.page_stack_bit != 0;
    }

    fn valueStart(self: Page, row: usize) u32 {
        return self.offsets[2 * row + 1] & ~abi.page_stack_bit;
    }
};
