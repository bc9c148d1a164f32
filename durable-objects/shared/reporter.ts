// Reports an object's activity to the MetricsObject. It reports only while the object is awake anyway. A timer
// or an alarm would keep the object awake or wake it. So metrics cost an idle broker nothing.
import { reportSpent } from "../../src/budgets.ts";
import type { ReportAnswer } from "../../src/calls/metrics-calls.ts";
import { MAX_METRICS_WEIGHT, METRICS_INTERVAL_MS } from "../../src/core/limits.ts";
import type { AnySnapshot } from "../../src/core/metrics/snapshot.ts";
import { type Env, metricsStub } from "../../src/env.ts";
import type { ObjectUsage } from "./usage.ts";

/**
 * An object that wakes only for moments begins a new life each time, so it would report each time. Instead it
 * reports in one minute out of eight, and that report counts eightfold.
 */
const SPARSE_LIVES = MAX_METRICS_WEIGHT;

export interface ReporterParts {
  readonly env: Env;
  readonly ctx: Pick<DurableObjectState, "id" | "waitUntil">;
  readonly usage: ObjectUsage;
  /**
   * True if there is something to report at once: a rare event, or the activity of somebody who is trying out
   * the broker.
   */
  readonly hasNews: () => boolean;
  /** True if a momentary life is worth reporting. By default it is. */
  readonly isWorthIt?: () => boolean;
  /** Called with the answer to each report. The answer is null if the metrics object is of an earlier release. */
  readonly answered?: (answer: ReportAnswer | null) => void;
  /** Returns null if there is nothing to report. */
  readonly snapshot: () => AnySnapshot | null;
}

/** [RPT-1] Makes the object report its activity from now on, if the deployment has metrics. */
export function reportToMetrics(parts: ReporterParts): void {
  if (parts.env.METRICS === undefined) return;
  const reporter = new Reporter(parts);
  parts.usage.atRest = () => reporter.look(Date.now());
}

class Reporter {
  readonly #parts: ReporterParts;
  #toldMs: number | null = null;
  #isTelling = false;
  /** True if there is something new since the report that is in progress. */
  #mustTellAgain = false;

  constructor(parts: ReporterParts) {
    this.#parts = parts;
  }

  look(nowMs: number): void {
    const weight = this.#weight(nowMs);
    if (weight === 0) return;
    if (this.#isTelling) {
      this.#mustTellAgain = true;
      return;
    }
    const { env, ctx } = this.#parts;
    const snapshot = this.#parts.snapshot();
    if (snapshot === null) return;
    this.#isTelling = true;
    const told = async () => {
      try {
        const snapshots = [{ ...snapshot, weight }];
        const answer = await reportSpent((spent) =>
          metricsStub(env).report({ snapshots, ...(spent === null ? {} : { spent }) }),
        );
        this.#toldMs = nowMs;
        this.#parts.answered?.(answer);
      } catch {
        // The next event tries again. The figures of a life are cumulative, so nothing is lost.
      } finally {
        this.#isTelling = false;
      }
      if (!this.#mustTellAgain) return;
      this.#mustTellAgain = false;
      this.look(Date.now());
    };
    ctx.waitUntil(told());
  }

  /** Returns the weight of a report made now. 0 means that it is not time for one. */
  #weight(nowMs: number): number {
    const { usage, hasNews, ctx, isWorthIt = () => true } = this.#parts;
    const sinceMs = this.#toldMs ?? usage.startedAtMs;
    const isDue = nowMs - sinceMs >= METRICS_INTERVAL_MS || nowMs < sinceMs; // The clock may be set back.
    if (isDue || hasNews()) return 1;
    if (this.#toldMs !== null || !isWorthIt()) return 0;
    const minute = Math.floor(nowMs / METRICS_INTERVAL_MS);
    return slotOf(String(ctx.id)) === minute % SPARSE_LIVES ? SPARSE_LIVES : 0;
  }
}

/** Spreads the objects over the minutes. */
function slotOf(id: string): number {
  let sum = 0;
  for (let i = 0; i < id.length; i++) sum = (31 * sum + id.charCodeAt(i)) >>> 0;
  return sum % SPARSE_LIVES;
}
