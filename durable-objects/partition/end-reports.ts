// [FIL-4] On a machine's disk the cluster is told where a partition's log ends, so that a log that has lost its end is known
// by that after a restart. Nobody waits for it: one message is on its way at a time, with a pause behind it.
import { isWithin } from "../../src/core/elapsed.ts";

/** The pause behind the first message; it doubles while there is more to tell, so that a busy partition tells little. */
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 2_000;

export class EndReports {
  readonly #report: (logEndOffset: number) => Promise<unknown>;
  #end = -1;
  #told = -1;
  #toldAtMs = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #isBusy = false;
  /** Set while the pause lasts. What comes after it does not depend on this: it is late where the clock was set back. */
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(report: (logEndOffset: number) => Promise<unknown>) {
    this.#report = report;
  }

  note(logEndOffset: number): void {
    this.#end = logEndOffset;
    if (!this.#isBusy && !isWithin(this.#toldAtMs, this.#pauseMs, Date.now())) void this.#tell();
  }

  async #tell(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#isBusy = true;
    const end = this.#end;
    try {
      await this.#report(end);
    } catch {
      // The stub has noted it; what comes next is told anew.
    }
    this.#isBusy = false;
    const isBehind = this.#told !== -1 && end > this.#told;
    this.#pauseMs = isBehind ? Math.min(2 * this.#pauseMs, MAX_PAUSE_MS) : FIRST_PAUSE_MS;
    this.#told = end;
    this.#toldAtMs = Date.now();
    this.#timer = setTimeout(() => this.#paused(), this.#pauseMs);
  }

  #paused(): void {
    this.#timer = null;
    if (!this.#isBusy && this.#end > this.#told) void this.#tell();
    else this.#pauseMs = FIRST_PAUSE_MS;
  }
}
