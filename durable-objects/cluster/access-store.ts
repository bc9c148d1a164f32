// The cluster stores API keys and secrets here, for the code that authenticates callers (src/worker/access).
//
// api_keys     one row per API key, as JSON, with hashes and no secrets.
// secrets      one row per secret of the deployment: the key that signs its tokens, and others. Whoever first needs a secret
//              makes it; it is made once.
// audit_changes, audit_refusals
//              the newest MAX_AUDIT_EVENTS audit events of each kind, as JSON. They are two tables so that refusals cannot
//              displace changes. Events of both are numbered together. `nth` counts the events of one table, without gaps.
// audit        events of both kinds, as earlier releases stored them. It is empty: its events have moved to the two tables.
// issuer_keys  the last good key set of each token issuer, used while the issuer is out of reach.
import * as z from "zod";
import type { AuditEvent, KeptEvent } from "../../src/core/access/audit.ts";
import { type ShownKey, type StoredKey, shownKey } from "../../src/core/access/stored-key.ts";
import { MAX_API_KEYS, MAX_AUDIT_EVENTS } from "../../src/core/limits.ts";
import { grantsSchema } from "../../src/protocol/grants.ts";
import { namespaceSchema, quotaSchema } from "../../src/protocol/tenancy.ts";
import { firstRow, type Sql } from "../shared/sql.ts";
import { parseStored } from "../shared/stored-json.ts";

export const ACCESS_TABLES = [
  "CREATE TABLE IF NOT EXISTS api_keys (id TEXT PRIMARY KEY, api_key TEXT NOT NULL) WITHOUT ROWID",
  "CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
  "CREATE TABLE IF NOT EXISTS audit (slot INTEGER PRIMARY KEY, number INTEGER NOT NULL, event TEXT NOT NULL)",
  "CREATE TABLE IF NOT EXISTS issuer_keys (url TEXT PRIMARY KEY, keys TEXT NOT NULL, at_ms INTEGER NOT NULL) WITHOUT ROWID",
];

const AUDIT_CHANGES = "audit_changes";
const AUDIT_REFUSALS = "audit_refusals";
type AuditTable = typeof AUDIT_CHANGES | typeof AUDIT_REFUSALS;

export const AUDIT_TABLES = [AUDIT_CHANGES, AUDIT_REFUSALS].map(
  (table) =>
    `CREATE TABLE IF NOT EXISTS ${table} (number INTEGER PRIMARY KEY, nth INTEGER NOT NULL, event TEXT NOT NULL)`,
);

/**
 * Moves the audit events that an earlier release stored in one table. JSON quotes the texts of an event once
 * more, so none of them looks like its decision. A damaged event is not parsed here, because the cluster must
 * open.
 */
export function splitAudit(sql: Sql): void {
  const isChange = `instr(event, '"decision":"allowed"') > 0`;
  for (const [table, which] of [
    [AUDIT_CHANGES, isChange],
    [AUDIT_REFUSALS, `NOT ${isChange}`],
  ])
    sql.exec(
      `INSERT OR IGNORE INTO ${table} (number, nth, event)
         SELECT number, row_number() OVER (ORDER BY number), event FROM audit WHERE ${which}`,
    );
  sql.exec("DELETE FROM audit");
}

const verifier = z.object({
  salt: z.string(),
  iterations: z.number(),
  storedKey: z.string(),
  serverKey: z.string(),
});
const storedKey = z.object({
  id: z.string(),
  principal: z.string(),
  grants: grantsSchema,
  hash: z.string(),
  scram: z.object({ "SHA-256": verifier, "SHA-512": verifier }),
  createdAtMs: z.number(),
  expiresAtMs: z.number().nullable().default(null),
  lastUsedDay: z.number().nullable().default(null),
  namespace: namespaceSchema.optional(),
  quota: quotaSchema.optional(),
});

const storedEvent = z.looseObject({
  at: z.string(),
  decision: z.enum(["allowed", "refused"]),
  action: z.string(),
  resource: z.object({ type: z.enum(["topic", "group", "cluster", "key"]), name: z.string() }),
  principal: z.string(),
  way: z.enum(["http", "kafka", "rpc", "socket"]),
});

