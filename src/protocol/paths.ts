// All paths of the HTTP API that clients build, and the subprotocols of their sockets.
import { SOCKET_VERSION, TOKEN_SUBPROTOCOL } from "./version.ts";

export const TOPICS_PATH = "/v1/topics";
export const GROUPS_PATH = "/v1/groups";
export const SHARE_GROUPS_PATH = "/v1/share-groups";
export const PRODUCERS_PATH = "/v1/producers";
export const CONFIGS_PATH = "/v1/configs";
export const COSTS_PATH = "/v1/costs";
export const GROUP_LAGS_PATH = "/v1/group-lags";
export const ALERTS_PATH = "/v1/alerts";
export const DOCTOR_PATH = "/v1/doctor";
export const RECOVERY_PATH = "/v1/recovery";
export const KEYS_PATH = "/v1/keys";
export const AUDIT_PATH = "/v1/audit";
export const TOKENS_PATH = "/v1/tokens";
export const ME_PATH = "/v1/me";
export const CONSOLE_PATH = "/console";
export const DOCS_PATH = "/docs";

export function keyPath(id: string): string {
  return `${KEYS_PATH}/${encodeURIComponent(id)}`;
}

export function alertPath(name: string): string {
  return `${ALERTS_PATH}/${encodeURIComponent(name)}`;
}

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

/**
 * Returns the path of a partition's socket, or of its relay's. The topic's id makes sure that it does not lead to
 * another topic created under the same name.
 */
export function partitionSocketPath(place: {
  readonly topic: string;
  readonly partition: number;
  readonly topicId: string;
  readonly relay?: number;
}): string {
  const { topic, partition, topicId, relay } = place;
  const path = `${partitionPath(topic, partition)}/socket?topicId=${encodeURIComponent(topicId)}`;
  return relay === undefined ? path : `${path}&relay=${relay}`;
}

export function groupPath(groupId: string): string {
  return `${GROUPS_PATH}/${encodeURIComponent(groupId)}`;
}

export function shareGroupPath(groupId: string): string {
  return `${SHARE_GROUPS_PATH}/${encodeURIComponent(groupId)}`;
}

/** Returns the path with the socket's version. A partition's socket path has none yet: see version.ts. */
export function groupSocketPath(groupId: string): string {
  return `${groupPath(groupId)}/socket?v=${SOCKET_VERSION}`;
}

/** Kafka's protocol over a WebSocket. */
export const KAFKA_PATH = "/kafka";

/** Returns the URL. `advertise` lists one address per node for clients. `node` is the node of this connection. */
export function kafkaSocketUrl(
  baseUrl: string,
  options: { advertise?: readonly string[]; node?: number } = {},
): string {
  const url = new URL(KAFKA_PATH, baseUrl);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const { advertise = [], node } = options;
  if (advertise.length > 0) url.searchParams.set("advertise", advertise.join(","));
  if (node !== undefined) url.searchParams.set("node", String(node));
  return url.href;
}

/**
 * Returns the subprotocols to offer with a token or an API key. In a URL it would get into logs, and a browser's socket
 * cannot send headers. The version is offered too, because the broker must select one. Without a token, none is
 * offered.
 */
export function socketProtocols(token: string | undefined): string[] {
  return token === undefined ? [] : [`rivulet.v${SOCKET_VERSION}`, `${TOKEN_SUBPROTOCOL}${token}`];
}
