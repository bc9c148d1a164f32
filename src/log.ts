// Lines for an operator, each an object as JSON: Cloudflare's logs find them by their fields. On a machine of one's own
// `npm start` prints them as text, unless RIVULET_LOG=json asks for them as they are.
//
// Nothing is printed for what goes well, or logs would cost more than the broker. The audit log has lines of its own.

export type Level = "info" | "warn" | "error";

export interface LogFields {
  /** The request that it happened in, if it is known: see REQUEST_ID_HEADER. */
  readonly requestId?: string | undefined;
  /** The kind and the name of the object that it happened in. */
  readonly object?: string | undefined;
  readonly name?: string | undefined;
  /** The call that failed. */
  readonly method?: string | undefined;
}

/** The header in which each answer of the HTTP API names its request, and in which a client may name one. */
export const REQUEST_ID_HEADER = "x-request-id";

const PRINT: Readonly<Record<Level, (line: string) => void>> = {
  info: (line) => console.log(line),
  warn: (line) => console.warn(line),
  error: (line) => console.error(line),
};

export function logLine(level: Level, message: string, fields: LogFields = {}): void {
  PRINT[level](JSON.stringify({ level, message, at: new Date().toISOString(), ...fields }));
}

/** Returns an unexpected error as a text, with the place where it was thrown. */
export function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
