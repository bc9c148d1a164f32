// The newest chunks in memory, by themselves.
import { expect, test } from "vitest";
import { MAX_TAIL_CACHE_BYTES, MIN_TAIL_CACHE_BYTES } from "../../../../src/core/limits.ts";
import { TailCache } from "../../../../src/core/log/tail-cache.ts";

const QUARTER = new Uint8Array(MAX_TAIL_CACHE_BYTES / 4 - 200);

/** Chunks of ten offsets each, from `first` on. */
function filled(count: number, bytes: Uint8Array = QUARTER, first = 0): TailCache {
  const cache = new TailCache();
  for (let i = 0; i < count; i++) {
    const baseOffset = first + 10 * i;
    cache.add({ baseOffset, nextOffset: baseOffset + 10, bytes });
  }
  return cache;
}

const from = (cache: TailCache, offset: number) =>
  [...cache.from(offset)].map(({ baseOffset }) => baseOffset);

test("[LOG-7] it yields the chunk that holds the offset, and those after it", () => {
  const cache = filled(4, new Uint8Array(1));
  for (const offset of [0, 5, 9]) expect(from(cache, offset)).toEqual([0, 10, 20, 30]);
  for (const offset of [10, 19]) expect(from(cache, offset)).toEqual([10, 20, 30]);
  for (const offset of [30, 39]) expect(from(cache, offset)).toEqual([30]);
  expect([...cache.from(35)]).toEqual([
    { baseOffset: 30, nextOffset: 40, bytes: new Uint8Array(1) },
  ]);
});

test("[LOG-7] it holds everything from its first chunk on, and nothing while it is empty", () => {
  const cache = filled(2, new Uint8Array(1), 100);
  expect([99, 100, 115, 120].map((offset) => cache.holds(offset))).toEqual([
    false,
    true,
    true,
    true,
  ]);
  expect(new TailCache().holds(0)).toBe(false);
});

test("[LOG-7] it is full at its bound, and beyond it drops as many of the oldest as it must", () => {
  expect(from(filled(4), 0)).toEqual([0, 10, 20, 30]);
  const cache = filled(5);
  expect(cache.holds(9)).toBe(false);
  expect(from(cache, 10)).toEqual([10, 20, 30, 40]);
  const large = new Uint8Array(MAX_TAIL_CACHE_BYTES / 2 + 1);
  cache.add({ baseOffset: 50, nextOffset: 60, bytes: large });
  expect(cache.holds(39)).toBe(false);
  expect(from(cache, 40)).toEqual([40, 50]);
  cache.add({ baseOffset: 60, nextOffset: 70, bytes: new Uint8Array(MAX_TAIL_CACHE_BYTES + 1) });
  expect(cache.holds(69)).toBe(false);
});

test("[LOG-7] it is trimmed to a little until it is read, and grows with the distance of the reads", () => {
  const chunk = new Uint8Array(MIN_TAIL_CACHE_BYTES / 4);
  const cache = new TailCache();
  let end = 0;
  const add = (count: number) => {
    for (let i = 0; i < count; i++) {
      cache.add({ baseOffset: end, nextOffset: end + 1, bytes: chunk });
      cache.trim();
      end++;
    }
  };
  add(100);
  expect([cache.maxBytes, cache.holds(end - 3), cache.holds(end - 4)]).toEqual([
    MIN_TAIL_CACHE_BYTES,
    true,
    false,
  ]);
  cache.noteRead(end - 1);
  add(1);
  expect(cache.maxBytes, "a read at the end").toBe(MIN_TAIL_CACHE_BYTES);
  cache.noteRead(end - 16); // A mebibyte, which is not here.
  expect(cache.maxBytes).toBe(8 * MIN_TAIL_CACHE_BYTES);
  add(31);
  expect(cache.holds(end - 31)).toBe(true);
  cache.noteRead(end - 60);
  expect(cache.maxBytes, "farther than it ever grows").toBe(MAX_TAIL_CACHE_BYTES);
  cache.noteRead(0);
  add(1_000);
  expect(cache.maxBytes, "nobody reads").toBe(MIN_TAIL_CACHE_BYTES);
  expect(cache.sizeInBytes).toBeLessThanOrEqual(MIN_TAIL_CACHE_BYTES);
});

test("[LOG-7] a chunk is there for those that wait for it, until it is trimmed", () => {
  const cache = new TailCache();
  cache.add({ baseOffset: 0, nextOffset: 10, bytes: new Uint8Array(2 * MIN_TAIL_CACHE_BYTES) });
  expect(cache.holds(0)).toBe(true);
  cache.trim();
  expect([cache.holds(0), cache.sizeInBytes]).toEqual([false, 0]);
});

test("[LOG-7] a replaced chunk is dropped, and its bytes no longer count", () => {
  const cache = filled(4);
  cache.dropBefore(20);
  expect([19, 20].map((offset) => cache.holds(offset))).toEqual([false, true]);
  for (const baseOffset of [40, 50])
    cache.add({ baseOffset, nextOffset: baseOffset + 10, bytes: QUARTER });
  expect(from(cache, 20)).toEqual([20, 30, 40, 50]);
  cache.add({ baseOffset: 60, nextOffset: 70, bytes: QUARTER });
  expect(cache.holds(29)).toBe(false);
  cache.dropBefore(100);
  expect(cache.holds(1_000)).toBe(false);
});
