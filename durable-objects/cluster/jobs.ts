// Runs the cluster's tasks, which are messages that other objects must still receive. Each task has one worker,
// however many callers wait for it. Tasks about the same thing run in the order in which they were stored. A
// failed task is retried later and blocks no other. Short and long tasks have separate room: notifying a group
// is one call, while a deletion frees a thousand partitions.

import { leftOf } from "../../src/core/elapsed.ts";
import { logLine } from "../../src/log.ts";
import type { StoredTask, Task } from "./cluster-store.ts";

/** The wait before a failed task is retried. It doubles with each failure, because damage does not go away. */
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 60 * 60_000;
/** The alarm rings after this time, in case the object ends while it works on a task. */
const RESCUE_MS = 10_000;
/** The number of tasks of each kind that run at once. */
const MAX_SHORT = 64;
const MAX_LONG = 4;
/** The number of tasks that are read at once. */
const PAGE = 1_000;

interface TaskStore {
  tasksAfter(
    id: number,
    limit: number,
  ): { tasks: StoredTask[]; damaged: readonly Error[]; lastId: number | null };
  deleteTask(id: number): void;
  readonly hasTasks: boolean;
}

export interface JobParts {
  readonly store: TaskStore;
  run(task: Task): Promise<void>;
  /** Sets the alarm, or removes it if null. */
  setAlarm(atMs: number | null): Promise<void>;
  nowMs(): number;
  failed(task: Task, error: unknown): void;
  /** The time when the alarm has to ring for something other than tasks. Null if it need not. */
  otherwiseDueMs(): number | null;
  /** Called when nothing is running and failed tasks wait for the alarm. */
  waiting(): void;
}

/** Runs a bounded number of jobs at once, in the order in which they came. */
class Lane {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(width: number) {
    this.#free = width;
  }

  async run(job: () => Promise<void>): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      await job();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

/** The time when a task failed, and the wait since then. */
interface Retry {
  readonly failedMs: number;
  readonly waitMs: number;
}

export class Jobs {
  readonly #parts: JobParts;
  readonly #short = new Lane(MAX_SHORT);
  readonly #long = new Lane(MAX_LONG);
  /** The tasks that have a worker, each with a promise of its end. */
  readonly #running = new Map<number, Promise<void>>();
  /** The end of the newest task about each thing. */
  readonly #lines = new Map<string, Promise<void>>();
  /** The tasks that have failed. */
  readonly #retries = new Map<number, Retry>();
  /** True while an earlier life of the object may have left tasks. */
  #mustPass: boolean;
  #passing: Promise<void> | null = null;

  constructor(parts: JobParts) {
    this.#parts = parts;
    this.#mustPass = parts.store.hasTasks;
  }

  /** Resolves once these stored tasks are done or have failed. Never rejects. */
  async do(tasks: readonly StoredTask[]): Promise<void> {
    if (tasks.length === 0) return;
    const isFirst = this.#running.size === 0;
    const ended = Promise.all(tasks.map((stored) => this.#begin(stored)));
    if (isFirst) await this.#plan();
    await ended;
    await this.#plan();
  }

  /** Runs all tasks that are due. Called by the alarm. Resolves once all of them are done or have failed. */
  async doAll(): Promise<void> {
    this.#passing ??= this.#pass().finally(() => {
      this.#passing = null;
    });
    await this.#passing;
  }

  /**
   * Sets the alarm for tasks that an earlier life has left. [CLK-2] The clock that set the previous alarm may
   * have been set back since.
   */
  async resume(): Promise<void> {
    await this.#plan();
  }

