// The socket that watches a group: `/v1/groups/:group/events`. The group reports that something has changed, and its
// kind. The observer then asks for it over HTTP, which shows only what it may see.

/** A change of the group. */
export interface GroupChangedMessage {
  readonly type: "changed";
  /** Members, the assignment, the config or the history have changed. */
  readonly group?: true;
  /** Offsets were committed or reset. */
  readonly offsets?: true;
}

/** The URL by which the Worker asks a group's object for such a socket. */
export const OBSERVE_URL = "https://object/observe";
export const OBSERVE_PATH = "/observe";
