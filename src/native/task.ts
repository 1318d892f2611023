/**
 * Tasks: procedures with more than one I/O, written once and driven two ways. A task is a generator that yields
 * a job to be done, or a signal to wait for; it holds no claim, pin or lock across a `yield`.
 */
import type { Jobs } from "./jobs.ts";
import { Signal } from "./signal.ts";

/** A job's record offset, or a signal. */
export type Step = number | Signal;
export type Task<T> = Generator<Step, T, void>;
export type TaskDone<T> = (error: unknown, value?: T) => void;

/** Starts a task; its steps run on I/O threads, and `done` is called when it ends. */
export function startTask<T>(jobs: Jobs, task: Task<T>, done: TaskDone<T>): void {
  const resume = (): void => {
    let next: IteratorResult<Step, T>;
    try {
      next = task.next();
    } catch (error) {
      done(error ?? new Error("a task threw nothing"));
      return;
    }
    if (next.done) done(undefined, next.value);
    else if (typeof next.value === "number") jobs.submit(next.value, resume);
    else next.value.whenSet(resume);
  };
  resume();
}

/** Runs a task for somebody who awaits it: the process stays alive until it ends. */
export function runTask<T>(jobs: Jobs, task: Task<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    jobs.hold();
    startTask(jobs, task, (error, value) => {
      jobs.unhold();
      if (error === undefined) resolve(value as T);
      else reject(error);
    });
  });
}

/** Runs a task on this thread, jobs included; other tasks' completions are handled while it waits. */
export function runTaskSync<T>(jobs: Jobs, task: Task<T>): T {
  for (;;) {
    const next = task.next();
    if (next.done) return next.value;
    const step = next.value;
    if (typeof step === "number") jobs.run(step);
    else jobs.drive(() => step.ready);
  }
}

/**
 * Runs tasks on the I/O threads, as many at a time as there are job records, and blocks this thread until all have ended.
 * Throws what the first to fail threw.
 */
export function runTasksSync(jobs: Jobs, tasks: readonly Task<void>[]): void {
  let running = tasks.length;
  const failures: unknown[] = [];
  for (const task of tasks) {
    startTask(jobs, task, (error) => {
      running--;
      if (error !== undefined) failures.push(error);
    });
  }
  jobs.drive(() => running === 0);
  if (failures.length > 0) throw failures[0];
}

/**
 * Runs tasks on the I/O threads, `atOnce` at a time, inside another task; what they return, in their order. When one fails, those
 * that have begun end first; then it throws what the first to fail threw.
 */
export function* inParallel<T>(
  jobs: Jobs,
  tasks: readonly Task<T>[],
  atOnce: number,
): Task<T[]> {
  const results = new Array<T>(tasks.length);
  const failures: unknown[] = [];
  const ended = new Signal();
  let begun = 0;
  let running = 0;
  const begin = (): void => {
    while (running < atOnce && begun < tasks.length && failures.length === 0) {
      const index = begun++;
      running++;
      startTask(jobs, tasks[index], (error, value) => {
        running--;
        if (error !== undefined) failures.push(error);
        else results[index] = value as T;
        begin();
      });
    }
    if (running === 0) ended.set();
  };
  begin();
  if (!ended.ready) yield ended;
  if (failures.length > 0) throw failures[0];
  return results;
}

/** A job record, waiting for one if all are in use. */
export function* takeJob(jobs: Jobs, opcode: number, lane: number): Task<number> {
  for (;;) {
    const job = jobs.take(opcode, lane);
    if (job !== undefined) return job;
    yield jobs.freed();
  }
}
