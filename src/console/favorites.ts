// The topics and groups that the user wants to find first. The browser stores their names, and nothing else.
import { signal } from "@preact/signals";

export type Kind = "topic" | "group";

export interface Favorite {
  readonly kind: Kind;
  readonly name: string;
}

const KEPT = "rivulet.favorites";
export const MAX_FAVORITES = 100;

export const favorites = signal<readonly Favorite[]>(kept());

export function isFavorite(kind: Kind, name: string): boolean {
  return favorites.value.some((each) => each.kind === kind && each.name === name);
}

/** Adds a name, or removes it again. If there is no room, the oldest one goes. */
export function toggleFavorite(kind: Kind, name: string): void {
  const others = favorites.value.filter((each) => each.kind !== kind || each.name !== name);
  favorites.value = isFavorite(kind, name)
    ? others
    : [...others, { kind, name }].slice(-MAX_FAVORITES);
  try {
    localStorage.setItem(KEPT, JSON.stringify(favorites.value));
  } catch {
    // They are kept until the page is left.
  }
}

/** Returns the names of a kind with this prefix, by name. */
export function favoritesOf(kind: Kind, prefix = ""): string[] {
  return favorites.value
    .filter((each) => each.kind === kind && each.name.startsWith(prefix))
    .map(({ name }) => name)
    .sort();
}

function kept(): Favorite[] {
  try {
    return favoritesIn(JSON.parse(localStorage.getItem(KEPT) ?? "[]"));
  } catch {
    return []; // The browser stores nothing for this page, or something else.
  }
}

/** Returns the favorites in the browser's stored value. Anything else in it is left out. */
export function favoritesIn(value: unknown): Favorite[] {
  if (!Array.isArray(value)) return [];
  return value
    .filter(
      (each): each is Favorite =>
        (each?.kind === "topic" || each?.kind === "group") && typeof each.name === "string",
    )
    .map(({ kind, name }) => ({ kind, name }))
    .slice(-MAX_FAVORITES);
}
