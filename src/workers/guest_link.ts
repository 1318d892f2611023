/**
 * A guest's line to the host: submissions of write buffers, in order, and requests. When the host is gone, this Worker takes its
 * place, if no other is quicker; what was under way is then the new host's.
 *
 * Who waits here waits for a word in shared memory: by blocking, or by turns of its own event loop, never by the host's.
 */
import { setImmediate, setTimeout } from "node:timers";
import type { WriteBuffer } from "../commit/write_buffer.ts";
import type { Outside } from "../native/jobs.ts";
import {
  LogRun,
  REQUEST_COUNT,
  RequestState,
  Submission,
  SUBMISSION_COUNT,
  SubmissionFlag,
  WorkerRequest,
} from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import { region, releaseRegion, reserveRegion } from "../native/region.ts";
import { Signal } from "../native/signal.ts";
import { startTask, type Task } from "../native/task.ts";
import type { Foundation } from "../store/store.ts";
import { encodeText, readText, writeText } from "./catalog.ts";
import type { CoreWords, SlotWords } from "./core_words.ts";
import type { Hosting } from "./hosting.ts";
import { type Answer, errorOf, type ErrorText, errorText, type Request } from "./requests.ts";

/** Requests and answers with room for the statistics of a few thousand families; untouched pages cost nothing. */
const REQUEST_BYTES = 4 << 20;
/** Turns of the event loop without news before this Worker sleeps. */
const IDLE_TURNS_MAX = 200;
const SLEEP_MILLISECONDS = 1;
const SLEEP_MICROSECONDS = 10_000;
/** How long a blocked Worker sleeps between two looks at whether the host is alive. */
const BLOCK_MICROSECONDS = 5_000;

interface Asked {
  readonly index: number;
  readonly answered: Signal;
}

/** Makes this Worker the host. */
export type TakeOver = (link: GuestLink) => Task<Hosting>;

export class GuestLink implements Outside {
  /** Set when this Worker has become the host. */
  engine: Hosting | undefined;
  /** Whether one of the entries to come may expire. */
  expires = false;
  /** Called when something has settled. */
  onNews: () => void = () => {};
  /** Closed buffers that found no room, and those that are submitted: in call order. */
  readonly #waiting: WriteBuffer[] = [];
  readonly #submitted: WriteBuffer[] = [];
  readonly #asked: Asked[] = [];
  readonly #freeRequests = Array.from({ length: REQUEST_COUNT }, (_, index) => index);
  readonly #requestFreed: Signal[] = [];
  /** Those who wait for a catalog. */
  #shown: Signal | undefined;
  #quiet: Signal | undefined;
  #takingOver = false;
  #failure: unknown;
  #sleepers = 0;
  #ticking = false;
  #idleTurns = 0;
  #ended = false;

  constructor(
    readonly foundation: Foundation,
    readonly words: CoreWords,
    readonly slot: SlotWords,
    readonly takeOver: TakeOver,
  ) {
    foundation.jobs.expect(this);
    foundation.jobs.onDrive(() => this.poll());
  }

  // --- Writes ------------------------------------------------------------------------------------------------------

  /** Whether no write is on its way. */
  get isIdle(): boolean {
    return this.#submitted.length === 0 && this.#waiting.length === 0;
  }

  /** Hands a closed buffer over. It is settled by `poll`. */
  submit(buffer: WriteBuffer): void {
    this.#waiting.push(buffer);
    this.#fillRing();
    this.#arm();
  }

  #fillRing(): void {
    const { slot, words } = this;
    if (this.#waiting.length === 0 || this.#submitted.length === SUBMISSION_COUNT) return;
    let submitted = slot.load(slot.submitted);
    while (this.#waiting.length > 0 && this.#submitted.length < SUBMISSION_COUNT) {
      const buffer = this.#waiting.shift()!;
      this.#write(slot.submission(submitted), buffer);
      this.#submitted.push(buffer);
      submitted = (submitted + 1) >>> 0;
    }
    slot.store(slot.submitted, submitted);
    words.ring();
  }

