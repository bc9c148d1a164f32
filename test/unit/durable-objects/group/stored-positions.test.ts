// A group's committed offsets in its storage: whatever this release and the previous one commit is what is there, and a
// commit costs a row.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  CREATE_POSITIONS,
  StoredPositions,
  toPositions,
} from "../../../../durable-objects/group/stored-positions.ts";
import { execAll } from "../../../../durable-objects/shared/schema.ts";
import type { Sql, SqlValue } from "../../../../durable-objects/shared/sql.ts";
import { StoredMap } from "../../../../durable-objects/shared/stored-map.ts";
import { type PartitionKey, partitionKey } from "../../../../src/core/group/partition-key.ts";
import type { CommittedOffset } from "../../../../src/core/group/state.ts";
import { MAX_OFFSET_METADATA_LENGTH } from "../../../../src/core/limits.ts";
import { runs } from "../../../support/effort.ts";
import { nodeSql } from "../../../support/node-sql.ts";

const TOPIC_ID = "0b7c9a52-0d1c-4c57-9a3c-6f2f5a4b1c7d";
const RING_ROWS = 16;
/** The bytes that a row holds on Cloudflare. */
const MAX_ROW_BYTES = 2_000_000;

type Changes = ReadonlyMap<PartitionKey, CommittedOffset | null>;

const key = (partition: number): PartitionKey => partitionKey(TOPIC_ID, partition);

function position(offset: number, more: Partial<CommittedOffset> = {}): CommittedOffset {
  return { offset, metadata: "", committedAtMs: 1_700_000_000_000 + offset, ...more };
}

/** Committed offsets in a database, over any number of lives of the group. */
class Rig {
  readonly #storage = nodeSql();
  /** The rows written so far. */
  rows = 0;
  readonly sql: Sql = {
    exec: <Row extends Record<string, SqlValue>>(query: string, ...bindings: SqlValue[]) => {
      if (!query.startsWith("SELECT") && !query.startsWith("CREATE")) this.rows++;
      return this.#storage.sql.exec<Row>(query, ...bindings);
    },
  };
  positions = new StoredPositions(this.sql);
  /** As in the group: read only on request for one that was not committed in this life. */
  state: Map<PartitionKey, CommittedOffset> = new Map();
  /** The expected offsets. */
  readonly expected = new Map<PartitionKey, CommittedOffset>();

  constructor(tables: readonly string[] = CREATE_POSITIONS) {
    execAll(this.#storage.sql, tables);
  }

  restart(): void {
    this.positions = new StoredPositions(this.sql);
    this.state = new StoredMap({
      one: (partition) => this.positions.load().get(partition),
      all: () => this.positions.load(),
      any: () => this.positions.load().size > 0,
    });
  }

  commit(changes: Changes): void {
    for (const [partition, committed] of changes)
      for (const map of [this.state, this.expected]) {
        if (committed === null) map.delete(partition);
        else map.set(partition, committed);
      }
    this.#storage.transactionSync(() => this.positions.write(changes, this.state));
  }

  /** The previous release runs, and writes in its way. */
  runPrevious(writes: Iterable<readonly [PartitionKey, CommittedOffset | null]>): void {
    for (const [partition, committed] of writes) {
      if (committed === null) {
        this.#storage.sql.exec("DELETE FROM offsets WHERE partition = ?", partition);
        this.expected.delete(partition);
        continue;
      }
      const { offset, metadata, committedAtMs, leaderEpoch = null } = committed;
      this.#storage.sql.exec(
        "INSERT OR REPLACE INTO offsets (partition, committed_offset, metadata, committed_at_ms, leader_epoch) VALUES (?, ?, ?, ?, ?)",
        ...[partition, offset, metadata, committedAtMs, leaderEpoch],
      );
      this.expected.set(partition, committed);
    }
    this.restart();
  }

  /** The offsets that the next life finds. */
  get found(): ReadonlyMap<PartitionKey, CommittedOffset> {
    return new StoredPositions(this.#storage.sql).load();
  }

  /** The offsets that the previous release finds. */
  get shown(): Map<PartitionKey, CommittedOffset> {
    const rows = this.#storage.sql.exec<{
      partition: string;
      committed_offset: number;
      metadata: string;
      committed_at_ms: number;
      leader_epoch: number | null;
    }>("SELECT * FROM offsets");
    const entries = Array.from(rows, (row): [PartitionKey, CommittedOffset] => [
      row.partition as PartitionKey,
      {
        offset: row.committed_offset,
        metadata: row.metadata,
        ...(row.leader_epoch === null ? {} : { leaderEpoch: row.leader_epoch }),
        committedAtMs: row.committed_at_ms,
      },
    ]);
    return new Map(entries);
  }

  check(): void {
    expect(this.found).toEqual(this.expected);
    expect(this.shown).toEqual(this.expected);
  }

