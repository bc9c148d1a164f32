// [RLY-3] The readers of a relay that are behind the records in its memory. They have just attached, were slow,
// or were there before the relay was evicted. It reads what they need from the partition, one run at a time,
// for all readers at the same offset.
import type { PartitionCalls } from "../../src/calls/partition-calls.ts";
import type { Failure } from "../../src/core/errors.ts";
import type { RelayedLog } from "../../src/core/log/relayed-log.ts";
import { FRAME_BYTES, Frames } from "../../src/core/log/tail-reader.ts";
import type { TailReaders } from "../partition/tail-readers.ts";
import type { ObjectSocket } from "../shared/object-socket.ts";

export interface CatchUpParts {
  readonly log: RelayedLog;
  readonly partition: () => Pick<PartitionCalls, "read">;
  /** Called if nothing can be read at the reader's offset, according to the partition. */
  refused(socket: ObjectSocket, failure: Failure): void;
  /** Called if the partition cannot be asked. */
  failed(socket: ObjectSocket, error: unknown): void;
  /** Keeps the relay awake until the promise resolves. */
  waitUntil(promise: Promise<void>): void;
}

export class CatchUp {
  readonly #parts: CatchUpParts;
  /** The waiting sockets. The one that has waited longest comes first. */
  readonly #waiting = new Set<ObjectSocket>();
  #isReading = false;

  constructor(parts: CatchUpParts) {
    this.#parts = parts;
  }

  /** Makes a reader wait for a run. */
  add(socket: ObjectSocket, readers: TailReaders): void {
    this.#waiting.add(socket);
    if (!this.#isReading) this.#parts.waitUntil(this.#read(readers));
  }

  async #read(readers: TailReaders): Promise<void> {
    this.#isReading = true;
    try {
      for (const first of this.#waiting) await this.#serve(first, readers);
    } finally {
      this.#isReading = false;
    }
  }

  /**
   * Reads for the reader, and resumes all readers at the same offset. Those that are still behind then wait
   * again.
   */
  async #serve(first: ObjectSocket, readers: TailReaders): Promise<void> {
    this.#waiting.delete(first);
    const place = readers.placeOf(first);
    if (place === null || place.windowBytes <= 0) return;
    const offset = place.nextOffset;
    const isHere = (socket: ObjectSocket) => readers.placeOf(socket)?.nextOffset === offset;
    const served = () => {
      const here = [first, ...this.#waiting].filter(isHere);
      for (const socket of here) this.#waiting.delete(socket);
      return here;
    };
    const { log, refused, failed } = this.#parts;
    const serve = () => {
      const frames = new Frames(log);
      for (const socket of served()) readers.resume(socket, frames);
    };
    if (log.holds(offset)) return serve();
    let read: Awaited<ReturnType<PartitionCalls["read"]>>;
    try {
      const maxBytes = Math.min(place.windowBytes, FRAME_BYTES);
      read = await this.#parts.partition().read({ offset, maxBytes });
    } catch (error) {
      for (const socket of served()) failed(socket, error);
      return;
    }
    if (read.ok) {
      const { batches: bytes, nextOffset, logStartOffset } = read;
      log.fetched({ baseOffset: offset, nextOffset, bytes }, logStartOffset, serve);
    } else for (const socket of served()) refused(socket, read);
  }
}
