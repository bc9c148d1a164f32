// Administers topics and groups.
import type {
  CallerInfo,
  CreatedKey,
  Grant,
  KeyInfo,
  Quota,
  Rights,
  Role,
  TokenInfo,
} from "../core/access-info.ts";
import { BrokerError, type ErrorName } from "../core/errors.ts";
import type { GroupInfo, GroupOffsetInfo, HistoryInfo, ResetResult } from "../core/group-info.ts";
import type { TopicPartition } from "../core/record.ts";
import type { ConfigInfo, GroupConfigInfo, TopicInfo } from "../core/topic-info.ts";
import {
  CONFIGS_PATH,
  GROUPS_PATH,
  groupPath,
  KEYS_PATH,
  keyPath,
  ME_PATH,
  partitionPath,
  TOKENS_PATH,
  TOPICS_PATH,
  topicPath,
} from "../protocol/paths.ts";
import { type HttpClient, jsonBody } from "./http.ts";

export type {
  CallerInfo,
  ConfigInfo,
  CreatedKey,
  Grant,
  GroupConfigInfo,
  GroupInfo,
  GroupOffsetInfo,
  HistoryInfo,
  KeyInfo,
  Quota,
  ResetResult,
  Rights,
  Role,
  TokenInfo,
  TopicInfo,
};

/** The position at which a group continues. Times are milliseconds since the epoch or ISO 8601. */
export type ResetTo =
  | "earliest"
  | "latest"
  /** The current position, clamped to the log. */
  | "current"
  /** A time so long ago: milliseconds, or ISO 8601 as in P1DT2H. */
  | { readonly duration: number | string }
  | { readonly offset: number }
  | { readonly timestamp: number | string }
  | { readonly shiftBy: number };

/** An entry of a plan: the offset at which the group continues in a partition. */
export interface PlannedOffset extends TopicPartition {
  readonly offset: number;
}

/**
 * One target for all of the group's topics or for `topics`. Or a plan, with an offset for each partition that it names.
 */
export type GroupReset = { readonly dryRun?: boolean } & (
  | { readonly topics?: readonly string[]; readonly to: ResetTo }
  | { readonly offsets: readonly PlannedOffset[] }
);

/** Manages topics and groups. Every method throws BrokerError with Kafka's error name in `code`, or ConnectionError. */
export class Admin {
  readonly #http: Pick<HttpClient, "request">;

  constructor(http: Pick<HttpClient, "request">) {
    this.#http = http;
  }

  /** Returns an admin whose calls end with the signal, with its reason. The broker may still do what was requested. */
  with({ signal }: { readonly signal: AbortSignal }): Admin {
    return new Admin({
      request: (method, path, body) => this.#http.request(method, path, body, { signal }),
    });
  }

  /** @throws TOPIC_ALREADY_EXISTS, INVALID_TOPIC_EXCEPTION, INVALID_PARTITIONS, INVALID_CONFIG */
  createTopic(topic: {
    name: string;
    partitions?: number;
    config?: Record<string, string | number>;
  }): Promise<TopicInfo> {
    return this.#http.request("POST", TOPICS_PATH, jsonBody(topic));
  }

