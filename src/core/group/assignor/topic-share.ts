// The shares of one topic's subscribers while they are being computed.

export interface TopicShare {
  readonly topicId: string;
  readonly partitions: number;
  /** Sorted by member id, ascending. */
  readonly subscribers: readonly string[];
  readonly floor: number;
  /** The members that get one more than `floor`. */
  readonly extras: Set<string>;
  /** The previous partitions of this topic by member, ascending. */
  readonly previous: ReadonlyMap<string, readonly number[]>;
}

/** True if an extra saves this member a move. */
export function keepsMore(share: TopicShare, memberId: string): boolean {
  return (share.previous.get(memberId)?.length ?? 0) > share.floor;
}