  /** The bytes of each row, by slot. */
  get sizes(): Map<number, number> {
    const query = "SELECT slot, length(CAST(json AS BLOB)) AS bytes FROM positions";
    const rows = this.#storage.sql.exec<{ slot: number; bytes: number }>(query);
    return new Map(Array.from(rows, ({ slot, bytes }) => [slot, bytes]));
  }

  get slots(): number[] {
    return [...this.sizes.keys()].sort((a, b) => a - b);
  }
}

/** Commits one offset each, at 1 and up. */
function commitEach(rig: Rig, partitions: Iterable<number>): void {
  let offset = rig.expected.size;
  for (const partition of partitions) rig.commit(new Map([[key(partition), position(++offset)]]));
}

const metadata = fc.oneof(
  { weight: 4, arbitrary: fc.constant("") },
  { weight: 3, arbitrary: fc.string({ unit: "grapheme", maxLength: 30 }) },
  { weight: 1, arbitrary: fc.constantFrom('"', "\\", "'", "\n\u0001") },
  {
    weight: 1,
    arbitrary: fc.constantFrom("x", "ä").map((unit) => unit.repeat(MAX_OFFSET_METADATA_LENGTH)),
  },
);
const committed: fc.Arbitrary<CommittedOffset> = fc
  .record({
    offset: fc.oneof(fc.nat(100), fc.maxSafeNat()),
    metadata,
    leaderEpoch: fc.option(fc.nat(9), { nil: undefined }),
    committedAtMs: fc.nat(2_000_000_000),
  })
  .map(({ leaderEpoch, ...rest }) => (leaderEpoch === undefined ? rest : { ...rest, leaderEpoch }));
const change = fc.tuple(
  fc.nat(40).map(key),
  fc.oneof({ weight: 5, arbitrary: committed }, { weight: 2, arbitrary: fc.constant(null) }),
);
const step = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      type: fc.constant("commit" as const),
      changes: fc.oneof(
        { weight: 9, arbitrary: fc.array(change, { minLength: 1, maxLength: 3 }) },
        { weight: 1, arbitrary: fc.array(change, { minLength: 1, maxLength: 60, size: "max" }) },
      ),
    }),
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("restart" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant("previous" as const),
      changes: fc.array(change, { maxLength: 4 }),
    }),
  },
);

describe("what is committed", () => {
  test("[OFF-2] [VER-6] is what is there, after any commits, restarts and writes of the previous release", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
        const rig = new Rig();
        for (const each of steps) {
          if (each.type === "restart") rig.restart();
          else if (each.type === "commit") rig.commit(new Map(each.changes));
          else rig.runPrevious(each.changes);
          if (each.type !== "commit") rig.check();
        }
        rig.check();
        expect(new Map(rig.state)).toEqual(rig.expected);
      }),
      runs(30),
    );
  });

  test("[OFF-2] is there after a restart in which nobody asked for it", () => {
    const rig = new Rig();
    commitEach(rig, [0, 1, 2]);
    rig.restart();
    rig.commit(new Map([[key(9), position(9)]]));
    rig.check();
    commitEach(rig, Array(2 * RING_ROWS).fill(3)); // Beyond a page.
    rig.restart();
    rig.commit(new Map([[key(3), position(99)]]));
    rig.check();
  });

  test("[OFF-7] is gone once it is deleted, even all of it, at the end of any row", () => {
    for (let commits = 0; commits <= 2 * RING_ROWS + 3; commits++) {
      const rig = new Rig();
      commitEach(rig, Array(commits).fill(0));
      rig.commit(new Map([[key(0), null]]));
      rig.check();
      expect(rig.found.size).toBe(0);
      commitEach(rig, Array(commits).fill(1));
      rig.check();
    }
  });
});

describe("the release before", () => {
  test("[VER-6] each of its writes counts, whatever it has written before", () => {
    const rig = new Rig();
    commitEach(rig, [0, 1]);
    rig.runPrevious([
      [key(0), position(10)],
      [key(2), position(12)],
      [key(1), null],
      [key(3), position(13, { leaderEpoch: 0, metadata: 'm"' })],
    ]);
    rig.check();
    expect([...rig.found.keys()].sort()).toEqual([0, 2, 3].map(key));
  });

  test("[VER-6] what it wrote in an earlier rollback does not come back in a later one", () => {
    const rig = new Rig();
    rig.runPrevious([[key(0), position(10)]]);
    rig.commit(new Map([[key(0), position(20)]]));
    rig.runPrevious([[key(1), position(11)]]);
    rig.check();
    expect(rig.found.get(key(0))?.offset).toBe(20);
  });

  test("[VER-6] its row goes with the first commit after it", () => {
    const rig = new Rig();
    commitEach(rig, [0, 1]);
    rig.runPrevious([[key(5), position(5)]]);
    expect(rig.slots).toContain(-1);
    commitEach(rig, [2]);
    expect(rig.slots).not.toContain(-1);
    rig.check();
  });
});

