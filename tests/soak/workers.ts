/**
 * Eight Workers of both kinds with sixteen writers each, on a family of their own and a shared one, durable, buffered and volatile, while
 * memtables are flushed and compacted. `npm run soak:workers -- 600 [terminate]`, in Deno `deno task soak:workers 600 [terminate]`: for
 * so many seconds; with `terminate` one Worker ends at random every 100 ms. Every acknowledged write must be there, in every Worker's
 * eyes, and again when the store was closed and opened. Prints how far it is and what it counted; exits with 1 on a loss, or when
 * nothing has been acknowledged for a minute.
 */
import process from "node:process";
import { Varve } from "../../mod.ts";
import { runtime, temporaryDirectory } from "../harness.ts";
import { KINDS, Peer } from "../workers/support.ts";

const WORKERS = 8;
const WRITERS = 16;
const KEYS = 40;
const PROGRESS_MS = 10_000;
const STUCK_MS = 60_000;
const TEXT = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;

const [duration = "10", mode] = process.argv.slice(2).filter((argument) => argument !== "--");
const seconds = Number(duration);
if (!(seconds > 0) || (mode !== undefined && mode !== "terminate")) {
  console.error("Cannot run so: takes a number of seconds, and perhaps terminate");
  process.exit(2);
}
const terminates = mode === "terminate";
const path = temporaryDirectory();
/** The last acknowledged write of each writer of each Worker that ever was. */
const told: { readonly name: number; readonly last: Int32Array }[] = [];
const alive: Peer[] = [];
const ending = new Int32Array(new SharedArrayBuffer(4));

async function start(): Promise<void> {
  const name = told.length;
  const last = new Int32Array(new SharedArrayBuffer(4 * WRITERS));
  told.push({ name, last });
  const peer = await Peer.start(KINDS[name % 2]);
  await peer.open(path, { ...TEXT, writeBufferSize: 1 << 20 });
  alive.push(peer);
  peer.run(
    async (_varve, state, [name, writers, keys, last, ending]) => {
      const { db } = state;
      const text = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;
      const own = await db.columnFamily(`own ${name % 8}`, text);
      const value = "x".repeat(200);
      await Promise.all(Array.from({ length: writers }, async (_, writer) => {
        for (let index = 1; Atomics.load(ending, 0) === 0; index++) {
          const durability = (["sync", "buffered", "volatile"] as const)[index % 3];
          const key = `${name}:${writer}:${index % keys}`;
          if (index % 50 === 0) own.putSync(key, `${index} ${value}`, { durability });
          else await own.put(key, `${index} ${value}`, { durability });
          await (db as never as typeof own).put(key, `${index} ${value}`, { durability });
          Atomics.store(last, writer, index);
        }
      }));
    },
    name,
    WRITERS,
    KEYS,
    last,
    ending,
  ).catch((error) => {
    console.error(error);
    process.exit(1);
  });
}

let lost = 0;
function compare(
  where: string,
  lasts: readonly (readonly [number, Int32Array])[],
  shared: (key: string) => string | undefined,
  own?: (name: number, key: string) => string | undefined,
): void {
  for (const [name, last] of lasts) {
    for (const [writer, end] of last.entries()) {
      for (let index = Math.max(1, end - KEYS + 2); index <= end; index++) {
        const key = `${name}:${writer}:${index % KEYS}`;
        for (const found of own === undefined ? [shared(key)] : [shared(key), own(name, key)]) {
          if (parseInt(found ?? "0") >= index) continue;
          lost++;
          console.error(`${where}: ${key} is ${found?.slice(0, 12)}, not ${index}`);
        }
      }
    }
  }
}

/** Each writer's number says how many pairs of puts it was told of. */
function acknowledged(lasts: readonly Int32Array[] = told.map(({ last }) => last)): number {
  return lasts.reduce((sum, last) => sum + 2 * last.reduce((a, b) => a + b, 0), 0);
}

let counted = 0;
let movedAt = performance.now();
let isWriting = true;
const begin = performance.now();
const progress = setInterval(() => {
  const now = acknowledged();
  if (!isWriting || now > counted) movedAt = performance.now();
  counted = now;
  const elapsed = ((performance.now() - begin) / 1000).toFixed(0);
  console.log(`${elapsed} s: ${told.length} Workers so far, ${now} writes acknowledged`);
  if (performance.now() - movedAt < STUCK_MS) return;
  console.error(`VIOLATION: nothing was acknowledged for ${STUCK_MS / 1000} s`);
  process.exit(1);
}, PROGRESS_MS);

for (let index = 0; index < WORKERS; index++) await start();
const db = await Varve.open(path, TEXT);
const deadline = performance.now() + seconds * 1000;
while (performance.now() < deadline) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  if (!terminates) continue;
  const [victim] = alive.splice(Math.floor(Math.random() * alive.length), 1);
  await victim.terminate();
  await start();
}
isWriting = false;
const watchdog = setTimeout(() => {
  console.error("VIOLATION: reading back, or closing, did not end");
  process.exit(1);
}, 5 * STUCK_MS);
const lasts = told.map(({ name, last }) => [name, last.slice()] as const);
Atomics.store(ending, 0, 1);
const families = await Promise.all(
  Array.from({ length: WORKERS }, (_, index) => db.columnFamily(`own ${index}`, TEXT)),
);
compare("here", lasts, (key) => db.getSync(key), (name, key) => families[name % 8].getSync(key));
for (const peer of alive) {
  const seen = await peer.run((_varve, state) => [...state.db.entries()] as unknown[]) as [
    string,
    string,
  ][];
  const entries = new Map(seen);
  compare("in a Worker", lasts, (key) => entries.get(key));
}
const { write, flush, compaction } = db.stats();
for (const peer of alive) await peer.terminate();
await db.put("after", "value");
await db.close();
const again = await Varve.open(path, TEXT);
const reopened = await Promise.all(
  Array.from({ length: WORKERS }, (_, index) => again.columnFamily(`own ${index}`, TEXT)),
);
compare(
  "after",
  lasts,
  (key) => again.getSync(key),
  (name, key) => reopened[name % 8].getSync(key),
);
await again.close();
clearInterval(progress);
clearTimeout(watchdog);
console.log(JSON.stringify({
  runtime,
  seconds,
  terminates,
  workers: told.length,
  acknowledged: acknowledged(lasts.map(([, last]) => last)),
  lost,
  writersPerGroup: write.writersPerGroup,
  groups: write.groups,
  syncs: write.syncs,
  flushes: flush.count,
  compactions: compaction.count,
}));
console.log(lost === 0 ? "nothing was lost" : `VIOLATION: ${lost} acknowledged writes were lost`);
process.exit(lost === 0 ? 0 : 1);
