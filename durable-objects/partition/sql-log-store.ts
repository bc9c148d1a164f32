// The log in SQLite. One table per segment, one row per chunk: dropping a segment bills no rows, a chunk
// bills one row written, and a floor look-up by base offset one row read (INTEGER PRIMARY KEY is the rowid).
//
// partition   one row: what this partition is, and its log start offset.
// segments    one row per segment: its base offset, which also names its table.
// segment_N   base_offset      offset of the chunk's first record
//             next_offset      offset behind its last
//             max_timestamp    largest timestamp in the segment up to here; never falls
//             segment_bytes    bytes in the segment up to here
//             segment_chunks   chunks in the segment up to here
//             batches          whole record batches, one behind another
//             The running totals make the last row tell all about its segment, so that waking up reads
//             one row however long the log is, and no append updates a second row.
// fences      per group, the newest owner that attached (core/log/fences.ts).

import type { Topic } from "../../src/core/cluster/topics.ts";
import { MAX_FENCES_PER_PARTITION } from "../../src/core/limits.ts";
import type { Chunk } from "../../src/core/log/append.ts";
import type { OwnerToken } from "../../src/core/log/fences.ts";
import type {
  ChunkPlace,
  LogStore,
  SegmentTotals,
  StoredChunk,
} from "../../src/core/log/log-store.ts";
import { firstRow, hasTable, type Transactional } from "../shared/sql.ts";

type TotalsRow = {
  next_offset: number;
  max_timestamp: number;
  segment_bytes: number;
  segment_chunks: number;
};
type PlaceRow = TotalsRow & { base_offset: number };
type ChunkRow = { base_offset: number; next_offset: number; batches: ArrayBuffer };

export class SqlLogStore implements LogStore {
  readonly #storage: Transactional;
  #isCreated: boolean;

  constructor(storage: Transactional) {
    this.#storage = storage;
    this.#isCreated = hasTable(storage.sql, "partition");
  }

  /** The topic this partition belongs to, or null before its first use. */
  topic(): Topic | null {
    if (!this.#isCreated) return null;
    const row = firstRow<{ topic: string }>(
      this.#storage.sql,
      "SELECT topic FROM partition WHERE id = 1",
    );
    return row === undefined ? null : (JSON.parse(row.topic) as Topic);
  }

  setTopic(topic: Topic): void {
    const { sql } = this.#storage;
    this.transaction(() => {
      if (!this.#isCreated) {
        sql.exec(
          "CREATE TABLE partition (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, log_start_offset INTEGER NOT NULL)",
        );
        sql.exec("CREATE TABLE segments (base_offset INTEGER PRIMARY KEY)");
        sql.exec(
          `CREATE TABLE fences (group_id TEXT PRIMARY KEY, incarnation INTEGER NOT NULL, member_epoch INTEGER NOT NULL,
             member_number INTEGER NOT NULL, attached_at_ms INTEGER NOT NULL) WITHOUT ROWID`,
        );
      }
      sql.exec(
        `INSERT INTO partition (id, topic, log_start_offset) VALUES (1, ?, 0)
           ON CONFLICT (id) DO UPDATE SET topic = excluded.topic`,
        JSON.stringify(topic),
      );
    });
    this.#isCreated = true;
  }

  transaction<T>(body: () => T): T {
    return this.#storage.transactionSync(body);
  }

  floorSegment(offset: number): number | null {
    return this.#segment("base_offset <= ? ORDER BY base_offset DESC", offset);
  }

  segmentAfter(offset: number): number | null {
    return this.#segment("base_offset > ? ORDER BY base_offset", offset);
  }

  #segment(condition: string, offset: number): number | null {
    if (!this.#isCreated) return null;
    const query = `SELECT base_offset FROM segments WHERE ${condition} LIMIT 1`;
    return firstRow<{ base_offset: number }>(this.#storage.sql, query, offset)?.base_offset ?? null;
  }

  createSegment(baseOffset: number): void {
    this.#storage.sql.exec("INSERT INTO segments (base_offset) VALUES (?)", baseOffset);
    this.#storage.sql.exec(
      `CREATE TABLE ${tableOf(baseOffset)} (base_offset INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL,
         max_timestamp INTEGER NOT NULL, segment_bytes INTEGER NOT NULL, segment_chunks INTEGER NOT NULL,
         batches BLOB NOT NULL)`,
    );
  }

  dropSegment(baseOffset: number): void {
    this.#storage.sql.exec(`DROP TABLE ${tableOf(baseOffset)}`);
    this.#storage.sql.exec("DELETE FROM segments WHERE base_offset = ?", baseOffset);
  }

  totals(segment: number): SegmentTotals | null {
    const row = firstRow<TotalsRow>(
      this.#storage.sql,
      `SELECT next_offset, max_timestamp, segment_bytes, segment_chunks FROM ${tableOf(segment)}
         ORDER BY base_offset DESC LIMIT 1`,
    );
    return row === undefined ? null : totalsOf(row);
  }

  insertChunk(segment: number, chunk: Chunk, totals: SegmentTotals): void {
    this.#storage.sql.exec(
      `INSERT INTO ${tableOf(segment)} (base_offset, next_offset, max_timestamp, segment_bytes, segment_chunks, batches)
         VALUES (?, ?, ?, ?, ?, ?)`,
      chunk.baseOffset,
      chunk.nextOffset,
      totals.maxTimestamp,
      totals.sizeInBytes,
      totals.chunkCount,
      chunk.bytes,
    );
  }

