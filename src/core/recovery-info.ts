// The recovery of an object to an earlier time, as the HTTP API reports it.

export type RecoveryTarget =
  | { readonly type: "partition"; readonly topic: string; readonly partition: number }
  | { readonly type: "group"; readonly group: string }
  | { readonly type: "cluster" };

/** The object's contents now, as far as they can be read. */
export interface RecoveryFacts {
  readonly logStartOffset?: number;
  readonly logEndOffset?: number;
  /** The first record that is not older than the target time. It and all later records are lost. */
  readonly firstLostOffset?: number;
  /** The end of the log after the restore. */
  readonly restoredLogEndOffset?: number;
  readonly positions?: number;
  readonly topics?: number;
  readonly groups?: number;
  /** The reason why the contents cannot be read. */
  readonly failing?: string;
}

export interface Recovery extends RecoveryFacts {
  /** The state to restore. */
  readonly bookmark: string;
  readonly dryRun: boolean;
  /** Set after the restore: the state that undoes it. */
  readonly undoBookmark?: string;
}
