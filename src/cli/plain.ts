// Text of others on a terminal: names, ids, headers and errors may hold characters that would steer it.

/** The characters of C0 and C1, and DEL. */
const CONTROLS = /\p{Cc}/gu;
const CONTROLS_IN_LINES = /[^\P{Cc}\t\n]/gu;

/** Returns the text with control characters as `\x1b`, also tabs and newlines. */
export function plain(text: string): string {
  return text.replace(CONTROLS, shown);
}

/** Returns lines of text with control characters as `\x1b`, except tabs and newlines. */
export function plainLines(text: string): string {
  return text.replace(CONTROLS_IN_LINES, shown);
}

function shown(control: string): string {
  return `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

/** Writes one line to standard error. */
export function note(text: string): void {
  process.stderr.write(`${plain(text)}\n`);
}
