// The log in SQLite: one table per segment, one row per chunk. Dropping a segment bills no rows, a chunk bills one row
// written, and a floor lookup by base offset bills one row read (INTEGER PRIMARY KEY is the rowid).
//
// partition   one row: the identity of this partition, and the state of its log (core/log/log-store.ts) as JSON.
// segments    one row per segment: its base offset, which also names its table, and when it was created.
// segment_N   base_offset         offset of the chunk's first record
//             next_offset         offset after its last record
//             chunk_max_timestamp largest timestamp in the chunk
//             max_timestamp       largest timestamp in the segment up to here; never falls
//             segment_bytes       bytes in the segment up to here
//             segment_chunks      chunks in the segment up to here
//             appends             appends of idempotent producers that begin here, as JSON, or null
//             batches             whole record batches, one after another
//             With the running totals, the last row describes its whole segment. So waking up reads one
//             row however long the log is, and no append updates a second row. The batches come last:
//             SQLite does not touch their pages for a query of the other columns.
// compacting  a segment table in the making (core/log/compaction.ts)
// producers   one row: the last snapshot of the idempotent producers, as JSON

import * as z from "zod";
import type { Chunk } from "../../src/core/log/append.ts";
import {
  type ChunkPlace,
  COMPACTING,
  INITIAL_LOG_STATE,
  type LogState,
  type LogStore,
  type ProducerSnapshot,
  type SegmentTotals,
  type StoredChunk,
} from "../../src/core/log/log-store.ts";
import type { AppendEntry } from "../../src/core/log/producers.ts";
import { damaged } from "../../src/core/platform-errors.ts";
import { firstRow, type Sql, type Transactional } from "../shared/sql.ts";
import { parseJson, parseStored } from "../shared/stored-json.ts";

type TotalsRow = {
  next_offset: number;
  max_timestamp: number;
  segment_bytes: number;
  segment_chunks: number;
};
type PlaceRow = TotalsRow & { base_offset: number; chunk_max_timestamp: number };
type ChunkRow = { base_offset: number; next_offset: number; batches: ArrayBuffer };

/**
 * An append as JSON. A list takes a third of an object's size, and a snapshot holds thousands. The order of the
 * elements is stored: elements are added at the end, and may be missing. The last two are the fingerprint, and
 * 1 if the producer is the Worker's own.
 */
type EntryTuple = [number, number, number, number, number, number, (number | null)?, 1?];

/** The tables of a partition that is used for the first time. */
export const LOG_TABLES = [
  "CREATE TABLE segments (base_offset INTEGER PRIMARY KEY, created_at_ms INTEGER NOT NULL)",
  "CREATE TABLE producers (id INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL, entries TEXT NOT NULL)",
  "CREATE TABLE log (id INTEGER PRIMARY KEY, state TEXT NOT NULL)",
];

/** LogState as JSON. The names are stored: fields are added with a default, and none is ever renamed. */
const storedState = z.object({
  logStartOffset: z.int(),
  sealedBytes: z.int(),
  segmentCount: z.int(),
  compaction: z
    .object({
      cleanedOffset: z.int(),
      nextHorizonMs: z.int().nullable(),
      pass: z
        .object({
          mapEnd: z.int(),
          groupBase: z.int(),
          position: z.int(),
          nextHorizonMs: z.int().nullable(),
        })
        .nullable(),
    })
    .default(INITIAL_LOG_STATE.compaction),
});

const PAGE_BYTES = 256 * 1024;
const PLACE_COLUMNS =
  "base_offset, next_offset, chunk_max_timestamp, max_timestamp, segment_bytes, segment_chunks";

export class SqlLogStore implements LogStore {
  readonly #storage: Transactional;
  readonly #sql: Sql;

  /** The tables must exist. PartitionStore creates them. */
  constructor(storage: Transactional) {
    this.#storage = storage;
    this.#sql = storage.sql;
  }

  transaction<T>(body: () => T): T {
    return this.#storage.transactionSync(body);
  }

