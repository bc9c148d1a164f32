import { describe, expect, test } from "vitest";
import { PartitionStore } from "../../../../durable-objects/partition/partition-store.ts";
import {
  FENCE_REFRESH_MS,
  FENCES_FORGOTTEN_AT_ONCE,
  MAX_FENCES_PER_PARTITION,
  MAX_SESSION_TIMEOUT_MS,
} from "../../../../src/core/limits.ts";
import { compareOwners, mayAttach, type OwnerToken } from "../../../../src/core/log/fences.ts";
import { PARTITION, TOPIC } from "../../../support/log-fixtures.ts";
import { nodeSql } from "../../../support/node-sql.ts";

/** Newest last. A member epoch or number counts only among equals in the fields before it. */
const OWNERS: readonly OwnerToken[] = [
  token(1, 1, 0),
  token(1, 1, 1),
  token(1, 2, 0),
  token(1, 2, 7),
  token(1, 10, 3),
  token(1, 900, 900),
  token(2, 1, 0),
  token(2, 1, 2),
  token(2, 9, 1),
  token(2, 10, 0),
  token(1_700_000_000_000, 0, 0),
  token(1_700_000_000_001, 0, 0),
];

describe("fences", () => {
  test("[ATT-3] owners compare by incarnation, then member epoch, then member number", () => {
    for (const [i, a] of OWNERS.entries()) {
      for (const [j, b] of OWNERS.entries()) {
        expect(Math.sign(compareOwners(a, b)), `${text(a)} and ${text(b)}`).toBe(Math.sign(i - j));
      }
    }
  });

  test.each([
    { title: "nobody before it", newest: null, candidate: token(1, 1, 0), admitted: true },
    { title: "the same token", newest: token(1, 4, 2), candidate: token(1, 4, 2), admitted: true },
    { title: "a newer epoch", newest: token(1, 4, 2), candidate: token(1, 5, 1), admitted: true },
    { title: "an older epoch", newest: token(1, 4, 2), candidate: token(1, 3, 9), admitted: false },
    { title: "a newer member", newest: token(1, 4, 2), candidate: token(1, 4, 3), admitted: true },
    {
      title: "an older member",
      newest: token(1, 4, 2),
      candidate: token(1, 4, 1),
      admitted: false,
    },
  ])("[ATT-1] a candidate with $title is admitted: $admitted", (row) => {
    expect(mayAttach(row.newest, row.candidate)).toBe(row.admitted);
  });

  test("[ATT-3] a new incarnation's first epoch is newer than the last of the one before", () => {
    expect(mayAttach(token(1, 900, 900), token(2, 1, 0))).toBe(true);
    expect(mayAttach(token(2, 1, 0), token(1, 900, 900))).toBe(false);
  });

  test("[ATT-1] in any order of arrival the admitted get newer, up to the newest", () => {
    // Every rotation and its reverse: enough orders to have each owner first, last and in between.
    for (let shift = 0; shift < OWNERS.length; shift++) {
      const rotated = [...OWNERS.slice(shift), ...OWNERS.slice(0, shift)];
      for (const order of [rotated, rotated.toReversed()]) {
        let newest: OwnerToken | null = null;
        let age = -1;
        for (const candidate of order) {
          if (!mayAttach(newest, candidate)) continue;
          newest = candidate;
          expect(OWNERS.indexOf(candidate)).toBeGreaterThan(age);
          age = OWNERS.indexOf(candidate);
        }
        expect(newest).toBe(OWNERS.at(-1));
      }
    }
  });
});

