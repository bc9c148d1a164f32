// The cluster keeps keys and secrets here, for whoever authenticates a caller (src/worker/access).
//
// api_keys     one row per API key, as JSON, with hashes and no secrets.
// secrets      one row per secret of the deployment: the key that signs its tokens, and others. Each is made once, by
//              whoever first needs it.
// issuer_keys  the last good key set of each issuer of tokens, to go on with while the issuer is out of reach.
import * as z from "zod";
import { type ShownKey, type StoredKey, shownKey } from "../../src/core/access/stored-key.ts";
import { MAX_API_KEYS } from "../../src/core/limits.ts";
import { grantsSchema } from "../../src/protocol/grants.ts";
import { namespaceSchema, quotaSchema } from "../../src/protocol/tenancy.ts";
import { firstRow, type Sql } from "../shared/sql.ts";
import { parseStored } from "../shared/stored-json.ts";

export const ACCESS_TABLES = [
  "CREATE TABLE IF NOT EXISTS api_keys (id TEXT PRIMARY KEY, api_key TEXT NOT NULL) WITHOUT ROWID",
  "CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
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
