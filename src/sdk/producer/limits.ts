// The bounds and waits of a producer. They are a separate module, so that a bundler can inline the numbers.

/** The age at which topics are described again, so that added partitions are used. */
export const TOPIC_MAX_AGE_MS = 300_000;
export const DESCRIBE_TIMEOUT_MS = 10_000;
export const MAX_LINGER_MS = 60_000;
export const DEFAULT_BUFFERED_RECORDS = 100_000;
/** Waiting appends are joined up to this many records, or about this many bytes. A few large appends are enough. */
export const MAX_JOINED_RECORDS = 10_000;
export const MAX_JOINED_BYTES = 256 * 1024;
/** The wait before a retry. It doubles from the first value to the second. */
export const FIRST_BACKOFF_MS = 50;
export const MAX_BACKOFF_MS = 1_000;
export const DEFAULT_DELIVERY_TIMEOUT_MS = 30_000;
/** A socket is opened after this many appends in a row with at most this many milliseconds between them. */
export const BUSY_APPENDS = 5;
export const BUSY_GAP_MS = 100;
/** A socket that is idle for this long is closed. Otherwise it would keep the process alive. */
export const IDLE_MS = 1_000;
/** HTTP is used for this long after a socket broke or could not be opened. */
export const REOPEN_MS = 5_000;
/** The wait for an answer: this long, plus a second per this many bytes, because slow lines carry megabytes too. */
export const ANSWER_TIMEOUT_MS = 10_000;
export const BYTES_PER_SECOND = 100_000;
