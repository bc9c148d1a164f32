// Lists of the cluster, page by page. It has up to 10,000 topics and 100,000 groups. It returns a bounded
// number of them at a time, so that a list does not block other callers.
import { MAX_LIST_PAGE } from "../../core/limits.ts";

/** Asks for up to `limit` items after one, in order. A shorter answer is the last one. */
export type AskPage<Item> = (after: string, limit: number) => Promise<readonly Item[]>;

export interface Page<Item> {
  readonly items: readonly Item[];
  /** The item after which the next page starts. Null if this page is the last. */
  readonly next: string | null;
}

/** Returns all items. */
export async function everyItem<Item>(
  ask: AskPage<Item>,
  nameOf: (item: Item) => string,
): Promise<Item[]> {
  const all: Item[] = [];
  for (let after = ""; ; ) {
    const items = await ask(after, MAX_LIST_PAGE);
    for (const item of items) all.push(item);
    const last = items.at(-1);
    if (last === undefined || items.length < MAX_LIST_PAGE) return all;
    after = nameOf(last);
  }
}

/**
 * [CLU-6] Returns up to `limit` of the items that the caller may see, in order, after one. All items that it
 * may see begin with `prefix`. Nothing after those is searched, because that would take as long as others have
 * items [CLU-7].
 */
export async function pageOf<Item>(
  ask: AskPage<Item>,
  nameOf: (item: Item) => string,
  sees: (item: Item) => boolean,
  after: string,
  limit: number,
  prefix = "",
): Promise<Page<Item>> {
  const items: Item[] = [];
  // One item more shows if others follow. For a caller that sees little of the list, larger parts are searched.
  let size = Math.min(limit + 1, MAX_LIST_PAGE);
  for (let from = after; ; size = Math.min(2 * size, MAX_LIST_PAGE)) {
    const found = await ask(from, size);
    for (const item of found) {
      if (!sees(item)) continue;
      if (items.length === limit) return { items, next: nameOf(items.at(-1) as Item) };
      items.push(item);
    }
    const last = found.at(-1);
    const isLast = last === undefined || found.length < size;
    if (isLast || !nameOf(last).startsWith(prefix)) return { items, next: null };
    from = nameOf(last);
  }
}
