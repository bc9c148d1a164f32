// Answers of any size. A small answer is sent at once. A large one is made piece by piece, as the client reads.
import { BrokerError } from "../../core/errors.ts";
import { type Holding, RANKS } from "../../core/ledger.ts";
import {
  ANSWER_ITEM_BYTES,
  ANSWER_PIECE_BYTES,
  ANSWER_SLOW_MS,
  ANSWER_STALL_MS,
} from "../../core/limits.ts";
import { memory } from "../../memory.ts";
import { after } from "../edge/timer.ts";

const UTF8 = new TextEncoder();
const JSON_TYPE = "application/json";

/** A piece of an answer: text, or bytes. */
type Piece = string | Uint8Array;

/** The source of an answer. `next` returns a piece, or null at the end. */
export interface Pieces {
  next(): Piece | null | Promise<Piece | null>;
  /** Called when the client has gone, or takes nothing. No more pieces are requested. */
  end(): void;
}

/** The memory that an answer takes, counted together with that of all other answers. */
export class AnswerRoom {
  readonly #holding: Holding;
  #cut: ((error: unknown) => void) | null = null;
  #movedMs = Date.now();

  constructor() {
    // [BND-6] Until the answer has begun, the change that it reports may be in progress.
    this.#holding = memory.answers.hold(
      (error) => this.#cut?.(error),
      () => this.#cut !== null,
      // [BND-6] Answers whose clients take nothing make room for those whose clients may.
      () => (Date.now() - this.#movedMs > ANSWER_SLOW_MS ? RANKS.slow : RANKS.known),
    );
  }

  /** Notes that the answer has begun. From now on it is cut off if others need its room. */
  begin(cut: (error: unknown) => void): void {
    this.#cut = cut;
  }

  /**
   * [BND-6] Reserves the room for a list, given the number of items and the bytes of each. Called before the
   * change that the list reports, because a refusal means that nothing was changed. @throws BrokerError
   * THROTTLING_QUOTA_EXCEEDED
   */
  reserve(items: number, itemBytes: number): void {
    // A small answer is sent at once and takes no room. A large one also has a piece of its text in memory.
    const isLarge = items * ANSWER_ITEM_BYTES > ANSWER_PIECE_BYTES;
    if (isLarge) this.set(items * itemBytes + ANSWER_PIECE_BYTES);
  }

  /** Sets the bytes that the answer takes. @throws BrokerError THROTTLING_QUOTA_EXCEEDED */
  set(bytes: number): void {
    this.#holding.set(bytes);
  }

  /** Notes that the client has taken a part of the answer. An answer that stands still for long is cut off first. */
  move(): void {
    this.#movedMs = Date.now();
    this.#holding.set(this.#holding.bytes);
  }

  release(): void {
    this.#holding.release();
  }
}

/** Makes a change whose answer may be large. `change` reserves the room for the answer before it changes anything. */
export async function withAnswerRoom(
  change: (room: AnswerRoom) => Promise<Response>,
): Promise<Response> {
  const room = new AnswerRoom();
  try {
    return await change(room);
  } catch (error) {
    room.release();
    throw error;
  }
}

/**
 * [BND-6] A body that is made as the client reads. It counts the bytes that it holds. It is cut off if the
 * client takes nothing for ANSWER_STALL_MS, or if all answers together hold too much and this one holds the
 * most.
 */
export class PacedBody {
  readonly stream: ReadableStream<Uint8Array>;
  #pieces: Pieces | null;
  readonly #room: AnswerRoom;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #rest: () => void = () => {};
  #isOver = false;

  constructor(pieces: Pieces, room: AnswerRoom = new AnswerRoom()) {
    this.#pieces = pieces;
    this.#room = room;
    room.begin((error) => this.#cut(error));
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
    if (!this.#isOver) this.#room.set(bytes);
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
      this.#room.move();
      controller.enqueue(typeof piece === "string" ? UTF8.encode(piece) : piece);
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
    this.#room.release();
    this.#pieces?.end();
    this.#pieces = null;
  }
}

/**
 * Answers with a text that is made piece by piece, and held until it is read. `held` is the number of bytes
 * that it takes, or the room that was reserved for it. @throws BrokerError if no room was reserved and there is
 * none
 */
export function answerOf(
  texts: Generator<string>,
  held: number | AnswerRoom,
  contentType: string,
  status = 200,
  done: () => void = () => {},
): Response {
  const init = { status, headers: { "content-type": contentType } };
  const room = typeof held === "number" ? new AnswerRoom() : held;
  let next: string | null = "";
  let isDone = false;
  while (!isDone && next.length <= ANSWER_PIECE_BYTES) {
    const { done: isLast, value } = texts.next();
    isDone = isLast ?? false;
    if (!isLast) next += value;
  }
  if (isDone) {
    room.release();
    done();
    return new Response(next, init);
  }
  const pieces = {
    next: () => {
      const piece = next ?? texts.next().value ?? null;
      next = null;
      return piece;
    },
    end: () => {
      texts.return(undefined);
      done();
    },
  };
  const body = new PacedBody(pieces, room);
  if (typeof held === "number") body.hold(held + next.length);
  return new Response(body.stream, init);
}

/** Answers with bytes that are held until they are read. @throws BrokerError if there is no room for them */
export function bytesAnswer(
  bytes: Uint8Array,
  headers: Readonly<Record<string, string>>,
): Response {
  if (bytes.length <= ANSWER_PIECE_BYTES) return new Response(bytes, { headers });
  let position = 0;
  const pieces = {
    next: () => {
      if (position >= bytes.length) return null;
      const start = position;
      position += ANSWER_PIECE_BYTES;
      return bytes.subarray(start, position);
    },
    end: () => {},
  };
  const body = new PacedBody(pieces);
  body.hold(bytes.length);
  return new Response(body.stream, { headers });
}

/** A JSON object with one field that is a long list. */
export interface ListAnswer<T> {
  readonly field: string;
  readonly items: readonly T[];
  readonly toJson: (item: T) => unknown;
  /** The other fields. */
  readonly rest?: object;
  /** The memory that the items take. By default ANSWER_ITEM_BYTES each. */
  readonly heldBytes?: number;
  /** The room that was reserved for the answer. */
  readonly room?: AnswerRoom;
  readonly status?: number;
  readonly contentType?: string;
  /** Called when the items are no longer needed. */
  readonly done?: () => void;
}

export function listAnswer<T>(list: ListAnswer<T>): Response {
  const { items, room, heldBytes = ANSWER_ITEM_BYTES * items.length } = list;
  const { contentType = JSON_TYPE, status, done } = list;
  return answerOf(listTexts(list), room ?? heldBytes, contentType, status, done);
}

function* listTexts<T>({
  field,
  items,
  toJson,
  rest = {},
  heldBytes = ANSWER_ITEM_BYTES * items.length,
}: ListAnswer<T>): Generator<string> {
  // Makes about one piece of items at a time. Making them one by one would cost more than everything else.
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

/** Answers with a text that all answers share. It counts for none of them. */
export function textAnswer(text: string, contentType: string): Response {
  return answerOf(slices(text), 0, contentType);
}

function* slices(text: string): Generator<string> {
  for (let start = 0; start < text.length; start += ANSWER_PIECE_BYTES)
    yield text.slice(start, start + ANSWER_PIECE_BYTES);
}
