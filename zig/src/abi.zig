//! Everything that Zig and TypeScript both see: constants, shared structs, error numbers.
//!
//! This file is the one source of layout. `zig build layout` writes src/native/layout.gen.ts from it, and a
//! hash over all of it that the loader compares before its first real call. Change a field here, run the
//! generator, and both halves move together. Nothing here allocates or calls anything; any thread may read it.
//!
//! Rules: `extern struct` only; sizes are multiples of eight; 64-bit integers appear only where TypeScript never
//! looks on a hot path. File offsets, sizes and sequence numbers are f64, exact to 2^53.

const std = @import("std");

/// Raised by hand when a call changes its meaning without changing its layout.
pub const abi_version: u32 = 1;

pub const block_bytes: u32 = 4096;
pub const key_bytes_max: u32 = 65_535;
/// Stands before the value of a put that expires.
pub const expiry_bytes: u32 = 8;
pub const value_bytes_max: u32 = 1 << 30;

/// Results below -4095 are ours; -1...-4095 are the system's errno, negated.
pub const Code = enum(i32) {
    /// A handle that was closed, or never opened.
    closed = -4096,
    /// An argument outside its documented range.
    invalid = -4097,
    /// Another process, or another copy of this library, has the store.
    locked = -4098,
    /// Bytes from disk do not check out. The offset is in the job's `value`.
    corruption = -4099,
    /// The answer is not in memory; ask again with a job.
    would_block = -4100,
    /// Address space or memory refused by the system.
    no_memory = -4101,
    /// A table of fixed size (regions, files, tables, cursors, jobs) is full.
    exhausted = -4102,
    /// The simulated disk has crashed; this handle belongs to the time before.
    crashed = -4103,
    /// What was asked for exists in the contract, not yet in this library.
    unsupported = -4104,
    /// The store is already open in this process.
    attached = -4105,
    /// The directory holds other files, and no store.
    foreign = -4106,
    /// Ended before it was done, as its owner asked.
    cancelled = -4107,

    pub fn int(code: Code) i32 {
        return @intFromEnum(code);
    }
};

/// What a simulated disk counts, logs and can be told to fail. All but `open`, `read` and `list` change the disk, or
/// make a change durable: those are numbered.
pub const DiskOperation = enum(u32) {
    create = 0,
    write = 1,
    sync = 2,
    allocate = 3,
    truncate = 4,
    rename = 5,
    unlink = 6,
    make_directory = 7,
    sync_directory = 8,
    remove_directory = 9,
    open = 10,
    read = 11,
    list = 12,
    link = 13,
};

/// In place of an errno, for `write` and `read` of a simulated disk: the call transfers a part, and is made again.
pub const fault_short: u32 = 4096;

// ---------------------------------------------------------------------------------------------------------------
// Files. A file is named by its kind and number; names are built in Zig, so nothing escapes the directory.

pub const FileKind = enum(u32) {
    /// `000042.log`
    log = 0,
    /// `000042.table`
    table = 1,
    /// `MANIFEST-000042`
    manifest = 2,
    /// `CURRENT`; the number is ignored
    current = 3,
    /// `000042.temporary`; swept at open
    temporary = 4,
    /// `000042.blob`
    blob = 5,
    /// `LOCK`; the number is ignored
    lock = 6,
    /// `FAMILIES`; the number is ignored
    families = 7,
};

pub const FileFlag = struct {
    /// Create the file; it must not exist.
    pub const create: u32 = 1;
    /// Ask for O_DIRECT or F_NOCACHE. Refused quietly by file systems without it: see `FileJob.result_flags`.
    pub const direct: u32 = 2;
    pub const read_only: u32 = 4;
};

// ---------------------------------------------------------------------------------------------------------------
// Jobs: the only way in which TypeScript reaches the disk. A job is run on the caller's thread (`varve_job_run`)
// or by an I/O thread (`varve_job_submit`); its record is the same. On a simulated disk no thread runs:
// submitted jobs wait until the caller steps them.

pub const job_bytes: u32 = 512;
pub const job_count: u32 = 1024;

pub const JobState = enum(u32) { free = 0, queued = 1, running = 2, done = 3 };

/// Each lane is a queue of its own, so that a flush never stands before a commit.
pub const Lane = enum(u32) { log = 0, read = 1, background = 2, value = 3 };

pub const Opcode = enum(u32) {
    // FileJob
    file_open = 1,
    file_close = 2,
    file_read = 3,
    file_write = 4,
    file_sync = 5,
    file_truncate = 6,
    /// Reserves `bytes` from `offset` and, with `JobFlag.zero`, writes zeros there (so that a later synced
    /// write changes no metadata).
    file_allocate = 7,
    file_rename = 8,
    file_unlink = 9,
    file_size = 10,
    directory_sync = 11,
    /// Writes one `DirectoryEntry` per file of ours into the region; `value` = count.
    directory_list = 12,
    /// Gives the file a second name, in `target_directory`. From then on nothing may write to it.
    file_link = 13,
    /// Other directories than the store's own (directory_jobs.zig). The path, or the name, lies in the region.
    directory_open = 14,
    subdirectory_open = 15,
    directory_close = 16,
    subdirectory_rename = 17,
    subdirectory_remove = 18,
    // LogWriteJob
    log_write = 20,
    // TableJob
    table_flush = 30,
    table_open = 31,
    table_verify = 32,
    // CompactionJob
    compaction_step = 33,
    // GetJob
    table_get = 40,
    // CursorJob
    cursor_fill = 50,
    // BlobWriteJob
    blob_write = 60,
    // BlobReadJob
    blob_read = 61,
};

