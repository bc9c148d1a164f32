// The readers that have used up their quotas [QUO-3]. Each gets more once its quota allows it. The partition
// stays awake for that, as for a slow reader: it is at work for this reader all the time.
import { MAX_THROTTLE_MS } from "../../src/core/limits.ts";
import type { ObjectSocket } from "../shared/object-socket.ts";

export class ThrottledReaders {
  readonly #waiting = new WeakSet<ObjectSocket>();
  readonly #resume: (socket: ObjectSocket) => void;

  /** `resume` is called when a reader has waited. It must add the reader again if its quota still says so. */
  constructor(resume: (socket: ObjectSocket) => void) {
    this.#resume = resume;
  }

  /** Makes a reader wait, unless it already does. */
  add(socket: ObjectSocket, waitMs: number): void {
    if (this.#waiting.has(socket)) return;
    this.#waiting.add(socket);
    const resume = () => {
      this.#waiting.delete(socket);
      this.#resume(socket);
    };
    setTimeout(resume, Math.min(waitMs, MAX_THROTTLE_MS));
  }
}
