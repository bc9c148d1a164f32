// The HTTP API. There is one file per resource, and every error is a problem+json.
import { Hono, type MiddlewareHandler } from "hono";
import { BrokerError, preview } from "../../core/errors.ts";
import { type Env, withFrom, withRegion } from "../../env.ts";
import { REQUEST_ID_HEADER } from "../../log.ts";
import {
  ALERTS_PATH,
  AUDIT_PATH,
  CONFIGS_PATH,
  COSTS_PATH,
  DOCTOR_PATH,
  GROUP_LAGS_PATH,
  GROUPS_PATH,
  KEYS_PATH,
  ME_PATH,
  PRODUCERS_PATH,
  RECOVERY_PATH,
  SHARE_GROUPS_PATH,
  TOKENS_PATH,
  TOPICS_PATH,
} from "../../protocol/paths.ts";
import { failingObjects } from "../../storage-health.ts";
import { fromOf } from "../edge/audit.ts";
import { noticeClock } from "../edge/clock.ts";
import { outsideError } from "../edge/namespace.ts";
import { authorized, fromThisMachine } from "./access.ts";
import { alerts } from "./alerts.ts";
import { audit } from "./audit.ts";
import { batches, producers } from "./batches.ts";
import { SlowBodyError } from "./body.ts";
import { configs } from "./configs.ts";
import { consoleFiles } from "./console.ts";
import { costs } from "./costs.ts";
import { compressed, crossOrigin } from "./cross-origin.ts";
import { deletedTopics } from "./deleted-topics.ts";
import { docsFiles } from "./docs.ts";
import { doctor, partitionStates } from "./doctor.ts";
import { groupLags } from "./group-lags.ts";
import { groups } from "./groups.ts";
import { keysOnlyForRecords } from "./idempotency-key.ts";
import { kafka } from "./kafka.ts";
import { keys, me, tokens } from "./keys.ts";
import { noRoute } from "./methods.ts";
import { counted, metrics } from "./metrics.ts";
import { openapi } from "./openapi.ts";
import { polls } from "./poll.ts";
import { problemResponse } from "./problem.ts";
import { records } from "./records.ts";
import { recovery } from "./recovery.ts";
import { shareGroups } from "./share-groups.ts";
import { groupSockets, partitionSockets } from "./sockets.ts";
import { streams } from "./streams.ts";
import { topics } from "./topics.ts";

/** [WEB-5] Refuses a request whose Host header is not a host, because its address then is not a URL. */
const wellFormedHost: MiddlewareHandler = async ({ req }, next) => {
  if (!URL.canParse(req.url)) {
    const host = preview(req.header("host"));
    const detail = `the Host header is ${host}, it must be a host name or an address, and its port at most 65535`;
    throw new BrokerError("INVALID_REQUEST", detail);
  }
  await next();
};

/** Gives each name one spelling: a path that is not percent-encoded UTF-8 is refused, not taken literally. */
const wellFormedPath: MiddlewareHandler = async (context, next) => {
  const { pathname } = new URL(context.req.url);
  try {
    decodeURIComponent(pathname);
  } catch {
    const detail = `the path ${preview(pathname)} is not percent-encoded UTF-8`;
    throw new BrokerError("INVALID_REQUEST", detail);
  }
  await next();
};

const withClock: MiddlewareHandler<{ Bindings: Env }> = async ({ env, executionCtx }, next) => {
  executionCtx.waitUntil(noticeClock(env));
  await next();
};

/**
 * [PLC-2] [AUD-1] Notes the origin of a request: topics and groups are created near it, and the audit log names
 * it. [ERR-5] The answer and the log name the request.
 */
const withOrigin: MiddlewareHandler<{ Bindings: Env }> = async (context, next) => {
  const { env, req, executionCtx } = context;
  const from = fromOf(env, req.raw, executionCtx);
  context.env = withRegion(withFrom(env, from), req.raw);
  await next();
  // An answer with a WebSocket cannot be changed any more.
  if (context.res.status !== 101 && from.requestId !== undefined)
    context.res.headers.set(REQUEST_ID_HEADER, from.requestId);
};

export const app = new Hono<{ Bindings: Env }>()
  .use(withClock)
  .use(withOrigin)
  .use(wellFormedHost)
  .use(counted)
  .use(fromThisMachine)
  .use(crossOrigin)
  .use(compressed)
  .use(wellFormedPath)
  .use("/console/*", consoleFiles)
  .use("/docs/*", docsFiles)
  .use(authorized)
  .use(keysOnlyForRecords)
  .get("/health", (context) => {
    const failing = failingObjects();
    return failing === 0
      ? context.json({ status: "ok" })
      : context.json({ status: "storage failures", failing }, 503);
  })
  .route("/", openapi)
  .route("/metrics", metrics)
  .route(TOPICS_PATH, topics)
  .route(TOPICS_PATH, records)
  .route(TOPICS_PATH, batches)
  .route("/v1/deleted-topics", deletedTopics)
  .route(PRODUCERS_PATH, producers)
  .route(KEYS_PATH, keys)
  .route(TOKENS_PATH, tokens)
  .route(ME_PATH, me)
  .route(AUDIT_PATH, audit)
  .route(COSTS_PATH, costs)
  .route(ALERTS_PATH, alerts)
  .route(GROUP_LAGS_PATH, groupLags)
  .route(CONFIGS_PATH, configs)
  .route(DOCTOR_PATH, doctor)
  .route(RECOVERY_PATH, recovery)
  .route(TOPICS_PATH, partitionStates)
  .route(TOPICS_PATH, partitionSockets)
  .route(TOPICS_PATH, streams)
  .route(GROUPS_PATH, groups)
  .route(GROUPS_PATH, polls)
  .route(GROUPS_PATH, groupSockets)
  .route(SHARE_GROUPS_PATH, shareGroups)
  .route("/kafka", kafka);

app.notFound((context) => noRoute(app, context.req.raw));
app.onError((error, { env }) =>
  problemResponse(
    outsideError(env, error),
    {},
    error instanceof SlowBodyError ? 408 : undefined,
    env.from?.requestId,
  ),
);