pub const JobFlag = struct {
    /// log_write: the group's own write is made durable with it (RWF_DSYNC, or a data sync behind it).
    pub const durable: u32 = 1;
    /// log_write: pad to whole blocks (the segment is written the direct way).
    pub const blocks: u32 = 2;
    /// file_allocate: write zeros.
    pub const zero: u32 = 4;
    /// log_write: bytes before this write in the same file are not yet synced, so RWF_DSYNC is not enough.
    pub const sync_file: u32 = 8;
    /// subdirectory_open: lock the directory as a store is locked, until it is closed.
    pub const lock: u32 = 16;
    /// table_open: whichever family the table says; the description tells.
    pub const any_family: u32 = 32;
    /// table_verify: the large values that the table points to, too. Damage in one has its segment's number, negated.
    pub const with_values: u32 = 64;
    /// file_read: stretches that the file system knows to be holes are not read; no bytes where nothing else follows.
    pub const sparse: u32 = 128;
};

pub const JobHead = extern struct {
    /// JobState. Stored last by the thread that finishes the job (release); read with acquire.
    state: u32,
    /// Opcode
    opcode: u32,
    /// Lane
    lane: u32,
    /// JobFlag bits
    flags: u32,
    /// Zero, a count or a handle; negative: errno or Code.
    result: i32,
    /// Behind `Code.corruption` of a read: the number of the damaged table, of a damaged blob segment negated.
    detail: i32,
    /// A second result: bytes done, a size, or the offset of what is damaged.
    value: f64,
};

pub const FileJob = extern struct {
    head: JobHead,
    /// Handle of an open file (all but open, rename, unlink, directory operations).
    file: i32,
    /// FileKind and number name a file (open, rename's source, unlink).
    kind: u32,
    number: f64,
    offset: f64,
    bytes: f64,
    /// Region and offset in it that data comes from or goes to.
    region: i32,
    /// FileFlag bits for open; on return the bits that hold (direct is cleared where it was refused).
    file_flags: u32,
    region_offset: f64,
    target_number: f64,
    target_kind: u32,
    /// Where `kind` and `number` name a file: the store's own directory (zero), or the handle of another.
    directory: i32,
    /// The same for `target_kind` and `target_number` of a link.
    target_directory: i32,
    reserved: u32,
};

/// One file found in the store's directory.
pub const DirectoryEntry = extern struct { kind: u32, reserved: u32, number: f64, bytes: f64 };

pub const log_extents_max: u32 = 16;
pub const log_sync_files_max: u32 = 8;

/// A run of encoded entries in a region, written as it lies there.
pub const Extent = extern struct { region: i32, offset: u32, bytes: u32 };

pub const LogWriteJob = extern struct {
    head: JobHead,
    file: i32,
    /// Checksum of the frame before this one, or of the segment header.
    chain: u32,
    offset: f64,
    segment: f64,
    /// How far the log was known to be synced when this frame was written.
    synced_segment: f64,
    synced_offset: f64,
    extent_count: u32,
    /// Number of the users' writes in the group, for the coalescing counters.
    write_count: u32,
    /// Older segments to be synced before this frame is acknowledged, oldest first.
    sync_file_count: u32,
    /// Out: the frame's checksum, which the next frame carries as `chain`.
    frame_checksum: u32,
    /// Out: where the next frame starts if nothing is synced between (the caller rounds up after a sync).
    end_offset: f64,
    /// As the frame has it.
    mark: u32,
    reserved: u32,
    sync_files: [log_sync_files_max]i32,
    extents: [log_extents_max]Extent,
};

pub const TableJob = extern struct {
    head: JobHead,
    /// The file's number in the store's directory.
    number: f64,
    /// table_flush: region of the memtable. table_open: unused. table_verify: a table handle.
    source: i32,
    block_bytes: u32,
    filter_bits_per_key: u32,
    /// Sorted, ascending sequence numbers (f64) of the live snapshots, in a region.
    snapshot_count: u32,
    snapshot_region: i32,
    /// Where the `TableDescription` goes, with what follows it. table_flush: the family's name lies at its start when the job begins.
    description_region: i32,
    /// Store-wide family number, written into the table's properties and checked by table_open.
    family: u32,
    /// table_flush: Compression
    compression: u32,
    /// table_open: size the manifest states; a file of another size is damaged.
    file_bytes: f64,
    /// table_flush: the store's time, milliseconds since 1970, by which entries expire.
    now: f64,
    /// table_flush: MergeOperator
    merge_operator: u32,
    /// table_flush: zstd's, 1 to 22; unused without compression.
    compression_level: u32,
    /// table_flush: of the name in the description's region.
    family_name_bytes: u32,
    reserved: u32,
};

