// Between a Kafka client's connection, which runs in the Worker, and the group of a member that speaks over it. Never seen
// from outside. The connection sends PING for the member; the group says when something has changed.

/** Where the group's object is asked for the socket. */
export function watchUrl(memberId: string): string {
  return `https://object${WATCH_PATH}?memberId=${encodeURIComponent(memberId)}`;
}

export const WATCH_PATH = "/watch";

/** What was answered last may hold no longer. */
export interface WatchMessage {
  readonly type: "changed";
}
