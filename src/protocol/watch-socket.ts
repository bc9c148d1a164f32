// The socket between a Kafka client's connection, which runs in the Worker, and the group of a member on that
// connection. It is never visible to clients. The connection sends PING for the member. The group reports when
// something has changed.

/** Returns the URL for asking the group's object for the socket. */
export function watchUrl(memberId: string): string {
  return `https://object${WATCH_PATH}?memberId=${encodeURIComponent(memberId)}`;
}

export const WATCH_PATH = "/watch";

/** The last answer may be out of date. */
export interface WatchMessage {
  readonly type: "changed";
}
