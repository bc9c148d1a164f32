// The answers of one connection, in the order of their requests. A client may send several Produce requests
// before it reads an answer. They are served side by side, so one commit takes the appends of several of them.
// All other requests are served one by one.
import { MAX_KAFKA_OVERLAPPED_BYTES, MAX_KAFKA_OVERLAPPED_REQUESTS } from "../../core/limits.ts";

export interface AnswersOptions {
  /** Writes the pieces of an answer. Resolves once the client has taken them. */
  readonly write: (pieces: readonly Uint8Array[]) => Promise<void>;
  /** Called when an answer could not be made or written, and for each later answer, which is then not written. */
  readonly failed: (error: unknown) => void;
}

export class Answers {
  readonly #options: AnswersOptions;
  /** The answers that the client has not taken yet, oldest first. Each resolves when it is taken. */
  readonly #underway: Promise<void>[] = [];
  #last: Promise<void> = Promise.resolve();
  #bytes = 0;

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  /** The bytes of the unanswered requests. */
  get askedBytes(): number {
    return this.#bytes;
  }

  /** Waits until a request of this size may be served beside the others. @throws the error of a failed answer */
  async untilRoom(bytes: number): Promise<void> {
    while (
      this.#underway.length >= MAX_KAFKA_OVERLAPPED_REQUESTS ||
      this.#bytes + bytes > MAX_KAFKA_OVERLAPPED_BYTES
    ) {
      const [oldest] = this.#underway;
      if (oldest === undefined) return; // A single request may have any size.
      await oldest;
    }
  }

  /** Waits until all requests are answered and the answers are taken. @throws the error of a failed answer */
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
    answer.catch(() => {}); // Its error is reported when it is its turn.
    await before;
    const pieces = await answer;
    this.#bytes -= bytes;
    await this.#options.write(pieces);
    this.#underway.shift();
  }
}
