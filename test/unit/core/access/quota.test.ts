import { describe, expect, test } from "vitest";
import { Bucket } from "../../../../src/core/access/bucket.ts";
import { ANYBODY } from "../../../../src/core/access/caller.ts";
import {
  type Grant,
  groupResource,
  type NamePattern,
  roomsFor,
  topicResource,
  whyNoRoom,
} from "../../../../src/core/access/grants.ts";
import { strictest } from "../../../../src/core/access/quota.ts";
import { QuotaBook } from "../../../../src/core/access/quota-book.ts";
import { HOLDER_SILENT_MS } from "../../../../src/core/limits.ts";

const caller = (principal: string, quota: object) => ({ ...ANYBODY, principal, quota });

describe("a bucket", () => {
  test("[QUO-2] holds what comes in within a second, and more must be waited for", () => {
    const bucket = new Bucket(100, 0);
    expect(bucket.waitMs(100, 0)).toBe(0);
    bucket.take(99, 100, 0);
    expect(bucket.waitMs(100, 0)).toBe(0); // Something is left, so a request of any size is served.
    bucket.take(1_001, 100, 0);
    expect(bucket.waitMs(100, 0)).toBe(10_010);
    expect(bucket.waitMs(100, 10_000)).toBeGreaterThan(0);
    expect(bucket.waitMs(100, 10_010)).toBe(0);
  });

  test("[QUO-2] never holds more than that, however long it is left alone", () => {
    const bucket = new Bucket(100, 0);
    expect(bucket.isFull(0)).toBe(true);
    bucket.take(100, 100, 1_000_000);
    expect(bucket.waitMs(100, 1_000_000)).toBe(10);
    expect(bucket.isFull(1_000_000)).toBe(false);
    expect(bucket.isFull(1_001_000)).toBe(true);
  });

  test("[QUO-2] of less than one a second lets one through", () => {
    const bucket = new Bucket(0.5, 0);
    expect(bucket.waitMs(0.5, 0)).toBe(0);
    bucket.take(1, 0.5, 0);
    expect(bucket.waitMs(0.5, 0)).toBe(2_000);
    expect(bucket.waitMs(0.5, 2_000)).toBe(0);
  });

  test("[QUO-7] is full when it is full at each of the rates that it was used at", () => {
    const bucket = new Bucket(1_000, 0);
    bucket.take(999, 1_000, 0);
    expect(bucket.waitMs(1, 0)).toBe(0); // Full for this one, and far from it for the other.
    expect(bucket.isFull(0)).toBe(false);
    expect(bucket.isFull(998)).toBe(false);
    expect(bucket.isFull(999)).toBe(true);
    bucket.take(11, 1, 1_000);
    expect(bucket.isFull(10_000)).toBe(false); // At the other rate it would have been full long ago.
    expect(bucket.isFull(12_000)).toBe(true);
  });

  test("[CLK-3] continues after the clock was set back", () => {
    const bucket = new Bucket(100, 1_000_000);
    bucket.take(200, 100, 1_000_000);
    expect(bucket.waitMs(100, 0)).toBe(1_010);
    expect(bucket.waitMs(100, 1_010)).toBe(0);
  });

  test("[CLK-3] fills again after the clock was set back, even if only its fullness is asked", () => {
    const bucket = new Bucket(100, 1_000_000);
    bucket.take(200, 100, 1_000_000);
    expect(bucket.isFull(0)).toBe(false);
    expect(bucket.isFull(1_999)).toBe(false);
    expect(bucket.isFull(2_000)).toBe(true);
  });
});

