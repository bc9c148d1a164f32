// Starred topics and groups.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  favorites,
  favoritesIn,
  favoritesOf,
  isFavorite,
  MAX_FAVORITES,
  toggleFavorite,
} from "../../../src/console/favorites.ts";

const KEPT = "rivulet.favorites";

beforeEach(() => {
  favorites.value = [];
});
afterEach(() => vi.unstubAllGlobals());

test("[CON-18] are kept by name, and forgotten", () => {
  const kept = new Map<string, string>();
  vi.stubGlobal("localStorage", { setItem: (key: string, text: string) => kept.set(key, text) });
  toggleFavorite("topic", "orders");
  toggleFavorite("group", "orders");
  expect(favoritesIn(JSON.parse(kept.get(KEPT) ?? ""))).toEqual([
    { kind: "topic", name: "orders" },
    { kind: "group", name: "orders" },
  ]);
  toggleFavorite("topic", "orders");
  expect(isFavorite("topic", "orders")).toBe(false);
  expect(isFavorite("group", "orders")).toBe(true);
  expect(kept.get(KEPT)).toBe('[{"kind":"group","name":"orders"}]');
});

test("[CON-18] come by name, and can be narrowed to a prefix", () => {
  for (const name of ["b", "ab", "aa"]) toggleFavorite("topic", name);
  toggleFavorite("group", "a");
  expect(favoritesOf("topic")).toEqual(["aa", "ab", "b"]);
  expect(favoritesOf("topic", "a")).toEqual(["aa", "ab"]);
});

test("[CON-18] are a hundred at most", () => {
  for (let i = 0; i < MAX_FAVORITES + 2; i++) toggleFavorite("topic", `t${i}`);
  expect(favorites.value).toHaveLength(MAX_FAVORITES);
  expect(isFavorite("topic", "t1")).toBe(false);
  expect(isFavorite("topic", `t${MAX_FAVORITES + 1}`)).toBe(true);
});

test("[CON-18] last if the browser keeps nothing", () => {
  vi.stubGlobal("localStorage", {
    setItem: () => {
      throw new Error("SecurityError");
    },
  });
  toggleFavorite("topic", "orders");
  expect(isFavorite("topic", "orders")).toBe(true);
});

describe("what was kept", () => {
  test.each([
    [null],
    ["text"],
    [{ topics: [] }],
    [[null, 1, "x", { kind: "topic" }, { kind: "key", name: "x" }, { kind: "group", name: 1 }]],
  ])("[CON-18] is left out if it is invalid: %j", (value) => {
    expect(favoritesIn(value)).toEqual([]);
  });

  test("[CON-18] is names and nothing else", () => {
    const one = { kind: "topic", name: "t", more: "x" };
    expect(favoritesIn([one])).toEqual([{ kind: "topic", name: "t" }]);
    expect(favoritesIn(Array.from({ length: 500 }, () => one))).toHaveLength(MAX_FAVORITES);
  });
});