  async #pass(): Promise<void> {
    if (this.#mustPass) await this.#parts.setAlarm(this.#parts.nowMs() + RESCUE_MS);
    const nowMs = this.#parts.nowMs();
    for (let after = 0; ; ) {
      const { tasks, damaged, lastId } = this.#parts.store.tasksAfter(after, PAGE);
      // [CRC-2] Nobody can run these. They are reported once in a life and block no other task.
      if (this.#mustPass) for (const error of damaged) logLine("error", `a task is lost: ${error}`);
      const isDue = ({ id }: StoredTask) => leftOfRetry(this.#retries.get(id), nowMs) === 0;
      await Promise.all(tasks.filter(isDue).map((stored) => this.#begin(stored)));
      if (lastId === null) break;
      after = lastId;
    }
    this.#mustPass = false;
    await this.#plan();
  }

  /** Returns the end of the task's worker. Starts a worker if the task has none. */
  #begin({ id, task }: StoredTask): Promise<void> {
    const running = this.#running.get(id);
    if (running !== undefined) return running;
    const isShort = task.type === "tell-group" || task.type === "restore-positions";
    const lane = isShort ? this.#short : this.#long;
    const work = () => lane.run(() => this.#work(id, task));
    const ended = this.inLine(lineOf(task), work).finally(() => {
      this.#running.delete(id);
    });
    this.#running.set(id, ended);
    return ended;
  }

  /**
   * Runs something in its place among the tasks about the same thing. A task about many things runs each part
   * in its own line.
   */
  async inLine(line: string, work: () => Promise<void>): Promise<void> {
    const before = this.#lines.get(line) ?? Promise.resolve();
    const mine = before.then(work);
    const ended = mine.catch(() => {}); // The jobs behind it do not fail with it.
    this.#lines.set(line, ended);
    try {
      await mine;
    } finally {
      if (this.#lines.get(line) === ended) this.#lines.delete(line);
    }
  }

  async #work(id: number, task: Task): Promise<void> {
    const { store, run, failed, nowMs } = this.#parts;
    try {
      await run(task);
      store.deleteTask(id);
      this.#retries.delete(id);
    } catch (error) {
      const before = this.#retries.get(id)?.waitMs;
      const waitMs = before === undefined ? RETRY_MS : Math.min(2 * before, MAX_RETRY_MS);
      this.#retries.set(id, { failedMs: nowMs(), waitMs });
      failed(task, error);
    }
  }

  /**
   * Sets the alarm for the earliest need: to rescue running tasks, to retry a failed task, or to run tasks of
   * an earlier life. Removes the alarm if there is nothing to do. Tasks that only a newer release knows wait
   * for that release.
   */
  async #plan(): Promise<void> {
    const { setAlarm, nowMs, waiting } = this.#parts;
    const now = nowMs();
    const isAtWork = this.#running.size > 0;
    let dueMs = Number.POSITIVE_INFINITY;
    const otherwiseMs = this.#parts.otherwiseDueMs();
    if (otherwiseMs !== null) dueMs = Math.max(now, otherwiseMs);
    for (const retry of this.#retries.values())
      dueMs = Math.min(dueMs, now + leftOfRetry(retry, now));
    if (isAtWork) dueMs = Math.min(dueMs, now + RESCUE_MS);
    else if (this.#mustPass) dueMs = Math.min(dueMs, now + RETRY_MS);
    await setAlarm(dueMs === Number.POSITIVE_INFINITY ? null : dueMs);
    if (this.#running.size === 0 && this.#retries.size > 0) waiting();
  }
}

/** [CLK-1] Returns how long a failed task still waits; 0 for a task that has not failed. */
function leftOfRetry(retry: Retry | undefined, nowMs: number): number {
  return retry === undefined ? 0 : leftOf(retry.failedMs, retry.waitMs, nowMs);
}

/**
 * Returns the thing that the task is about. Tasks about the same thing run one after another, and each sends
 * the state as of its run.
 */
function lineOf(task: Task): string {
  if (task.type === "tell-group" || task.type === "restore-positions")
    return `group ${task.groupId}/${task.topic}`;
  return task.type === "configure-all" ? task.type : topicLine(task.topicId);
}

/** Returns the line for everything about a topic. */
export function topicLine(topicId: string): string {
  return `topic ${topicId}`;
}
