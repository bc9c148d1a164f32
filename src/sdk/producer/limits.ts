// The bounds and the waits of a producer. A module of their own lets a bundle put the numbers where they are used.

/** Topics are described again after this long, so that added partitions are used. */
export const TOPIC_MAX_AGE_MS = 300_000;
export const DESCRIBE_TIMEOUT_MS = 10_000;
export const MAX_LINGER_MS = 60_000;
export const DEFAULT_BUFFERED_RECORDS = 100_000;
/** Waiting appends are joined up to so many records, or about so many bytes. A few large appends are enough. */
export const MAX_JOINED_RECORDS = 10_000;
export const MAX_JOINED_BYTES = 256 * 1024;
/** The wait before another try. It doubles from the first to the longest. */
export const FIRST_BACKOFF_MS = 50;
export const MAX_BACKOFF_MS = 1_000;
export const DEFAULT_DELIVERY_TIMEOUT_MS = 30_000;
/** After so many appends in a row with no more than this time between them, in milliseconds, a socket is opened. */
export const BUSY_APPENDS = 5;
export const BUSY_GAP_MS = 100;
/** A socket that carried nothing for so long is closed. Otherwise it would keep a process from ending. */
export const IDLE_MS = 1_000;
/** If a socket could not be opened, or broke, HTTP is used for so long. */
export const REOPEN_MS = 5_000;
/**
 * The wait for an answer is this long, plus a second for each so many bytes, because slow lines carry megabytes too.
 */
export const ANSWER_TIMEOUT_MS = 10_000;
export const BYTES_PER_SECOND = 100_000;
