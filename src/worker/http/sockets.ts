// The WebSocket paths. The SDK's sockets go straight to their objects: the Worker only passes the upgrade on,
// and no Worker code runs per record. A plain consumer is a session in this Worker.
import { type Context, Hono } from "hono";
import * as z from "zod";
import { assertKept, OBJECT_SOCKET_URL, upgradeFor } from "../../calls/socket-caller.ts";
import type { Topic, TopicDescription } from "../../core/cluster/topics.ts";
import { BrokerError, errorOf, type Failure, isErrorName, unwrap } from "../../core/errors.ts";
import { whyNotTopicPattern } from "../../core/group/topic-pattern.ts";
import { MAX_RELAYS_PER_PARTITION } from "../../core/limits.ts";
import { type Env, groupStub } from "../../env.ts";
import { OBSERVE_URL } from "../../protocol/group-events.ts";
import {
  consumeQuery,
  type DeliveryOptions,
  socketVersion,
} from "../../protocol/plain-consumer.ts";
import { selectVersion } from "../../protocol/version.ts";
import { assertMayUseTopic, callerIn } from "../edge/authorize.ts";
import { lookAtGroup } from "../edge/groups.ts";
import {
  assertPartitionById,
  atPartition,
  beginOf,
  partitionAt,
  relayAt,
  topicMetadata,
} from "../edge/metadata.ts";
import { insidePattern } from "../edge/namespace.ts";
import { openConnection } from "../edge/quotas.ts";
import { assertRelay } from "../edge/relays.ts";
import { type Membership, PlainConsumerSession } from "../session/plain-consumer-session.ts";
import { groupParameter, partitionParameter, query, topicParameter } from "./parameters.ts";

export type EdgeContext = Context<{ Bindings: Env }>;

export const groupSockets = new Hono<{ Bindings: Env }>()
  .get("/:group/socket", async (context) => {
    const groupId = groupParameter(context.env, context.req.param("group"));
    requireUpgrade(context);
    const { v } = query(context.req.raw, groupSocketQuery);
    return passOn(context, v, groupStub(context.env, groupId));
  })
  .get("/:group/events", async (context) => {
    const groupId = groupParameter(context.env, context.req.param("group"));
    requireUpgrade(context);
    const { v } = query(context.req.raw, groupSocketQuery);
    const found = await lookAtGroup(context.env, groupId, async () => ({ ok: true as const }));
    unwrap(found);
    return passOn(context, v, groupStub(context.env, groupId), { url: OBSERVE_URL });
  })
  .get("/:group/consume", async (context) => {
    const groupId = groupParameter(context.env, context.req.param("group"));
    const options = query(context.req.raw, consumeQuery);
    const topics = (options.topics ?? []).map((topic) => topicParameter(context.env, topic));
    const pattern =
      options.pattern === undefined ? undefined : insidePattern(context.env, options.pattern);
    if (topics.length === 0 && pattern === undefined)
      throw new BrokerError(
        "INVALID_REQUEST",
        "topics: must name at least one topic, or there must be a pattern; got nothing",
      );
    for (const topic of topics) {
      assertMayUseTopic(context.env, "READ", topic);
      await topicMetadata(context.env, topic);
    }
    const invalid = whyNotTopicPattern(pattern ?? null, "pattern");
    if (invalid !== null) throw errorOf(invalid);
    requireUpgrade(context);
    const member = {
      groupId,
      topics,
      ...(pattern === undefined ? {} : { topicPattern: pattern }),
      memberId: options.memberId,
      instanceId: options.instanceId ?? null,
      clientId: options.clientId ?? null,
      from: options.from,
    };
    return plainSession(context, member, options);
  });

/**
 * Answers with a socket that delivers records as JSON. `growing` is the topic of a reader without a group that
 * reads all partitions, including future ones.
 */
export function plainSession(
  context: EdgeContext,
  member: Membership,
  options: DeliveryOptions & { readonly v?: number | undefined },
  growing?: Topic,
): Response {
  const headers = versionHeaders(context, options.v);
  assertKept(callerIn(context.env));
  const close = openConnection(callerIn(context.env));
  const { 0: client, 1: server } = new WebSocketPair();
  const session = new PlainConsumerSession(context.env, member, options, server);
  if (growing !== undefined) session.follow(growing);
  // The last commit and the leave happen after the client's socket has closed.
  context.executionCtx.waitUntil(session.closed.then(close));
  session.start();
  return new Response(null, { status: 101, webSocket: client, headers });
}

