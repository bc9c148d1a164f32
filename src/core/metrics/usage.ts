// The usage that Cloudflare bills for an object, as the object counts it. The figures of one life are cumulative. A
// life ends when the object is evicted or reset, and the next one starts at zero.

/** The name of each figure includes its unit, except for counts. */
export interface Usage {
  readonly rowsWritten: number;
  readonly rowsRead: number;
  /** Calls, upgrades and alarms. Each is billed as a request. */
  readonly requests: number;
  /** Messages received over sockets. Twenty are billed as one request. */
  readonly messages: number;
  /** Estimated: the duration of events and of work that they left running. */
  readonly awakeMs: number;
}

export const NO_USAGE: Usage = {
  rowsWritten: 0,
  rowsRead: 0,
  requests: 0,
  messages: 0,
  awakeMs: 0,
};

export function sumOf(a: Usage, b: Usage): Usage {
  return {
    rowsWritten: a.rowsWritten + b.rowsWritten,
    rowsRead: a.rowsRead + b.rowsRead,
    requests: a.requests + b.requests,
    messages: a.messages + b.messages,
    awakeMs: a.awakeMs + b.awakeMs,
  };
}

/** Returns the usage since `before`, which must be of the same life. */
export function since(before: Usage, now: Usage): Usage {
  return {
    rowsWritten: now.rowsWritten - before.rowsWritten,
    rowsRead: now.rowsRead - before.rowsRead,
    requests: now.requests - before.requests,
    messages: now.messages - before.messages,
    awakeMs: now.awakeMs - before.awakeMs,
  };
}
