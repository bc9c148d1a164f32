// The answers of objects about their recovery to an earlier time. The names are on the wire: see calls.ts.

export interface RecoveryPoint {
  /** The state that was stored at that time. */
  readonly bookmark: string;
  /** The state that is stored now. */
  readonly currentBookmark: string;
}

export interface Restored {
  /** The bookmark that undoes the recovery. */
  readonly undoBookmark: string;
}
