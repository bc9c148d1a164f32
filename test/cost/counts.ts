// The cost of operations, from ARCHITECTURE.md's tables. The tests count the same cells.
import { documented, numberOf } from "../support/cost-table.ts";

export interface Rows {
  readonly written: number;
  readonly read: number;
}

export interface Counts {
  readonly append: Rows;
  readonly roll: Rows;
  readonly drop: Rows;
  readonly commit: Rows;
  readonly attach: Rows;
  readonly comeBack: Rows;
  readonly groupWakes: Rows;
  /** An alarm that is set is a row. */
  readonly ownerAlarm: Rows;
  readonly safetyAlarmsPerHour: number;
}

/** Reads them from the text of ARCHITECTURE.md. */
export function countsOf(architecture: string): Counts {
  const rowsOf = (shape: string): Rows => {
    const [written, read] = documented(architecture, shape);
    return { written: numberOf(written), read: numberOf(read) };
  };
  return {
    append: rowsOf("append, any number of batches up to 1 MB"),
    roll: rowsOf("roll of a segment"),
    drop: rowsOf("retention, per segment"),
    commit: rowsOf("commit of n partitions"),
    attach: rowsOf("attach of a group's member"),
    comeBack: rowsOf("join: a member that is back, or whose subscription is known"),
    groupWakes: rowsOf("waking up of a group"),
    ownerAlarm: rowsOf("partition with a group's member and records"),
    safetyAlarmsPerHour: numberOf(documented(architecture, "idle group of connected members")[0]),
  };
}
