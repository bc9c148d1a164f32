// Every path of the HTTP API that clients build, in one place.
import { SOCKET_VERSION } from "./version.ts";

export const TOPICS_PATH = "/v1/topics";
export const GROUPS_PATH = "/v1/groups";
export const PRODUCERS_PATH = "/v1/producers";
export const CONFIGS_PATH = "/v1/configs";
export const KEYS_PATH = "/v1/keys";
export const TOKENS_PATH = "/v1/tokens";
export const ME_PATH = "/v1/me";

export function topicPath(topic: string): string {
  return `${TOPICS_PATH}/${encodeURIComponent(topic)}`;
}

export function recordsPath(topic: string): string {
  return `${topicPath(topic)}/records`;
}

export function partitionPath(topic: string, partition: number): string {
  return `${topicPath(topic)}/partitions/${partition}`;
}

export function batchesPath(topic: string, partition: number): string {
  return `${partitionPath(topic, partition)}/batches`;
}

/** Returns a path with the topic's id. It leads only to that topic, and to none created anew under its name. */
export function partitionSocketPath(topic: string, partition: number, topicId: string): string {
  return `${partitionPath(topic, partition)}/socket?topicId=${encodeURIComponent(topicId)}`;
}

export function groupPath(groupId: string): string {
  return `${GROUPS_PATH}/${encodeURIComponent(groupId)}`;
}

/** The socket names its version. A partition's does not yet: see version.ts. */
export function groupSocketPath(groupId: string): string {
  return `${groupPath(groupId)}/socket?v=${SOCKET_VERSION}`;
}

/** Kafka's protocol over a WebSocket. */
export const KAFKA_PATH = "/kafka";

/**
 * Returns the URL. `advertise` lists the nodes' addresses for clients, one each. `node` is the node of this connection.
 */
export function kafkaSocketUrl(
  baseUrl: string,
  options: { advertise?: readonly string[]; node?: number; token?: string | undefined } = {},
): string {
  const url = new URL(KAFKA_PATH, baseUrl);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const { advertise = [], node, token } = options;
  if (advertise.length > 0) url.searchParams.set("advertise", advertise.join(","));
  if (node !== undefined) url.searchParams.set("node", String(node));
  if (token !== undefined) url.searchParams.set("access_token", token);
  return url.href;
}
