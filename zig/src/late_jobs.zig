//! On a stepped disk: jobs that the disk has done and whose answer is late, by as many steps as its latency says.
//! A lane has as many of them as it would have threads waiting for a real disk. Under the runner's mutex.

const abi = @import("abi.zig");

pub const LateJob = struct {
    job: u16,
    lane: abi.Lane,
    /// The step at which the answer comes.
    due: u64,
    /// Crashes of the disk when the job ran.
    epoch: u32,
};

pub const LateJobs = struct {
    /// Steps so far.
    steps: u64 = 0,
    jobs: [abi.job_count]LateJob = undefined,
    count: u32 = 0,

    pub fn add(self: *LateJobs, job: u16, lane: abi.Lane, delay: u32, epoch: u32) void {
        self.jobs[self.count] = .{ .job = job, .lane = lane, .due = self.steps + delay, .epoch = epoch };
        self.count += 1;
    }

    /// One whose answer is due, the one that has been under way longest; it is no longer kept.
    pub fn takeDue(self: *LateJobs) ?LateJob {
        for (self.jobs[0..self.count], 0..) |late, index| {
            if (late.due > self.steps) continue;
            self.count -= 1;
            for (index..self.count) |at| self.jobs[at] = self.jobs[at + 1];
            return late;
        }
        return null;
    }

    /// Whether a thread would be free for the lane: the log has one of its own, the others share `io_threads`, and
    /// background jobs leave one to reads and large values.
    pub fn leavesThread(self: *const LateJobs, lane: abi.Lane, io_threads: u32) bool {
        var counts: [@typeInfo(abi.Lane).@"enum".fields.len]u32 = @splat(0);
        for (self.jobs[0..self.count]) |late| counts[@intFromEnum(late.lane)] += 1;
        const background = counts[@intFromEnum(abi.Lane.background)];
        const shared = background + counts[@intFromEnum(abi.Lane.read)] + counts[@intFromEnum(abi.Lane.value)];
        return switch (lane) {
            .log => counts[@intFromEnum(abi.Lane.log)] == 0,
            .read, .value => shared < io_threads,
            .background => shared < io_threads and background < @max(1, io_threads - 1),
        };
    }
};

test "a lane waits for its late answers as its threads would, and they come when they are due" {
    const testing = @import("std").testing;
    var late: LateJobs = .{};
    late.add(1, .log, 3, 0);
    late.add(2, .background, 1, 0);
    try testing.expect(!late.leavesThread(.log, 4));
    try testing.expect(late.leavesThread(.background, 4));
    try testing.expect(!late.leavesThread(.background, 2));
    try testing.expect(late.leavesThread(.read, 2));
    try testing.expect(!late.leavesThread(.read, 1));
    try testing.expectEqual(null, late.takeDue());
    late.steps += 1;
    try testing.expectEqual(2, late.takeDue().?.job);
    try testing.expectEqual(null, late.takeDue());
    late.steps += 2;
    try testing.expectEqual(1, late.takeDue().?.job);
    try testing.expect(late.leavesThread(.log, 1));
}