/// What was done to a table's data blocks; the first byte of a block's trailer.
pub const Compression = enum(u32) { none = 0, zstd = 1 };

/// How a table's largest key is meant: a point's key, a range tombstone's upper bound, or no bound at all.
pub const BoundKind = enum(u32) { inclusive = 0, exclusive = 1, unbounded = 2 };

/// What the manifest keeps of a table, and what a repair needs; followed in its region by the smallest and the largest
/// user key, zeros to a multiple of eight, `blob_count` `BlobReference`s, `input_count` file numbers (f64), the family's name
/// and zeros to eight.
pub const TableDescription = extern struct {
    number: f64,
    file_bytes: f64,
    /// Point entries.
    entry_count: f64,
    delete_count: f64,
    /// Fragments of range tombstones.
    range_count: f64,
    smallest_sequence: f64,
    largest_sequence: f64,
    smallest_key_bytes: u32,
    largest_key_bytes: u32,
    /// BoundKind
    largest_kind: u32,
    blob_count: u32,
    /// The open table.
    handle: i32,
    /// Bytes of the whole description, this header and the padding behind it included.
    bytes: u32,
    family: u32,
    family_name_bytes: u32,
    /// The tables that a compaction made this one from; its first output's number; whether this is its last output.
    input_count: u32,
    is_last_output: u32,
    first_output: f64,
};

/// The end of a table file, as `varve_footer_decode` finds it.
pub const TableFooter = extern struct {
    number: f64,
    filter_offset: f64,
    index_offset: f64,
    properties_offset: f64,
    filter_bytes: u32,
    index_bytes: u32,
    properties_bytes: u32,
    checksum: u32,
};

/// A table's properties, as `varve_properties_decode` finds them; followed by `blob_count` `BlobReference`s, `input_count` file
/// numbers (f64), the smallest key, the largest key and the family's name.
pub const TableProperties = extern struct {
    number: f64,
    entry_count: f64,
    delete_count: f64,
    merge_count: f64,
    expiring_count: f64,
    block_count: f64,
    raw_bytes: f64,
    smallest_sequence: f64,
    largest_sequence: f64,
    range_count: f64,
    ranges_offset: f64,
    first_output: f64,
    ranges_bytes: u32,
    family: u32,
    block_bytes: u32,
    filter_bits_per_key: u32,
    /// BoundKind
    largest_kind: u32,
    smallest_key_bytes: u32,
    largest_key_bytes: u32,
    blob_count: u32,
    input_count: u32,
    is_last_output: u32,
    family_name_bytes: u32,
    reserved: u32,
};

/// How many bytes of values in a blob segment a table points to, each value in whole blocks.
pub const BlobReference = extern struct { number: f64, bytes: f64 };

pub const compaction_arrays_offset: u32 = 256;

/// At offset 0 of a region: what `varve_compaction_open` reads. From `compaction_arrays_offset` follow, back to back:
/// the input tables as `source_words` i32 words (level count, then for each level: table count, handles …; level 0
/// newest first), zeros to a multiple of eight, the snapshots (f64, ascending), the numbers of the blob segments to
/// empty (f64).
pub const CompactionRequest = extern struct {
    store: i32,
    family: u32,
    source_words: u32,
    snapshot_count: u32,
    /// Blob segments whose values are to be copied to the segment `blob_number`, which is there, behind its header block.
    relocation_count: u32,
    /// Level of the outputs.
    level: u32,
    /// 1: nothing of the inputs' span lies below the outputs.
    bottom: u32,
    /// MergeOperator
    merge_operator: u32,
    block_bytes: u32,
    filter_bits_per_key: u32,
    /// Compression
    compression: u32,
    /// zstd's, 1 to 22; unused without compression.
    compression_level: u32,
    /// Handle of that segment's file.
    blob_file: i32,
    /// 1: long chains of a JavaScript operator are handed over to be folded.
    hands_chains: u32,
    /// Outputs take the file numbers from here on, at most `number_count` of them.
    first_number: f64,
    number_count: f64,
    blob_number: f64,
    /// An output is cut behind the user key that takes it past this.
    target_bytes: f64,
    /// The store's time, milliseconds since 1970, by which entries expire.
    now: f64,
    /// Bytes written a second, on real disks; zero: no limit.
    bytes_per_second: f64,
};

/// What a step of a compaction comes to.
pub const CompactionResult = enum(i32) {
    /// It wants another step.
    more = 0,
    done = 1,
    /// A `ChainPage` lies in the chain region: another step is to bring what became of it.
    chain = 2,
};

/// What became of a chain that was handed over.
pub const ChainAnswer = enum(u32) {
    none = 0,
    /// Nothing: its operands stay as they are.
    carried = 1,
    /// The value that it comes to lies at the front of the chain region.
    folded = 2,
};

