//! zig build            libvarve for this machine, in zig-out/lib (ReleaseFast unless -Doptimize says otherwise)
//! zig build cross      for all targets, in zig-out/<target>
//! zig build test       the Zig tests, with safety checks; -Dsanitize-thread: under the thread sanitizer
//! zig build layout     writes ../src/native/layout.gen.ts and symbols.gen.ts

const std = @import("std");

/// The glibc version is part of the name, so that the library loads on old systems; the processor is the oldest of
/// its kind, and what newer ones can do is found out at run time.
const targets = [_][]const u8{
    "x86_64-linux-gnu.2.17",
    "aarch64-linux-gnu.2.17",
    "x86_64-macos.13.0",
    "aarch64-macos.13.0",
};

/// Zig's own code generator refuses instructions that the baseline processor lacks (checksum.zig tries before use).
const use_llvm = true;

pub fn build(b: *std.Build) void {
    const chosen = b.option(std.builtin.OptimizeMode, "optimize", "ReleaseFast (default), ReleaseSafe or Debug");
    const filters = b.option([]const []const u8, "test-filter", "Run only tests whose name contains this") orelse &.{};
    const optimize = chosen orelse .ReleaseFast;
    const host = hostTarget(b);

    b.installArtifact(library(b, host, optimize));

    const cross = b.step("cross", "Build the library for every target");
    for (targets) |name| {
        const built = library(b, targetOf(b, name), optimize);
        const directory = shortName(b, name);
        const install = b.addInstallArtifact(built, .{
            .dest_dir = .{ .override = .{ .custom = directory } },
        });
        cross.dependOn(&install.step);
    }

    const tested = module(b, "src/tests.zig", host, chosen orelse .ReleaseSafe, false);
    tested.sanitize_thread = b.option(bool, "sanitize-thread", "Run the tests under the thread sanitizer") orelse false;
    tested.linkLibrary(zstd(b, host));
    const tests = b.addTest(.{ .root_module = tested, .filters = filters, .use_llvm = use_llvm });
    b.step("test", "Run the Zig tests").dependOn(&b.addRunArtifact(tests).step);

    const generating = module(b, "src/layout_generator.zig", host, .Debug, false);
    generating.linkLibrary(zstd(b, host));
    const generator = b.addExecutable(.{ .name = "layout-generator", .root_module = generating, .use_llvm = use_llvm });
    const generate = b.addRunArtifact(generator);
    generate.addArg(b.pathFromRoot("../src/native/layout.gen.ts"));
    generate.addArg(b.pathFromRoot("../src/native/symbols.gen.ts"));
    generate.has_side_effects = true;
    b.step("layout", "Generate the TypeScript layout").dependOn(&generate.step);
}

fn library(b: *std.Build, target: std.Build.ResolvedTarget, optimize: std.builtin.OptimizeMode) *std.Build.Step.Compile {
    const root = module(b, "src/exports.zig", target, optimize, optimize != .Debug);
    root.linkLibrary(zstd(b, target));
    return b.addLibrary(.{ .name = "varve", .linkage = .dynamic, .root_module = root, .use_llvm = use_llvm });
}

/// The C sources of zstd, as an npm package brings them; they are no part of this repository.
const zstd_path = "../node_modules/zstd-napi/deps/zstd/lib";
/// All of what compresses and decompresses on one thread, without dictionaries of its own making.
const zstd_sources = [_][]const u8{
    "common/debug.c",
    "common/entropy_common.c",
    "common/error_private.c",
    "common/fse_decompress.c",
    "common/xxhash.c",
    "common/zstd_common.c",
    "compress/fse_compress.c",
    "compress/hist.c",
    "compress/huf_compress.c",
    "compress/zstd_compress.c",
    "compress/zstd_compress_literals.c",
    "compress/zstd_compress_sequences.c",
    "compress/zstd_compress_superblock.c",
    "compress/zstd_double_fast.c",
    "compress/zstd_fast.c",
    "compress/zstd_lazy.c",
    "compress/zstd_ldm.c",
    "compress/zstd_opt.c",
    "compress/zstd_preSplit.c",
    "decompress/huf_decompress.c",
    "decompress/zstd_ddict.c",
    "decompress/zstd_decompress.c",
    "decompress/zstd_decompress_block.c",
};

/// Fast in every mode: a debug build of Varve is no debug build of zstd.
fn zstd(b: *std.Build, target: std.Build.ResolvedTarget) *std.Build.Step.Compile {
    const root = b.createModule(.{
        .target = target,
        .optimize = .ReleaseFast,
        .link_libc = true,
        .pic = true,
        .strip = true,
        .sanitize_c = .off,
    });
    const made = b.addLibrary(.{ .name = "zstd", .linkage = .static, .root_module = root });
    std.Io.Dir.cwd().access(b.graph.io, b.pathFromRoot(zstd_path ++ "/zstd.h"), .{}) catch {
        const missing = b.addFail("the sources of zstd are missing: run `npm ci` in the repository first");
        made.step.dependOn(&missing.step);
        return made;
    };
    root.addCSourceFiles(.{
        .root = .{ .cwd_relative = b.pathFromRoot(zstd_path) },
        .files = &zstd_sources,
        // Hidden, because runtimes carry a zstd of their own, and a visible name may be bound to theirs.
        .flags = &.{
            "-fvisibility=hidden",
            "-DZSTDLIB_VISIBLE=",
            "-DZSTDLIB_HIDDEN=",
            "-DZSTDERRORLIB_VISIBLE=",
            "-DXXH_NAMESPACE=ZSTD_",
            "-DZSTD_DISABLE_ASM=1",
            "-DZSTD_LEGACY_SUPPORT=0",
            "-DZSTD_TRACE=0",
            "-DDEBUGLEVEL=0",
        },
    });
    return made;
}

fn module(
    b: *std.Build,
    root: []const u8,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
    strip: bool,
) *std.Build.Module {
    return b.createModule(.{
        .root_source_file = b.path(root),
        .target = target,
        .optimize = optimize,
        .link_libc = true,
        .pic = true,
        .strip = strip,
    });
}

fn hostTarget(b: *std.Build) std.Build.ResolvedTarget {
    const host = b.graph.host.result;
    for (targets) |name| {
        const target = targetOf(b, name);
        if (target.result.cpu.arch == host.cpu.arch and target.result.os.tag == host.os.tag) return target;
    }
    @panic("Varve builds on Linux and macOS, x86-64 and ARM64");
}

fn targetOf(b: *std.Build, name: []const u8) std.Build.ResolvedTarget {
    const query = std.Target.Query.parse(.{ .arch_os_abi = name, .cpu_features = "baseline" }) catch unreachable;
    return b.resolveTargetQuery(query);
}

/// `x86_64-linux`
fn shortName(b: *std.Build, name: []const u8) []const u8 {
    const dash = std.mem.indexOfScalar(u8, name, '-').?;
    const end = std.mem.indexOfAnyPos(u8, name, dash + 1, "-.").?;
    return b.dupe(name[0..end]);
}
