// The answers of one connection, in the order of their requests. A client may send several Produce requests before it reads
// an answer, and they are served side by side: one commit then takes what several of them append. All other requests are
// served one by one.
import { MAX_KAFKA_OVERLAPPED_BYTES, MAX_KAFKA_OVERLAPPED_REQUESTS } from "../../core/limits.ts";

export interface AnswersOptions {
  /** Writes the pieces of an answer, and resolves when the client has taken them. */
  readonly write: (pieces: readonly Uint8Array[]) => Promise<void>;
  /** Called when an answer could not be made or written, and for each behind it, which is not written. */
  readonly failed: (error: unknown) => void;
}

export class Answers {
  readonly #options: AnswersOptions;
  /** The answers that are not taken yet, the oldest first. Each resolves when it is. */
  readonly #underway: Promise<void>[] = [];
  #last: Promise<void> = Promise.resolve();
  #bytes = 0;

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  /** The bytes of the requests that are not answered yet. */
  get askedBytes(): number {
    return this.#bytes;
  }

  /** Waits until a request of so many bytes may be served beside the others. @throws what an answer failed with */
  async untilRoom(bytes: number): Promise<void> {
    while (
      this.#underway.length >= MAX_KAFKA_OVERLAPPED_REQUESTS ||
      this.#bytes + bytes > MAX_KAFKA_OVERLAPPED_BYTES
    ) {
      const [oldest] = this.#underway;
      if (oldest === undefined) return; // One alone may have any size.
      await oldest;
    }
  }

  /** Waits until all requests are answered, and the answers taken. @throws what an answer failed with */
  untilTaken(): Promise<void> {
    return this.#last;
  }

  /** Adds an answer that is being made. */
  add(bytes: number, answer: Promise<readonly Uint8Array[]>): void {
    this.#bytes += bytes;
    const isTaken = this.#taken(this.#last, answer, bytes);
    this.#last = isTaken;
    this.#underway.push(isTaken);
    isTaken.catch(this.#options.failed);
  }

  async #taken(
    before: Promise<void>,
    answer: Promise<readonly Uint8Array[]>,
    bytes: number,
  ): Promise<void> {
    answer.catch(() => {}); // It is told when it is its turn.
    await before;
    const pieces = await answer;
    this.#bytes -= bytes;
    await this.#options.write(pieces);
    this.#underway.shift();
  }
}
