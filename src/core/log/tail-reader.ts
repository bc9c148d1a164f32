// A tail reader's position and window. Records are pushed while the window has room. The reader credits bytes back as
// it consumes, so a reader that stops costs at most its window [TAIL-2].

import { concatBytes } from "../bytes.ts";
import { attempt, type Failure } from "../errors.ts";
import { MAX_WINDOW_BYTES } from "../limits.ts";
import type { OwnerToken } from "./fences.ts";
import type { PartitionLog } from "./partition-log.ts";

/** The log for tail readers: the partition's log, or the part of it that a relay has in memory. */
export type ReadersLog = Pick<
  PartitionLog,
  "logStartOffset" | "logEndOffset" | "validateOffset" | "read" | "findOffsetByTimestamp"
>;

/** The state that must survive hibernation. It is in the socket's attachment. */
export interface TailReader {
  /** The next offset to send. */
  readonly nextOffset: number;
  /** The bytes that may still be sent. It falls below 0 by at most one batch. */
  readonly windowBytes: number;
  /** The window at attach, or a larger one requested since. `windowBytes` never exceeds it. */
  readonly maxWindowBytes: number;
  readonly owner: (OwnerToken & { readonly group: string }) | null;
}

/** Frames are combined up to this size, so a log of tiny chunks does not need a frame for each. */
export const FRAME_BYTES = 256 * 1024;
const MAX_SHARED_FRAMES = 8;

/**
 * The frames that are sent to readers in one round. Readers at the same offset with the same room share one frame. So
 * an append with a thousand tail readers costs its bytes once [TAIL-4].
 */
export class Frames {
  readonly #log: ReadersLog;
  readonly #frames = new Map<string, Frame>();

  constructor(log: ReadersLog) {
    this.#log = log;
  }

  at(offset: number, maxBytes: number): Frame {
    const place = `${offset}/${maxBytes}`;
    let frame = this.#frames.get(place);
    if (frame === undefined) {
      const { pieces, nextOffset } = this.#log.read(offset, maxBytes);
      frame = { bytes: concatBytes(pieces), nextOffset };
      // Readers that have fallen behind read at many offsets. Their frames must not pile up.
      if (this.#frames.size === MAX_SHARED_FRAMES) this.#frames.clear();
      this.#frames.set(place, frame);
    }
    return frame;
  }
}

interface Frame {
  readonly bytes: Uint8Array;
  readonly nextOffset: number;
}

/**
 * [TAIL-1] Sends the records that fit the reader's window, in offset order, and returns the reader's new state. `send`
 * returns false if the client must read before it gets more [BND-18]. If the data at the reader's offset is unreadable,
 * `stop` gets the failure [CRC-2].
 */
export function pump(
  log: ReadersLog,
  reader: TailReader,
  frames: Frames,
  send: (frame: Uint8Array) => boolean,
  stop: (failure: Failure) => void = () => {},
  maxFrameBytes = FRAME_BYTES,
): TailReader {
  let { nextOffset, windowBytes } = reader;
  const frameBytes = Math.min(maxFrameBytes, FRAME_BYTES);
  let goesOn = true;
  while (goesOn && windowBytes > 0 && nextOffset < log.logEndOffset) {
    const frame = attempt(() => frames.at(nextOffset, Math.min(windowBytes, frameBytes)));
    if ("error" in frame) {
      stop(frame);
      break;
    }
    if (frame.nextOffset === nextOffset) break; // A relay does not have it in memory.
    if (frame.bytes.length > 0) goesOn = send(frame.bytes);
    nextOffset = frame.nextOffset;
    windowBytes -= frame.bytes.length;
  }
  return nextOffset === reader.nextOffset ? reader : { ...reader, nextOffset, windowBytes };
}

/** Returns the reader with `bytes` credited. A requested window replaces a smaller one. */
export function openWindow(reader: TailReader, bytes: number, askedBytes = 0): TailReader {
  const maxWindowBytes = Math.max(reader.maxWindowBytes, clampWindow(askedBytes));
  const addedBytes = bytes + maxWindowBytes - reader.maxWindowBytes;
  const windowBytes = Math.min(reader.windowBytes + addedBytes, maxWindowBytes);
  return { ...reader, windowBytes, maxWindowBytes };
}

export function clampWindow(bytes: number): number {
  return Math.min(Math.max(1, bytes), MAX_WINDOW_BYTES);
}
