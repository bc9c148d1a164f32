// How one topic is shared among its subscribers, while it is being worked out.

export interface TopicShare {
  readonly topicId: string;
  readonly partitions: number;
  /** Ascending by member id. */
  readonly subscribers: readonly string[];
  readonly floor: number;
  /** Who gets one more than `floor`. */
  readonly extras: Set<string>;
  /** Previous partitions of this topic by member, ascending. */
  readonly previous: ReadonlyMap<string, readonly number[]>;
}

/** True where an extra saves this member a move. */
export function keepsMore(share: TopicShare, memberId: string): boolean {
  return (share.previous.get(memberId)?.length ?? 0) > share.floor;
}
