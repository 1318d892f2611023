/** Who may become the host, and when: two at a time would write the same files. */
import assert from "node:assert/strict";
import { WorkerState } from "../../src/native/layout.gen.ts";
import { releaseRegion } from "../../src/native/region.ts";
import {
  attachSession,
  coreOf,
  openDirectory,
  REAL_DISK,
  slotOf,
} from "../../src/native/store_handle.ts";
import { startTask } from "../../src/native/task.ts";
import { Foundation } from "../../src/store/store.ts";
import { publishText } from "../../src/workers/catalog.ts";
import { CoreWords } from "../../src/workers/core_words.ts";
import { GuestLink } from "../../src/workers/guest_link.ts";
import type { Hosting } from "../../src/workers/hosting.ts";
import { temporaryDirectory, test } from "../harness.ts";

const SESSIONS = 3;

test("a host that is about to leave is not replaced before its last word, and that word ends nobody else's turn", () => {
  const path = temporaryDirectory();
  const first = openDirectory(REAL_DISK, path, true, false, 1).handle;
  const sessions = [first];
  while (sessions.length < SESSIONS) sessions.push(attachSession(coreOf(first), 1, path)!);
  const foundations = sessions.map((session) => new Foundation(session, path, REAL_DISK, false));
  const words = new CoreWords(foundations[0].core);
  const [leaver, ...others] = foundations.map(({ handle }) => words.slot(slotOf(handle)));
  const hosts: number[] = [];
  const links = others.map((slot, index) => {
    // deno-lint-ignore require-yield
    const link = new GuestLink(foundations[index + 1], words, slot, function* () {
      hosts.push(slot.index);
      return {} as Hosting;
    });
    startTask(link.foundation.jobs, link.awaitCatalog(), () => {});
    return link;
  });

  assert.equal(words.host, leaver.index, "who made the core hosts");
  for (const link of links) link.poll();
  assert.deepEqual(hosts, [], "it is alive");
  leaver.state = WorkerState.leaving;
  for (const link of links) link.poll();
  assert.deepEqual(hosts, [], "it is about to leave, and may still have files open");
  words.leaveHost(leaver.index);
  for (const link of links) link.poll();
  assert.deepEqual(hosts, [others[0].index], "one of those who wait is quicker");
  words.leaveHost(leaver.index);
  assert.equal(words.host, others[0].index, "a late word changes nothing");
  others[0].state = WorkerState.dead;
  links[1].poll();
  assert.deepEqual(hosts, others.map(({ index }) => index), "who has died says no last word");

  const catalog = publishText({});
  words.publish(catalog);
  for (const link of links) {
    link.poll();
    link.end();
  }
  words.unpublish();
  releaseRegion(catalog);
  for (const foundation of foundations) foundation.release();
});