  state(): LogState {
    const row = firstRow<{ state: string }>(this.#sql, "SELECT state FROM log WHERE id = 1");
    return row === undefined ? INITIAL_LOG_STATE : parseStored(storedState, row.state, "log.state");
  }

  setState(state: LogState): void {
    this.#sql.exec("INSERT OR REPLACE INTO log (id, state) VALUES (1, ?)", JSON.stringify(state));
  }

  floorSegment(offset: number): number | null {
    return this.#segment("base_offset <= ? ORDER BY base_offset DESC", offset);
  }

  segmentAfter(offset: number): number | null {
    return this.#segment("base_offset > ? ORDER BY base_offset", offset);
  }

  #segment(condition: string, offset: number): number | null {
    const query = `SELECT base_offset FROM segments WHERE ${condition} LIMIT 1`;
    return firstRow<{ base_offset: number }>(this.#sql, query, offset)?.base_offset ?? null;
  }

  createdAtMs(segment: number): number {
    const query = "SELECT created_at_ms FROM segments WHERE base_offset = ?";
    return firstRow<{ created_at_ms: number }>(this.#sql, query, segment)?.created_at_ms ?? 0;
  }

  createSegment(baseOffset: number, createdAtMs: number): void {
    if (baseOffset !== COMPACTING) this.#insertSegment(baseOffset, createdAtMs);
    this.#sql.exec(
      `CREATE TABLE ${tableOf(baseOffset)} (base_offset INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL,
         chunk_max_timestamp INTEGER NOT NULL, max_timestamp INTEGER NOT NULL, segment_bytes INTEGER NOT NULL,
         segment_chunks INTEGER NOT NULL, appends TEXT, batches BLOB NOT NULL)`,
    );
  }

  #insertSegment(baseOffset: number, createdAtMs: number): void {
    this.#sql.exec(
      "INSERT INTO segments (base_offset, created_at_ms) VALUES (?, ?)",
      baseOffset,
      createdAtMs,
    );
  }

  dropSegment(baseOffset: number): void {
    this.#sql.exec(`DROP TABLE ${tableOf(baseOffset)}`);
    if (baseOffset !== COMPACTING)
      this.#sql.exec("DELETE FROM segments WHERE base_offset = ?", baseOffset);
  }

  renameCompacting(baseOffset: number, createdAtMs: number): void {
    this.#sql.exec(`ALTER TABLE ${tableOf(COMPACTING)} RENAME TO ${tableOf(baseOffset)}`);
    this.#insertSegment(baseOffset, createdAtMs);
  }

  totals(segment: number): SegmentTotals | null {
    const row = firstRow<TotalsRow>(
      this.#sql,
      `SELECT next_offset, max_timestamp, segment_bytes, segment_chunks FROM ${tableOf(segment)}
         ORDER BY base_offset DESC LIMIT 1`,
    );
    return row === undefined ? null : totalsOf(row);
  }

  insertChunk(segment: number, chunk: Chunk, totals: SegmentTotals): void {
    this.#sql.exec(
      `INSERT INTO ${tableOf(segment)} (base_offset, next_offset, chunk_max_timestamp, max_timestamp, segment_bytes,
         segment_chunks, appends, batches) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      chunk.baseOffset,
      chunk.nextOffset,
      chunk.maxTimestamp,
      totals.maxTimestamp,
      totals.sizeInBytes,
      totals.chunkCount,
      chunk.appends.length === 0 ? null : toJson(chunk.appends),
      chunk.bytes,
    );
  }

  floorChunk(segment: number, offset: number): ChunkPlace | null {
    const row = firstRow<PlaceRow>(
      this.#sql,
      `SELECT ${PLACE_COLUMNS} FROM ${tableOf(segment)} WHERE base_offset <= ? ORDER BY base_offset DESC LIMIT 1`,
      offset,
    );
    return row === undefined ? null : placeOf(row);
  }

  /**
   * Reads chunks page by page, each page at once. An unfinished cursor would keep its table locked, and the
   * table could not be dropped. A page is one chunk, or as many small ones as fit PAGE_BYTES.
   */
  *chunksFrom(segment: number, from: number): Generator<StoredChunk> {
    const query = `SELECT base_offset, next_offset, batches FROM ${tableOf(segment)} WHERE base_offset >= ?
       ORDER BY base_offset LIMIT ?`;
    let next = from;
    let limit = 1;
    for (;;) {
      const rows = Array.from(this.#sql.exec<ChunkRow>(query, next, limit));
      for (const row of rows) {
        const bytes = new Uint8Array(row.batches);
        yield { baseOffset: row.base_offset, nextOffset: row.next_offset, bytes };
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < limit) return;
      next = last.base_offset + 1; // Whatever end the row claims, no other row is skipped.
      const roomFor = Math.floor(PAGE_BYTES / Math.max(1, last.batches.byteLength));
      limit = Math.min(Math.max(1, roomFor), 2 * limit);
    }
  }

  *placesFrom(segment: number, from: number): Generator<ChunkPlace> {
    const query = `SELECT ${PLACE_COLUMNS} FROM ${tableOf(segment)} WHERE base_offset >= ? ORDER BY base_offset`;
    yield* Array.from(this.#sql.exec<PlaceRow>(query, from), placeOf);
  }

  *appendsFrom(segment: number, from: number): Generator<AppendEntry> {
    const query = `SELECT appends FROM ${tableOf(segment)} WHERE base_offset >= ? ORDER BY base_offset`;
    const rows = Array.from(this.#sql.exec<{ appends: string | null }>(query, from));
    for (const { appends } of rows)
      if (appends !== null) yield* fromJson(appends, `${tableOf(segment)}.appends`);
  }

  producerSnapshot(): ProducerSnapshot | null {
    const row = firstRow<{ next_offset: number; entries: string }>(
      this.#sql,
      "SELECT next_offset, entries FROM producers WHERE id = 1",
    );
    return row === undefined
      ? null
      : { nextOffset: row.next_offset, entries: fromJson(row.entries, "producers.entries") };
  }

  setProducerSnapshot({ nextOffset, entries }: ProducerSnapshot): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO producers (id, next_offset, entries) VALUES (1, ?, ?)",
      nextOffset,
      toJson(entries),
    );
  }
}

function totalsOf(row: TotalsRow): SegmentTotals {
  return {
    nextOffset: row.next_offset,
    maxTimestamp: row.max_timestamp,
    sizeInBytes: row.segment_bytes,
    chunkCount: row.segment_chunks,
  };
}

function placeOf(row: PlaceRow): ChunkPlace {
  const { base_offset: baseOffset, chunk_max_timestamp: chunkMaxTimestamp } = row;
  return { baseOffset, chunkMaxTimestamp, ...totalsOf(row) };
}

function toJson(entries: readonly AppendEntry[]): string {
  const tuples = entries.map((entry): EntryTuple => {
    const { producerId, producerEpoch, firstSequence, lastSequence, baseOffset, atMs } = entry;
    const { fingerprint, isOwn } = entry;
    const own: [1?] = isOwn ? [1] : [];
    return [
      producerId,
      producerEpoch,
      firstSequence,
      lastSequence,
      baseOffset,
      atMs,
      fingerprint,
      ...own,
    ];
  });
  return JSON.stringify(tuples);
}

/** Checks by hand instead of by a schema, because there may be thousands, and they are read at each wake. */
function fromJson(text: string, where: string): AppendEntry[] {
  const tuples = parseJson(text, where);
  if (!Array.isArray(tuples) || !tuples.every(isEntry))
    throw damaged(`what is stored in ${where} is damaged: it is not a list of appends`);
  return tuples.map(
    ([
      producerId,
      producerEpoch,
      firstSequence,
      lastSequence,
      baseOffset,
      atMs,
      fingerprint = null,
      own = 0,
    ]) => ({
      producerId,
      producerEpoch,
      firstSequence,
      lastSequence,
      baseOffset,
      atMs,
      fingerprint,
      isOwn: own === 1,
    }),
  );
}

const REQUIRED_ELEMENTS = 6;

function isEntry(tuple: unknown): tuple is EntryTuple {
  if (!Array.isArray(tuple) || tuple.length < REQUIRED_ELEMENTS) return false;
  for (let i = 0; i < REQUIRED_ELEMENTS; i++) if (typeof tuple[i] !== "number") return false;
  return true;
}

/** Returns the segment's table. The offset is our own number, never text from outside. */
function tableOf(segment: number): string {
  return segment === COMPACTING ? "compacting" : `segment_${segment}`;
}
