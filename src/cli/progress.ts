// A line on standard error that shows progress and is drawn over itself.
import { plain } from "./plain.ts";
import { progressLine, totalsLine } from "./progress-line.ts";

/** No line is shown before. A shorter operation would end before anyone has read it. */
const QUIET_MS = 1_000;
const DRAW_MS = 200;
const CLEAR = "\r\x1b[K";

export class Progress {
  readonly #startedMs = performance.now();
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #part: () => number | null;
  #records = 0;
  #bytes = 0;
  #isDrawn = false;

  /** `part` returns the fraction that is done, 0 to 1, or null if it is not known. */
  constructor(isWanted: boolean, part: () => number | null) {
    this.#part = part;
    if (isWanted) this.#timer = setInterval(() => this.#draw(), DRAW_MS).unref();
  }

  get #numbers() {
    const elapsedMs = performance.now() - this.#startedMs;
    return { records: this.#records, bytes: this.#bytes, elapsedMs };
  }

  add(records: number, bytes: number): void {
    this.#records += records;
    this.#bytes += bytes;
  }

  /** Writes a line in place of the progress, which is drawn again below it. */
  note(text: string): void {
    process.stderr.write(`${this.#isDrawn ? CLEAR : ""}${plain(text)}\n`);
  }

  /** Ends the progress. The totals replace the line. */
  end(): void {
    clearInterval(this.#timer);
    if (this.#isDrawn) process.stderr.write(`${CLEAR}${totalsLine(this.#numbers)}\n`);
    this.#isDrawn = false;
  }

  #draw(): void {
    if (this.#numbers.elapsedMs < QUIET_MS) return;
    // A character in the last column would start a new line on some terminals.
    const width = (process.stderr.columns || 80) - 1;
    process.stderr.write(`${CLEAR}${progressLine(this.#numbers, this.#part(), width)}`);
    this.#isDrawn = true;
  }
}
