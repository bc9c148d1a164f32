// The cluster keeps keys and secrets here, for whoever authenticates a caller (src/worker/access).
//
// api_keys     one row per API key, as JSON, with hashes and no secrets.
// secrets      one row per secret of the deployment: the key that signs its tokens, and others. Each is made once, by
//              whoever first needs it.
// audit        the newest MAX_AUDIT_EVENTS lines of the audit log, each in the slot of its number, as JSON.
// issuer_keys  the last good key set of each issuer of tokens, to go on with while the issuer is out of reach.
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
  /** The number of the newest line of the audit log. Null before it is first needed. */
  #newestEvent: number | null = null;

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

  /** [AUD-2] Keeps lines. Each takes the place of the one MAX_AUDIT_EVENTS before it. */
  addEvents(events: readonly AuditEvent[]): void {
    for (const event of events) {
      const number = this.#newest() + 1;
      this.#sql.exec(
        "INSERT OR REPLACE INTO audit (slot, number, event) VALUES (?, ?, ?)",
        number % MAX_AUDIT_EVENTS,
        number,
        JSON.stringify(event),
      );
      this.#newestEvent = number;
    }
  }

  /** Returns up to so many lines before a number, the newest first. */
  events(limit: number, before: number | null): KeptEvent[] {
    const newest = Math.min(this.#newest(), before === null ? Number.MAX_SAFE_INTEGER : before - 1);
    const events: KeptEvent[] = [];
    for (let number = newest; number > 0 && events.length < limit; number--) {
      const row = firstRow<{ number: number; event: string }>(
        this.#sql,
        "SELECT number, event FROM audit WHERE slot = ?",
        number % MAX_AUDIT_EVENTS,
      );
      if (row?.number !== number) break;
      events.push({ ...parseStored(storedEvent, row.event, "audit.event"), number });
    }
    return events;
  }

  #newest(): number {
    const query = "SELECT coalesce(max(number), 0) AS newest FROM audit";
    this.#newestEvent ??= firstRow<{ newest: number }>(this.#sql, query)?.newest ?? 0;
    return this.#newestEvent;
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
