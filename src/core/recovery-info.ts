// The recovery of an object to an earlier time, as the HTTP API tells it.

export type RecoveryTarget =
  | { readonly type: "partition"; readonly topic: string; readonly partition: number }
  | { readonly type: "group"; readonly group: string }
  | { readonly type: "cluster" };

/** The object's contents now, as far as they can be read. */
export interface RecoveryFacts {
  readonly logStartOffset?: number;
  readonly logEndOffset?: number;
  /** The first record that is as new as the time. From there on records are lost. */
  readonly firstLostOffset?: number;
  /** Where the log ends once it is restored. */
  readonly restoredLogEndOffset?: number;
  readonly positions?: number;
  readonly topics?: number;
  readonly groups?: number;
  /** Why it cannot be read. */
  readonly failing?: string;
}

export interface Recovery extends RecoveryFacts {
  /** The state that it goes back to. */
  readonly bookmark: string;
  readonly dryRun: boolean;
  /** Set once it is restored: the state that takes it back. */
  readonly undoBookmark?: string;
}
