// Lists of any length, fetched a page at a time, so that the broker never has a long list in hand for the command line.
import { type Fetch, HttpClient } from "../admin/http.ts";
import type { TopicInfo } from "../sdk/index.ts";
import { tokenFetch } from "../sdk/token.ts";
import type { GlobalOptions } from "./context.ts";

/** The most that the broker answers at once [CLU-6]. */
const PAGE = 1_000;

export function listTopics(global: GlobalOptions): Promise<TopicInfo[]> {
  return everyPage<"topics", TopicInfo>(global, "/v1/topics", "topics");
}

export function listGroups(global: GlobalOptions): Promise<{ readonly groupId: string }[]> {
  return everyPage<"groups", { readonly groupId: string }>(global, "/v1/groups", "groups");
}

async function everyPage<Field extends string, Item>(
  { url, token }: GlobalOptions,
  path: string,
  field: Field,
): Promise<Item[]> {
  const plain: Fetch = (to, init) => fetch(to, init as RequestInit);
  const http = new HttpClient(url, token === undefined ? plain : tokenFetch(plain, token));
  const all: Item[] = [];
  for (let after: string | undefined = ""; after !== undefined; ) {
    const query = `limit=${PAGE}&after=${encodeURIComponent(after)}`;
    const page: { readonly [key in Field]: Item[] } & { readonly next?: string } =
      await http.request("GET", `${path}?${query}`);
    for (const item of page[field]) all.push(item);
    after = page.next;
  }
  return all;
}