/// One step of a compaction. `result`: `CompactionResult`. After an error it is over, and
/// what it made is gone; only a description region that is too small (`Code.exhausted`, `value`: bytes that it takes) can
/// be answered by another step with a larger one.
pub const CompactionJob = extern struct {
    head: JobHead,
    compaction: i32,
    /// When done: how many outputs there are, and where their `TableDescription`s lie, back to back. From then on their
    /// handles and files are the caller's.
    output_count: u32,
    description_region: i32,
    /// Of `chain_page_bytes` and more, where the request's `hands_chains` is 1.
    chain_region: i32,
    /// The step ends when it has read so many bytes of blocks.
    step_bytes: f64,
    /// Since the compaction began.
    bytes_read: f64,
    bytes_written: f64,
    entries_in: f64,
    entries_out: f64,
    /// Bytes of values, in whole blocks, that went to the segment `blob_number`.
    blob_bytes: f64,
    /// ChainAnswer, after a step that came to `chain`; and the bytes of the value.
    chain_answer: u32,
    chain_bytes: u32,
};

pub const GetJob = extern struct {
    head: JobHead,
    version: i32,
    /// The key lies at the front of this region.
    region: i32,
    key_bytes: u32,
    /// Out: type of the entry found (EntryType), zero if there is none.
    entry_type: u32,
    sequence: f64,
    /// Out: region that holds the value when it is larger than the context's value area, else -1.
    value_region: i32,
    value_bytes: u32,
};

pub const CursorJob = extern struct {
    head: JobHead,
    cursor: i32,
    row_count_max: u32,
    byte_count_max: u32,
    reserved: u32,
};

/// Writes one value to its place in a blob segment: checksum, then whole blocks, the last one padded with zeros. The
/// value lies at the front of a region of its own, whose bytes behind it are overwritten.
pub const BlobWriteJob = extern struct {
    head: JobHead,
    file: i32,
    region: i32,
    /// The segment's; part of the checksum.
    number: f64,
    /// A multiple of `block_bytes`.
    offset: f64,
    bytes: u32,
    /// Out: what the value's `BlobAddress` carries.
    checksum: u32,
};

/// Reads one value and checks it. It goes to the front of a region with room for it in whole blocks.
pub const BlobReadJob = extern struct {
    head: JobHead,
    address: BlobAddress,
    region: i32,
    reserved: u32,
};

// ---------------------------------------------------------------------------------------------------------------
// The log. docs/format.md has the byte-by-byte picture.

pub const log_magic: u32 = 0x474f4c56; // "VLOG"
pub const log_version: u32 = 1;

/// First block of a segment; the rest of the block is zero. The checksum covers every byte of the header behind it.
pub const LogSegmentHeader = extern struct {
    checksum: u32,
    magic: u32,
    version: u32,
    /// `SegmentWay`.
    way: u32,
    segment: f64,
    store_id_low: u32,
    store_id_high: u32,
    /// How far the log was synced when this segment was begun.
    synced_segment: f64,
    synced_offset: f64,
    /// The file's size, on stable storage before the segment's name is: a shorter file was cut.
    bytes: f64,
};

pub const SegmentWay = struct {
    /// Whole blocks (direct way); else unaligned (buffered way).
    pub const blocks: u32 = 1;
    /// The file was an older segment: its frames are those that carry the header's checksum.
    pub const reused: u32 = 2;
};

/// Stands before the entries of one group. The checksum covers header (behind it) and payload.
pub const LogFrame = extern struct {
    checksum: u32,
    payload_bytes: u32,
    chain: u32,
    /// Checksum of the segment's header if the segment is reused, else zero.
    mark: u32,
    segment: f64,
    synced_segment: f64,
    synced_offset: f64,
};

/// Stands before each run of entries that one caller encoded; a frame's payload is a list of these.
/// Runs start on multiples of eight; `bytes` counts the header and the padding.
pub const LogRun = extern struct {
    bytes: u32,
    entry_count: u32,
    /// Sequence number of the first entry; entry i has first_sequence + i.
    first_sequence: f64,
};

/// An entry of a run: header, key padded to four bytes, value padded to four bytes.
pub const LogEntry = extern struct {
    /// Low 8 bits EntryType, high 16 bits key length.
    type_and_key_bytes: u32,
    value_bytes: u32,
    family: u32,
};

pub const EntryType = enum(u32) {
    put = 1,
    delete = 2,
    merge = 3,
    delete_range = 4,
    /// A put whose value is preceded by its absolute expiry time in milliseconds (f64).
    put_expiring = 5,
    /// A put whose value is a `BlobAddress`.
    put_blob = 6,
    /// A put whose value is its expiry time and a `BlobAddress`.
    put_blob_expiring = 7,
};

/// How a family folds merge operands. `custom` operands are JavaScript's to fold; the library carries them on.
pub const MergeOperator = enum(u32) { none = 0, add = 1, max = 2, min = 3, append = 4, custom = 5 };

