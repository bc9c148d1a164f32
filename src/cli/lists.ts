// Lists of any length. They are fetched in pages, so the broker never holds a long list for the command line.
import { jsonBody } from "../admin/http.ts";
import type { TopicInfo } from "../sdk/index.ts";
import { listed } from "./answer.ts";
import type { GlobalOptions } from "./context.ts";
import { httpOf } from "./http.ts";

/** The longest page that the broker returns [CLU-6]. */
const PAGE = 1_000;
const DELETED_TOPICS = "/v1/deleted-topics";

export function listTopics(global: GlobalOptions): Promise<TopicInfo[]> {
  return everyPage<"topics", TopicInfo>(global, "/v1/topics", "topics");
}

export function listGroups(global: GlobalOptions): Promise<{ readonly groupId: string }[]> {
  return everyPage<"groups", { readonly groupId: string }>(global, "/v1/groups", "groups");
}

/** A deleted topic that is kept [DEL-1]. */
export interface DeletedTopicInfo {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: number;
  readonly deletedAt: string;
  readonly purgeAt: string;
}

export function listDeletedTopics(global: GlobalOptions): Promise<DeletedTopicInfo[]> {
  return everyPage<"topics", DeletedTopicInfo>(global, DELETED_TOPICS, "topics");
}

/** Brings a deleted topic back. @throws UNKNOWN_TOPIC_OR_PARTITION, TOPIC_ALREADY_EXISTS, INVALID_REQUEST */
export function undeleteTopic(
  global: GlobalOptions,
  name: string,
  topicId: string | undefined,
): Promise<TopicInfo> {
  const path = `${DELETED_TOPICS}/${encodeURIComponent(name)}/undelete`;
  return httpOf(global).request("POST", path, jsonBody(topicId === undefined ? {} : { topicId }));
}

/** Frees deleted topics of a name, or the one with the id. @throws UNKNOWN_TOPIC_OR_PARTITION */
export function purgeTopic(
  global: GlobalOptions,
  name: string,
  topicId: string | undefined,
): Promise<void> {
  const query = topicId === undefined ? "" : `?topicId=${encodeURIComponent(topicId)}`;
  const path = `${DELETED_TOPICS}/${encodeURIComponent(name)}${query}`;
  return httpOf(global).request("DELETE", path);
}

async function everyPage<Field extends string, Item>(
  global: GlobalOptions,
  path: string,
  field: Field,
): Promise<Item[]> {
  const http = httpOf(global);
  const all: Item[] = [];
  for (let after: string | undefined = ""; after !== undefined; ) {
    const query = `limit=${PAGE}&after=${encodeURIComponent(after)}`;
    const page: { readonly [key in Field]: Item[] } & { readonly next?: string } =
      await http.request("GET", `${path}?${query}`);
    for (const item of listed<Item>(page[field], field)) all.push(item);
    after = page.next;
  }
  return all;
}
