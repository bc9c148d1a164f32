// The group's committed offsets in its storage; they are called positions here. A commit costs one row, however
// many partitions it covers.
//
// positions  slot → JSON of partition → position, with the number of the write. There are three kinds of slots:
//            pages (1000 and up) hold all positions as of some write,
//            the ring (0 to RING_ROWS - 1) holds the commits since then, one row each,
//            PREVIOUS_RELEASE holds what the previous release has written after a rollback.
//
//
// The newest write counts. When the ring is full, the pages of the partitions in it are rewritten, and the ring
// starts again at its first slot. Its rows that are older than the newest page then mean nothing. So there are
// never more than RING_ROWS rows besides the pages, and most commits write one row.
//
//
// The previous release knows a table `offsets` with a row for each partition. A view of that name shows it the
// same positions, and accepts its writes [VER-6]. The release after this one drops the view.
import type { PartitionKey } from "../../src/core/group/partition-key.ts";
import type { CommittedOffset } from "../../src/core/group/state.ts";
import { execAll } from "../shared/schema.ts";
import type { Sql } from "../shared/sql.ts";
import { parseStored } from "../shared/stored-json.ts";
import { formatPosition, type StoredPosition, storedPositions } from "./stored-group.ts";

/** The length of the ring. A full ring is read at every wake. */
const RING_ROWS = 16;
const FIRST_PAGE = 1_000;
const PREVIOUS_RELEASE = -1;
/** A row holds at most 2 MB on Cloudflare. */
const MAX_ROW_CHARACTERS = 400_000;

export const CREATE_POSITIONS = [
  "CREATE TABLE positions (slot INTEGER PRIMARY KEY, write INTEGER NOT NULL, json TEXT NOT NULL)",
  `CREATE VIEW offsets AS
     SELECT partition, json_extract(position, '$[0]') AS committed_offset,
       coalesce(json_extract(position, '$[2]'), '') AS metadata, json_extract(position, '$[1]') AS committed_at_ms,
       json_extract(position, '$[3]') AS leader_epoch
     FROM (SELECT each.key AS partition, each.value AS position, max(positions.write)
           FROM positions, json_each(positions.json) AS each
           WHERE positions.slot >= ${FIRST_PAGE} OR positions.write >
             (SELECT coalesce(max(write), 0) FROM positions WHERE slot >= ${FIRST_PAGE})
           GROUP BY each.key)
     WHERE position IS NOT NULL`,
  previousReleaseWrites(
    "INSERT",
    "NEW",
    "json_array(NEW.committed_offset, NEW.committed_at_ms, NEW.metadata, NEW.leader_epoch)",
  ),
  previousReleaseWrites("DELETE", "OLD", "json('null')"),
];

/**
 * Makes the trigger for writes of the previous release. In a trigger, the conflict clause of the statement that
 * fires it applies, so the row is not inserted with OR IGNORE.
 */
function previousReleaseWrites(change: string, row: string, position: string): string {
  // The previous release writes INSERT OR REPLACE, which would overrule an OR IGNORE in here.
  return `CREATE TRIGGER offsets_${change.toLowerCase()} INSTEAD OF ${change} ON offsets BEGIN
     INSERT INTO positions SELECT ${PREVIOUS_RELEASE}, 0, '{}'
       WHERE NOT EXISTS (SELECT 1 FROM positions WHERE slot = ${PREVIOUS_RELEASE});
     UPDATE positions SET write = (SELECT max(write) FROM positions) + 1,
       json = json_set(json, '$."' || ${row}.partition || '"', ${position}) WHERE slot = ${PREVIOUS_RELEASE};
   END`;
}

/** Migrates a table `offsets`, with a row for each partition, to this form. */
export function toPositions(sql: Sql): void {
  const rows = sql.exec<{
    partition: string;
    committed_offset: number;
    metadata: string;
    committed_at_ms: number;
    leader_epoch: number | null;
  }>("SELECT * FROM offsets ORDER BY partition");
  const positions = new Map<PartitionKey, CommittedOffset>();
  for (const row of rows)
    positions.set(row.partition as PartitionKey, {
      offset: row.committed_offset,
      metadata: row.metadata,
      ...(row.leader_epoch === null ? {} : { leaderEpoch: row.leader_epoch }),
      committedAtMs: row.committed_at_ms,
    });
  execAll(sql, ["DROP TABLE offsets", ...CREATE_POSITIONS]);
  if (positions.size > 0) new StoredPositions(sql).write(positions, positions);
}

/** The positions of one page, each with its approximate number of characters. */
interface Page {
  readonly slot: number;
  readonly sizes: Map<PartitionKey, number>;
  characters: number;
}

export class StoredPositions {
  readonly #sql: Sql;
  readonly #pages: Page[] = [];
  readonly #pageOf = new Map<PartitionKey, Page>();
  /** The partitions of the commits in the ring. */
  readonly #inRing = new Set<PartitionKey>();
  #ringRows = 0;
  #lastWrite = 0;
  #hasPrevious = false;
  /** The positions as they were when they were read. */
  #loaded: ReadonlyMap<PartitionKey, CommittedOffset> | null = null;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Returns all positions as they were when this life first needed them. */
  load(): ReadonlyMap<PartitionKey, CommittedOffset> {
    this.#loaded ??= this.#read();
    return this.#loaded;
  }

