/**
 * Opens a store and writes under load until it is killed; without a generation it only opens. Says on stdout, before anything
 * else follows, what was acknowledged.
 */
import { writeSync } from "node:fs";
import process from "node:process";
import { Varve } from "../../mod.ts";
import { durabilityOf, effectsOf, FAMILIES, WRITER_COUNT } from "./kill_load.ts";

const path = process.argv[2];
const generation = process.argv[3];

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

say("opening");
const db = await Varve.open(path, {
  writeBufferSize: 64 * 1024,
  maxWriteBuffers: 2,
  walSegmentSize: 256 * 1024,
});
const families = await Promise.all(FAMILIES.map((name) => db.columnFamily(name)));
say("open");

async function write(writer: number): Promise<void> {
  const durability = durabilityOf(writer);
  for (let round = 0;; round++) {
    const effects = effectsOf(Number(generation), writer, round);
    const [{ family, key, value }] = effects;
    if (effects.length > 1) {
      const batch = db.batch();
      for (const { family, key, value } of effects) {
        if (value === undefined) batch.delete(families[family], key);
        else batch.put(families[family], key, value);
      }
      await batch.write({ durability });
    } else if (writer === 0) {
      families[family].putSync(key, value!, { durability });
      await Promise.resolve();
    } else {
      await families[family].put(key, value!, { durability });
    }
    say(`${writer} ${round}`);
  }
}

if (generation === undefined) process.stdin.resume(); // stays until it is killed
else await Promise.all(Array.from({ length: WRITER_COUNT }, (_, writer) => write(writer)));