describe("what a commit costs", () => {
  test.each([1, 3, 1_000])("[OFF-2] of %i partitions at once it is a row", (partitions) => {
    const rig = new Rig();
    const changes = Array.from({ length: partitions }, (_, i) => [key(i), position(i)] as const);
    rig.commit(new Map(changes));
    expect(rig.rows).toBe(1);
    rig.check();
  });

  test("[OFF-2] it is a row, and a full ring more: that of its page, across restarts too", () => {
    const rig = new Rig();
    const rounds = 5;
    for (let i = 0; i < rounds * (RING_ROWS + 1); i++) {
      if (i % 7 === 0) rig.restart();
      commitEach(rig, [i % 3]);
    }
    expect(rig.rows).toBe(rounds * (RING_ROWS + 1));
    expect(rig.slots).toEqual([...Array(RING_ROWS).keys(), 1_000]);
    rig.check();
  });

  test("[OFF-2] with many pages it is a row, and a sixteenth of the changed pages", () => {
    const rig = new Rig();
    const long = "ä".repeat(MAX_OFFSET_METADATA_LENGTH);
    const all = Array.from({ length: 200 }, (_, i) => i);
    const commit = (partition: number) =>
      rig.commit(new Map([[key(partition), position(rig.rows, { metadata: long })]]));
    for (const partition of all) commit(partition);
    const pages = () => rig.slots.filter((slot) => slot >= 1_000).length;
    expect(pages()).toBeGreaterThan(5);
    const { rows } = rig;
    const commits = 20 * (RING_ROWS + 1);
    for (let i = 0; i < commits; i++) commit((i * 37) % all.length);
    expect(rig.rows - rows).toBeLessThanOrEqual(commits * (1 + pages() / RING_ROWS));
    // Commits in one page write no other.
    for (let i = 0; i <= RING_ROWS; i++) commit(0);
    const before = rig.rows;
    for (let i = 0; i < 10 * (RING_ROWS + 1); i++) commit(0);
    expect(rig.rows - before).toBe(10 * (RING_ROWS + 1));
    rig.check();
    for (const bytes of rig.sizes.values()) expect(bytes).toBeLessThan(MAX_ROW_BYTES);
  });

  test.each(["x", "ä", "\u0001", "\u{1F600}"])(
    "[BND-1] a commit of any size fits into rows, with metadata of %j",
    (unit) => {
      const rig = new Rig();
      const metadata = unit.repeat(MAX_OFFSET_METADATA_LENGTH / unit.length);
      const changes = (offset: number) =>
        new Map(
          Array.from({ length: 300 }, (_, i) => [key(i), position(offset + i, { metadata })]),
        );
      rig.commit(changes(0));
      rig.restart();
      rig.commit(changes(1));
      commitEach(rig, [0]);
      rig.check();
      for (const bytes of rig.sizes.values()) expect(bytes).toBeLessThan(MAX_ROW_BYTES);
    },
  );

  test("[OFF-2] pages whose committed offsets are gone are filled again", () => {
    const rig = new Rig();
    const long = "x".repeat(MAX_OFFSET_METADATA_LENGTH);
    for (let round = 0; round < 6; round++) {
      const partitions = Array.from({ length: 200 }, (_, i) => key(round * 200 + i));
      rig.commit(new Map(partitions.map((each) => [each, position(round, { metadata: long })])));
      rig.commit(new Map(partitions.map((each) => [each, null])));
      for (let i = 0; i <= RING_ROWS; i++) commitEach(rig, [0]);
    }
    rig.check();
    const room = rig.slots.filter((slot) => slot >= 1_000).length;
    expect(room).toBeLessThan(3 * 13);
  });
});

describe("a table with a row for each position", () => {
  const TABLE = `CREATE TABLE offsets (partition TEXT PRIMARY KEY, committed_offset INTEGER NOT NULL, metadata TEXT NOT NULL,
     committed_at_ms INTEGER NOT NULL, leader_epoch INTEGER) WITHOUT ROWID`;

  test.each([0, 1, 5, 500])("[VER-1] of %i rows is converted to this form", (count) => {
    const rig = new Rig([TABLE]);
    const rows = Array.from({ length: count }, (_, i): [PartitionKey, CommittedOffset] => [
      key(i),
      position(i, i % 2 === 0 ? { metadata: `"${i}ä`, leaderEpoch: i } : {}),
    ]);
    rig.runPrevious(rows);
    toPositions(rig.sql);
    rig.restart();
    rig.check();
    rig.commit(new Map([[key(0), position(77)]]));
    rig.runPrevious([[key(7), position(78)]]);
    rig.check();
  });
});
