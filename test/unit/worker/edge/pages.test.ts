// [CLU-6] Lists of the cluster, page by page, without items that the caller may not see.
import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_LIST_PAGE } from "../../../../src/core/limits.ts";
import { everyItem, pageOf } from "../../../../src/worker/edge/pages.ts";
import { runs } from "../../../support/effort.ts";

const itself = (name: string) => name;
const numbered = (count: number) =>
  Array.from({ length: count }, (_, i) => `t${String(i).padStart(6, "0")}`);

/**
 * A cluster with these names, in order. `asked` notes the `after` of each request, and the number of items returned.
 */
function cluster(names: readonly string[]) {
  const asked: string[] = [];
  let most = 0;
  const ask = async (after: string, limit: number) => {
    asked.push(after);
    const told = names.filter((name) => name > after).slice(0, limit);
    most = Math.max(most, told.length);
    return told;
  };
  return { ask, asked, most: () => most };
}

test.each([0, 1, MAX_LIST_PAGE - 1, MAX_LIST_PAGE, MAX_LIST_PAGE + 1, 3 * MAX_LIST_PAGE])(
  "[CLU-6] a list of %i is returned whole, by a bounded number at a time",
  async (count) => {
    const all = numbered(count);
    const { ask, asked, most } = cluster(all);
    expect(await everyItem(ask, itself)).toEqual(all);
    expect(most()).toBeLessThanOrEqual(MAX_LIST_PAGE);
    expect(asked).toHaveLength(Math.floor(count / MAX_LIST_PAGE) + 1);
  },
);

test("[CLU-6] the pages of a list hold each item that the caller may see once, and no other", async () => {
  const name = fc.stringMatching(/^[a-c._-]{1,4}$/);
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(name, { maxLength: 40 }),
      fc.func(fc.boolean()),
      fc.integer({ min: 1, max: 45 }),
      async (names, sees, limit) => {
        const all = [...names].sort();
        const { ask } = cluster(all);
        const found: string[] = [];
        for (let after: string | null = ""; after !== null; ) {
          const page: { items: readonly string[]; next: string | null } = await pageOf(
            ask,
            itself,
            sees,
            after,
            limit,
          );
          expect(page.items.length).toBeLessThanOrEqual(limit);
          if (page.next !== null) {
            expect(page.items).toHaveLength(limit);
            expect(page.next).toBe(page.items.at(-1));
          }
          found.push(...page.items);
          after = page.next;
        }
        expect(found).toEqual(all.filter((each) => sees(each)));
      },
    ),
    runs(200),
  );
});

test("[CLU-6] the last page says that no other follows, even if invisible items follow", async () => {
  const all = numbered(2 * MAX_LIST_PAGE + 5);
  const own = new Set([all[3], all[MAX_LIST_PAGE + 7]]);
  const { ask } = cluster(all);
  const sees = (name: string) => own.has(name);
  expect(await pageOf(ask, itself, sees, "", 1)).toEqual({ items: [all[3]], next: all[3] });
  expect(await pageOf(ask, itself, sees, all[3] as string, 1)).toEqual({
    items: [all[MAX_LIST_PAGE + 7]],
    next: null,
  });
  expect(await pageOf(ask, itself, sees, "u", 1)).toEqual({ items: [], next: null });
});

test("[CLU-7] nobody looks beyond the names that the caller may see", async () => {
  const others = numbered(5 * MAX_LIST_PAGE);
  const own = ["a.1", "a.2", "a.3"];
  const { ask, asked } = cluster([...own, ...others]);
  const sees = (name: string) => name.startsWith("a.");
  expect(await pageOf(ask, itself, sees, "a.", 2, "a.")).toEqual({
    items: ["a.1", "a.2"],
    next: "a.2",
  });
  expect(await pageOf(ask, itself, sees, "a.2", 2, "a.")).toEqual({ items: ["a.3"], next: null });
  expect(asked).toHaveLength(2);
});