  #read(): Map<PartitionKey, CommittedOffset> {
    // Sorted here, because sorting in SQL would count each row twice.
    const rows = Array.from(
      this.#sql.exec<{ slot: number; write: number; json: string }>(
        "SELECT slot, write, json FROM positions",
      ),
      ({ slot, write, json }) => ({
        slot,
        write,
        positions: parseStored(storedPositions, json, "positions.json"),
      }),
    ).sort((a, b) => a.write - b.write || a.slot - b.slot);
    const pages = rows.filter(({ slot }) => slot >= FIRST_PAGE).sort((a, b) => a.slot - b.slot);
    for (const { slot, positions } of pages) {
      const page: Page = { slot, sizes: new Map(), characters: 0 };
      this.#pages.push(page);
      for (const [key, position] of positions)
        if (position !== null) this.#put(page, key, position);
    }
    const newestPage = Math.max(0, ...pages.map(({ write }) => write));
    const merged = new Map<PartitionKey, CommittedOffset>();
    for (const { slot, write, positions } of rows) {
      const isPage = slot >= FIRST_PAGE;
      if (!isPage && write <= newestPage) continue;
      this.#lastWrite = write;
      if (slot === PREVIOUS_RELEASE) this.#hasPrevious = true;
      else if (!isPage) this.#ringRows++;
      for (const [key, position] of positions) {
        if (!isPage) this.#inRing.add(key);
        if (position === null) merged.delete(key);
        else merged.set(key, position);
      }
    }
    return merged;
  }

  /**
   * Stores the changed positions; null for a deleted one. `positions` are all positions of the group now. Must
   * run in a transaction.
   */
  write(
    changed: ReadonlyMap<PartitionKey, CommittedOffset | null>,
    positions: ReadonlyMap<PartitionKey, CommittedOffset>,
  ): void {
    this.load(); // A commit may be the first request of this life.
    this.#lastWrite++;
    const json = formatPositions(changed);
    const isFull = this.#ringRows === RING_ROWS || json.length > MAX_ROW_CHARACTERS;
    // If the row of the previous release stayed, its next write would make the whole row the newest.
    if (isFull || this.#hasPrevious) {
      this.#rewritePages(changed, positions);
      return;
    }
    this.#writeRow(this.#ringRows, json);
    this.#ringRows++;
    for (const key of changed.keys()) this.#inRing.add(key);
  }

  /** Writes the pages of all partitions that have changed since their pages were written. */
  #rewritePages(
    changed: ReadonlyMap<PartitionKey, CommittedOffset | null>,
    positions: ReadonlyMap<PartitionKey, CommittedOffset>,
  ): void {
    const now = (key: PartitionKey) =>
      changed.has(key) ? (changed.get(key) ?? undefined) : positions.get(key);
    const dirty = new Set<Page>();
    for (const key of this.#inRing.union(changed)) {
      const position = now(key);
      const known = this.#pageOf.get(key);
      if (known !== undefined) dirty.add(known);
      if (known !== undefined) this.#take(known, key);
      if (position !== undefined)
        dirty.add(this.#put(this.#pageFor(position, known), key, position));
    }
    // A page marks the write from which on the ring's rows count, even if it holds none of their positions.
    if (dirty.size === 0) dirty.add(this.#pages.at(-1) ?? this.#newPage());
    for (const { slot, sizes } of dirty) {
      const entries = Array.from(
        sizes.keys(),
        (key) => [key, now(key) ?? null] as [PartitionKey, CommittedOffset | null],
      );
      this.#writeRow(slot, formatPositions(new Map(entries)));
    }
    if (this.#hasPrevious) this.#sql.exec("DELETE FROM positions WHERE slot = ?", PREVIOUS_RELEASE);
    this.#hasPrevious = false;
    this.#inRing.clear();
    this.#ringRows = 0;
  }

  /** Returns a page with room: the one that had the position, or another, or a new one. */
  #pageFor(position: CommittedOffset, known: Page | undefined): Page {
    const hasRoom = (page: Page) => page.characters + sizeOf(position) <= MAX_ROW_CHARACTERS;
    if (known !== undefined && hasRoom(known)) return known;
    return this.#pages.find(hasRoom) ?? this.#newPage();
  }

  #newPage(): Page {
    const slot = (this.#pages.at(-1)?.slot ?? FIRST_PAGE - 1) + 1;
    const page: Page = { slot, sizes: new Map(), characters: 0 };
    this.#pages.push(page);
    return page;
  }

  #put(page: Page, key: PartitionKey, position: CommittedOffset): Page {
    const size = sizeOf(position);
    page.sizes.set(key, size);
    page.characters += size;
    this.#pageOf.set(key, page);
    return page;
  }

  #take(page: Page, key: PartitionKey): void {
    page.characters -= page.sizes.get(key) ?? 0;
    page.sizes.delete(key);
    this.#pageOf.delete(key);
  }

  #writeRow(slot: number, json: string): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO positions (slot, write, json) VALUES (?, ?, ?)",
      slot,
      this.#lastWrite,
      json,
    );
  }
}

/** A deleted position is null, so that it hides older rows. */
function formatPositions(positions: ReadonlyMap<PartitionKey, CommittedOffset | null>): string {
  const entries = Array.from(positions, ([key, position]): [string, StoredPosition] => [
    key,
    position === null ? null : formatPosition(position),
  ]);
  return JSON.stringify(Object.fromEntries(entries));
}

/**
 * Returns the approximate number of characters of a position: a topic id, two numbers, and metadata that may be
 * escaped.
 */
function sizeOf({ metadata }: CommittedOffset): number {
  return 90 + metadata.length * 6;
}
