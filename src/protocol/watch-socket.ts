// The socket between a Kafka client's connection, which runs in the Worker, and the group of a
// member that speaks over it. It is never visible from outside. The connection sends PING for the
// member. The group reports when something has changed.

/** Returns the URL at which the group's object is asked for the socket. */
export function watchUrl(memberId: string): string {
  return `https://object${WATCH_PATH}?memberId=${encodeURIComponent(memberId)}`;
}

export const WATCH_PATH = "/watch";

/** The last answer may no longer hold. */
export interface WatchMessage {
  readonly type: "changed";
}
