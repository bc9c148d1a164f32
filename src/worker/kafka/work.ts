// One request in progress: if a client still waits for its answer, and the size of the answer so far [BND-16].
import { BrokerError } from "../../core/errors.ts";
import { MAX_KAFKA_ANSWER_BYTES } from "../../core/limits.ts";
import { turn } from "../edge/timer.ts";
import { weightOf } from "./answer-weight.ts";
import type { InFlight } from "./in-flight.ts";

/** Thrown if a read has no client left to answer. */
export class GoneError extends Error {
  override readonly name = "GoneError";
}

export interface WorkOptions {
  /** The name of the API, for errors. */
  readonly name: string;
  readonly inFlight: Pick<InFlight, "setAnswer">;
  /** True if the request is not worth finishing once its client has gone. */
  readonly isReadOnly: boolean;
  readonly hasGone: () => boolean;
  /** Called from time to time, so that the transport can find out if the client is still there. */
  readonly look: () => void;
}

export class Work {
  readonly #options: WorkOptions;
  #answerBytes = 0;

  constructor(options: WorkOptions) {
    this.#options = options;
  }

  /**
   * Counts a finished part of the answer.
   * @throws BrokerError if the answer is too large or others need the room. The connection cannot continue.
   */
  made(part: unknown): void {
    this.#answerBytes += weightOf(part);
    assertAnswerSize(this.#options.name, this.#answerBytes);
    this.#options.inFlight.setAnswer(this.#answerBytes);
  }

  /** Called before a long wait, so that the wait ends if the client has gone. */
  look(): void {
    this.#options.look();
  }

  /** Lets other requests run. On one machine they all share a thread. @throws GoneError */
  async pause(): Promise<void> {
    this.look();
    await turn();
    if (this.#options.isReadOnly && this.#options.hasGone())
      throw new GoneError("the client has gone");
  }
}

/** @throws BrokerError */
export function assertAnswerSize(name: string, bytes: number): void {
  if (bytes > MAX_KAFKA_ANSWER_BYTES)
    throw new BrokerError(
      "INVALID_REQUEST",
      `the answer to a ${name} request takes ${bytes} bytes and is not done, the bound is ${MAX_KAFKA_ANSWER_BYTES}; ask for less at once`,
    );
}