const groupSocketQuery = z.strictObject({ v: socketVersion });

/** A client that was assigned a partition names the topic's id, because the name may have another topic by now. */
const partitionSocketQuery = z.strictObject({
  topicId: z
    .string()
    .regex(/^[\w-]{1,64}$/, "must be the id of a topic")
    .optional(),
  /** [RLY-4] The relay to which the partition has sent the client. */
  relay: z.coerce
    .number()
    .int()
    .min(0)
    .max(MAX_RELAYS_PER_PARTITION - 1)
    .optional(),
  v: socketVersion,
});

export const partitionSockets = new Hono<{ Bindings: Env }>().get(
  "/:topic/partitions/:partition/socket",
  async (context) => {
    const topic = topicParameter(context.env, context.req.param("topic"));
    const partition = partitionParameter(context.req.param("partition"));
    const { topicId, relay, v } = query(context.req.raw, partitionSocketQuery);
    requireUpgrade(context);
    const open = async (id: string) => {
      if (relay === undefined) {
        const object = partitionAt(context.env, id, partition);
        return passOn(context, v, object, { begin: beginOf(context.env, id, partition) });
      }
      const place = { topicId: id, partition, relay };
      await assertRelay(context.env, place);
      return passOn(context, v, relayAt(context.env, place));
    };
    if (topicId === undefined) return atPartition(context.env, topic, partition, open);
    await assertPartitionById(context.env, topicId, topic, partition);
    return open(topicId);
  },
);

export function isUpgrade({ req }: EdgeContext): boolean {
  const isGet = req.raw.method === "GET"; // GET routes serve HEAD too.
  if (!isGet || req.header("upgrade")?.toLowerCase() !== "websocket") return false;
  assertHandshake(req.raw);
  return true;
}

/** Sixteen bytes in base64 (RFC 6455). */
const SOCKET_KEY = /^[A-Za-z0-9+/]{22}==$/;

/**
 * [BND-22] Refuses an upgrade that workerd refuses too, but only once it has an answer. By then a session would
 * have begun that nobody ever ends. Cloudflare lets no such upgrade through, and other Workers make no
 * handshakes.
 */
function assertHandshake({ headers, cf = {} }: Request): void {
  if (!("clientIp" in cf)) return; // It did not come from workerd's own port.
  const version = headers.get("sec-websocket-version");
  if (version === "13" && SOCKET_KEY.test(headers.get("sec-websocket-key") ?? "")) return;
  throw new BrokerError(
    "INVALID_REQUEST",
    "Sec-WebSocket-Key must be 16 bytes in base64, and Sec-WebSocket-Version 13",
  );
}

export function requireUpgrade(context: EdgeContext): void {
  if (isUpgrade(context)) return;
  throw new BrokerError(
    "INVALID_REQUEST",
    "this path is a WebSocket: connect with ws:// or wss://",
  );
}

/** Returns the headers of the answer to an upgrade [VER-7]. */
function versionHeaders(context: EdgeContext, v: number | undefined): Record<string, string> {
  const selected = selectVersion(v, context.req.header(SUBPROTOCOLS));
  return selected === null ? {} : { [SUBPROTOCOLS]: selected };
}

const SUBPROTOCOLS = "sec-websocket-protocol";

/**
 * [ACL-7] Passes an upgrade on, with its caller and nothing else of the request. An object refuses it with its
 * failure as JSON, which becomes a problem.
 */
async function passOn(
  context: EdgeContext,
  v: number | undefined,
  object: DurableObjectStub,
  { url = OBJECT_SOCKET_URL, begin }: { url?: string; begin?: TopicDescription | undefined } = {},
): Promise<Response> {
  const headers = versionHeaders(context, v);
  const response = await object.fetch(url, upgradeFor(callerIn(context.env), begin));
  const { webSocket } = response;
  if (response.status === 101) return new Response(null, { status: 101, webSocket, headers });
  const failure = (await response.json()) as Partial<Failure>;
  throw new BrokerError(
    isErrorName(failure.error) ? failure.error : "UNKNOWN_SERVER_ERROR",
    String(failure.detail ?? "the upgrade was refused"),
    failure.retriable === false ? { retriable: false } : {},
  );
}
