// JSON that may be too long for one row. It continues in the next rows.
import { MAX_ROW_BYTES } from "../../src/core/limits.ts";

/** Bytes left free in a row, which holds an id and a header besides the text. */
const ROOM_BYTES = 100_000;
const MAX_PIECE_BYTES = MAX_ROW_BYTES - ROOM_BYTES;
/** The most UTF-8 bytes per UTF-16 character. A code point of four bytes is two characters. */
const MAX_BYTES_PER_CHARACTER = 3;

const utf8 = new TextEncoder();

/** Cuts the text into pieces that fit a row each. Usually there is one piece. */
export function piecesOf(json: string): string[] {
  if (json.length * MAX_BYTES_PER_CHARACTER <= MAX_PIECE_BYTES) return [json];
  if (utf8.encode(json).length <= MAX_PIECE_BYTES) return [json];
  const length = Math.floor(MAX_PIECE_BYTES / MAX_BYTES_PER_CHARACTER);
  const pieces: string[] = [];
  for (let from = 0, end = 0; from < json.length; from = end) {
    end = from + length;
    if (isFirstHalf(json.charCodeAt(end - 1))) end--; // Half a surrogate pair has no UTF-8, so both stay together.
    pieces.push(json.slice(from, end));
  }
  return pieces;
}

/** True for the first half of a surrogate pair. */
function isFirstHalf(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

/**
 * Joins the pieces. A release that knew only one row may have rewritten the first one since; it is then
 * complete by itself.
 */
export function joinPieces(pieces: readonly string[]): string {
  const [first = ""] = pieces;
  return pieces.length > 1 && isJson(first) ? first : pieces.join("");
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
