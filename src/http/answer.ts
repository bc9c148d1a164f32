// Answers of any size. A small answer goes out at once. A large one is made a piece at a time, as the client reads.
import { BrokerError } from "../core/errors.ts";
import type { Holding } from "../core/ledger.ts";
import { ANSWER_ITEM_BYTES, ANSWER_PIECE_BYTES, ANSWER_STALL_MS } from "../core/limits.ts";
import { isolate } from "../edge/isolate.ts";
import { after } from "../edge/timer.ts";

const UTF8 = new TextEncoder();
const JSON_TYPE = "application/json";

/** The source of an answer's text. `next` returns a piece, or null at the end. */
export interface Pieces {
  next(): string | null | Promise<string | null>;
  /** Called when the client has gone, or takes nothing. Nothing more is requested. */
  end(): void;
}

/**
 * [BND-6] A body that is made as the client reads. It counts the bytes that it holds. It is cut off if the client takes
 * nothing for ANSWER_STALL_MS, or if all answers together hold too much and this one the most.
 */
export class PacedBody {
  readonly stream: ReadableStream<Uint8Array>;
  #pieces: Pieces | null;
  readonly #holding: Holding;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #rest: () => void = () => {};
  #isOver = false;

  constructor(pieces: Pieces) {
    this.#pieces = pieces;
    this.#holding = isolate.answers.hold((error) => this.#cut(error));
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: (controller) => this.#pull(controller),
        cancel: () => this.#end(),
      },
      // Nothing is made before it is requested.
      { highWaterMark: 0 },
    );
  }

  /** Sets the bytes that are in memory until the client has read them. @throws BrokerError THROTTLING_QUOTA_EXCEEDED */
  hold(bytes: number): void {
    if (!this.#isOver) this.#holding.set(bytes);
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#rest();
    try {
      const piece = await (this.#pieces as Pieces).next();
      if (this.#isOver) return;
      if (piece === null) {
        this.#end();
        controller.close();
        return;
      }
      this.#holding.set(this.#holding.bytes); // This counts as a move.
      controller.enqueue(UTF8.encode(piece));
    } catch (error) {
      this.#cut(error);
      return;
    }
    this.#rest = after(ANSWER_STALL_MS, () =>
      this.#cut(
        new BrokerError("REQUEST_TIMED_OUT", `the client took nothing for ${ANSWER_STALL_MS} ms`),
      ),
    );
  }

  #cut(error: unknown): void {
    if (this.#isOver) return;
    this.#end();
    this.#controller?.error(error);
    this.#controller = null;
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#rest();
    this.#holding.release();
    this.#pieces?.end();
    this.#pieces = null;
  }
}

/** Answers with a text that is made piece by piece and holds `heldBytes` until it is read. @throws BrokerError */
export function answerOf(
  texts: Generator<string>,
  heldBytes: number,
  contentType: string,
  status = 200,
): Response {
  const init = { status, headers: { "content-type": contentType } };
  let next: string | null = "";
  let isDone = false;
  while (!isDone && next.length <= ANSWER_PIECE_BYTES) {
    const { done, value } = texts.next();
    isDone = done ?? false;
    if (!done) next += value;
  }
  if (isDone) return new Response(next, init);
  const body = new PacedBody({
    next: () => {
      const piece = next ?? texts.next().value ?? null;
      next = null;
      return piece;
    },
    end: () => void texts.return(undefined),
  });
  body.hold(heldBytes + next.length);
  return new Response(body.stream, init);
}

/** A JSON object with one field that is a long list. */
export interface ListAnswer<T> {
  readonly field: string;
  readonly items: readonly T[];
  readonly toJson: (item: T) => unknown;
  /** The other fields. */
  readonly rest?: object;
  /** The memory that the items take. If it is not given, ANSWER_ITEM_BYTES each. */
  readonly heldBytes?: number;
  readonly status?: number;
  readonly contentType?: string;
}

export function listAnswer<T>(list: ListAnswer<T>): Response {
  const { items, heldBytes = ANSWER_ITEM_BYTES * items.length } = list;
  return answerOf(listTexts(list), heldBytes, list.contentType ?? JSON_TYPE, list.status);
}

function* listTexts<T>({
  field,
  items,
  toJson,
  rest = {},
  heldBytes = ANSWER_ITEM_BYTES * items.length,
}: ListAnswer<T>): Generator<string> {
  // Makes about a piece of items at a time. Making them one by one costs more than all the rest.
  const itemsAtOnce = Math.max(
    1,
    Math.floor((ANSWER_PIECE_BYTES * items.length) / (heldBytes || 1)),
  );
  let text = `{${JSON.stringify(field)}:[`;
  for (let from = 0; from < items.length; from += itemsAtOnce) {
    const some = items.slice(from, from + itemsAtOnce).map(toJson);
    text += (from === 0 ? "" : ",") + JSON.stringify(some).slice(1, -1);
    if (text.length < ANSWER_PIECE_BYTES) continue;
    yield text;
    text = "";
  }
  const others = JSON.stringify(rest).slice(1);
  yield `${text}]${others === "}" ? "" : ","}${others}`;
}

/** Answers with a text that all answers share. No answer is charged for it. */
export function textAnswer(text: string, contentType: string): Response {
  return answerOf(slices(text), 0, contentType);
}

function* slices(text: string): Generator<string> {
  for (let start = 0; start < text.length; start += ANSWER_PIECE_BYTES)
    yield text.slice(start, start + ANSWER_PIECE_BYTES);
}
