// The state of the metrics as texts that fit a row each. A piece is JSON: a version, and rows of any kinds. Every row
// stands for itself, so a piece that is lost takes nothing else with it.
import { MAX_METRICS_PIECE_CHARS } from "../limits.ts";
import type { GroupPosition } from "./snapshot.ts";

/** It is raised when a reader of the version before would misunderstand. Kinds of rows that it does not know are none. */
const VERSION = 1;
const HEAD = `{"version":${VERSION},"rows":[`;
const TAIL = "]}";

/** Rows that alone are too large for a piece are left out. */
export function piecesOf(rows: Iterable<unknown>): string[] {
  const pieces: string[] = [];
  let texts: string[] = [];
  let size = HEAD.length + TAIL.length;
  const close = () => {
    if (texts.length > 0) pieces.push(`${HEAD}${texts.join(",")}${TAIL}`);
    texts = [];
    size = HEAD.length + TAIL.length;
  };
  for (const row of rows) {
    const text = JSON.stringify(row);
    if (HEAD.length + text.length + TAIL.length > MAX_METRICS_PIECE_CHARS) continue;
    if (size + text.length + 1 > MAX_METRICS_PIECE_CHARS) close();
    texts.push(text);
    size += text.length + 1;
  }
  close();
  return pieces;
}

/** Returns the rows of all pieces by their kind, without it. */
export function readPieces(pieces: Iterable<string>): Map<string, unknown[][]> {
  const found = new Map<string, unknown[][]>();
  for (const piece of pieces) {
    for (const row of rowsOf(piece)) {
      if (!Array.isArray(row) || typeof row[0] !== "string") continue;
      const ofKind = found.get(row[0]) ?? [];
      found.set(row[0], ofKind);
      ofKind.push(row.slice(1));
    }
  }
  return found;
}

function rowsOf(piece: string): readonly unknown[] {
  try {
    const { version, rows } = JSON.parse(piece) ?? {};
    return version === VERSION && Array.isArray(rows) ? rows : [];
  } catch {
    return []; // It is no JSON, because it was cut or damaged.
  }
}

/** Positions by topic: its name and id stand there once. */
export function packPositions(positions: readonly GroupPosition[]): unknown[] {
  const topics = new Map<string, [topic: string, topicId: string, numbers: number[]]>();
  for (const { topic, topicId, partition, offset } of positions) {
    const packed = topics.get(topicId) ?? [topic, topicId, []];
    topics.set(topicId, packed);
    packed[2].push(partition, offset);
  }
  return [...topics.values()];
}

/** Returns positions of any content. They are looked at where they become a sight. */
export function unpackPositions(packed: unknown): unknown[] {
  return (Array.isArray(packed) ? packed : []).flatMap((each: unknown) => {
    const [topic, topicId, numbers] = Array.isArray(each) ? each : [];
    if (!Array.isArray(numbers)) return [];
    const pairs = Array.from({ length: Math.floor(numbers.length / 2) }, (_, i) => i * 2);
    return pairs.map((i) => ({ topic, topicId, partition: numbers[i], offset: numbers[i + 1] }));
  });
}
