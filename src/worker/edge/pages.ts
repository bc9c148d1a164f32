// Lists of the cluster, page by page. It has up to 10,000 topics and 100,000 groups, and answers for a bounded number of
// them at a time, so that a list holds up nobody who comes meanwhile.
import { MAX_LIST_PAGE } from "../../core/limits.ts";

/** Asks for up to `limit` items after one, in order. Fewer are the last. */
export type AskPage<Item> = (after: string, limit: number) => Promise<readonly Item[]>;

export interface Page<Item> {
  readonly items: readonly Item[];
  /** The item after which the next page begins. Null if there is none. */
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
 * [CLU-6] Returns up to `limit` of the items that the caller sees, in order, after one. `prefix` is how all begin that it may
 * see. What comes behind those is not looked through, because it is as much as the others have [CLU-7].
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
  // One more tells whether others follow. Whoever sees little of the list has larger parts of it looked through.
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