  floorChunk(segment: number, offset: number): ChunkPlace | null {
    const row = firstRow<PlaceRow>(
      this.#storage.sql,
      `SELECT base_offset, next_offset, max_timestamp, segment_bytes, segment_chunks FROM ${tableOf(segment)}
         WHERE base_offset <= ? ORDER BY base_offset DESC LIMIT 1`,
      offset,
    );
    return row === undefined ? null : { baseOffset: row.base_offset, ...totalsOf(row) };
  }

  *chunksFrom(segment: number, from: number): Generator<StoredChunk> {
    const rows = this.#storage.sql.exec<ChunkRow>(
      `SELECT base_offset, next_offset, batches FROM ${tableOf(segment)} WHERE base_offset >= ? ORDER BY base_offset`,
      from,
    );
    for (const row of rows) {
      yield {
        baseOffset: row.base_offset,
        nextOffset: row.next_offset,
        bytes: new Uint8Array(row.batches),
      };
    }
  }

  logStartOffset(): number {
    if (!this.#isCreated) return 0;
    const row = firstRow<{ log_start_offset: number }>(
      this.#storage.sql,
      "SELECT log_start_offset FROM partition WHERE id = 1",
    );
    return row?.log_start_offset ?? 0;
  }

  setLogStartOffset(offset: number): void {
    this.#storage.sql.exec("UPDATE partition SET log_start_offset = ? WHERE id = 1", offset);
  }

  /** The newest owner that attached for the group, or null. */
  fence(groupId: string): OwnerToken | null {
    const row = firstRow<{ incarnation: number; member_epoch: number; member_number: number }>(
      this.#storage.sql,
      "SELECT incarnation, member_epoch, member_number FROM fences WHERE group_id = ?",
      groupId,
    );
    if (row === undefined) return null;
    return {
      incarnation: row.incarnation,
      memberEpoch: row.member_epoch,
      memberNumber: row.member_number,
    };
  }

  /** Remembers the owner; beyond MAX_FENCES_PER_PARTITION the group that attached longest ago is forgotten. */
  setFence(groupId: string, owner: OwnerToken, nowMs: number, isNew: boolean): void {
    const { sql } = this.#storage;
    sql.exec(
      `INSERT INTO fences (group_id, incarnation, member_epoch, member_number, attached_at_ms) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (group_id) DO UPDATE SET incarnation = excluded.incarnation, member_epoch = excluded.member_epoch,
         member_number = excluded.member_number, attached_at_ms = excluded.attached_at_ms`,
      groupId,
      owner.incarnation,
      owner.memberEpoch,
      owner.memberNumber,
      nowMs,
    );
    if (!isNew) return;
    const count =
      firstRow<{ count: number }>(sql, "SELECT count(*) AS count FROM fences")?.count ?? 0;
    if (count > MAX_FENCES_PER_PARTITION) {
      // Never the one that attached just now, whatever the clocks say.
      sql.exec(
        `DELETE FROM fences WHERE group_id =
           (SELECT group_id FROM fences WHERE group_id <> ? ORDER BY attached_at_ms LIMIT 1)`,
        groupId,
      );
    }
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

/** The offset is a number of ours, never text from outside. */
function tableOf(segment: number): string {
  return `segment_${segment}`;
}
