// Idempotency keys in SQLite. There are tables for each day, so expired keys are dropped with their table and
// not deleted row by row. A row is in today's tables, in yesterday's, or, if the clock was set back, in those
// of days to come [KEY-3].
//
// requests_D   key → hash of the body, plan, time. D is days since the epoch. Stored at the key's home partition.
// appends_D    the plan's requestId (or its producer, as older releases stored it), index of the append in its request
//              → where it was stored. Stored at the partition appended to. The key is not used, because after a day
//              it may belong to another request.
import * as z from "zod";
import { type Failure, fail, type Result } from "../../src/core/errors.ts";
import { IDEMPOTENCY_KEY_TTL_MS, MAX_BYTES_WITH_IDEMPOTENCY_KEYS } from "../../src/core/limits.ts";
import type { KeyedAppend, KeyedRequest, RequestPlan } from "../../src/core/log/keyed-request.ts";
import { whyNoSpace } from "../shared/space.ts";
import { firstRow, type SizedSql } from "../shared/sql.ts";
import { parseStored, storedPartitionCount } from "../shared/stored-json.ts";

/** RequestPlan as JSON. The names are stored: fields are added with a default, and none is ever renamed. */
const storedPlan = z.object({
  producerId: z.int(),
  requestId: z.string().exactOptional(),
  atMs: z.int(),
  partitions: storedPartitionCount.min(1),
  maxMessageBytes: z.int(),
  isCompacted: z.boolean(),
  random: z.number(),
});

const WAY_OUT = "keys are dropped within two days; delete records";

type RequestRow = { body_hash: string; plan: string; at_ms: number };
type AppendRow = { base_offset: number; appended_at_ms: number };
type Kind = "requests" | "appends";

/** A table covers the lifetime of a key, so two tables hold every key that counts. */
const TABLE_MS = IDEMPOTENCY_KEY_TTL_MS;

export class RequestStore {
  readonly #sql: SizedSql;

  constructor(sql: SizedSql) {
    this.#sql = sql;
  }

  /**
   * Returns the request as it was first made, or makes it now. Null if it was not made and `plan` is null,
   * which only looks it up. [KEY-2] Another body under the same key is DUPLICATE_RESOURCE. With a `refusal` no
   * request is made.
   */
  begin(
    key: string,
    bodyHash: string,
    plan: RequestPlan | null,
    nowMs: number,
    refusal: Failure | null = null,
  ): Result<{ request: KeyedRequest | null }> {
    const query = "SELECT body_hash, plan, at_ms FROM $ WHERE key = ?";
    const found = this.#find<RequestRow>("requests", nowMs, query, key);
    if (found !== null && nowMs - found.at_ms < IDEMPOTENCY_KEY_TTL_MS) {
      if (found.body_hash !== bodyHash) {
        return fail(
          "DUPLICATE_RESOURCE",
          `Idempotency-Key ${JSON.stringify(key)} was used for another request ${Math.max(0, Math.round((nowMs - found.at_ms) / 1000))} s ago`,
        );
      }
      return { ok: true, request: { plan: parseStored(storedPlan, found.plan, "requests.plan") } };
    }
    if (plan === null) return { ok: true, request: null };
    if (refusal !== null) return refusal;
    const full = this.validateRoom(nowMs);
    if (!full.ok) return full;
    this.#insert("requests", nowMs, key, bodyHash, JSON.stringify(plan), nowMs);
    return { ok: true, request: { plan } };
  }

  /** Returns where this append of a request was stored, or null. */
  appended(keyed: KeyedAppend, nowMs: number): AppendRow | null {
    const query = "SELECT base_offset, appended_at_ms FROM $ WHERE producer_id = ? AND idx = ?";
    const { producerId, requestId, index } = keyed;
    return this.#find<AppendRow>("appends", nowMs, query, requestId ?? producerId, index);
  }

  /** Notes where the append was stored. Must run in the transaction that stores it. */
  note(keyed: KeyedAppend, baseOffset: number, nowMs: number): void {
    const { producerId, requestId, index } = keyed;
    this.#insert("appends", nowMs, requestId ?? producerId, index, baseOffset, nowMs);
  }

  /** [KEY-4] Fails with KAFKA_STORAGE_ERROR if there is no room to remember another key. There is no other bound. */
  validateRoom(nowMs: number): Result<object> {
    this.dropExpired(nowMs);
    const bound = MAX_BYTES_WITH_IDEMPOTENCY_KEYS;
    return whyNoSpace("Idempotency-Key: the partition", this.#sql, bound, WAY_OUT) ?? { ok: true };
  }

  /**
   * [KEY-3] Returns the row from the newest table that has it. `$` in the query stands for the table. Tables of
   * yesterday, today and days to come count, because the clock may have been set back since.
   */
  #find<Row extends Record<string, number | string>>(
    kind: Kind,
    nowMs: number,
    query: string,
    ...bindings: (number | string)[]
  ): Row | null {
    const tables = this.#tables()
      .filter((table) => table.startsWith(kind) && dayOfTable(table) >= dayOf(nowMs) - 1)
      .sort((one, other) => dayOfTable(other) - dayOfTable(one));
    for (const table of tables) {
      const row = firstRow<Row>(this.#sql, query.replace("$", table), ...bindings);
      if (row !== undefined) return row;
    }
    return null;
  }

  #insert(kind: Kind, nowMs: number, ...values: (number | string)[]): void {
    const table = this.#table(kind, nowMs);
    const marks = values.map(() => "?").join(", ");
    this.#sql.exec(`INSERT OR REPLACE INTO ${table} VALUES (${marks})`, ...values);
  }

  /** Returns today's table. Creates it if it is missing, even if the transaction that created it was rolled back. */
  #table(kind: Kind, nowMs: number): string {
    const table = `${kind}_${dayOf(nowMs)}`;
    const columns =
      kind === "requests"
        ? "key TEXT PRIMARY KEY, body_hash TEXT NOT NULL, plan TEXT NOT NULL, at_ms INTEGER NOT NULL"
        : `producer_id INTEGER NOT NULL, idx INTEGER NOT NULL, base_offset INTEGER NOT NULL,
             appended_at_ms INTEGER NOT NULL, PRIMARY KEY (producer_id, idx)`;
    this.#sql.exec(`CREATE TABLE IF NOT EXISTS ${table} (${columns}) WITHOUT ROWID`);
    return table;
  }

  #tables(): string[] {
    const query =
      "SELECT name FROM sqlite_master WHERE type = 'table' AND (name GLOB 'requests_*' OR name GLOB 'appends_*')";
    return Array.from(this.#sql.exec<{ name: string }>(query), ({ name }) => name);
  }

  /** Drops the tables in which no row counts any more. */
  dropExpired(nowMs: number): void {
    for (const table of this.#tables()) {
      if (dayOfTable(table) >= dayOf(nowMs) - 1) continue;
      this.#sql.exec(`DROP TABLE ${table}`);
    }
  }

  /** Returns when `dropExpired` next has something to do, or null. */
  nextDueMs(): number | null {
    const days = this.#tables().map(dayOfTable);
    return days.length === 0 ? null : (Math.min(...days) + 2) * TABLE_MS;
  }
}

function dayOf(nowMs: number): number {
  return Math.floor(nowMs / TABLE_MS);
}

function dayOfTable(table: string): number {
  return Number(table.slice(table.indexOf("_") + 1));
}
