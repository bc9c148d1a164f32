// Idempotency keys in SQLite: one table per day, so that expired keys are dropped and not deleted row by
// row. A key lies in today's table or in yesterday's.
//
// requests_D   key → hash of the body, plan, appends done so far, time; D is days since the epoch.
import { fail, type Result } from "../../src/core/errors.ts";
import { IDEMPOTENCY_KEY_TTL_MS, MAX_IDEMPOTENCY_KEYS } from "../../src/core/limits.ts";
import type { AppendDone, KeyedRequest, RequestPlan } from "../../src/core/log/keyed-request.ts";
import { firstRow, type Sql } from "../shared/sql.ts";

type RequestRow = { body_hash: string; plan: string; done: string; at_ms: number };

/** Tables are as long as keys live, so two of them hold every key that counts. */
const TABLE_MS = IDEMPOTENCY_KEY_TTL_MS;

export class RequestStore {
  readonly #sql: Sql;
  /** Rows of today's table; counted once per life of the object. */
  #counted: { readonly table: number; count: number } | null = null;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /**
   * The request as it was first made, or made now. Null where it was not made and `plan` is null: then it is
   * only looked up. [KEY-2] Another body under the key is DUPLICATE_RESOURCE.
   */
  begin(
    key: string,
    bodyHash: string,
    plan: RequestPlan | null,
    nowMs: number,
  ): Result<{ request: KeyedRequest | null }> {
    const found = this.#find(key, nowMs);
    if (found !== null) {
      const { row } = found;
      if (row.body_hash !== bodyHash) {
        return fail(
          "DUPLICATE_RESOURCE",
          `Idempotency-Key ${JSON.stringify(key)} was used for another body ${nowMs - row.at_ms} ms ago`,
        );
      }
      return { ok: true, request: requestOf(row) };
    }
    if (plan === null) return { ok: true, request: null };
    const today = tableAt(nowMs);
    this.dropExpired(nowMs);
    this.#create(today);
    const counted = this.#count(today);
    if (counted.count >= MAX_IDEMPOTENCY_KEYS) {
      return fail(
        "THROTTLING_QUOTA_EXCEEDED",
        `the partition remembers ${counted.count} idempotency keys, the bound`,
      );
    }
    this.#sql.exec(
      `INSERT INTO ${nameOf(today)} (key, body_hash, plan, done, at_ms) VALUES (?, ?, ?, '[]', ?)`,
      key,
      bodyHash,
      JSON.stringify(plan),
      nowMs,
    );
    counted.count++;
    return { ok: true, request: { bodyHash, plan, done: [] } };
  }

  /** Notes what was appended. Where the key has expired meanwhile there is nothing to note. */
  finish(key: string, done: readonly AppendDone[], nowMs: number): void {
    const found = this.#find(key, nowMs);
    if (found === null) return;
    const known = new Map(requestOf(found.row).done.map((each) => [each.index, each]));
    for (const each of done) known.set(each.index, each);
    const query = `UPDATE ${nameOf(found.table)} SET done = ? WHERE key = ?`;
    this.#sql.exec(query, JSON.stringify([...known.values()]), key);
  }

  #find(key: string, nowMs: number): { row: RequestRow; table: number } | null {
    const today = tableAt(nowMs);
    for (const table of this.#tables()) {
      if (table < today - 1) continue;
      const query = `SELECT body_hash, plan, done, at_ms FROM ${nameOf(table)} WHERE key = ?`;
      const row = firstRow<RequestRow>(this.#sql, query, key);
      if (row !== undefined && nowMs - row.at_ms < IDEMPOTENCY_KEY_TTL_MS) return { row, table };
    }
    return null;
  }

  #tables(): number[] {
    const query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'requests_*'";
    return Array.from(this.#sql.exec<{ name: string }>(query), ({ name }) => Number(name.slice(9)));
  }

  #create(table: number): void {
    this.#sql.exec(
      `CREATE TABLE IF NOT EXISTS ${nameOf(table)} (key TEXT PRIMARY KEY, body_hash TEXT NOT NULL, plan TEXT NOT NULL,
         done TEXT NOT NULL, at_ms INTEGER NOT NULL) WITHOUT ROWID`,
    );
  }

  #count(table: number): { count: number } {
    if (this.#counted?.table === table) return this.#counted;
    const query = `SELECT count(*) AS count FROM ${nameOf(table)}`;
    const count = firstRow<{ count: number }>(this.#sql, query)?.count ?? 0;
    this.#counted = { table, count };
    return this.#counted;
  }

  /** Drops the tables no key of which counts any more. */
  dropExpired(nowMs: number): void {
    for (const table of this.#tables())
      if (table < tableAt(nowMs) - 1) this.#sql.exec(`DROP TABLE ${nameOf(table)}`);
  }

  /** When `dropExpired` has something to do next, or null. */
  nextDueMs(): number | null {
    const tables = this.#tables();
    return tables.length === 0 ? null : (Math.min(...tables) + 2) * TABLE_MS;
  }
}

function tableAt(nowMs: number): number {
  return Math.floor(nowMs / TABLE_MS);
}

function nameOf(table: number): string {
  return `requests_${table}`;
}

function requestOf(row: RequestRow): KeyedRequest {
  return {
    bodyHash: row.body_hash,
    plan: JSON.parse(row.plan) as RequestPlan,
    done: JSON.parse(row.done) as AppendDone[],
  };
}
