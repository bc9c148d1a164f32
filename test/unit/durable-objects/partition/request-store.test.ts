// A partition's memory of idempotency keys, over days of a clock that advances or is set back.
import { describe, expect, test } from "vitest";
import { RequestStore } from "../../../../durable-objects/partition/request-store.ts";
import type { SizedSql } from "../../../../durable-objects/shared/sql.ts";
import { unwrap } from "../../../../src/core/errors.ts";
import {
  IDEMPOTENCY_KEY_TTL_MS as DAY_MS,
  MAX_BYTES_WITH_IDEMPOTENCY_KEYS,
} from "../../../../src/core/limits.ts";
import type { RequestPlan } from "../../../../src/core/log/keyed-request.ts";
import { nodeSql } from "../../../support/node-sql.ts";

/** A moment in the middle of a table's day. */
const NOON_MS = 20_000 * DAY_MS + DAY_MS / 2;

class Partition {
  /** The bytes in use. */
  databaseSize = 0;
  readonly #sql = nodeSql().sql;
  readonly #sized: SizedSql;

  constructor() {
    const partition = this;
    this.#sized = {
      exec: (query, ...bindings) => this.#sql.exec(query, ...bindings),
      get databaseSize() {
        return partition.databaseSize;
      },
    };
  }

  /** As after an eviction. */
  get store(): RequestStore {
    return new RequestStore(this.#sized);
  }

  get tables(): string[] {
    const query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
    return Array.from(this.#sql.exec<{ name: string }>(query), ({ name }) => name);
  }

  createTable(name: string): void {
    this.#sql.exec(`CREATE TABLE ${name} (id INTEGER PRIMARY KEY)`);
  }

  /** The producer of the remembered plan, or null. Makes the request if a producer is given. */
  begin(key: string, atMs: number, producerId?: number): number | null {
    const plan = producerId === undefined ? null : planOf(producerId);
    return unwrap(this.store.begin(key, "body", plan, atMs)).request?.plan.producerId ?? null;
  }
}

function planOf(producerId: number): RequestPlan {
  return {
    producerId,
    requestId: `request-${producerId}`,
    atMs: 1,
    partitions: 1,
    maxMessageBytes: 1_000,
    isCompacted: false,
    random: 0,
  };
}

describe("requests", () => {
  test("[KEY-1] a request is made once, and a lookup makes none", () => {
    const partition = new Partition();
    expect(partition.begin("k", NOON_MS)).toBe(null);
    expect(partition.tables).toEqual([]);
    expect(partition.begin("k", NOON_MS, 1)).toBe(1);
    expect(partition.begin("k", NOON_MS + 1, 2)).toBe(1);
    expect(partition.begin("k", NOON_MS + 1)).toBe(1);
    expect(partition.begin("other", NOON_MS + 1)).toBe(null);
    expect(unwrap(partition.store.begin("k", "body", null, NOON_MS)).request?.plan).toEqual(
      planOf(1),
    );
  });

  test.each([
    { passedMs: DAY_MS / 2, found: 1 },
    { passedMs: DAY_MS - 1, found: 1 },
    { passedMs: DAY_MS, found: 2 },
    { passedMs: 3 * DAY_MS, found: 2 },
    { passedMs: -1, found: 1 },
    { passedMs: -DAY_MS, found: 1 },
    { passedMs: -9 * DAY_MS, found: 1 },
  ])("[KEY-1] [KEY-3] after $passedMs ms the key belongs to request $found", (row) => {
    const partition = new Partition();
    partition.begin("k", NOON_MS, 1);
    expect(partition.begin("k", NOON_MS + row.passedMs, 2)).toBe(row.found);
    expect(partition.begin("k", NOON_MS + row.passedMs)).toBe(row.found);
  });

  test("[KEY-3] if tables of several days have a key, the newest counts", () => {
    const partition = new Partition();
    partition.begin("k", NOON_MS - DAY_MS, 1);
    partition.begin("k", NOON_MS, 2);
    expect(partition.begin("k", NOON_MS + 1)).toBe(2);
    expect(partition.begin("k", NOON_MS - DAY_MS + 1)).toBe(2);
  });

  test("[KEY-3] table days are compared as numbers", () => {
    const partition = new Partition();
    const tenth = 10 * DAY_MS;
    partition.begin("k", tenth - DAY_MS, 1);
    partition.begin("k", tenth, 2);
    expect(partition.begin("k", tenth + 1)).toBe(2);
  });

  test.each([
    [0, 0],
    [1_499, 1],
    [1_500, 2],
    [-5_000, 0],
  ])("[KEY-2] another body after %d ms is rejected as of %d s ago", (passedMs, seconds) => {
    const partition = new Partition();
    partition.begin('a "key"', NOON_MS, 1);
    expect(partition.store.begin('a "key"', "else", planOf(2), NOON_MS + passedMs)).toEqual({
      ok: false,
      error: "DUPLICATE_RESOURCE",
      detail: `Idempotency-Key "a \\"key\\"" was used for another request ${seconds} s ago`,
    });
    expect(partition.begin('a "key"', NOON_MS)).toBe(1);
  });

  test("[KEY-2] a day later another body is another request", () => {
    const partition = new Partition();
    partition.begin("k", NOON_MS, 1);
    const later = partition.store.begin("k", "else", planOf(2), NOON_MS + DAY_MS);
    expect(unwrap(later).request?.plan.producerId).toBe(2);
  });

  test("[KEY-4] there is room up to the bound, and a full partition still knows its keys", () => {
    const partition = new Partition();
    partition.databaseSize = MAX_BYTES_WITH_IDEMPOTENCY_KEYS - 1;
    expect(partition.begin("k", NOON_MS, 1)).toBe(1);
    partition.databaseSize++;
    expect(partition.store.begin("l", "body", planOf(2), NOON_MS)).toMatchObject({
      error: "KAFKA_STORAGE_ERROR",
      detail: expect.stringContaining(`holds ${MAX_BYTES_WITH_IDEMPOTENCY_KEYS} bytes`),
      retriable: false,
    });
    expect(partition.begin("k", NOON_MS, 2)).toBe(1);
    expect(partition.begin("l", NOON_MS)).toBe(null);
  });

  test("[KEY-4] expired keys make room before one is refused", () => {
    const partition = new Partition();
    partition.begin("k", NOON_MS, 1);
    expect(partition.store.validateRoom(NOON_MS + 2 * DAY_MS)).toEqual({ ok: true });
    expect(partition.tables).toEqual([]);
  });
});

describe("appends", () => {
  const keyed = (index: number, requestId?: string) => ({
    producerId: 7,
    index,
    ...(requestId === undefined ? {} : { requestId }),
  });

  test("[KEY-1] each append of each request is noted by itself, at its place and time", () => {
    const { store } = new Partition();
    expect(store.appended(keyed(0, "a"), NOON_MS)).toBe(null);
    store.note(keyed(0, "a"), 40, NOON_MS);
    store.note(keyed(1, "a"), 50, NOON_MS + 1);
    store.note(keyed(0, "b"), 60, NOON_MS + 2);
    const at = (index: number, requestId?: string) =>
      store.appended(keyed(index, requestId), NOON_MS + 3);
    expect(at(0, "a")).toEqual({ base_offset: 40, appended_at_ms: NOON_MS });
    expect(at(1, "a")).toEqual({ base_offset: 50, appended_at_ms: NOON_MS + 1 });
    expect(at(0, "b")).toEqual({ base_offset: 60, appended_at_ms: NOON_MS + 2 });
    expect(at(1, "b")).toBe(null);
    expect(at(0)).toBe(null);
  });

  test("[KEY-1] a note of an older release under a producer id is found by it", () => {
    const { store } = new Partition();
    store.note(keyed(0), 40, NOON_MS);
    expect(store.appended(keyed(0), NOON_MS)).toMatchObject({ base_offset: 40 });
    expect(store.appended(keyed(0, "a"), NOON_MS)).toBe(null);
  });

  test("[KEY-3] a note is found the day after, and after the clock was set back", () => {
    const { store } = new Partition();
    store.note(keyed(0, "a"), 40, NOON_MS);
    const found = (atMs: number) => store.appended(keyed(0, "a"), atMs) !== null;
    expect(found(NOON_MS + DAY_MS)).toBe(true);
    expect(found(NOON_MS - 100 * DAY_MS)).toBe(true);
    expect(found(NOON_MS + 2 * DAY_MS)).toBe(false);
  });
});

describe("expiry", () => {
  test("[KEY-1] a table is dropped when no row in it counts, and the alarm is due then", () => {
    const partition = new Partition();
    partition.createTable("segment_3");
    expect(partition.store.nextDueMs()).toBe(null);
    partition.begin("k", NOON_MS, 1);
    partition.store.note({ producerId: 1, index: 0 }, 0, NOON_MS - DAY_MS);
    const dueMs = partition.store.nextDueMs() ?? 0;
    expect(dueMs).toBe(NOON_MS - DAY_MS / 2 + DAY_MS);
    partition.store.dropExpired(dueMs - 1);
    expect(partition.tables).toEqual(["appends_19999", "requests_20000", "segment_3"]);
    partition.store.dropExpired(dueMs);
    expect(partition.tables).toEqual(["requests_20000", "segment_3"]);
    expect(partition.store.nextDueMs()).toBe(dueMs + DAY_MS);
    partition.store.dropExpired(dueMs + DAY_MS);
    expect(partition.tables).toEqual(["segment_3"]);
    expect(partition.store.nextDueMs()).toBe(null);
  });
});