  async listTopics(): Promise<readonly TopicInfo[]> {
    return (await this.#http.request<{ topics: TopicInfo[] }>("GET", TOPICS_PATH)).topics;
  }

  /** @throws UNKNOWN_TOPIC_OR_PARTITION */
  async describeTopic(name: string): Promise<TopicInfo> {
    return this.#http.request("GET", topicPath(named(name)));
  }

  /**
   * Changes a topic. The number of partitions only grows. A config value of null removes
   * the key. @throws INVALID_PARTITIONS, INVALID_CONFIG
   */
  async alterTopic(
    name: string,
    change: { partitions?: number; config?: Record<string, string | number | null> },
  ): Promise<TopicInfo> {
    return this.#http.request("PATCH", topicPath(named(name)), jsonBody(change));
  }

  /** Returns the config of topics that do not set a key themselves. */
  describeConfigs(): Promise<ConfigInfo> {
    return this.#http.request("GET", CONFIGS_PATH);
  }

  /** Changes the defaults of all topics. Null removes a key. @throws INVALID_CONFIG */
  alterConfigs(config: Record<string, string | number | null>): Promise<ConfigInfo> {
    return this.#http.request("PATCH", CONFIGS_PATH, jsonBody({ config }));
  }

  /** Looks up an offset in a partition. `at` is "earliest", "latest", "max-timestamp", milliseconds or an ISO time. */
  async listOffset(
    topic: string,
    partition: number,
    at: string | number,
  ): Promise<{ offset: number; timestamp?: number }> {
    return this.#http.request(
      "GET",
      `${partitionPath(named(topic), partition)}/offsets?at=${encodeURIComponent(at)}`,
    );
  }

