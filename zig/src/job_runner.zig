//! Jobs of one store: three queues, the threads that serve them, and the ring of completions.
//!
//! The log lane has a thread of its own, so that nothing stands before a commit; the others share `io_threads`
//! threads, reads first, then large values, and background jobs leave one thread for those where there are two. Threads start with
//! the first job that wants them. On a stepped disk there are none: the caller runs queued jobs one at a time, in
//! an order drawn from the disk's seed.
//!
//! A job's index is in at most one queue. When it is done its state says so, and then its index is in the ring.

const std = @import("std");
const abi = @import("abi.zig");
const disk_simulated = @import("disk_simulated.zig");
const job_dispatch = @import("job_dispatch.zig");
const LateJobs = @import("late_jobs.zig").LateJobs;
const locks = @import("locks.zig");
const c = std.c;
const Store = @import("store.zig").Store;

pub const io_threads_max = 64;
/// In the ring where there is no job: a wake-up and nothing else.
pub const no_job: u32 = std.math.maxInt(u32);

const lane_count = @typeInfo(abi.Lane).@"enum".fields.len;
const thread_stack_bytes = 512 * 1024;
/// How long the log thread looks for work before it sleeps: about what waking it would cost.
const log_spin_ns = 50 * std.time.ns_per_us;
const wait_spin_ns = 15 * std.time.ns_per_us;

const Queue = struct {
    jobs: [abi.job_count]u16 = undefined,
    head: u32 = 0,
    count: u32 = 0,

    fn push(self: *Queue, job: u32) void {
        std.debug.assert(self.count < abi.job_count);
        self.jobs[(self.head + self.count) % abi.job_count] = @intCast(job);
        self.count += 1;
    }

    fn peek(self: *Queue) ?u32 {
        return if (self.count == 0) null else self.jobs[self.head];
    }

    fn pop(self: *Queue) u32 {
        const job = self.jobs[self.head];
        self.head = (self.head + 1) % abi.job_count;
        self.count -= 1;
        return job;
    }
};

