// Stores the share groups of a partition: a row for each, with the ranges of records and their states.
//
// json  {start, epoch, acknowledged, archived, terms, holders, ranges}. A range is [records, state, delivery count, then, where they
//       exist: begin of its lock or delay, its length, index of its holder, reason]. States have the numbers of KIP-932.
import * as z from "zod";
import type { ShareState } from "../../src/core/share/share-partition.ts";
import type { DeliveryRange, DeliveryState } from "../../src/core/share/share-ranges.ts";
import type { ShareTerms } from "../../src/core/share/share-terms.ts";
import { firstRow, type Sql } from "../shared/sql.ts";
import { parseStored } from "../shared/stored-json.ts";

export const CREATE_SHARE_GROUPS =
  "CREATE TABLE IF NOT EXISTS share_groups (group_id TEXT PRIMARY KEY, incarnation INTEGER NOT NULL, json TEXT NOT NULL) WITHOUT ROWID";

/** The states by their numbers. They are stored. */
const STATES: readonly DeliveryState[] = [
  "available",
  "acquired",
  "acknowledged",
  "archiving",
  "archived",
];

const wholeNumber = z.int().min(0);
const storedTerms = z.object({
  lockMs: wholeNumber,
  maxDeliveries: wholeNumber,
  maxLocks: wholeNumber,
  mayRenew: z.boolean(),
  backoff: z.array(wholeNumber),
  deadLetters: z
    .object({ topic: z.string(), copies: z.boolean(), creates: z.boolean() })
    .nullable(),
  autoOffsetReset: z.union([
    z.enum(["member", "earliest", "latest"]),
    z.object({ durationMs: wholeNumber, text: z.string() }),
  ]),
});
const storedRange = z
  .tuple([
    z.int().min(1),
    z
      .int()
      .min(0)
      .max(STATES.length - 1),
    wholeNumber,
    z.number().nullable().optional(),
    wholeNumber.nullable().optional(),
    wholeNumber.nullable().optional(),
    z.string().nullable().optional(),
  ])
  .rest(z.unknown());
const storedShare = z.object({
  start: wholeNumber,
  epoch: wholeNumber.default(0),
  acknowledged: wholeNumber.default(0),
  archived: wholeNumber.default(0),
  terms: storedTerms,
  holders: z.array(z.string()).default([]),
  ranges: z.array(storedRange).default([]),
});

export interface StoredShare {
  readonly incarnation: number;
  readonly terms: ShareTerms;
  readonly state: ShareState;
}

export class ShareStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Returns the names of all groups. */
  groups(): string[] {
    const rows = this.#sql.exec<{ group_id: string }>("SELECT group_id FROM share_groups");
    return Array.from(rows, ({ group_id }) => group_id);
  }

  read(group: string): StoredShare | null {
    const row = firstRow<{ incarnation: number; json: string }>(
      this.#sql,
      "SELECT incarnation, json FROM share_groups WHERE group_id = ?",
      group,
    );
    if (row === undefined) return null;
    const stored = parseStored(storedShare, row.json, "share_groups.json");
    return {
      incarnation: row.incarnation,
      terms: stored.terms,
      state: {
        startOffset: stored.start,
        epoch: stored.epoch,
        acknowledged: stored.acknowledged,
        archived: stored.archived,
        ranges: rangesOf(stored),
      },
    };
  }

  write(group: string, { incarnation, terms, state }: StoredShare): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO share_groups VALUES (?, ?, ?)",
      group,
      incarnation,
      JSON.stringify({ ...formatOf(state), terms }),
    );
  }

  delete(group: string): void {
    this.#sql.exec("DELETE FROM share_groups WHERE group_id = ?", group);
  }
}

function rangesOf({ start, ranges, holders }: z.output<typeof storedShare>): DeliveryRange[] {
  let first = start;
  return ranges.map(([records, state, deliveryCount, sinceMs, forMs, holder, reason]) => {
    const range = {
      ...{ first, last: first + records - 1, deliveryCount },
      state: STATES[state] as DeliveryState,
      ...(typeof sinceMs === "number" && typeof forMs === "number"
        ? { wait: { sinceMs, forMs } }
        : {}),
      ...(typeof holder === "number" ? { holder: holders[holder] ?? "" } : {}),
      ...(typeof reason === "string" ? { reason } : {}),
    };
    first += records;
    return range;
  });
}

function formatOf({ startOffset, epoch, acknowledged, archived, ranges }: ShareState) {
  const holders = [
    ...new Set(ranges.flatMap(({ holder }) => (holder === undefined ? [] : [holder]))),
  ];
  const indexes = new Map(holders.map((holder, index) => [holder, index]));
  return {
    ...{ start: startOffset, epoch, acknowledged, archived, holders },
    ranges: ranges.map(({ first, last, state, deliveryCount, wait, holder, reason }) => {
      const fields = [
        ...[last - first + 1, STATES.indexOf(state), deliveryCount],
        ...[wait?.sinceMs ?? null, wait?.forMs ?? null],
        ...[holder === undefined ? null : indexes.get(holder), reason ?? null],
      ];
      while (fields.at(-1) === null) fields.pop();
      return fields;
    }),
  };
}
