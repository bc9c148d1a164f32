// What Cloudflare bills an object for, as the object counts it. The figures of one life are cumulative. A life ends when
// the object is evicted or reset, and the next one begins at zero.

/** The unit of each figure is in its name, or it is a count. */
export interface Usage {
  readonly rowsWritten: number;
  readonly rowsRead: number;
  /** Calls, upgrades and alarms. Each is a request. */
  readonly requests: number;
  /** Messages that came over sockets. Twenty are a request. */
  readonly messages: number;
  /** An estimate: what events took, and what they left running. */
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

/** Returns what came since `before`, of the same life. */
export function since(before: Usage, now: Usage): Usage {
  return {
    rowsWritten: now.rowsWritten - before.rowsWritten,
    rowsRead: now.rowsRead - before.rowsRead,
    requests: now.requests - before.requests,
    messages: now.messages - before.messages,
    awakeMs: now.awakeMs - before.awakeMs,
  };
}