describe("quotas", () => {
  test("[QUO-1] are shared by all callers with one principal, and by nobody else", () => {
    const book = new QuotaBook();
    const [a, b] = [caller("User:a", { requestRate: 2 }), caller("User:b", { requestRate: 2 })];
    const elsewhere = { ...a, namespace: "acme." };
    for (let i = 0; i < 2; i++) book.take({ ...a, keyId: `${i}` }, "requestRate", 1, 0);
    expect(book.waitMs(a, "requestRate", 0)).toBeGreaterThan(0);
    expect(book.waitMs(b, "requestRate", 0)).toBe(0);
    expect(book.waitMs(elsewhere, "requestRate", 0)).toBe(0);
    expect(book.waitMs(a, "producerByteRate", 0)).toBe(0);
    expect(book.waitMs({ ...a, quota: undefined }, "requestRate", 0)).toBe(0);
  });

  test("[QUO-4] bound connections, and each gives its place back once", () => {
    const book = new QuotaBook();
    const user = caller("User:a", { connections: 2 });
    const [first, second] = [book.open(user, 0), book.open(user, 0)];
    expect(book.open(user, 0)).toBeNull();
    expect(book.open(caller("User:b", { connections: 1 }), 0)).not.toBeNull();
    expect(book.open({ ...user, quota: {} }, 0)).not.toBeNull();
    first?.close();
    first?.close();
    const third = book.open(user, 0);
    expect(third).not.toBeNull();
    expect(book.open(user, 0)).toBeNull();
    second?.close();
    third?.close();
    expect(book.open(user, 0)).not.toBeNull();
  });

  test("[QUO-4] give the place of a killed connection to the next one", () => {
    const book = new QuotaBook();
    const user = caller("User:a", { connections: 2 });
    const living = book.open(user, 0);
    const killed = book.open(user, 0);
    living?.renew(HOLDER_SILENT_MS);
    expect(book.open(user, HOLDER_SILENT_MS)).toBeNull();
    const next = book.open(user, HOLDER_SILENT_MS + 1);
    expect(next).not.toBeNull();
    expect(book.open(user, HOLDER_SILENT_MS + 1)).toBeNull();
    // It was only late. It counts again, beyond the bound.
    killed?.renew(HOLDER_SILENT_MS + 2);
    next?.close();
    expect(book.open(user, HOLDER_SILENT_MS + 2)).toBeNull();
    killed?.close();
    killed?.renew(HOLDER_SILENT_MS + 3);
    expect(book.open(user, HOLDER_SILENT_MS + 3)).not.toBeNull();
  });

  test("[QUO-1] of a token are the stricter ones", () => {
    expect(strictest(undefined, undefined)).toBeUndefined();
    expect(strictest({ requestRate: 1 }, undefined)).toEqual({ requestRate: 1 });
    expect(
      strictest({ requestRate: 5, connections: 2 }, { requestRate: 9, consumerByteRate: 3_000 }),
    ).toEqual({ requestRate: 5, connections: 2, consumerByteRate: 3_000 });
  });
});

describe("the number of names", () => {
  const grants: readonly Grant[] = [
    { topics: { prefix: "a." }, operations: ["CREATE"], max: 2 },
    { topics: { exact: "a.b" }, operations: ["CREATE"], max: 1 },
    { topics: { prefix: "free." }, operations: ["CREATE"] },
    { topics: { prefix: "free.x" }, operations: ["CREATE"], max: 1 },
    { groups: { prefix: "a." }, operations: ["READ"], max: 1 },
  ];

  /** Counts among these names, as the cluster does. */
  const among = (names: readonly string[]) => (pattern: NamePattern, max: number) => {
    const fits = (name: string) =>
      "exact" in pattern ? name === pattern.exact : name.startsWith(pattern.prefix);
    return names.filter(fits).slice(0, max).length;
  };

  test.each([
    ["a.x", [], true],
    ["a.x", ["a.1"], true],
    ["a.x", ["a.1", "a.2"], false],
    ["a.x", ["b.1", "b.2", "b.3"], true],
    ["a.b", ["a.1", "a.2"], true], // The other grant has room.
    ["free.x", ["free.x1", "free.x2"], true], // One grant has no bound.
  ])("[QUO-5] %s beside %j may be created: %j", (name, others, may) => {
    const rooms = roomsFor({ grants }, "CREATE", topicResource(name));
    expect(whyNoRoom(rooms, among(others)) === null).toBe(may);
  });

  test("[QUO-5] says which bound it is", () => {
    const rooms = roomsFor({ grants }, "READ", groupResource("a.g"));
    expect(whyNoRoom(rooms, among(["a.1"]))).toEqual({ pattern: { prefix: "a." }, max: 1 });
  });
});