pub const blob_magic: u32 = 0x424c4256; // "VBLB"
pub const blob_version: u32 = 1;

/// First block of a blob segment; the rest of the block is zero. The checksum covers every byte of the header behind it.
pub const BlobSegmentHeader = extern struct {
    checksum: u32,
    magic: u32,
    version: u32,
    reserved: u32,
    number: f64,
    store_id_low: u32,
    store_id_high: u32,
};

/// Where a large value lies: the segment's number, the offset of its first byte, its length, and the CRC-32C over
/// its bytes, the segment's number and the offset.
pub const BlobAddress = extern struct { number: f64, offset: f64, bytes: u32, checksum: u32 };

/// What `varve_log_walk` is asked, and how far it came; at the front of a region, `family_count` `WalkFamily` records behind it.
/// A walk that stopped is taken up again by the next call.
pub const LogWalk = extern struct {
    /// The region with bytes of the segment.
    source: i32,
    mode: u32,
    family_count: u32,
    /// Families with smaller numbers that are not among the records were dropped: their entries are passed over.
    next_family: u32,
    segment: f64,
    /// The region has the segment's bytes from here on; from `limit` on they do not count.
    base: f64,
    limit: f64,
    /// Where the last frame ended. The next one is there, or at the next block.
    offset: f64,
    /// Its checksum, if there was one: `is_first` is 0.
    chain: u32,
    is_first: u32,
    /// As the segment's frames have it.
    mark: u32,
    reserved: u32,
    /// The furthest place that a frame says was synced.
    synced_segment: f64,
    synced_offset: f64,
    /// The greatest sequence number so far.
    last_sequence: f64,
    /// Whether an entry that was put into a memtable expires.
    saw_expiry: u32,
    /// Entries left in the run that was begun.
    entries_left: u32,
    /// The frame and the run that were begun, zero for none; and the next entry with its sequence number.
    frame: f64,
    run: f64,
    entry: f64,
    sequence: f64,
    /// The entry that is the caller's; its number is the one before `sequence`.
    refused: f64,
};

/// Where the entries of one family go.
pub const WalkFamily = extern struct {
    family: u32,
    memtable: i32,
    /// What is not newer is in tables.
    flushed_sequence: f64,
};

/// `check` reads only; `runs` stops before each run; `apply` puts entries into memtables.
pub const WalkMode = enum(u32) { check = 0, runs = 1, apply = 2 };

/// Why a walk stopped: no frame follows; `run` is the next; `entry` is the caller's to put away, and the walk goes on behind
/// it; `run` is malformed.
pub const WalkStop = enum(i32) { end = 0, run = 1, entry = 2, malformed = 3 };

// ---------------------------------------------------------------------------------------------------------------
// Memtables: one region each, addressed in 32-bit words from the region's start ("word offsets"); zero is null.
// Everything behind the header is bump-allocated from `tail_words`: entries and slot arrays by TypeScript, index
// nodes by Zig. Nothing moves and nothing is freed until the whole region is.

pub const MemtableHeader = extern struct {
    /// Atomic bump pointer (relaxed: what is taken is published otherwise): first free word. This one word is the memtable's fill.
    tail_words: u32,
    /// Words that may be allocated.
    capacity_words: u32,
    /// Word offset of the newest entry (stored with release after the entry is whole, loaded with acquire). Entries chain by `older`.
    newest_entry: u32,
    /// Word offset of the point index's directory of slot arrays, pairs (hash, newest entry): see memtable.ts. Stored with
    /// release, loaded with acquire; replaced when it grows.
    slots: u32,
    /// Of all arrays together.
    slot_count: u32,
    key_count: u32,
    entry_count: u32,
    /// Held by the store, by cursors and by jobs; the region goes back to the pool at zero. Atomic.
    references: u32,
    /// Claimed by the thread that extends the ordered index. Atomic.
    index_claim: u32,
    /// Newest entry that the ordered index holds. Atomic.
    indexed_entry: u32,
    /// Word offset of the skip list's head node; zero until first asked for. Atomic.
    index_head: u32,
    /// Store-wide family number.
    family: u32,
    /// Sequence numbers of the first and the last entry.
    first_sequence: f64,
    last_sequence: f64,
    delete_count: u32,
    /// Entries that were written without a log.
    volatile_count: u32,
    /// The oldest log segment that holds an entry of this memtable; zero if none does.
    first_segment: f64,
    /// Word offset of the newest range tombstone; they chain by `previous`. Atomic; zero: none.
    newest_range: u32,
    /// How many range tombstones there are. Atomic; published after the tombstone is reachable.
    range_count: u32,
    /// Entries go in here as long as they end below this word. Written before the memtable is anybody's.
    budget_words: u32,
    /// One while it is its family's active memtable. Written while the log's tail is not lent.
    is_active: u32,
    reserved: [4]u64,
};

pub const memtable_header_words: u32 = @sizeOf(MemtableHeader) / 4;

