// Log lines for an operator. Each is a JSON object, so Cloudflare's logs can search its fields. On your own machine,
// `npm start` prints them as text, or unchanged with RIVULET_LOG=json.
//
// Successful operations are not logged, because logs would cost more than the broker. The audit log has lines of its
// own.

export type Level = "info" | "warn" | "error";

export interface LogFields {
  /** The request in which it happened, if known: see REQUEST_ID_HEADER. */
  readonly requestId?: string | undefined;
  /** The kind and the name of the object in which it happened. */
  readonly object?: string | undefined;
  readonly name?: string | undefined;
  /** The call that failed. */
  readonly method?: string | undefined;
}

/** The header with the id of the request, in each answer of the HTTP API. A client may choose the id with it. */
export const REQUEST_ID_HEADER = "x-request-id";

const PRINT: Readonly<Record<Level, (line: string) => void>> = {
  info: (line) => console.log(line),
  warn: (line) => console.warn(line),
  error: (line) => console.error(line),
};

export function logLine(level: Level, message: string, fields: LogFields = {}): void {
  PRINT[level](JSON.stringify({ level, message, at: new Date().toISOString(), ...fields }));
}

/** Returns an unexpected error as text, with its stack. */
export function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
