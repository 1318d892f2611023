/**
 * Writes, flushes and reads while the system's clock jumps, by a day and more, back and forth. Says how many entries there are,
 * and whether one that expired stays expired.
 *
 * Environment: `STORE` (its directory).
 */
import process from "node:process";
import { Varve } from "../../mod.ts";

const DAY = 86_400_000;
const real = Date.now;
let shift = 0;
Date.now = () => real() + shift;

const db = await Varve.open(process.env.STORE ?? "", {
  walSegmentSize: 64 * 1024,
  writeBufferSize: 64 * 1024,
});
await db.put("short", "lived", { ttl: 1000 });
shift = DAY;
const expired = await db.get("short") === undefined;
let flushed = true;
for (const [round, days] of [-1, 3, -400, 0, 2, -20_000].entries()) {
  shift = days * DAY;
  for (let index = 0; index < 10; index++) {
    await db.put(`k${round}-${index}`, "x".repeat(10_000), { ttl: 1000 * DAY });
  }
  await db.flush();
  flushed &&= await db.get(`k${round}-9`) !== undefined;
}
const stillExpired = await db.get("short") === undefined;
console.log(
  JSON.stringify({ entries: await db.count(), expired: expired && stillExpired, flushed }),
);
await db.close();
