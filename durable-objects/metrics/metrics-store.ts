// The stored metrics: documents, in pieces that fit a row each.
//
// metrics_state   the pieces of each document: counters, last snapshots, costs, objects to ask, alerts with
//                 budgets, and the lag of groups over time.
import { createTables, execAll, migrate, type Schema, storedVersion } from "../shared/schema.ts";
import type { Transactional } from "../shared/sql.ts";

const SCHEMA: Schema = {
  kind: "metrics",
  own: "the metrics",
  oldestReader: 1,
  create: (sql) =>
    execAll(sql, [
      "CREATE TABLE metrics_state (document TEXT NOT NULL, piece INTEGER NOT NULL, json TEXT NOT NULL, PRIMARY KEY (document, piece)) WITHOUT ROWID",
    ]),
  steps: [],
};

export type Document = "counters" | "sights" | "costs" | "asks" | "alerts" | "trends";

export class MetricsStore {
  readonly #storage: Transactional;
  #hasTables: boolean;

  /** @throws BrokerError KAFKA_STORAGE_ERROR if only a newer release can use what is stored */
  constructor(storage: Transactional) {
    this.#storage = storage;
    const version = storedVersion(storage.sql, SCHEMA);
    this.#hasTables = version !== null;
    if (version !== null) migrate(storage, SCHEMA, version);
  }

  /** Returns the pieces of a document. There are none if it was never saved. */
  load(document: Document): string[] {
    if (!this.#hasTables) return [];
    const query = "SELECT json FROM metrics_state WHERE document = ? ORDER BY piece";
    const rows = this.#storage.sql.exec<{ json: string }>(query, document);
    return Array.from(rows, ({ json }) => json);
  }

  /** Replaces documents, all or none. */
  save(documents: Partial<Readonly<Record<Document, readonly string[]>>>): void {
    const { sql } = this.#storage;
    const put = "INSERT OR REPLACE INTO metrics_state (document, piece, json) VALUES (?, ?, ?)";
    this.#storage.transactionSync(() => {
      if (!this.#hasTables) createTables(sql, SCHEMA);
      for (const [document, pieces] of Object.entries(documents)) {
        for (const [piece, json] of pieces.entries()) sql.exec(put, document, piece, json);
        const rest = "DELETE FROM metrics_state WHERE document = ? AND piece >= ?";
        sql.exec(rest, document, pieces.length);
      }
    });
    this.#hasTables = true;
  }
}
