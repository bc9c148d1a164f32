// /v1/deleted-topics: the deleted topics that are kept for a while [DEL-1]: list, restore, free.
import { Hono } from "hono";
import * as z from "zod";
import type { DeletedTopic } from "../../calls/cluster-calls.ts";
import { resolveTopic } from "../../core/cluster/topics.ts";
import { DEFAULT_LIST_PAGE, MAX_LIST_PAGE } from "../../core/limits.ts";
import type { Env } from "../../env.ts";
import { queryInteger } from "../../protocol/parse.ts";
import { inside, outside } from "../edge/namespace.ts";
import { deletedTopicPage, purgeTopic, undeleteTopic } from "../edge/topics.ts";
import { listAnswer } from "./answer.ts";
import { withJson } from "./in-progress.ts";
import { query, topicParameter } from "./parameters.ts";
import { topicJson } from "./topics.ts";

const topicId = z.string().regex(/^[\w-]{1,64}$/, "must be the id of a topic");

export const deletedTopicsQuery = z.strictObject({
  after: z.string().max(400).default("").describe("The `next` of the previous page"),
  limit: queryInteger(1, MAX_LIST_PAGE)
    .default(DEFAULT_LIST_PAGE)
    .describe(`The length of a page, ${DEFAULT_LIST_PAGE} by default`),
});
const whichTopic = topicId
  .optional()
  .describe("The id, needed if several deleted topics have the name");
export const undeleteSchema = z.strictObject({ topicId: whichTopic });
export const purgeQuery = z.strictObject({
  topicId: topicId.optional().describe("The id, to free only that topic"),
});

export const deletedTopics = new Hono<{ Bindings: Env }>()
  .get("/", async (context) => {
    const { env } = context;
    const { after, limit } = query(context.req.raw, deletedTopicsQuery);
    const { items, next } = await deletedTopicPage(env, inside(env, after), limit);
    return listAnswer({
      field: "topics",
      items,
      toJson: (kept) => deletedJson(env, kept),
      rest: next === null ? {} : { next: outside(env, next) },
    });
  })
  .post("/:topic/undelete", (context) => {
    const name = topicParameter(context.env, context.req.param("topic"));
    return withJson(context.req.raw, undeleteSchema, async (body) => {
      const topic = await undeleteTopic(context.env, name, body.topicId);
      return context.json(topicJson(context.env, topic));
    });
  })
  .delete("/:topic", async (context) => {
    const name = topicParameter(context.env, context.req.param("topic"));
    await purgeTopic(context.env, name, query(context.req.raw, purgeQuery).topicId);
    return context.body(null, 204);
  });

function deletedJson(env: Env, { topic, deletedAtMs, purgeAtMs }: DeletedTopic) {
  const { name, topicId, partitions } = resolveTopic(topic);
  const deletedAt = new Date(deletedAtMs).toISOString();
  const purgeAt = new Date(purgeAtMs).toISOString();
  return { name: outside(env, name), topicId, partitions, deletedAt, purgeAt };
}