  #write(record: number, buffer: WriteBuffer): void {
    const { u32, i32 } = this.words;
    // Until the host gives it one it has no number: that is how another host knows that it is still to be committed.
    buffer.region.f64[LogRun.firstSequence >> 3] = 0;
    i32[(record + Submission.region) >> 2] = buffer.region.id;
    u32[(record + Submission.bytes) >> 2] = buffer.endBytes;
    u32[(record + Submission.entryCount) >> 2] = buffer.entryCount;
    u32[(record + Submission.writeCount) >> 2] = buffer.writeCount;
    u32[(record + Submission.flags) >> 2] = (buffer.logged ? SubmissionFlag.logged : 0) |
      (buffer.durable ? SubmissionFlag.durable : 0) | (this.expires ? SubmissionFlag.expires : 0);
    u32[(record + Submission.result) >> 2] = 0;
  }

  // --- Requests ----------------------------------------------------------------------------------------------------

  /** Asks the host, and waits for its answer. */
  *request(request: Request): Task<unknown> {
    const asked = yield* this.#ask(request);
    yield asked.answered;
    return this.#take(asked);
  }

  /** The same, blocking at most so long; `undefined`: no answer yet, and then it is dropped when it comes. */
  requestNow(request: Request, milliseconds: number): unknown {
    const { jobs } = this.foundation;
    let done = false;
    let value: unknown;
    const deadline = performance.now() + milliseconds;
    startTask(jobs, this.request(request), (error, answer) => {
      done = true;
      value = error === undefined ? answer : undefined;
    });
    jobs.drive(() => done || performance.now() >= deadline);
    return value;
  }

  *#ask(request: Request): Task<Asked> {
    while (this.#freeRequests.length === 0) {
      const freed = new Signal();
      this.#requestFreed.push(freed);
      yield freed;
    }
    const index = this.#freeRequests.pop()!;
    const { words, slot } = this;
    const record = slot.request(index);
    const asked = { index, answered: new Signal() };
    const target = reserveRegion(REQUEST_BYTES);
    if (!writeText(target, encodeText(request))) throw new Error("a request is never so long");
    words.i32[(record + WorkerRequest.region) >> 2] = target.id;
    slot.store(record >> 2, RequestState.asked);
    slot.store(slot.requested, (slot.load(slot.requested) + 1) >>> 0);
    this.#asked.push(asked);
    words.ring();
    this.#arm();
    return asked;
  }

  #take({ index }: Asked): unknown {
    const record = this.slot.request(index);
    const id = this.words.i32[(record + WorkerRequest.region) >> 2];
    const answer = readText(id) as Answer;
    this.slot.store(record >> 2, RequestState.free);
    releaseRegion(id);
    this.#freeRequests.push(index);
    this.#requestFreed.shift()?.set();
    if ("error" in answer) throw errorOf(answer.error);
    return answer.value;
  }

  // --- Waiting -----------------------------------------------------------------------------------------------------

  /** Waits until there is a catalog to read by; makes this Worker the host if there is nobody else. */
  *awaitCatalog(): Task<void> {
    while (this.words.generation === 0) {
      const shown = this.#shown ??= new Signal();
      this.words.ring();
      this.#arm();
      yield shown;
      const failure = this.#failure;
      this.#failure = undefined;
      if (failure !== undefined) throw failure;
    }
  }

  get isPending(): boolean {
    return this.#submitted.length > 0 || this.#asked.length > 0 || this.#shown !== undefined;
  }

  /** Sleeps until there is news for this Worker, at most so long. */
  wait(microseconds: number): void {
    const { slot, words } = this;
    const seen = slot.load(slot.news);
    this.#sleepsMore(1);
    if (!this.#hasNews()) words.wait(slot.news, seen, Math.min(microseconds, BLOCK_MICROSECONDS));
    this.#sleepsMore(-1);
  }

  #sleepsMore(by: number): void {
    this.#sleepers += by;
    this.slot.store(this.slot.sleeping, this.#sleepers > 0 ? 1 : 0);
  }

  #hasNews(): boolean {
    const { slot } = this;
    const settled = slot.load(slot.submitted) - this.#submitted.length;
    if (((slot.load(slot.done) - settled) | 0) > 0) return true;
    for (const { index } of this.#asked) {
      if (slot.load(slot.request(index) >> 2) === RequestState.answered) return true;
    }
    return this.#shown !== undefined && this.words.generation !== 0;
  }

  /** Takes in what has been settled and answered. Returns whether there was something. */
  poll(): boolean {
    if (this.#ended) return false;
    let found = this.#settle();
    if (this.#asked.length > 0 && this.#takeAnswers()) found = true;
    if (this.#shown !== undefined && this.words.generation !== 0) {
      const shown = this.#shown;
      this.#shown = undefined;
      shown.set();
      found = true;
    }
    if (found) {
      this.#fillRing();
      this.onNews();
    } else if (this.isPending) this.#seekHost();
    if (!this.isPending && this.#quiet !== undefined) {
      const quiet = this.#quiet;
      this.#quiet = undefined;
      quiet.set();
    }
    return found;
  }

  #settle(): boolean {
    const { slot, words: { u32, i32 } } = this;
    if (this.#submitted.length === 0) return false;
    let first = (slot.load(slot.submitted) - this.#submitted.length) >>> 0;
    const done = slot.load(slot.done);
    if (first === done) return false;
    while (first !== done) {
      const record = slot.submission(first);
      const buffer = this.#submitted.shift()!;
      const failed = u32[(record + Submission.result) >> 2] !== 0;
      const id = i32[(record + Submission.region) >> 2];
      buffer.settle(failed ? errorOf(readText(id) as ErrorText) : undefined);
      this.onSettled(buffer);
      first = (first + 1) >>> 0;
    }
    return true;
  }

  /** Called with each buffer that is settled. */
  onSettled: (buffer: WriteBuffer) => void = () => {};

  #takeAnswers(): boolean {
    const { slot } = this;
    let found = false;
    for (const asked of [...this.#asked]) {
      if (slot.load(slot.request(asked.index) >> 2) !== RequestState.answered) continue;
      this.#asked.splice(this.#asked.indexOf(asked), 1);
      found = true;
      asked.answered.set();
    }
    return found;
  }

  #arm(): void {
    if (this.#ticking || !this.isPending) return;
    this.#ticking = true;
    this.#idleTurns = 0;
    setImmediate(this.#tick);
  }

  readonly #tick = (): void => {
    this.#idleTurns = this.poll() ? 0 : this.#idleTurns + 1;
    if (!this.isPending) this.#ticking = false;
    else if (this.#idleTurns < IDLE_TURNS_MAX) setImmediate(this.#tick);
    else this.#sleep();
  };

  #sleep(): void {
    const { slot, words } = this;
    const seen = slot.load(slot.news);
    const { waitForWord } = native();
    if (waitForWord === undefined) {
      setTimeout(this.#tick, SLEEP_MILLISECONDS);
      return;
    }
    this.#sleepsMore(1);
    const awake = (): void => {
      this.#sleepsMore(-1);
      this.#tick();
    };
    if (this.#hasNews()) setImmediate(awake);
    else {
      waitForWord(words.region.id, slot.news << 2, seen, SLEEP_MICROSECONDS, false)!.then(awake);
    }
  }

  // --- The host's death, and succession ------------------------------------------------------------------------------

  /** Somebody must host: whoever finds that nobody does tries to. */
  #seekHost(): void {
    if (this.engine !== undefined || this.#takingOver) return;
    const { words, slot } = this;
    const { host, isHosted } = words;
    if (isHosted || host === slot.index) return;
    if (words.claimHost(host, slot.index)) this.#takeOver();
  }

  /** REQUIRES: this Worker has just claimed to be the host. */
  #takeOver(): void {
    const { jobs } = this.foundation;
    this.#takingOver = true;
    jobs.hold();
    startTask(jobs, this.takeOver(this), (error, hosting) => {
      jobs.unhold();
      this.#takingOver = false;
      if (error === undefined) this.engine = hosting;
      else this.#fail(error);
      this.poll();
    });
  }

  /** Nobody can host as it seems: who waits here is told why, and others may try. */
  #fail(error: unknown): void {
    const { slot } = this;
    for (const buffer of [...this.#submitted.splice(0), ...this.#waiting.splice(0)]) {
      buffer.settle(error);
      this.onSettled(buffer);
    }
    slot.store(slot.done, slot.load(slot.submitted));
    for (const { index, answered } of this.#asked.splice(0)) {
      const record = slot.request(index);
      const id = this.words.i32[(record + WorkerRequest.region) >> 2];
      writeText(region(id), encodeText({ error: errorText(error) }));
      slot.store(record >> 2, RequestState.answered);
      answered.set();
    }
    this.words.leaveHost(slot.index);
    const shown = this.#shown;
    this.#shown = undefined;
    if (shown !== undefined) {
      this.#failure = error;
      shown.set();
    }
  }

  /** Whether the engine is here, or about to be: then jobs of this Worker's move it on. */
  get isTakingOver(): boolean {
    return this.#takingOver || this.engine !== undefined;
  }

  /** Set when nothing is on its way; who waits for it may find more afterwards. */
  quiet(): Signal {
    return this.#quiet ??= new Signal();
  }

  /** This Worker's session is over. */
  end(): void {
    this.#ended = true;
  }
}
