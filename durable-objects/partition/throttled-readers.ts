// The readers that have used their quotas up [QUO-3]. Each is sent more when there is some again. The partition stays awake
// for that, as for a reader that is slow: it is at work for this reader all the time.
import { MAX_THROTTLE_MS } from "../../src/core/limits.ts";
import type { ObjectSocket } from "../shared/object-socket.ts";

export class ThrottledReaders {
  readonly #waiting = new WeakSet<ObjectSocket>();
  readonly #resume: (socket: ObjectSocket) => void;

  /** `resume` is called when a reader has waited. It has to wait on if its quota says so. */
  constructor(resume: (socket: ObjectSocket) => void) {
    this.#resume = resume;
  }

  /** Lets a reader wait, unless it does already. */
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