/// An entry: this header, the key padded with zeros to a word, the value padded to a word.
pub const MemtableEntry = extern struct {
    /// The entry inserted before this one, of whatever key.
    older: u32,
    /// The version before this one of the same key.
    previous: u32,
    sequence_low: u32,
    /// Low 24 bits: high part of the sequence number. High 8 bits: EntryType.
    sequence_high_and_type: u32,
    key_bytes: u32,
    value_bytes: u32,
};

// ---------------------------------------------------------------------------------------------------------------
// Reading. A context is one region per Worker through which point reads and cursor requests pass.

pub const context_key_offset: u32 = 1024;
pub const context_key_area_bytes: u32 = 2 * 65_536 + 64;
pub const context_value_offset: u32 = 256 * 1024;
pub const context_value_area_bytes: u32 = 64 * 1024;
pub const context_bytes: u32 = 512 * 1024;

/// At offset 0 of a context: what a point read found.
pub const GetResult = extern struct {
    entry_type: u32,
    value_bytes: u32,
    /// Region that holds a value too large for the context's value area, else -1; the reader releases it.
    value_region: i32,
    reserved: u32,
    /// Of the entry that was found.
    sequence: f64,
};

pub const cursor_memtables_max: u32 = 64;

/// At offset 64 of a context: what `varve_cursor_open` reads. Bounds lie at `context_key_offset`,
/// the lower one first, the upper one right behind it.
pub const CursorRequest = extern struct {
    version: i32,
    memtable_count: u32,
    sequence: f64,
    /// Inclusive; zero bytes: from the first key.
    lower_bytes: u32,
    /// Exclusive, where `has_upper` is 1.
    upper_bytes: u32,
    has_upper: u32,
    reverse: u32,
    /// 1: rows carry no values.
    keys_only: u32,
    /// MergeOperator
    merge_operator: u32,
    store: i32,
    reserved: u32,
    /// The time of the view, milliseconds since 1970, by which entries expire.
    now: f64,
    memtables: [cursor_memtables_max]i32,
};
pub const cursor_request_offset: u32 = 64;

/// A cursor's page: this header, then `2 * count + 1` u32 offsets, then (at `data_offset`) keys and values
/// back to back. Offsets count from `data_offset`: key i from [2i], its value from [2i+1], to the next one.
pub const PageHeader = extern struct {
    count: u32,
    /// 1: nothing comes after this page.
    end: u32,
    data_offset: u32,
    data_bytes: u32,
    /// Rows whose value is a `MergeStack`, for JavaScript to fold; their value's offset has `page_stack_bit` set.
    stack_count: u32,
    reserved: u32,
};
pub const page_stack_bit: u32 = 1 << 31;

/// A merge chain as a custom operator gets it: this header, then (if `has_base` is 1) the base, then the operands,
/// oldest first; each as a u32 length and its bytes, padded with zeros to a multiple of four.
pub const MergeStack = extern struct { has_base: u32, operand_count: u32 };

/// A chain that a compaction has folded in JavaScript: this header, the key, padded with zeros to a multiple of four, and
/// its `MergeStack`.
pub const ChainPage = extern struct { key_bytes: u32, stack_bytes: u32 };
/// A chain that takes more is not handed over.
pub const chain_page_bytes: u32 = 2 << 20;

pub const page_header_offset: u32 = 0;
pub const page_offsets_offset: u32 = 64;
pub const page_row_count_max: u32 = 8192;
pub const page_data_bytes: u32 = 64 * 1024;

// ---------------------------------------------------------------------------------------------------------------
// The store's shared region: control words, job records, the ring of completions.

/// Counters are written by Zig with relaxed adds and read by anybody.
pub const Counters = extern struct {
    /// Users' writes that went into groups, and system calls that carried them out.
    writes_in: u64,
    write_calls: u64,
    bytes_written: u64,
    syncs: u64,
    /// Requests for a sync that another's sync answered.
    syncs_shared: u64,
    read_calls: u64,
    bytes_read: u64,
    cache_hits: u64,
    cache_misses: u64,
    filter_negatives: u64,
    files_opened: u64,
    /// Reads of tables past the page cache, and tables that were written past it.
    table_reads_direct: u64,
    table_writes_direct: u64,
    jobs_run: u64,
    /// Calls that wrote values to blob segments.
    blob_write_calls: u64,
    /// Tables that point reads looked into, by level, and point reads that ended at a level.
    level_probes: [level_count]u64,
    level_hits: [level_count]u64,
};

/// No tree is deeper; what a version has below counts as the last.
pub const level_count: u32 = 7;

