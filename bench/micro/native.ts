/** What a call into the library costs, by the kinds of its arguments. */
import { bench, do_not_optimize, group } from "mitata";
import { native } from "../../src/native/library.ts";
import { reserveRegion } from "../../src/native/region.ts";

export function registerNative(): void {
  const { call } = native();
  const region = reserveRegion(64 * 1024);

  group("FFI calls", () => {
    bench("no argument (varve_abi_hash)", () => do_not_optimize(call.varve_abi_hash()));
    bench("i32 in, f64 out (varve_region_bytes)", () => {
      do_not_optimize(call.varve_region_bytes(region.id));
    });
    bench("i32, three f64, u32 (varve_frame_check)", () => {
      do_not_optimize(call.varve_frame_check(region.id, 0, 4096, 1, 0));
    });
  });

  group("a view as argument, its bytes checksummed (varve_checksum)", () => {
    for (const bytes of [16, 1024, 64 * 1024]) {
      const view = new Uint8Array(new ArrayBuffer(bytes));
      bench(`${bytes} B`, () => do_not_optimize(call.varve_checksum(view, bytes)));
    }
  });
}
