//! Root of the Zig tests: names every file that has some.

test {
    // Files, disks and jobs.
    _ = @import("locks.zig");
    _ = @import("turnstile.zig");
    _ = @import("region.zig");
    _ = @import("sync_batcher.zig");
    _ = @import("file_table.zig");
    _ = @import("handle_table.zig");
    _ = @import("system.zig");
    _ = @import("coalesce.zig");
    _ = @import("disk_real.zig");
    _ = @import("tests/simulated_disk_test.zig");
    _ = @import("disk_registry.zig");
    _ = @import("file_name.zig");
    _ = @import("checksum.zig");
    _ = @import("staging.zig");
    _ = @import("log_writer.zig");
    _ = @import("file_jobs.zig");
    _ = @import("tests/blob_test.zig");
    _ = @import("job_dispatch.zig");
    _ = @import("late_jobs.zig");
    _ = @import("job_runner.zig");
    _ = @import("store.zig");
    _ = @import("threads.zig");
    _ = @import("words.zig");
    _ = @import("tests/coalesce_test.zig");
    _ = @import("tests/disk_test.zig");
    _ = @import("tests/log_test.zig");
    _ = @import("log_walk.zig");
    _ = @import("tests/job_test.zig");

    // Memtables, tables and reading.
    _ = @import("block_cache.zig");
    _ = @import("compression.zig");
    _ = @import("entry_sort.zig");
    _ = @import("filter.zig");
    _ = @import("internal_key.zig");
    _ = @import("tests/range_fragments_test.zig");
    _ = @import("merge_operator.zig");
    _ = @import("tests/version_filter_test.zig");
    _ = @import("tests/memtable_ranges_test.zig");
    _ = @import("tests/range_cover_test.zig");
    _ = @import("merge_chain.zig");
    _ = @import("chain_page.zig");
    _ = @import("entry_meaning.zig");
    _ = @import("tests/skip_list_test.zig");
    _ = @import("tests/tail_lease_test.zig");
    _ = @import("tests/cursor_test.zig");
    _ = @import("tests/model_test.zig");
    _ = @import("tests/table_io_test.zig");
    _ = @import("tests/table_test.zig");
    _ = @import("tests/flush_test.zig");
    _ = @import("tests/compaction_test.zig");
}
