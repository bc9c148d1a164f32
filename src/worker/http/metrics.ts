// The metrics, for Prometheus and compatible programs.
import { Hono, type MiddlewareHandler } from "hono";
import * as z from "zod";
import { MAX_TOPIC_NAME_LENGTH } from "../../core/limits.ts";
import { contentTypeOf, formatOf } from "../../core/metrics/exposition.ts";
import { brokerError } from "../../core/platform-errors.ts";
import { type Env, metricsStub } from "../../env.ts";
import { assertMayUseCluster } from "../edge/authorize.ts";
import { isolate } from "../edge/isolate.ts";
import { reportRequests } from "../edge/request-metrics.ts";
import { routeOf } from "./access.ts";
import { query } from "./parameters.ts";

export const metricsQuery = z.strictObject({
  partitions: z
    .enum(["true", "false"])
    .optional()
    .describe(
      "False leaves out the series of partitions; by default they are left out if there are too many",
    ),
  topic: z
    .string()
    .max(MAX_TOPIC_NAME_LENGTH)
    .optional()
    .describe("Only topics whose names begin with this"),
  fresh: z
    .enum(["true", "false"])
    .optional()
    .describe(
      "True first asks partitions and groups, which wakes them and requires ALTER on the cluster",
    ),
});

/** [RPT-2] Asks only the MetricsObject, so scraping wakes nothing else, unless an admin asks for that [RPT-5]. */
export const metrics = new Hono<{ Bindings: Env }>().get("/", async ({ env, req, body }) => {
  const { partitions, topic = "", fresh } = query(req.raw, metricsQuery);
  const format = formatOf(req.header("accept") ?? null);
  const object = metricsStub(env);
  if (fresh === "true") {
    assertMayUseCluster(env, "ALTER");
    await object.refresh({ topicPrefix: topic });
  }
  const { text } = await object.exposition({
    ...{ format, topicPrefix: topic },
    ...(partitions === undefined ? {} : { partitions: partitions === "true" }),
  });
  return body(text, 200, { "content-type": contentTypeOf(format), "cache-control": "no-store" });
});

/** The outcome of a request without a route. Its path is the client's, and appears in no metric. */
const NO_ROUTE = "no-route";
/** The status of a request that became a WebSocket. Its request lasts as long as the socket is open. */
const SWITCHED = 101;

/** Returns a name for a route: `get-topics-topic-records`. */
function nameOf({ method, path }: { method: string; path: string }): string {
  return `${method.toLowerCase()}${path.replace("/v1/", "/").replace(/[/:]+/g, "-")}`.replace(
    /-$/,
    "",
  );
}

/** [RPT-3] Counts each request by its route and outcome, and reports to the MetricsObject from time to time. */
export const counted: MiddlewareHandler<{ Bindings: Env }> = async (context, next) => {
  const startMs = Date.now();
  await next();
  const { env, error, res } = context;
  const route = routeOf(context);
  const api = route === null ? NO_ROUTE : nameOf(route);
  const outcome = error === undefined ? "NONE" : brokerError(error).code;
  const transport = res.status === SWITCHED ? "ws" : "http";
  isolate.requests.add(transport, api, outcome, Date.now() - startMs);
  reportRequests(env);
};
