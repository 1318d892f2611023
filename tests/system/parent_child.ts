/** Holds the store named by its argument, starts a process that outlives it, says that one's number, and waits. */
import { spawn } from "node:child_process";
import process from "node:process";
import { Varve } from "../../mod.ts";

const db = await Varve.open(process.argv[2]);
await db.put("held", "by the parent");
const { pid } = spawn("sleep", ["120"], { stdio: "ignore", detached: true });
console.log(pid);
process.stdin.resume();