/// Words that every Worker of the process sees, accessed with sequentially consistent atomics where nothing else is said. What changes at
/// different moments lies in cache lines of its own.
pub const StoreShared = extern struct {
    // Stored with each commit, loaded with each read.
    /// The visible sequence number. Writer: first, low, last, with release; reader: last, low, first, with acquire, again if they differ.
    visible_high_first: u32,
    visible_low: u32,
    visible_high_last: u32,
    reserved_visible: [13]u32,
    // Changed with each commit, by whoever has the pipeline's claim or takes a place at the log's tail.
    /// Sequence number that the next entry gets; the library's own while the log's tail is lent.
    next_sequence: f64,
    /// Claim of the commit pipeline's current stage: zero, or 1 + the Worker's number.
    pipeline_claim: u32,
    reserved_next: [13]u32,
    // Seldom changed.
    /// Zero, or the error that made the store refuse writes (errno or Code, negative).
    poisoned: i32,
    /// Completions so far, modulo 2^32: the ring's write position. Also the futex that waiters sleep on.
    completion_tail: u32,
    /// Threads that sleep on `completion_tail`.
    completion_waiters: u32,
    reserved_words: [13]u32,
    counters: Counters,
};
pub const store_counters_offset: u32 = @offsetOf(StoreShared, "counters");
pub const store_completions_offset: u32 = 4096;
pub const store_jobs_offset: u32 = 8192 + 4096;
pub const store_region_bytes: u32 = store_jobs_offset + job_bytes * job_count;

// ---------------------------------------------------------------------------------------------------------------
// Several Workers on one store (docs/workers.md). The core's region: `StoreShared` (in use: the visible and the next
// sequence number, poisoned, counters), `WorkersShared`, then a slot for each attached Worker. A session's own region has
// the same `StoreShared` in front of its jobs; in use there: the ring of completions.

pub const worker_count_max: u32 = 64;
pub const submission_count: u32 = 64;
pub const request_count: u32 = 16;

pub const WorkersShared = extern struct {
    /// Zero, or 1 + the slot of the Worker that hosts the engine. Compare-and-swap; the host alone stores zero.
    host: u32,
    /// Changes of the host so far: stored by a new host before it reads anything else.
    epoch: u32,
    /// Sessions so far: a host that sees it move knows that somebody has come. Written by the library.
    arrivals: u32,
    /// Deaths so far of Workers that had not closed. Written by the library.
    deaths: u32,
    /// Moves when there is something for the host to do; the futex that a host sleeps on.
    bell: u32,
    /// Moves with each catalog that is published, after `catalog_region`; zero: none was. The futex of who waits for one.
    catalog_generation: u32,
    catalog_region: i32,
    /// One while the host sleeps on `bell`: then who rings wakes it.
    host_sleeping: u32,
    /// Statistics of the engine, as JSON, as the host last described them.
    stats_region: i32,
    reserved: [2]u32,
};

/// `leaving`: its session is about to be closed, by itself; it hosts no more.
pub const WorkerState = enum(u32) { free = 0, alive = 1, dead = 2, leaving = 3 };

/// A closed write buffer on its way to the host. Written by its Worker, but for `result`.
pub const Submission = extern struct {
    region: i32,
    /// Bytes of the run that lies in front of the region.
    bytes: u32,
    entry_count: u32,
    write_count: u32,
    /// SubmissionFlag bits
    flags: u32,
    /// Zero, or bytes of the error that lies in front of the region, as JSON. Written by the host, before `done` moves.
    result: u32,
    reserved: u64,
};

pub const SubmissionFlag = struct {
    pub const logged: u32 = 1;
    pub const durable: u32 = 2;
    /// One of the entries expires.
    pub const expires: u32 = 4;
};

pub const RequestState = enum(u32) { free = 0, asked = 1, taken = 2, answered = 3 };

/// Something else that the host is to do: JSON in front of a region, answered there.
pub const WorkerRequest = extern struct {
    /// RequestState. free → asked and answered → free by the Worker, asked → taken → answered by the host.
    state: u32,
    region: i32,
    bytes: u32,
    reserved: u32,
};

/// One attached Worker. Two words that different Workers write are never in one line of the cache.
pub const WorkerSlot = extern struct {
    /// WorkerState. Written by the library: alive by attach, dead by the end of the thread, free by the session's close.
    state: u32,
    session: i32,
    reserved_library: [14]u32,
    /// Catalog generation that this Worker is reading in, zero between reads. Written by the Worker.
    pinned_generation: u32,
    /// Sequence numbers that it holds on to lie as f64 in this region, zeros between them; the first is the one that its
    /// reads of this moment use.
    held_region: i32,
    /// Stored after each change of them.
    held_count: u32,
    /// Submissions so far, modulo 2^32.
    submitted: u32,
    /// Requests so far.
    requested: u32,
    /// One while it sleeps on `news`: then the host wakes it.
    sleeping: u32,
    reserved_worker: [10]u32,
    /// Submissions that are settled. Written by the host.
    done: u32,
    /// Moves with each settlement, answer and death; the futex that the Worker sleeps on.
    news: u32,
    reserved_host: [14]u32,
    requests: [request_count]WorkerRequest,
    submissions: [submission_count]Submission,
};

