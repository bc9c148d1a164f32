// Long lists come from the server in pages of a hundred rows, by name. A filter is a prefix of the names.
export const PAGE_ROWS = 100;

/** The query for a page. Names with the prefix are consecutive, and start after `after`. */
export function listQuery(prefix: string, after: string): string {
  const from = after === "" ? beforePrefix(prefix) : after;
  const query = new URLSearchParams({ limit: String(PAGE_ROWS) });
  if (from !== "") query.set("after", from);
  return query.toString();
}

/**
 * Returns a text that comes after every name before the prefix, and before every name with it. The last
 * character is replaced by the one before it, and the largest character follows.
 */
export function beforePrefix(prefix: string): string {
  const chars = [...prefix];
  const last = chars.pop()?.codePointAt(0) ?? 0;
  if (last === 0) return "";
  // Half a surrogate pair is not a character.
  const below = last === 0xe000 ? 0xd7ff : last - 1;
  return `${chars.join("")}${String.fromCodePoint(below)}\u{10ffff}`;
}

/** Returns the part of a page that has the prefix, and the start of the next page, if that may have some too. */
export function withPrefix<Item>(
  items: readonly Item[],
  next: string | undefined,
  prefix: string,
  nameOf: (item: Item) => string,
): { items: readonly Item[]; next: string | undefined } {
  const fitting = items.filter((item) => nameOf(item).startsWith(prefix));
  return { items: fitting, next: next?.startsWith(prefix) ? next : undefined };
}
