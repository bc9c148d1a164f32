// The messages of the log, without their fields.

/** Returns the messages of the lines that a console received. */
export function messagesIn(calls: readonly (readonly unknown[])[]): string[] {
  return calls.map(([line]) => (JSON.parse(String(line)) as { message: string }).message);
}
