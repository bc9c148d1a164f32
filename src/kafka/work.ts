// One request while it is worked on: whether anybody waits for its answer still, and what the answer takes so far [BND-16].
import { BrokerError } from "../core/errors.ts";
import { MAX_KAFKA_ANSWER_BYTES } from "../core/limits.ts";
import { weightOf } from "./answer-weight.ts";
import type { InFlight } from "./in-flight.ts";

/** A read has nobody to be answered to. */
export class GoneError extends Error {
  override readonly name = "GoneError";
}

export interface WorkOptions {
  /** The API, for the error. */
  readonly name: string;
  readonly inFlight: InFlight;
  /** Whether the request is not worth going on with once its client has gone. */
  readonly isReadOnly: boolean;
  readonly hasGone: () => boolean;
  /** Called now and then, for whoever finds out whether the client is there still. */
  readonly look: () => void;
}

export class Work {
  readonly #options: WorkOptions;
  #answerBytes = 0;

  constructor(options: WorkOptions) {
    this.#options = options;
  }

  /**
   * A part of the answer is there.
   * @throws BrokerError where it is too large, or others need the room: the connection cannot go on
   */
  made(part: unknown): void {
    this.#answerBytes += weightOf(part);
    checkAnswer(this.#options.name, this.#answerBytes);
    this.#options.inFlight.setAnswer(this.#answerBytes);
  }

  /** Lets others through: on one machine all of them share a thread. @throws GoneError */
  async pause(): Promise<void> {
    this.#options.look();
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (this.#options.isReadOnly && this.#options.hasGone())
      throw new GoneError("the client has gone");
  }
}

/** @throws BrokerError */
export function checkAnswer(name: string, bytes: number): void {
  if (bytes > MAX_KAFKA_ANSWER_BYTES)
    throw new BrokerError(
      "INVALID_REQUEST",
      `the answer to a ${name} request takes ${bytes} bytes and is not done, the bound is ${MAX_KAFKA_ANSWER_BYTES}: ask for less at once`,
    );
}
