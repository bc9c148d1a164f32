// [FIL-4] Reports the end of a partition's log to the cluster, if the log is on a machine's disk. After a
// restart this shows that a log has lost its end. Nobody waits for the reports. One is in progress at a time,
// and a pause follows it.
import { isWithin } from "../../src/core/elapsed.ts";

/** The pause after the first report. It doubles while there is more to report, so a busy partition reports little. */
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 2_000;

export class EndReports {
  readonly #report: (logEndOffset: number) => Promise<unknown>;
  #end = 0;
  #reported = -1;
  #reportedAtMs = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #isBusy = false;
  /** Set during the pause. It only delays the reports; it is late if the clock was set back. */
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(report: (logEndOffset: number) => Promise<unknown>) {
    this.#report = report;
  }

  note(logEndOffset: number): void {
    this.#end = logEndOffset;
    if (!this.#isBusy && !isWithin(this.#reportedAtMs, this.#pauseMs, Date.now()))
      void this.#reportNow();
  }

  async #reportNow(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#isBusy = true;
    const end = this.#end;
    try {
      await this.#report(end);
    } catch {
      // The stub has logged it. The next end is reported anyway.
    }
    this.#isBusy = false;
    const isBehind = this.#reported !== -1 && end > this.#reported;
    this.#pauseMs = isBehind ? Math.min(2 * this.#pauseMs, MAX_PAUSE_MS) : FIRST_PAUSE_MS;
    this.#reported = end;
    this.#reportedAtMs = Date.now();
    this.#timer = setTimeout(() => this.#paused(), this.#pauseMs);
  }

  #paused(): void {
    this.#timer = null;
    if (!this.#isBusy && this.#end > this.#reported) void this.#reportNow();
    else this.#pauseMs = FIRST_PAUSE_MS;
  }
}
