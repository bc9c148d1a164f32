import { describe, expect, test } from "vitest";
import { PartitionStore } from "../../durable-objects/partition/partition-store.ts";
import { MAX_FENCES_PER_PARTITION } from "../../src/core/limits.ts";
import { compareOwners, mayAttach, type OwnerToken } from "../../src/core/log/fences.ts";
import { TOPIC } from "../support/log-fixtures.ts";
import { nodeSql } from "../support/node-sql.ts";

/** Newest last. A member epoch or number counts only among equals in what stands before it. */
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

  test("[ATT-1] in any order of coming the admitted get newer, up to the newest", () => {
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
  test("[ATT-1] the newest owner of each group is remembered over an eviction", () => {
    const storage = nodeSql();
    const store = openStore(storage);
    expect(store.fence("g")).toBeNull();
    store.setFence("g", token(1, 4, 2), 100, true);
    store.setFence("h", token(3, 1, 1), 101, true);
    store.setFence("g", token(1, 5, 2), 102, false);
    const next = new PartitionStore(storage);
    expect(next.fence("g")).toEqual(token(1, 5, 2));
    expect(next.fence("h")).toEqual(token(3, 1, 1));
    expect(next.fence("i")).toBeNull();
  });

  test("[ATT-1] beyond the bound only the group that attached longest ago is forgotten", () => {
    const store = openStore(nodeSql());
    for (let i = 0; i < MAX_FENCES_PER_PARTITION; i++) {
      store.setFence(`g${i}`, token(1, i, 0), 1_000 + i, true);
    }
    expect(store.fence("g0")).toEqual(token(1, 0, 0));
    // Group 0 attaches again, so group 1 is now the one that attached longest ago.
    store.setFence("g0", token(1, 50, 0), 9_000, false);
    store.setFence("newcomer", token(1, 1, 0), 9_001, true);
    expect(store.fence("g1")).toBeNull();
    expect(store.fence("g0")).toEqual(token(1, 50, 0));
    expect(store.fence("newcomer")).toEqual(token(1, 1, 0));
    for (let i = 2; i < MAX_FENCES_PER_PARTITION; i++) {
      expect(store.fence(`g${i}`), `g${i}`).toEqual(token(1, i, 0));
    }
  });

  test.each([
    { clock: "in the same millisecond as all others", nowMs: 1_000 },
    { clock: "after the clock was set back", nowMs: 900 },
  ])("[ATT-1] a group that attaches $clock is not the one forgotten", ({ nowMs }) => {
    const store = openStore(nodeSql());
    for (let i = 0; i < MAX_FENCES_PER_PARTITION; i++) {
      store.setFence(`g${i}`, token(1, i, 0), 1_000, true);
    }
    store.setFence("a newcomer", token(1, 1, 0), nowMs, true);
    expect(store.fence("a newcomer")).toEqual(token(1, 1, 0));
  });
});

function openStore(storage: ReturnType<typeof nodeSql>): PartitionStore {
  const store = new PartitionStore(storage);
  store.setTopic(TOPIC);
  return store;
}

function token(incarnation: number, memberEpoch: number, memberNumber: number): OwnerToken {
  return { incarnation, memberEpoch, memberNumber };
}

function text({ incarnation, memberEpoch, memberNumber }: OwnerToken): string {
  return `${incarnation}/${memberEpoch}/${memberNumber}`;
}
