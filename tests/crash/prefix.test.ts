/** After any crash: a prefix of the commit order with everything that was promised, batches whole over all families. */
import { test } from "../harness.ts";
import { requireCrashes } from "./crash_run.ts";
import { seed } from "./support.ts";

test(`after any of 2,000 crashes the store is a prefix with all that was promised (VARVE_SEED=${seed})`, () =>
  requireCrashes("prefix", 2_000));
