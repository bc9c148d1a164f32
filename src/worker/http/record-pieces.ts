// Cuts `{"records": […]}` into pieces before anything is parsed. The parsed form of a body takes twenty times
// its bytes. Parsed piece by piece, it takes that for one piece only [PRD-9].
import { BrokerError } from "../../core/errors.ts";
import { MAX_RECORDS_PER_REQUEST } from "../../core/limits.ts";

/** The bytes and records after which a piece ends. A single record may be larger. */
const PIECE_BYTES = 256 * 1024;
const PIECE_RECORDS = 1_000;

const [QUOTE, COMMA, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN, CLOSE] = [
  0x22, 0x2c, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d,
];

/** Some elements of the list: the bytes from `from` to `to`, and the number of elements if they are JSON. */
export interface Piece {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

export interface RecordPieces {
  readonly pieces: readonly Piece[];
  readonly count: number;
  /** The start and the end of the list's content. */
  readonly from: number;
  readonly to: number;
}

/**
 * Finds the list `records` of the object. Returns null if there is none. Every byte is in a piece, or before or
 * behind the list. So if all of these are JSON, with as many elements as counted, the whole body is.
 * @throws BrokerError INVALID_REQUEST if there are too many records
 */
export function recordPieces(bytes: Uint8Array): RecordPieces | null {
  let found: RecordPieces | null = null;
  let depth = 0;
  /** True where the name of a member may come, in the object itself. */
  let isName = false;
  let isOfRecords = false;
  for (let at = 0; at < bytes.length; at++) {
    switch (bytes[at]) {
      case QUOTE: {
        const end = endOfString(bytes, at);
        if (depth === 1 && isName) {
          isOfRecords = nameOf(bytes.subarray(at, end + 1)) === "records";
          isName = false;
        }
        at = end;
        break;
      }
      case COMMA:
        if (depth === 1) isName = true;
        break;
      case OPEN_LIST:
        // If members share a name, the parser takes the last.
        if (depth === 1 && isOfRecords) {
          found = listFrom(bytes, at + 1);
          at = found.to - 1;
        }
        depth++;
        isOfRecords = false;
        break;
      case OPEN:
        depth++;
        isName = depth === 1;
        isOfRecords = false;
        break;
      case CLOSE_LIST:
      case CLOSE:
        depth--;
    }
  }
  return found;
}

/** Cuts the list whose content starts at `from`. It ends with its closing bracket, or with the bytes. */
function listFrom(bytes: Uint8Array, from: number): RecordPieces {
  const pieces: Piece[] = [];
  let depth = 0;
  let start = from;
  let commas = 0;
  let count = 0;
  const close = (to: number) => {
    pieces.push({ from: start, to, count: commas + 1 });
    count += commas + 1;
    if (count > MAX_RECORDS_PER_REQUEST)
      throw new BrokerError(
        "INVALID_REQUEST",
        `records: must have at most ${MAX_RECORDS_PER_REQUEST} records; got more`,
      );
    start = to + 1;
    commas = 0;
  };
  let at = from;
  scan: for (; at < bytes.length; at++) {
    switch (bytes[at]) {
      case QUOTE:
        at = endOfString(bytes, at);
        break;
      case COMMA:
        if (depth > 0) break;
        if (at - start >= PIECE_BYTES || commas + 1 >= PIECE_RECORDS) close(at);
        else commas++;
        break;
      case OPEN_LIST:
      case OPEN:
        depth++;
        break;
      case CLOSE_LIST:
      case CLOSE:
        if (depth === 0) break scan;
        depth--;
    }
  }
  close(at);
  return { pieces, count, from, to: at };
}

/** Returns the position of the quote that ends the string that begins at `start`, or the end of the bytes. */
function endOfString(bytes: Uint8Array, start: number): number {
  for (let end = bytes.indexOf(QUOTE, start + 1); end !== -1; end = bytes.indexOf(QUOTE, end + 1)) {
    let first = end;
    while (bytes[first - 1] === BACKSLASH) first--;
    if ((end - first) % 2 === 0) return end;
  }
  return bytes.length;
}

/** The longest spelling of the name `records`, with each character escaped. */
const MAX_NAME_BYTES = 2 + 6 * "records".length;

function nameOf(quoted: Uint8Array): string | null {
  if (quoted.length > MAX_NAME_BYTES) return null;
  try {
    return JSON.parse(new TextDecoder().decode(quoted));
  } catch {
    return null; // It is not JSON, and the parser will say so.
  }
}