describe("stored fences", () => {
  test("[ATT-1] the newest owner of each group is remembered across an eviction", () => {
    const storage = nodeSql();
    const store = openStore(storage);
    expect(store.fence("g")).toBeNull();
    set(store, "g", token(1, 4, 2), 100);
    set(store, "h", token(3, 1, 1), 101);
    set(store, "g", token(1, 5, 2), 102);
    const next = new PartitionStore(storage, PARTITION);
    expect(next.fence("g")).toMatchObject(token(1, 5, 2));
    expect(next.fence("h")).toMatchObject(token(3, 1, 1));
    expect(next.fence("i")).toBeNull();
  });

  test("[ATT-4] beyond the bound only groups that attached longest ago are forgotten, and none with a reader", () => {
    const storage = nodeSql();
    const store = openStore(storage);
    const attached = new Set(["g1", "g3"]);
    for (let i = 0; i < MAX_FENCES_PER_PARTITION; i++)
      set(store, `g${i}`, token(1, i, 0), 1_000 + i);
    // Group 0 attaches again, so it is no longer among those that attached longest ago.
    set(store, "g0", token(1, 50, 0), 90_000, attached);
    const next = new PartitionStore(storage, PARTITION); // The object was evicted meanwhile.
    set(next, "newcomer", token(1, 1, 0), 90_001, attached);
    const known = (group: string) => next.fence(group) !== null;
    for (const group of ["g0", "g1", "g3", "newcomer"]) expect(known(group), group).toBe(true);
    const gone = Array.from({ length: MAX_FENCES_PER_PARTITION }, (_, i) => i).filter(
      (i) => !known(`g${i}`),
    );
    expect(gone).toHaveLength(FENCES_FORGOTTEN_AT_ONCE);
    expect(gone.slice(0, 3)).toEqual([2, 4, 5]);
    expect(gone.at(-1)).toBe(FENCES_FORGOTTEN_AT_ONCE + 2);
  });

  test("[ATT-4] polling groups are forgotten last, those first that have not polled for longest", () => {
    const storage = nodeSql();
    const store = openStore(storage);
    const longAgoMs = 1_000;
    const nowMs = longAgoMs + FENCE_REFRESH_MS + MAX_SESSION_TIMEOUT_MS;
    poll(store, "polled once", longAgoMs);
    poll(store, "polls", longAgoMs + 1);
    poll(store, "polls too", longAgoMs + 2);
    const flood = (from: number, count: number) => {
      const next = new PartitionStore(storage, PARTITION); // The object was evicted meanwhile.
      for (let i = from; i < from + count; i++) set(next, `f${i}`, token(1, 1, 0), nowMs);
    };
    flood(0, MAX_FENCES_PER_PARTITION + FENCES_FORGOTTEN_AT_ONCE);
    const known = (group: string) => new PartitionStore(storage, PARTITION).fence(group) !== null;
    expect(known("polled once")).toBe(false);
    for (const group of ["polls", "polls too"]) expect(known(group), group).toBe(true);
  });

  test("[ATT-4] if all others poll, a group that attaches is not forgotten for their sake", () => {
    const store = openStore(nodeSql());
    for (let i = 0; i < MAX_FENCES_PER_PARTITION; i++) poll(store, `g${i}`, 1_000 + i);
    set(store, "newcomer", token(1, 1, 0), 90_000);
    const known = (group: string) => store.fence(group) !== null;
    expect(known("newcomer")).toBe(true);
    expect(known("g0")).toBe(false);
    expect(known(`g${FENCES_FORGOTTEN_AT_ONCE}`)).toBe(true);
    expect(store.polledAtMs("g0")).toBe(0);
  });

  test.each([
    { clock: "in the same millisecond as all others", nowMs: 1_000 },
    { clock: "after the clock was set back", nowMs: 900 },
  ])("[ATT-4] a group that attaches $clock is not the one forgotten", ({ nowMs }) => {
    const store = openStore(nodeSql());
    for (let i = 0; i < MAX_FENCES_PER_PARTITION; i++) set(store, `g${i}`, token(1, i, 0), 1_000);
    set(store, "a newcomer", token(1, 1, 0), nowMs);
    expect(store.fence("a newcomer")).toMatchObject(token(1, 1, 0));
  });
});

function set(
  store: PartitionStore,
  group: string,
  owner: OwnerToken,
  nowMs: number,
  attached: ReadonlySet<string> = new Set(),
): void {
  store.setFence(group, owner, nowMs, store.fence(group) === null, () => attached);
}

function poll(store: PartitionStore, group: string, nowMs: number): void {
  store.notePoll(group, nowMs);
  set(store, group, token(1, 1, 0), nowMs);
}

function openStore(storage: ReturnType<typeof nodeSql>): PartitionStore {
  const store = new PartitionStore(storage, PARTITION);
  store.setTopic(TOPIC);
  return store;
}

function token(incarnation: number, memberEpoch: number, memberNumber: number): OwnerToken {
  return { incarnation, memberEpoch, memberNumber };
}

function text({ incarnation, memberEpoch, memberNumber }: OwnerToken): string {
  return `${incarnation}/${memberEpoch}/${memberNumber}`;
}