/// The log's tail, to be lent to whoever commits plain writes without asking the host (docs/workers.md), and what became of it. Written
/// by the host before it lends, by the library when it is recalled; so no word is atomic.
pub const TailLease = extern struct {
    /// The segment's file, of the session that lends; zero: nothing that is logged may be committed.
    file: i32,
    /// Checksum of the last frame.
    chain: u32,
    segment: f64,
    /// Where the next frame starts, and where the room for frames ends.
    offset: f64,
    end: f64,
    synced_segment: f64,
    synced_offset: f64,
    /// Bytes of runs that may be committed before the host looks again.
    allowance: f64,
    // What was done since it was lent.
    /// Where the last frame ended, without padding.
    frame_end: f64,
    frames: u32,
    groups: u32,
    writes: f64,
    entries: f64,
    bytes: f64,
    /// Of groups of more than one write, logged.
    bytes_coalesced: f64,
    puts: u32,
    deletes: u32,
    merges: u32,
    /// The log write that failed, which ended the lease.
    failure: i32,
};

/// What `varve_tail_commit` returns beside zero and failures.
pub const tail_refused: u32 = 1;
/// Bytes of key and value together of an entry that commits at the tail by itself.
pub const tail_entry_bytes_max: u32 = 1900;
/// In the head of such an entry: it goes into no log.
pub const tail_unlogged: u32 = 1 << 8;

pub const workers_shared_offset: u32 = 2048;
pub const tail_lease_offset: u32 = 3072;
pub const worker_slots_offset: u32 = 4096;
pub const core_region_bytes: u32 = worker_slots_offset + worker_count_max * @sizeOf(WorkerSlot);

pub const OpenFlag = struct {
    /// Create the directory, parents too, when missing.
    pub const create: u32 = 1;
    pub const read_only: u32 = 2;
    /// Tables are read past the page cache, and written so.
    pub const direct_reads: u32 = 4;
    pub const direct_writes: u32 = 8;
    /// Whatever is left of a store: the pointer may be missing. `ENOENT` where there is nothing of one.
    pub const repair: u32 = 16;
};

/// The structs that the generator writes out.
pub const shared_structs = .{
    JobHead,       FileJob,         DirectoryEntry, Extent,           LogWriteJob,       TableJob,
    TableFooter,   TableProperties, BlobReference,  TableDescription, CompactionRequest, CompactionJob,
    GetJob,        CursorJob,       BlobAddress,    MergeStack,       LogSegmentHeader,  LogFrame,
    LogRun,        LogEntry,        MemtableHeader, MemtableEntry,    GetResult,         CursorRequest,
    PageHeader,    Counters,        StoreShared,    BlobWriteJob,     BlobReadJob,       BlobSegmentHeader,
    WorkersShared, WorkerSlot,      Submission,     WorkerRequest,    TailLease,         LogWalk,
    WalkFamily,    ChainPage,
};
pub const shared_enums = .{
    Code,      DiskOperation, FileKind,         JobState,    Lane,        Opcode,
    EntryType, Compression,   MergeOperator,    BoundKind,   WorkerState, RequestState,
    WalkMode,  WalkStop,      CompactionResult, ChainAnswer,
};
pub const shared_flags = .{ .{ "FileFlag", FileFlag }, .{ "JobFlag", JobFlag }, .{ "OpenFlag", OpenFlag }, .{ "SubmissionFlag", SubmissionFlag }, .{ "SegmentWay", SegmentWay } };

comptime {
    for (.{ FileJob, LogWriteJob, TableJob, CompactionJob, GetJob, CursorJob, BlobWriteJob, BlobReadJob }) |Record| {
        std.debug.assert(@sizeOf(Record) <= job_bytes);
        std.debug.assert(@offsetOf(Record, "head") == 0);
    }
    std.debug.assert(@sizeOf(JobHead) == 32);
    std.debug.assert(@sizeOf(LogFrame) == 40);
    std.debug.assert(@sizeOf(LogRun) == 16);
    std.debug.assert(@sizeOf(LogEntry) == 12);
    std.debug.assert(@sizeOf(MemtableHeader) == 128);
    std.debug.assert(@sizeOf(MemtableEntry) == 24);
    std.debug.assert(@offsetOf(StoreShared, "next_sequence") == 64 and @offsetOf(StoreShared, "poisoned") == 128);
    std.debug.assert(@sizeOf(StoreShared) <= store_completions_offset);
    std.debug.assert(@sizeOf(StoreShared) <= workers_shared_offset);
    std.debug.assert(workers_shared_offset + @sizeOf(WorkersShared) <= tail_lease_offset);
    std.debug.assert(tail_lease_offset + @sizeOf(TailLease) <= worker_slots_offset);
    std.debug.assert(@sizeOf(WorkerSlot) % 64 == 0 and @offsetOf(WorkerSlot, "pinned_generation") == 64);
    std.debug.assert(@offsetOf(WorkerSlot, "done") == 128 and @offsetOf(WorkerSlot, "requests") == 192);
    std.debug.assert(job_count * 4 <= store_jobs_offset - store_completions_offset);
    std.debug.assert(cursor_request_offset + @sizeOf(CursorRequest) <= context_key_offset);
    std.debug.assert(context_key_offset + context_key_area_bytes <= context_value_offset);
}
