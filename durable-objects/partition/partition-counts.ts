// Counts of a partition's activity in this life of its object, for its metrics.
import type { Append } from "../../src/core/log/append.ts";
import type { AppendOutcome } from "../../src/core/log/partition-log.ts";

export class PartitionCounts {
  appendedRecords = 0;
  appendedBytes = 0;
  appendedBatches = 0;
  /** The number of commits with at least one append. */
  commits = 0;
  deliveredBytes = 0;

  /** Counts a commit. `logEnd` is the previous end of the log: a repeat has an offset below it. */
  add(appends: readonly Append[], outcomes: readonly AppendOutcome[], logEnd: number): void {
    let hasAppended = false;
    for (const [i, { bytes, batches, recordCount }] of appends.entries()) {
      const outcome = outcomes[i];
      if (!outcome?.ok || outcome.baseOffset < logEnd) continue;
      hasAppended = true;
      this.appendedRecords += recordCount;
      this.appendedBytes += bytes.length;
      this.appendedBatches += batches.length;
    }
    if (hasAppended) this.commits++;
  }
}