export class AccessStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  key(id: string): StoredKey | null {
    const row = firstRow<{ api_key: string }>(
      this.#sql,
      "SELECT api_key FROM api_keys WHERE id = ?",
      id,
    );
    return row === undefined ? null : parseStored(storedKey, row.api_key, "api_keys.api_key");
  }

  /** Lists the keys by their ids. */
  keys(): ShownKey[] {
    const rows = this.#sql.exec<{ api_key: string }>("SELECT api_key FROM api_keys ORDER BY id");
    return Array.from(rows, (row) =>
      shownKey(parseStored(storedKey, row.api_key, "api_keys.api_key")),
    );
  }

  get hasRoom(): boolean {
    const query = "SELECT count(*) AS count FROM api_keys";
    return (firstRow<{ count: number }>(this.#sql, query)?.count ?? 0) < MAX_API_KEYS;
  }

  putKey(key: StoredKey): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO api_keys (id, api_key) VALUES (?, ?)",
      key.id,
      JSON.stringify(key),
    );
  }

  deleteKey(id: string): void {
    this.#sql.exec("DELETE FROM api_keys WHERE id = ?", id);
  }

  secret(name: string): string | null {
    const query = "SELECT value FROM secrets WHERE name = ?";
    return firstRow<{ value: string }>(this.#sql, query, name)?.value ?? null;
  }

  putSecret(name: string, value: string): void {
    this.#sql.exec("INSERT INTO secrets (name, value) VALUES (?, ?)", name, value);
  }

  /** [AUD-2] Stores events. The oldest events of the same kind make room. */
  addEvents(events: readonly AuditEvent[]): void {
    let number = Math.max(this.#newest(AUDIT_CHANGES).number, this.#newest(AUDIT_REFUSALS).number);
    for (const event of events) {
      const table = event.decision === "allowed" ? AUDIT_CHANGES : AUDIT_REFUSALS;
      number++;
      this.#sql.exec(
        `INSERT INTO ${table} (number, nth, event) VALUES (?, ?, ?)`,
        number,
        this.#newest(table).nth + 1,
        JSON.stringify(event),
      );
    }
    this.#makeRoom(AUDIT_CHANGES);
    this.#makeRoom(AUDIT_REFUSALS);
  }

  /** Returns up to `limit` events before a number, newest first. */
  events(limit: number, before: number | null): KeptEvent[] {
    const bound = before ?? Number.MAX_SAFE_INTEGER;
    const some = (table: AuditTable) =>
      `SELECT * FROM (SELECT number, event FROM ${table} WHERE number < ? ORDER BY number DESC LIMIT ?)`;
    const rows = this.#sql.exec<{ number: number; event: string }>(
      `${some(AUDIT_CHANGES)} UNION ALL ${some(AUDIT_REFUSALS)} ORDER BY number DESC LIMIT ?`,
      ...[bound, limit, bound, limit, limit],
    );
    return Array.from(rows, ({ number, event }) => ({
      ...parseStored(storedEvent, event, "audit.event"),
      number,
    }));
  }

  #newest(table: AuditTable): { number: number; nth: number } {
    const query = `SELECT number, nth FROM ${table} ORDER BY number DESC LIMIT 1`;
    return firstRow<{ number: number; nth: number }>(this.#sql, query) ?? { number: 0, nth: 0 };
  }

  #makeRoom(table: AuditTable): void {
    const query = `SELECT nth FROM ${table} ORDER BY number LIMIT 1`;
    const oldest = firstRow<{ nth: number }>(this.#sql, query)?.nth ?? 1;
    const excess = this.#newest(table).nth - oldest + 1 - MAX_AUDIT_EVENTS;
    if (excess <= 0) return;
    this.#sql.exec(
      `DELETE FROM ${table} WHERE number IN (SELECT number FROM ${table} ORDER BY number LIMIT ?)`,
      excess,
    );
  }

  issuerKeys(url: string): { jwks: string; atMs: number } | null {
    const query = "SELECT keys, at_ms FROM issuer_keys WHERE url = ?";
    const row = firstRow<{ keys: string; at_ms: number }>(this.#sql, query, url);
    return row === undefined ? null : { jwks: row.keys, atMs: row.at_ms };
  }

  putIssuerKeys(url: string, jwks: string, atMs: number): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO issuer_keys (url, keys, at_ms) VALUES (?, ?, ?)",
      url,
      jwks,
      atMs,
    );
  }
}
