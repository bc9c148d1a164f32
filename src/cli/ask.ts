// Asks before a change. Questions go to standard error, because standard output may be a file.
import { createInterface } from "node:readline/promises";
import { plainLines } from "./plain.ts";

/** True if someone can be asked. */
export function mayAsk(): boolean {
  return Boolean(process.stdin.isTTY && process.stderr.isTTY);
}

/** Asks a question. Returns true only for a clear yes. */
export async function agrees(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await lines.question(plainLines(question))).trim());
  } finally {
    lines.close();
  }
}
