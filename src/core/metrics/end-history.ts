// The end offsets of a log over time, so that the age of a record is known without asking its partition [MET-6].
//
// Points of (time, end), the oldest first: one per minute for an hour, then one per quarter of an hour for a day.
// Between two points, the log is assumed to have grown evenly, except after a pause. Busy objects report every minute,
// so appends since a longer pause came in its last minute.
import {
  END_HISTORY_COARSE_STEP_MS,
  END_HISTORY_FINE_MS,
  END_HISTORY_MS,
  MAX_END_HISTORY_POINTS,
  METRICS_INTERVAL_MS,
} from "../limits.ts";

interface Point {
  readonly ms: number;
  readonly end: number;
}

export interface Age {
  readonly ms: number;
  /** False if the record is older than the history. `ms` is then a lower bound. */
  readonly isExact: boolean;
}

export class EndHistory {
  #points: Point[] = [];

  /** The number of remembered numbers. */
  get size(): number {
    return 2 * this.#points.length;
  }

  /** Notes the end of the log at a time. Points in the future come from a clock that was set back, and are removed. */
  add(ms: number, end: number): void {
    // A log restored to an earlier time has lost the records after its end.
    while (this.#isWrong(this.#points.at(-1), ms, end)) this.#points.pop();
    const last = this.#points.at(-1);
    const before = this.#points.at(-2);
    const isPause = last?.end === end;
    if (last !== undefined && !isPause && ms - last.ms > 2 * METRICS_INTERVAL_MS) {
      this.add(ms - METRICS_INTERVAL_MS, last.end);
    } else if (before !== undefined) {
      // A pause is two points: its beginning, and its end so far.
      const isLonger = isPause && before.end === end;
      if (isLonger || ms - before.ms < METRICS_INTERVAL_MS) this.#points.pop();
    }
    this.#points.push({ ms, end });
    if (this.#points.length > MAX_END_HISTORY_POINTS) this.#thin(ms);
  }

  #isWrong(last: Point | undefined, ms: number, end: number): boolean {
    return last !== undefined && (last.end > end || last.ms > ms);
  }

  /**
   * Returns the age of the record at `offset`: the time since the end passed it. Null if it is unknown, or if the
   * record does not exist yet.
   */
  ageOf(offset: number, nowMs: number): Age | null {
    const after = this.#points.findIndex(({ end }) => end > offset);
    const next = this.#points[after];
    if (next === undefined) return null;
    const last = this.#points[after - 1];
    if (last === undefined) return { ms: Math.max(0, nowMs - next.ms), isExact: false };
    const share = (offset + 1 - last.end) / (next.end - last.end);
    const passedMs = Math.round(last.ms + (next.ms - last.ms) * share);
    return { ms: Math.max(0, nowMs - passedMs), isExact: true };
  }

  /**
   * Thins out the points that are older than an hour to the first of each quarter of an hour. Drops those older than a
   * day.
   */
  #thin(nowMs: number): void {
    let keptStep = Number.NaN;
    this.#points = this.#points.filter(({ ms }) => {
      if (ms >= nowMs - END_HISTORY_FINE_MS) return true;
      const step = Math.floor(ms / END_HISTORY_COARSE_STEP_MS);
      if (step === keptStep || ms < nowMs - END_HISTORY_MS) return false;
      keptStep = step;
      return true;
    });
    this.#points = this.#points.slice(-MAX_END_HISTORY_POINTS);
  }

  /** Times and ends alternate, each as the difference from the one before, because most differences are short. */
  toJSON(): number[] {
    let last: Point = { ms: 0, end: 0 };
    return this.#points.flatMap((point) => {
      const steps = [point.ms - last.ms, point.end - last.end];
      last = point;
      return steps;
    });
  }

  static fromJSON(value: unknown): EndHistory {
    const restored = new EndHistory();
    const steps = Array.isArray(value) ? value : [];
    let last: Point = { ms: 0, end: 0 };
    for (let i = 0; i + 1 < steps.length && i < 2 * MAX_END_HISTORY_POINTS; i += 2) {
      const point = { ms: last.ms + steps[i], end: last.end + steps[i + 1] };
      if (!Number.isFinite(point.ms) || !(point.end >= last.end)) break;
      restored.#points.push(point);
      last = point;
    }
    return restored;
  }
}
