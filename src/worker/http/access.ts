// Every route and the right that it requires, which is checked before the route runs. A right that depends on
// the body, or on what the route finds, is checked there; such routes have `caller` here.
import type { Context, MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import type { Caller } from "../../core/access/caller.ts";
import type { Operation } from "../../core/access/operations.ts";
import { BrokerError } from "../../core/errors.ts";
import { type Env, withCaller } from "../../env.ts";
import { callerOf } from "../access/authenticate.ts";
import { assertFromThisMachine, isOpen } from "../access/mode.ts";
import { noteWrongCredential } from "../edge/audit.ts";
import { assertMayUseCluster, assertMayUseGroup, assertMayUseTopic } from "../edge/authorize.ts";
import { assertWithinQuota, countUse } from "../edge/quotas.ts";
import { credentialOf } from "./credential.ts";
import { groupParameter, topicParameter } from "./parameters.ts";

/** The right that a route requires: none, any known caller, or an operation on the topic or group of the path. */
export type Need =
  | "nothing"
  | "caller"
  | { readonly topic: Operation }
  | { readonly group: Operation }
  | { readonly cluster: Operation };

const TOPIC = "/v1/topics/:topic";
const PARTITION = `${TOPIC}/partitions/:partition`;
const GROUP = "/v1/groups/:group";
const SHARE_GROUP = "/v1/share-groups/:group";

/** A route that is not listed here is refused. A test compares the table with the routes. */
export const NEEDS: Readonly<Record<string, Need>> = {
  "GET /": "nothing",
  "GET /health": "nothing",
  "GET /metrics": { cluster: "DESCRIBE" },
  "GET /openapi.json": "nothing",
  "GET /v1/me": "caller",
  "GET /v1/keys": { cluster: "DESCRIBE" },
  "POST /v1/keys": { cluster: "ALTER" },
  "PATCH /v1/keys/:id": { cluster: "ALTER" },
  "DELETE /v1/keys/:id": { cluster: "ALTER" },
  "GET /v1/audit": { cluster: "DESCRIBE" },
  "GET /v1/costs": { cluster: "DESCRIBE" },
  "GET /v1/group-lags": "caller", // The list has what the caller may describe.
  "GET /v1/alerts": { cluster: "DESCRIBE" },
  "PUT /v1/alerts/:alert": { cluster: "ALTER" },
  "POST /v1/alerts/:alert/test": { cluster: "ALTER" },
  "DELETE /v1/alerts/:alert": { cluster: "ALTER" },
  "GET /v1/doctor/topics": { cluster: "DESCRIBE" },
  "GET /v1/doctor/tasks": { cluster: "DESCRIBE" },
  "POST /v1/doctor/groups": { cluster: "ALTER" },
  "POST /v1/doctor/orphans": { cluster: "ALTER" },
  "POST /v1/recovery": { cluster: "ALTER" },
  "POST /v1/tokens": "caller", // The token has at most the rights of the caller.
  "GET /v1/configs": { cluster: "DESCRIBE_CONFIGS" },
  "PATCH /v1/configs": { cluster: "ALTER_CONFIGS" },
  "GET /v1/topics": "caller", // The list has what the caller may describe.
  "POST /v1/topics": "caller", // The name is in the body.
  [`GET ${TOPIC}`]: { topic: "DESCRIBE" },
  [`PATCH ${TOPIC}`]: "caller", // ALTER for partitions, ALTER_CONFIGS for the config.
  [`DELETE ${TOPIC}`]: { topic: "DELETE" },
  "GET /v1/deleted-topics": "caller", // The list has what the caller may describe.
  "POST /v1/deleted-topics/:topic/undelete": { topic: "DELETE" },
  "DELETE /v1/deleted-topics/:topic": { topic: "DELETE" },
  [`POST ${TOPIC}/records`]: { topic: "WRITE" },
  [`GET ${TOPIC}/stream`]: { topic: "READ" },
  [`GET ${PARTITION}/records`]: { topic: "READ" },
  [`DELETE ${PARTITION}/records`]: { topic: "DELETE" },
  [`GET ${PARTITION}/state`]: { topic: "DESCRIBE" },
  [`GET ${PARTITION}/offsets`]: { topic: "DESCRIBE" },
  [`GET ${PARTITION}/batches`]: { topic: "READ" },
  [`POST ${PARTITION}/batches`]: { topic: "WRITE" },
  [`GET ${PARTITION}/socket`]: { topic: "DESCRIBE" }, // The partition judges each message.
  "POST /v1/producers": "caller", // It requires WRITE on any topic.
  "GET /v1/groups": "caller", // The list has what the caller may describe.
  [`GET ${GROUP}`]: { group: "DESCRIBE" },
  [`DELETE ${GROUP}`]: { group: "DELETE" },
  [`GET ${GROUP}/lag`]: { group: "DESCRIBE" },
  [`GET ${GROUP}/config`]: { group: "DESCRIBE_CONFIGS" },
  [`PATCH ${GROUP}`]: { group: "ALTER_CONFIGS" },
  [`GET ${GROUP}/history`]: { group: "DESCRIBE" },
  [`GET ${GROUP}/offsets`]: { group: "DESCRIBE" }, // Topics that the caller may not describe are left out.
  [`POST ${GROUP}/offsets`]: { group: "READ" }, // And READ on the topics.
  [`DELETE ${GROUP}/offsets`]: { group: "DELETE" }, // And READ on the topics.
  [`GET ${SHARE_GROUP}`]: { group: "DESCRIBE" }, // Topics that the caller may not describe are left out.
  [`POST ${SHARE_GROUP}/acquire`]: { group: "READ" }, // The topics are in the body.
  [`POST ${SHARE_GROUP}/acknowledge`]: { group: "READ" }, // The topics are in the leases.
  [`POST ${SHARE_GROUP}/redrive`]: { group: "READ" }, // It also takes READ there, and WRITE where they came from.
  [`POST ${GROUP}/poll`]: { group: "READ" }, // The group judges the topics.
  [`GET ${GROUP}/consume`]: { group: "READ" },
  [`GET ${GROUP}/socket`]: { group: "READ" },
  [`GET ${GROUP}/events`]: { group: "DESCRIBE" },
  "GET /kafka": "nothing", // Its own protocol authenticates.
};

type App = { Bindings: Env };

/** [MODE-1] An open broker answers only this machine. */
export const fromThisMachine: MiddlewareHandler<App> = async ({ env, req }, next) => {
  if (env.caller === undefined && isOpen(env)) assertFromThisMachine(env, req.raw);
  await next();
};

/** [ACL-5] Authenticates the caller and checks its right. Calls from inside already have a caller. */
export const authorized: MiddlewareHandler<App> = async (context, next) => {
  const route = routeOf(context);
  if (route === null) return await next(); // There is no such route, and that is not secret.
  const need = NEEDS[`${route.method} ${route.path}`];
  if (need === "nothing") return await next();
  if (context.env.caller === undefined) {
    context.env = withCaller(context.env, await whoCalls(context.env, context.req.raw));
  }
  if (need === undefined)
    throw new BrokerError("CLUSTER_AUTHORIZATION_FAILED", "nobody may call this");
  assertWithinQuota(context.env, "requestRate");
  countUse(context.env, "requestRate", 1);
  assertMeets(context.env, need, parametersOf(route.path, context.req.path));
  await next();
};

/** [AUD-4] Returns the caller. A wrong credential is reported to the operator, a missing one is not. */
export async function whoCalls(env: Env, request: Request): Promise<Caller> {
  let isShown = true;
  try {
    const credential = credentialOf(request);
    isShown = credential.type !== "none";
    return await callerOf(env, credential);
  } catch (error) {
    if (isShown && error instanceof BrokerError && error.code === "SASL_AUTHENTICATION_FAILED")
      noteWrongCredential(env, error.message);
    throw error;
  }
}

interface Route {
  readonly method: string;
  readonly path: string;
}

/** Returns the route that will answer, or null if there is none. Middleware matches too. */
export function routeOf(context: Context<App>): Route | null {
  const route = matchedRoutes(context).findLast(({ method }) => method !== "ALL");
  return route ?? null;
}

function assertMeets(env: Env, need: Need, parameters: Readonly<Record<string, string>>): void {
  if (typeof need === "string") return;
  const { topic = "", group = "" } = parameters;
  if ("topic" in need) assertMayUseTopic(env, need.topic, topicParameter(env, topic));
  else if ("group" in need) assertMayUseGroup(env, need.group, groupParameter(env, group));
  else assertMayUseCluster(env, need.cluster);
}

/** Returns the parameters of a path, as the route will see them. */
function parametersOf(pattern: string, path: string): Record<string, string> {
  const values = path.split("/");
  return Object.fromEntries(
    pattern
      .split("/")
      .flatMap((part, i) =>
        part.startsWith(":") ? [[part.slice(1), decodeURIComponent(values[i] ?? "")]] : [],
      ),
  );
}
