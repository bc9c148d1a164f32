// The socket of whoever looks at a group: `/v1/groups/:group/events`. The group says that something has changed, and what
// kind of thing. The observer then asks for it over HTTP, which shows as much as it may see.

/** Something has changed. */
export interface GroupChangedMessage {
  readonly type: "changed";
  /** Members, the assignment, the config or the history have changed. */
  readonly group?: true;
  /** Positions were committed or reset. */
  readonly offsets?: true;
}

/** The path at which the Worker asks a group's object for such a socket. */
export const OBSERVE_URL = "https://object/observe";
export const OBSERVE_PATH = "/observe";
