// /v1/topics: create, list, describe, alter, delete.
import { Hono } from "hono";
import * as z from "zod";
import { configByKey } from "../core/cluster/config.ts";
import type { Topic } from "../core/cluster/topics.ts";
import { unwrap } from "../core/errors.ts";
import { DEFAULT_PARTITIONS } from "../core/limits.ts";
import { forget, remember } from "../edge/metadata.ts";
import { clusterStub, type Env } from "../env.ts";
import { parse, parseJson } from "../protocol/parse.ts";
import { readText } from "./body.ts";
import { topicParameter } from "./parameters.ts";

// Bounds on names, counts and config live in core/cluster, with Kafka's error for each.
export const configSchema = z
  .custom(
    (config) =>
      typeof config !== "object" || config === null || !Object.hasOwn(config, "__proto__"),
    {
      // The record below would leave it out in silence.
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
  partitions: z.number().optional(),
  config: configSchema.optional(),
});
export const alterTopicSchema = z.strictObject({
  partitions: z.number().optional(),
  config: configSchema.optional(),
});

export const topics = new Hono<{ Bindings: Env }>()
  .post("/", async (context) => {
    const body = parse(createTopicSchema, parseJson(await readText(context.req.raw), "the body"));
    const result = await clusterStub(context.env).createTopic(
      body.name,
      body.partitions ?? DEFAULT_PARTITIONS,
      body.config ?? {},
    );
    const { topic } = unwrap(result);
    remember(topic);
    return context.json(topicJson(topic), 201);
  })
  .get("/", async (context) => {
    const all = await clusterStub(context.env).topics();
    return context.json({ topics: all.map(topicJson) });
  })
  .get("/:topic", async (context) => {
    const { topic } = unwrap(
      await clusterStub(context.env).topic(topicParameter(context.req.param("topic"))),
    );
    remember(topic);
    return context.json(topicJson(topic));
  })
  .patch("/:topic", async (context) => {
    const name = topicParameter(context.req.param("topic"));
    const body = parse(alterTopicSchema, parseJson(await readText(context.req.raw), "the body"));
    const { topic } = unwrap(await clusterStub(context.env).alterTopic(name, body));
    remember(topic);
    return context.json(topicJson(topic));
  })
  .delete("/:topic", async (context) => {
    const name = topicParameter(context.req.param("topic"));
    forget(name);
    unwrap(await clusterStub(context.env).deleteTopic(name));
    return context.body(null, 204);
  });

function topicJson(topic: Topic) {
  return {
    name: topic.name,
    topicId: topic.topicId,
    partitions: topic.partitions,
    config: configByKey(topic.config),
    overrides: topic.overrides,
  };
}
