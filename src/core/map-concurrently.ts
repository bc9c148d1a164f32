/** Maps items in order, at most `limit` at a time. Rejects on the first failure, and starts nothing after it. */
export async function mapConcurrently<Item, Out>(
  items: readonly Item[],
  limit: number,
  map: (item: Item) => Promise<Out>,
): Promise<Out[]> {
  const results = new Array<Out>(items.length);
  let next = 0;
  let hasFailed = false;
  const worker = async () => {
    while (next < items.length && !hasFailed) {
      const index = next++;
      try {
        results[index] = await map(items[index] as Item);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}
