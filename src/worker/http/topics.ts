// /v1/topics: create, list, describe, alter, delete.
import { Hono } from "hono";
import * as z from "zod";
import { configByKey } from "../../core/cluster/config.ts";
import type { Topic } from "../../core/cluster/topics.ts";
import { unwrap } from "../../core/errors.ts";
import { DEFAULT_PARTITIONS } from "../../core/limits.ts";
import type { Env } from "../../env.ts";
import { assertMayCreateTopic, assertMayUseTopic, seesTopic } from "../edge/authorize.ts";
import { newestMetadata } from "../edge/metadata.ts";
import { inside, outside } from "../edge/namespace.ts";
import type { Page } from "../edge/pages.ts";
import { alterTopic, createTopic, deleteTopic, listTopics, topicPage } from "../edge/topics.ts";
import { listAnswer } from "./answer.ts";
import { withJson } from "./in-progress.ts";
import { listQuery, query, topicParameter } from "./parameters.ts";

// Bounds on names, counts and config are in core/cluster, with Kafka's error for each.
export const configSchema = z
  .custom(
    (config) =>
      typeof config !== "object" || config === null || !Object.hasOwn(config, "__proto__"),
    {
      // The record below would silently drop it.
      error: "must not have a key __proto__",
    },
  )
  .pipe(
    z.record(
      z.string(),
      z.union([z.string(), z.number(), z.null()], "must be a number, a string or null"),
    ),
  );
export const createTopicSchema = z.strictObject({
  name: z.string(),
  partitions: z
    .number()
    .optional()
    .describe(`The number of partitions, ${DEFAULT_PARTITIONS} by default`),
  config: configSchema.optional().describe("Values by Kafka's config keys"),
});
export const alterTopicSchema = z.strictObject({
  partitions: z.number().optional().describe("The new number of partitions, which may only grow"),
  config: configSchema.optional().describe("Values by Kafka's config keys; null removes a value"),
});

/** The memory for a topic, including its whole config. */
const TOPIC_BYTES = 2_048;

export const topics = new Hono<{ Bindings: Env }>()
  .post("/", (context) =>
    withJson(context.req.raw, createTopicSchema, async (body) => {
      const { partitions = DEFAULT_PARTITIONS, config: overrides = {} } = body;
      const name = inside(context.env, body.name);
      assertMayCreateTopic(context.env, name);
      const { topic } = unwrap(await createTopic(context.env, { name, partitions, overrides }));
      return context.json(topicJson(context.env, topic), 201);
    }),
  )
  .get("/", async (context) => {
    const { env } = context;
    const { after, limit } = query(context.req.raw, listQuery);
    const { items, next } =
      limit === undefined ? await everyTopic(env) : await topicPage(env, inside(env, after), limit);
    return listAnswer({
      field: "topics",
      items,
      toJson: (topic) => topicJson(env, topic),
      heldBytes: TOPIC_BYTES * items.length,
      rest: next === null ? {} : { next: outside(env, next) },
    });
  })
  .get("/:topic", async (context) => {
    const topic = await newestMetadata(
      context.env,
      topicParameter(context.env, context.req.param("topic")),
    );
    return context.json(topicJson(context.env, topic));
  })
  .patch("/:topic", (context) => {
    const name = topicParameter(context.env, context.req.param("topic"));
    return withJson(context.req.raw, alterTopicSchema, async (body) => {
      if (body.config !== undefined) assertMayUseTopic(context.env, "ALTER_CONFIGS", name);
      if (body.partitions !== undefined || body.config === undefined)
        assertMayUseTopic(context.env, "ALTER", name);
      const topic = await alterTopic(context.env, { name, ...body });
      return context.json(topicJson(context.env, topic));
    });
  })
  .delete("/:topic", async (context) => {
    await deleteTopic(context.env, topicParameter(context.env, context.req.param("topic")));
    return context.body(null, 204);
  });

async function everyTopic(env: Env): Promise<Page<Topic>> {
  const all = await listTopics(env);
  return { items: all.filter(({ name }) => seesTopic(env, name)), next: null };
}

/** Returns a topic as clients see it. */
export function topicJson(env: Env, topic: Topic) {
  return {
    name: outside(env, topic.name),
    topicId: topic.topicId,
    partitions: topic.partitions,
    config: configByKey(topic.config),
    overrides: topic.overrides,
  };
}
