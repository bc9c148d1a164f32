// The state of the metrics as texts that each fit a row. A piece is JSON: a version, and rows of any kinds. Every row
// stands alone, so losing a piece loses nothing else.
import { MAX_METRICS_PIECE_CHARS } from "../limits.ts";
import type { GroupPosition } from "./snapshot.ts";

/**
 * It is raised when readers of the previous version would misunderstand the rows. Readers ignore unknown kinds of rows.
 */
const VERSION = 1;
const HEAD = `{"version":${VERSION},"rows":[`;
const TAIL = "]}";

/** Returns the rows as pieces. A row that is too large for a piece is left out. */
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

/** Returns the rows of all pieces by kind. The kind itself is removed from each row. */
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
    return []; // The piece is not JSON, because it was cut off or damaged.
  }
}

/** Returns committed offsets by topic, with name and id of each topic only once. */
export function positionsByTopic(positions: readonly GroupPosition[]): unknown[] {
  const topics = new Map<string, [topic: string, topicId: string, numbers: number[]]>();
  for (const { topic, topicId, partition, offset } of positions) {
    const row = topics.get(topicId) ?? [topic, topicId, []];
    topics.set(topicId, row);
    row[2].push(partition, offset);
  }
  return [...topics.values()];
}

/** Returns the committed offsets of a row, unchecked. They are checked when they become a sight. */
export function readPositions(row: unknown): unknown[] {
  return (Array.isArray(row) ? row : []).flatMap((each: unknown) => {
    const [topic, topicId, numbers] = Array.isArray(each) ? each : [];
    if (!Array.isArray(numbers)) return [];
    const pairs = Array.from({ length: Math.floor(numbers.length / 2) }, (_, i) => i * 2);
    return pairs.map((i) => ({ topic, topicId, partition: numbers[i], offset: numbers[i + 1] }));
  });
}
