// What the log says, without its fields.

/** Returns the messages of the lines that a console was given. */
export function messagesIn(calls: readonly (readonly unknown[])[]): string[] {
  return calls.map(([line]) => (JSON.parse(String(line)) as { message: string }).message);
}