  /**
   * Deletes the records of a partition before an offset. The log then begins there.
   * @throws UNKNOWN_TOPIC_OR_PARTITION, OFFSET_OUT_OF_RANGE
   */
  async deleteRecords(
    topic: string,
    partition: number,
    before: number,
  ): Promise<{ logStartOffset: number }> {
    return this.#http.request(
      "DELETE",
      `${partitionPath(named(topic), partition)}/records?before=${before}`,
    );
  }

  /** @throws UNKNOWN_TOPIC_OR_PARTITION */
  async deleteTopic(name: string): Promise<void> {
    return this.#http.request("DELETE", topicPath(named(name)));
  }

  async listGroups(): Promise<readonly { readonly groupId: string }[]> {
    return (await this.#http.request<{ groups: { groupId: string }[] }>("GET", GROUPS_PATH)).groups;
  }

  /** @throws GROUP_ID_NOT_FOUND */
  async describeGroup(groupId: string): Promise<GroupInfo> {
    return this.#http.request("GET", groupPath(named(groupId, "INVALID_GROUP_ID")));
  }

  /** Returns the config that is set for the group, and the config in effect. @throws GROUP_ID_NOT_FOUND */
  async groupConfig(groupId: string): Promise<GroupConfigInfo> {
    return this.#http.request("GET", `${groupPath(named(groupId, "INVALID_GROUP_ID"))}/config`);
  }

  /**
   * Changes the group's config. `null` removes a key. This also creates a group that nobody has joined yet.
   * @throws INVALID_CONFIG
   */
  async alterGroup(
    groupId: string,
    change: { config: Readonly<Record<string, string | number | null>> },
  ): Promise<GroupConfigInfo> {
    return this.#http.request(
      "PATCH",
      groupPath(named(groupId, "INVALID_GROUP_ID")),
      jsonBody(change),
    );
  }

  /** Returns the newest `limit` events in the group (200 by default), oldest first. @throws GROUP_ID_NOT_FOUND */
  async groupHistory(groupId: string, limit?: number): Promise<readonly HistoryInfo[]> {
    const query = limit === undefined ? "" : `?limit=${limit}`;
    const path = `${groupPath(named(groupId, "INVALID_GROUP_ID"))}/history${query}`;
    return (await this.#http.request<{ history: HistoryInfo[] }>("GET", path)).history;
  }

  /**
   * Sets the group's position. The `offsets` of a dry run are a plan.
   * @throws NON_EMPTY_GROUP, UNKNOWN_TOPIC_OR_PARTITION, GROUP_ID_NOT_FOUND
   */
  async resetGroup(groupId: string, reset: GroupReset): Promise<ResetResult> {
    const body = "offsets" in reset ? { ...reset, offsets: reset.offsets.map(planEntry) } : reset;
    return this.#http.request(
      "POST",
      `${groupPath(named(groupId, "INVALID_GROUP_ID"))}/offsets`,
      jsonBody(body),
    );
  }

  /**
   * Forgets the group's positions in these topics. No member may subscribe to them now.
   * @throws GROUP_SUBSCRIBED_TO_TOPIC, UNKNOWN_TOPIC_OR_PARTITION, GROUP_ID_NOT_FOUND
   */
  async deleteGroupOffsets(groupId: string, topics: readonly string[]): Promise<void> {
    const query = `?topics=${topics.map(encodeURIComponent).join(",")}`;
    return this.#http.request(
      "DELETE",
      `${groupPath(named(groupId, "INVALID_GROUP_ID"))}/offsets${query}`,
    );
  }

  /** @throws NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND */
  async deleteGroup(groupId: string): Promise<void> {
    return this.#http.request("DELETE", groupPath(named(groupId, "INVALID_GROUP_ID")));
  }

  /**
   * Creates an API key. Its text is in the answer, and never again. `expiresAt` is in milliseconds since the epoch or ISO
   * 8601. Without it, the key lasts until it is deleted. With a `namespace`, every name that its bearer writes gets that
   * prefix, and every name that it is shown loses it.
   */
  createKey(
    key: {
      principal: string;
      expiresAt?: number | string | null;
      namespace?: string;
      quota?: Quota;
    } & Rights,
  ): Promise<CreatedKey> {
    return this.#http.request("POST", KEYS_PATH, jsonBody(key));
  }

  async listKeys(): Promise<readonly KeyInfo[]> {
    return (await this.#http.request<{ keys: KeyInfo[] }>("GET", KEYS_PATH)).keys;
  }

  /** Changes what a key may do, how much, or when it expires. Null takes a bound away. @throws RESOURCE_NOT_FOUND */
  alterKey(
    id: string,
    change: { expiresAt?: number | string | null; quota?: Quota | null } & Partial<Rights>,
  ): Promise<KeyInfo> {
    return this.#http.request("PATCH", keyPath(id), jsonBody(change));
  }

  /**
   * Revokes a key. Requests with it are refused within seconds, and its sockets are closed within five minutes, those at
   * the topics of `now` and the groups of `nowGroups` at once. @throws RESOURCE_NOT_FOUND
   */
  deleteKey(
    id: string,
    sockets: { now?: readonly string[]; nowGroups?: readonly string[] } = {},
  ): Promise<void> {
    const lists = Object.entries(sockets).map(
      ([name, values]) => `${name}=${values.map(encodeURIComponent).join(",")}`,
    );
    return this.#http.request(
      "DELETE",
      `${keyPath(id)}${lists.length > 0 ? "?" : ""}${lists.join("&")}`,
    );
  }

  /**
   * Makes a token, for a browser for example. It may do at most what the caller may, which it does without grants and a
   * role, for 15 minutes if not told otherwise. `subject` is the principal of whoever gets it.
   * @throws CLUSTER_AUTHORIZATION_FAILED
   */
  createToken(
    token: { ttlMs?: number; subject?: string; quota?: Quota } & Partial<Rights> = {},
  ): Promise<TokenInfo> {
    return this.#http.request("POST", TOKENS_PATH, jsonBody(token));
  }

  /** Returns who calls, and what it may do. */
  whoami(): Promise<CallerInfo> {
    return this.#http.request("GET", ME_PATH);
  }
}

/**
 * Returns the name. URL parsers take . and .. out of a path, encoded or not, so that the request would go to another.
 * Neither may name a topic or a group. @throws BrokerError
 */
function named(name: string, code: ErrorName = "INVALID_TOPIC_EXCEPTION"): string {
  if (name === "." || name === "..") throw new BrokerError(code, `a name may not be "${name}"`);
  return name;
}

/** Removes the other fields that an entry of a dry run has, because the broker refuses fields that it does not know. */
function planEntry({ topic, partition, offset }: PlannedOffset): PlannedOffset {
  return { topic, partition, offset };
}
