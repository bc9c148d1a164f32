// Tells the MetricsObject what an object has done. It is told when the object is awake anyway, and never by a timer or an
// alarm, which would keep an object awake or wake it. So metrics cost an idle broker nothing.
import { reportSpent } from "../../src/budgets.ts";
import type { ReportAnswer } from "../../src/calls/metrics-calls.ts";
import { MAX_METRICS_WEIGHT, METRICS_INTERVAL_MS } from "../../src/core/limits.ts";
import type { AnySnapshot } from "../../src/core/metrics/snapshot.ts";
import { type Env, metricsStub } from "../../src/env.ts";
import type { ObjectUsage } from "./usage.ts";

/**
 * An object that wakes for a moment now and then begins a life each time, so it would tell each time. It does so in one
 * minute of eight, and what it tells then counts for eight.
 */
const SPARSE_LIVES = MAX_METRICS_WEIGHT;

export interface ReporterParts {
  readonly env: Env;
  readonly ctx: Pick<DurableObjectState, "id" | "waitUntil">;
  readonly usage: ObjectUsage;
  /** True if there is something to tell of at once: what happens seldom, or what somebody does who tries it out. */
  readonly hasNews: () => boolean;
  /** True if a moment's life is worth telling of. By default it is. */
  readonly isWorthIt?: () => boolean;
  /** Called with the answer to each report. It is null where the metrics are of an earlier release. */
  readonly answered?: (answer: ReportAnswer | null) => void;
  /** Returns null if there is nothing to tell of. */
  readonly snapshot: () => AnySnapshot | null;
}

/** [RPT-1] Has the object tell about itself from now on, if the deployment has metrics. */
export function reportToMetrics(parts: ReporterParts): void {
  if (parts.env.METRICS === undefined) return;
  const reporter = new Reporter(parts);
  parts.usage.atRest = () => reporter.look(Date.now());
}

class Reporter {
  readonly #parts: ReporterParts;
  #toldMs: number | null = null;
  #isTelling = false;
  /** True if there is something new since what is being told. */
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

  /** Returns what a report would count for. 0 means that it is not time for one. */
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
