/**
 * What `entries`, `keys` and `values` return: one object that is both `Iterable` and `AsyncIterable`. The view is taken when an
 * iterator is asked for; `break` releases it.
 */
import type { Family } from "../tree/family.ts";
import { Cursor, type CursorOptions } from "../read/cursor.ts";
import type { CurrentPage } from "../read/page.ts";
import { runTask } from "../native/task.ts";
import type { Handle } from "./handle.ts";
import type { ResolvedRange } from "./range.ts";
import { abortable } from "./signals.ts";
import { Snapshot } from "./snapshot.ts";

const ATTEMPT = "iterate";

/** Makes a result of a row, or of a whole page. Takes what it wants of the page before it runs a user's code. */
export interface RowDecoder<T> {
  readonly wholePages?: boolean;
  decode(page: CurrentPage, index: number): T;
}

export class Iteration<T> implements Iterable<T>, AsyncIterable<T> {
  readonly #handle: Handle;
  readonly #family: Family;
  readonly #range: ResolvedRange;
  readonly #rows: CursorOptions;
  readonly #decoder: RowDecoder<T>;

  constructor(
    handle: Handle,
    family: Family,
    range: ResolvedRange,
    rows: CursorOptions,
    decoder: RowDecoder<T>,
  ) {
    this.#handle = handle;
    this.#family = family;
    this.#range = range;
    this.#rows = rows;
    this.#decoder = decoder;
  }

  [Symbol.iterator](): IterableIterator<T> {
    return new SyncRows(this.#open(), this.#decoder);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    this.#range.signal?.throwIfAborted();
    return new AsyncRows(this.#open(), this.#decoder, this.#range.signal);
  }

  #open(): View {
    return new View(this.#handle, this.#family, this.#range, this.#rows);
  }
}

/** An open cursor, and the checks that each step begins with. */
export class View {
  readonly cursor: Cursor | undefined;

  constructor(
    readonly handle: Handle,
    readonly family: Family,
    range: ResolvedRange,
    rows: CursorOptions,
  ) {
    handle.requireFamily(family, ATTEMPT);
    const { store } = handle;
    const view = range.snapshot === undefined
      ? { sequence: store.visibility.visible, time: store.clock.now() }
      : Snapshot.of(range.snapshot, store, ATTEMPT);
    if (range.empty) return;
    this.cursor = new Cursor(store.files, store.context, family, range, view, rows);
    handle.cursors.add(this.cursor);
  }

  requireLive(): void {
    this.handle.requireFamily(this.family, ATTEMPT);
  }

  close(): void {
    if (this.cursor === undefined) return;
    this.handle.cursors.delete(this.cursor);
    this.cursor.close();
  }
}

/** Rows of the current page, and the way to the next one. */
class Rows<T> {
  protected page: CurrentPage | undefined;
  protected index = 0;
  protected done = false;

  constructor(protected readonly view: View, protected readonly decoder: RowDecoder<T>) {}

  protected finish(): IteratorReturnResult<undefined> {
    this.done = true;
    this.page = undefined;
    this.view.close();
    return { done: true, value: undefined };
  }

  /** The next result of the current page. REQUIRES: there is one. */
  protected row(): IteratorYieldResult<T> {
    const page = this.page!;
    const { index } = this;
    this.index = this.decoder.wholePages ? page.count : index + 1;
    return { done: false, value: this.decoder.decode(page, index) };
  }

  protected get pageIsUsed(): boolean {
    return this.page === undefined || this.index === this.page.count;
  }
}

class SyncRows<T> extends Rows<T> implements IterableIterator<T> {
  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<T> {
    if (this.done) return { done: true, value: undefined };
    try {
      this.view.requireLive();
      if (this.pageIsUsed) {
        this.page = this.view.cursor?.next();
        this.index = 0;
        if (this.page === undefined) return this.finish();
      }
      return this.row();
    } catch (error) {
      this.finish();
      throw error;
    }
  }

  return(): IteratorResult<T> {
    return this.finish();
  }
}

class AsyncRows<T> extends Rows<T> implements AsyncIterableIterator<T> {
  /** Calls of `next` wait for each other, as those of a generator do. */
  #last: Promise<unknown> = Promise.resolve();
  readonly #signal: AbortSignal | undefined;

  constructor(view: View, decoder: RowDecoder<T>, signal: AbortSignal | undefined) {
    super(view, decoder);
    this.#signal = signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T>> {
    return this.#queue(() => this.#step());
  }

  return(): Promise<IteratorResult<T>> {
    return this.#queue(() => Promise.resolve(this.finish()));
  }

  #queue<R>(step: () => Promise<R>): Promise<R> {
    const result = this.#last.then(step);
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #step(): Promise<IteratorResult<T>> {
    if (this.done) return { done: true, value: undefined };
    try {
      this.view.requireLive();
      this.#signal?.throwIfAborted();
      if (this.pageIsUsed) {
        this.page = await this.#nextPage();
        this.index = 0;
        // A cursor that was closed meanwhile has no page, and that is not the range's end.
        this.view.requireLive();
        if (this.page === undefined) return this.finish();
      }
      return this.row();
    } catch (error) {
      this.finish();
      throw error;
    }
  }

  #nextPage(): Promise<CurrentPage | undefined> {
    const { cursor, handle } = this.view;
    if (cursor === undefined) return Promise.resolve(undefined);
    return abortable(runTask(handle.store.jobs, cursor.nextTask()), this.#signal);
  }
}
