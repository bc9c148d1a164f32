// /v1/configs: the config of topics that do not set a key themselves.
import { Hono } from "hono";
import * as z from "zod";
import { type ConfigOverrides, configByKey, type TopicConfig } from "../../core/cluster/config.ts";
import { clusterStub, type Env } from "../../env.ts";
import { alterDefaults } from "../edge/topics.ts";
import { withJson } from "./in-progress.ts";
import { configSchema } from "./topics.ts";

export const alterConfigsSchema = z.strictObject({ config: configSchema });

export const configs = new Hono<{ Bindings: Env }>()
  .get("/", async (context) => context.json(configJson(await clusterStub(context.env).defaults())))
  .patch("/", (context) =>
    withJson(context.req.raw, alterConfigsSchema, async (body) =>
      context.json(configJson(await alterDefaults(context.env, body.config))),
    ),
  );

function configJson({ config, overrides }: { config: TopicConfig; overrides: ConfigOverrides }) {
  return { config: configByKey(config), overrides };
}