pub const JobRunner = struct {
    bytes: []align(4096) u8,
    stepped: bool,
    io_threads: u32,
    spins: bool,

    mutex: locks.Mutex = .{},
    lanes: [lane_count]Queue = @splat(.{}),
    log_work: locks.Condition = .{},
    io_work: locks.Condition = .{},
    stopping: bool = false,
    log_thread: ?std.Thread = null,
    io_pool: [io_threads_max]std.Thread = undefined,
    io_started: u32 = 0,
    io_idle: u32 = 0,
    background_running: u32 = 0,
    /// Length of the log lane, to be watched without the mutex.
    log_pending: std.atomic.Value(u32) = .init(0),

    /// Jobs queued or running: an index submitted twice is refused.
    /// Stepped disks only.
    late: LateJobs = .{},

    in_flight: [abi.job_count]std.atomic.Value(bool) = @splat(.init(false)),
    completion_mutex: locks.Mutex = .{},

    pub fn init(bytes: []align(4096) u8, io_threads: u32, stepped: bool) JobRunner {
        return .{
            .bytes = bytes,
            .stepped = stepped,
            .io_threads = std.math.clamp(io_threads, 1, io_threads_max),
            .spins = (std.Thread.getCpuCount() catch 1) > 1,
        };
    }

    pub fn record(self: *JobRunner, job: u32) *abi.JobHead {
        return @ptrCast(@alignCast(&self.bytes[abi.store_jobs_offset + job * abi.job_bytes]));
    }

    /// On the caller's thread. Zero when the job has run: what became of it is in its record. Not in the ring.
    pub fn run(self: *JobRunner, store: *Store, job: u32) i32 {
        if (!self.claim(job)) return abi.Code.invalid.int();
        const head = self.record(job);
        @atomicStore(u32, &head.state, @intFromEnum(abi.JobState.running), .release);
        if (disk_simulated.from(store.disk)) |simulated| {
            // Whoever blocks for it lets that much time pass.
            _ = disk_simulated.takeDelay(simulated);
            job_dispatch.run(store, &.{head});
            self.mutex.lock();
            defer self.mutex.unlock();
            self.late.steps += disk_simulated.takeDelay(simulated);
        } else job_dispatch.run(store, &.{head});
        self.in_flight[job].store(false, .release);
        @atomicStore(u32, &head.state, @intFromEnum(abi.JobState.done), .seq_cst);
        return 0;
    }

    /// Zero when the job is queued.
    pub fn submit(self: *JobRunner, store: *Store, job: u32) i32 {
        if (!self.claim(job)) return abi.Code.invalid.int();
        const result = self.enqueue(store, job);
        if (result < 0) self.in_flight[job].store(false, .release);
        return result;
    }

    fn claim(self: *JobRunner, job: u32) bool {
        if (job >= abi.job_count) return false;
        return !self.in_flight[job].swap(true, .acq_rel);
    }

    fn enqueue(self: *JobRunner, store: *Store, job: u32) i32 {
        const head = self.record(job);
        if (head.lane >= lane_count) return abi.Code.invalid.int();
        const lane: abi.Lane = @enumFromInt(head.lane);
        self.mutex.lock();
        defer self.mutex.unlock();
        if (self.stopping) return abi.Code.closed.int();
        if (!self.stepped and !self.startThread(store, lane)) return abi.Code.no_memory.int();
        @atomicStore(u32, &head.state, @intFromEnum(abi.JobState.queued), .release);
        self.lanes[@intFromEnum(lane)].push(job);
        if (lane == .log) {
            _ = self.log_pending.fetchAdd(1, .release);
            self.log_work.signal();
        } else self.io_work.signal();
        return 0;
    }

    // -----------------------------------------------------------------------------------------------------------
    // Threads

    /// False if the lane has no thread and gets none.
    fn startThread(self: *JobRunner, store: *Store, lane: abi.Lane) bool {
        if (lane == .log) {
            if (self.log_thread == null) self.log_thread = spawn(logLoop, .{ self, store });
            return self.log_thread != null;
        }
        var queued: u32 = 0;
        for (self.lanes, 0..) |each, index| {
            if (index != @intFromEnum(abi.Lane.log)) queued += each.count;
        }
        if (self.io_idle > queued or self.io_started == self.io_threads) return true;
        if (spawn(ioLoop, .{ self, store })) |thread| {
            self.io_pool[self.io_started] = thread;
            self.io_started += 1;
        }
        return self.io_started > 0;
    }

    /// The thread takes no signal: the host's handlers belong to the host's threads.
    fn spawn(comptime body: anytype, arguments: anytype) ?std.Thread {
        var all: c.sigset_t = undefined;
        var before: c.sigset_t = undefined;
        _ = c.sigfillset(&all);
        _ = c.pthread_sigmask(c.SIG.SETMASK, &all, &before);
        defer _ = c.pthread_sigmask(c.SIG.SETMASK, &before, &all);
        return std.Thread.spawn(.{ .stack_size = thread_stack_bytes }, body, arguments) catch null;
    }

    fn logLoop(self: *JobRunner, store: *Store) void {
        var active = false;
        while (true) {
            if (active and self.spins) self.spinForLog();
            self.mutex.lock();
            const lane = &self.lanes[@intFromEnum(abi.Lane.log)];
            while (lane.count == 0) {
                if (self.stopping) {
                    self.mutex.unlock();
                    return;
                }
                self.log_work.wait(&self.mutex);
            }
            const batch = self.take(.log);
            self.mutex.unlock();
            self.execute(store, batch);
            active = true;
        }
    }

    fn spinForLog(self: *JobRunner) void {
        const deadline = locks.nanoseconds() + log_spin_ns;
        while (self.log_pending.load(.acquire) == 0) {
            for (0..32) |_| std.atomic.spinLoopHint();
            if (locks.nanoseconds() >= deadline) return;
        }
    }

    fn ioLoop(self: *JobRunner, store: *Store) void {
        self.mutex.lock();
        defer self.mutex.unlock();
        while (true) {
            const lane = self.ioLane() orelse {
                if (self.stopping and self.lanes[@intFromEnum(abi.Lane.background)].count == 0) return;
                self.io_idle += 1;
                self.io_work.wait(&self.mutex);
                self.io_idle -= 1;
                continue;
            };
            const batch = self.take(lane);
            if (lane == .background) self.background_running += 1;
            self.mutex.unlock();
            self.execute(store, batch);
            self.mutex.lock();
            if (lane == .background) {
                self.background_running -= 1;
                // Another may have been held back by this one.
                self.io_work.broadcast();
            }
        }
    }

    fn ioLane(self: *JobRunner) ?abi.Lane {
        if (self.lanes[@intFromEnum(abi.Lane.read)].count > 0) return .read;
        if (self.lanes[@intFromEnum(abi.Lane.value)].count > 0) return .value;
        if (self.lanes[@intFromEnum(abi.Lane.background)].count == 0) return null;
        const most = @max(1, self.io_threads - 1);
        return if (self.background_running < most) .background else null;
    }

    // -----------------------------------------------------------------------------------------------------------
    // Running and completing

    /// Writes to one file that follow one another in a queue are carried out together.
    const Batch = struct { jobs: [batch_max]u16, count: u32 };
    const batch_max = job_dispatch.together_max;

    /// REQUIRES: the mutex, and a job in the lane.
    fn take(self: *JobRunner, lane: abi.Lane) Batch {
        const queue = &self.lanes[@intFromEnum(lane)];
        var batch: Batch = .{ .jobs = undefined, .count = 0 };
        const first = self.record(queue.peek().?);
        var bytes: u64 = 0;
        while (batch.count < batch_max) {
            const next = queue.peek() orelse break;
            const head = self.record(next);
            if (batch.count > 0 and !job_dispatch.joins(first, head, bytes)) break;
            bytes += job_dispatch.bytesOf(head);
            batch.jobs[batch.count] = @intCast(queue.pop());
            batch.count += 1;
        }
        if (lane == .log) _ = self.log_pending.fetchSub(batch.count, .acq_rel);
        return batch;
    }

    fn execute(self: *JobRunner, store: *Store, batch: Batch) void {
        self.carryOut(store, batch);
        for (batch.jobs[0..batch.count]) |job| self.complete(job);
    }

    fn carryOut(self: *JobRunner, store: *Store, batch: Batch) void {
        var heads: [batch_max]*abi.JobHead = undefined;
        for (batch.jobs[0..batch.count], heads[0..batch.count]) |job, *head| {
            head.* = self.record(job);
            @atomicStore(u32, &head.*.state, @intFromEnum(abi.JobState.running), .release);
        }
        job_dispatch.run(store, heads[0..batch.count]);
    }

    fn complete(self: *JobRunner, job: u32) void {
        self.in_flight[job].store(false, .release);
        @atomicStore(u32, &self.record(job).state, @intFromEnum(abi.JobState.done), .seq_cst);
        self.announce(job);
    }

    fn announce(self: *JobRunner, job: u32) void {
        const shared = self.words();
        const ring: *[abi.job_count]u32 = @ptrCast(@alignCast(&self.bytes[abi.store_completions_offset]));
        self.completion_mutex.lock();
        const tail = shared.completion_tail;
        @atomicStore(u32, &ring[tail % abi.job_count], job, .seq_cst);
        @atomicStore(u32, &shared.completion_tail, tail +% 1, .seq_cst);
        self.completion_mutex.unlock();
        if (@atomicLoad(u32, &shared.completion_waiters, .seq_cst) > 0) locks.futexWakeAll(&shared.completion_tail);
    }

    fn words(self: *JobRunner) *abi.StoreShared {
        return @ptrCast(self.bytes.ptr);
    }

    /// One when there are completions behind `seen`, else zero: after the timeout, or a signal.
    pub fn wait(self: *JobRunner, seen: u32, timeout_us: u32) i32 {
        const shared = self.words();
        if (@atomicLoad(u32, &shared.completion_tail, .seq_cst) != seen) return 1;
        if (timeout_us == 0 or self.stepped) return 0;
        if (self.spins) {
            const deadline = locks.nanoseconds() + wait_spin_ns;
            while (locks.nanoseconds() < deadline) {
                for (0..16) |_| std.atomic.spinLoopHint();
                if (@atomicLoad(u32, &shared.completion_tail, .acquire) != seen) return 1;
            }
        }
        _ = @atomicRmw(u32, &shared.completion_waiters, .Add, 1, .seq_cst);
        locks.futexWait(&shared.completion_tail, seen, @as(u64, timeout_us) * std.time.ns_per_us);
        _ = @atomicRmw(u32, &shared.completion_waiters, .Sub, 1, .seq_cst);
        return @intFromBool(@atomicLoad(u32, &shared.completion_tail, .seq_cst) != seen);
    }

    /// Stepped disks: hands out the answers that are due, or else runs the oldest job of a lane that the seed chooses.
    /// One, or zero if there is nothing to wait for.
    pub fn step(self: *JobRunner, store: *Store) i32 {
        const simulated = disk_simulated.from(store.disk) orelse return abi.Code.invalid.int();
        self.mutex.lock();
        self.late.steps += 1;
        if (self.answerLate(disk_simulated.epochOf(simulated))) {
            self.mutex.unlock();
            return 1;
        }
        var waiting: u32 = 0;
        for (0..lane_count) |lane| waiting += @intFromBool(self.isRunnable(lane));
        if (waiting == 0) {
            defer self.mutex.unlock();
            return @intFromBool(self.late.count > 0);
        }
        var chosen = disk_simulated.draw(simulated, waiting);
        const lane: abi.Lane = for (0..lane_count) |index| {
            if (!self.isRunnable(index)) continue;
            if (chosen == 0) break @enumFromInt(index);
            chosen -= 1;
        } else unreachable;
        const batch = self.take(lane);
        self.mutex.unlock();

        _ = disk_simulated.takeDelay(simulated);
        self.carryOut(store, batch);
        const delay = disk_simulated.takeDelay(simulated);
        const epoch = disk_simulated.epochOf(simulated);
        self.mutex.lock();
        defer self.mutex.unlock();
        for (batch.jobs[0..batch.count]) |job| {
            if (delay == 0) self.complete(job) else self.late.add(job, lane, delay, epoch);
        }
        return 1;
    }

    fn isRunnable(self: *JobRunner, lane: usize) bool {
        return self.lanes[lane].count > 0 and self.late.leavesThread(@enumFromInt(lane), self.io_threads);
    }

    /// Completes the late jobs that are due; false if none is. REQUIRES: the mutex.
    fn answerLate(self: *JobRunner, epoch: u32) bool {
        var found = false;
        while (self.late.takeDue()) |late| {
            const head = self.record(late.job);
            // The crash came before the answer. A handle is given out all the same, so that it can be given back.
            if (late.epoch != epoch and head.result == 0) head.result = abi.Code.crashed.int();
            self.complete(late.job);
            found = true;
        }
        return found;
    }

    // -----------------------------------------------------------------------------------------------------------

    /// New jobs are refused from now on; those in the queues are run, and the threads end.
    pub fn stop(self: *JobRunner, store: *Store) void {
        self.mutex.lock();
        self.stopping = true;
        self.log_work.broadcast();
        self.io_work.broadcast();
        self.mutex.unlock();
        while (self.stepped and self.step(store) == 1) {}
        if (self.log_thread) |thread| thread.join();
        for (self.io_pool[0..self.io_started]) |thread| thread.join();
        self.wakeAll();
    }

    pub fn wakeAll(self: *JobRunner) void {
        self.announce(no_job);
    }
};
