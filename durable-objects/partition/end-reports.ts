// [FIL-4] On a machine's disk the cluster is told where a partition's log ends, so that a log that has lost its end is known
// by that after a restart. Nobody waits for it: one message is on its way at a time, with a pause behind it.

/** The pause behind the first message; it doubles while there is more to tell, so that a busy partition tells little. */
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 2_000;

export class EndReports {
  readonly #report: (logEndOffset: number) => Promise<unknown>;
  #end = -1;
  #isBusy = false;

  constructor(report: (logEndOffset: number) => Promise<unknown>) {
    this.#report = report;
  }

  note(logEndOffset: number): void {
    this.#end = logEndOffset;
    if (!this.#isBusy) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isBusy = true;
    let told = -1;
    let pauseMs = FIRST_PAUSE_MS;
    while (told < this.#end) {
      const end = this.#end;
      try {
        await this.#report(end);
      } catch {
        // The stub has noted it; what comes next is told anew.
      }
      told = end;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
    }
    this.#isBusy = false;
  }
}
