// The administration of topics, groups, keys and tokens.
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

/** The position to which a group is reset. Times are milliseconds since the epoch or ISO 8601. */
export type ResetTo =
  | "earliest"
  | "latest"
  /** The committed offset, clamped to the log. */
  | "current"
  /** A time this long ago: milliseconds, or an ISO 8601 duration such as P1DT2H. */
  | { readonly duration: number | string }
  /** The same offset in every partition, clamped to the log. */
  | { readonly offset: number }
  /** The first record that is not older than this time. */
  | { readonly timestamp: number | string }
  /** The committed offset plus this number, which may be negative, clamped to the log. */
  | { readonly shiftBy: number };

/** An entry of a plan: the offset to set in one partition. */
export interface PlannedOffset extends TopicPartition {
  readonly offset: number;
}

/**
 * A target for all of the group's topics, or for `topics`. Or a plan: an offset for each partition that it names. With
 * `dryRun`, nothing changes, and the result shows the offsets that a reset would set.
 */
export type GroupReset = { readonly dryRun?: boolean } & (
  | { readonly topics?: readonly string[]; readonly to: ResetTo }
  | { readonly offsets: readonly PlannedOffset[] }
);

/**
 * Manages topics, groups, keys and tokens. Get one as `rivulet.admin`.
 *
 * Every method throws a BrokerError with Kafka's error name in `code`, or a ConnectionError if there was no answer.
 * Besides the errors listed at a method, TOPIC_, GROUP_ or CLUSTER_AUTHORIZATION_FAILED means that a grant is missing,
 * and INVALID_REQUEST that an argument is wrong.
 */
export class Admin {
  readonly #http: Pick<HttpClient, "request">;

  constructor(http: Pick<HttpClient, "request">) {
    this.#http = http;
  }

  /**
   * Returns an admin whose calls are aborted by the signal: they reject with its reason. The broker may still carry
   * them out.
   */
  with({ signal }: { readonly signal: AbortSignal }): Admin {
    return new Admin({
      request: (method, path, body) => this.#http.request(method, path, body, { signal }),
    });
  }

  /**
   * Creates a topic and returns it. `partitions` is 1 to 1,000, 1 by default. `config` uses Kafka's keys, such as
   * `retention.ms`.
   * @throws TOPIC_ALREADY_EXISTS, INVALID_TOPIC_EXCEPTION, INVALID_PARTITIONS, INVALID_CONFIG
   */
  createTopic(topic: {
    name: string;
    partitions?: number;
    config?: Record<string, string | number>;
  }): Promise<TopicInfo> {
    return this.#http.request("POST", TOPICS_PATH, jsonBody(topic));
  }

  /** Returns all topics that the caller may describe, sorted by name. */
  async listTopics(): Promise<readonly TopicInfo[]> {
    return (await this.#http.request<{ topics: TopicInfo[] }>("GET", TOPICS_PATH)).topics;
  }

  /** Returns a topic and its config. @throws UNKNOWN_TOPIC_OR_PARTITION */
  async describeTopic(name: string): Promise<TopicInfo> {
    return this.#http.request("GET", topicPath(named(name)));
  }

  /**
   * Changes a topic and returns it. The number of partitions can only grow. A config value of null removes the
   * override.
   * @throws UNKNOWN_TOPIC_OR_PARTITION, INVALID_PARTITIONS, INVALID_CONFIG
   */
  async alterTopic(
    name: string,
    change: { partitions?: number; config?: Record<string, string | number | null> },
  ): Promise<TopicInfo> {
    return this.#http.request("PATCH", topicPath(named(name)), jsonBody(change));
  }

  /** Returns the config of topics without overrides of their own. */
  describeConfigs(): Promise<ConfigInfo> {
    return this.#http.request("GET", CONFIGS_PATH);
  }

  /** Changes the defaults of all topics. A value of null removes a key. @throws INVALID_CONFIG */
  alterConfigs(config: Record<string, string | number | null>): Promise<ConfigInfo> {
    return this.#http.request("PATCH", CONFIGS_PATH, jsonBody({ config }));
  }

  /**
   * Returns an offset in a partition. `at` is "earliest", "latest", "max-timestamp" (the record with the largest
   * timestamp), milliseconds since the epoch, or an ISO 8601 time. For a time, it is the first record that is not
   * older, with its `timestamp`. Otherwise it is the log end offset, without a timestamp.
   * @throws UNKNOWN_TOPIC_OR_PARTITION
   */
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
   * Deletes the records before an offset in a partition. Returns the new log start offset.
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

  /** Deletes a topic with its records, and the groups' committed offsets in it. @throws UNKNOWN_TOPIC_OR_PARTITION */
  async deleteTopic(name: string): Promise<void> {
    return this.#http.request("DELETE", topicPath(named(name)));
  }

  /** Returns the ids of all groups that the caller may describe, sorted. */
  async listGroups(): Promise<readonly { readonly groupId: string }[]> {
    return (await this.#http.request<{ groups: { groupId: string }[] }>("GET", GROUPS_PATH)).groups;
  }

  /** Returns a group: its state, members, committed offsets and lag. @throws GROUP_ID_NOT_FOUND */
  async describeGroup(groupId: string): Promise<GroupInfo> {
    return this.#http.request("GET", groupPath(named(groupId, "INVALID_GROUP_ID")));
  }

  /** Returns the group's overrides, and its config in effect. @throws GROUP_ID_NOT_FOUND */
  async groupConfig(groupId: string): Promise<GroupConfigInfo> {
    return this.#http.request("GET", `${groupPath(named(groupId, "INVALID_GROUP_ID"))}/config`);
  }

  /**
   * Changes the group's config and returns it. A value of null removes the override. This creates a group that does not
   * exist yet.
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

  /**
   * Returns the newest events in the group's history, oldest first. `limit` is 1 to 10,000, 200 by default.
   * @throws GROUP_ID_NOT_FOUND
   */
  async groupHistory(groupId: string, limit?: number): Promise<readonly HistoryInfo[]> {
    const query = limit === undefined ? "" : `?limit=${limit}`;
    const path = `${groupPath(named(groupId, "INVALID_GROUP_ID"))}/history${query}`;
    return (await this.#http.request<{ history: HistoryInfo[] }>("GET", path)).history;
  }

  /**
   * Sets the group's committed offsets. The group must have no members. The `offsets` of a dry run can be used as a
   * plan.
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
   * Deletes the group's committed offsets in these topics. No member may be subscribed to them.
   * @throws GROUP_SUBSCRIBED_TO_TOPIC, UNKNOWN_TOPIC_OR_PARTITION, GROUP_ID_NOT_FOUND
   */
  async deleteGroupOffsets(groupId: string, topics: readonly string[]): Promise<void> {
    const query = `?topics=${topics.map(encodeURIComponent).join(",")}`;
    return this.#http.request(
      "DELETE",
      `${groupPath(named(groupId, "INVALID_GROUP_ID"))}/offsets${query}`,
    );
  }

  /**
   * Deletes a group with its committed offsets, config and history. It must have no members.
   * @throws NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND
   */
  async deleteGroup(groupId: string): Promise<void> {
    return this.#http.request("DELETE", groupPath(named(groupId, "INVALID_GROUP_ID")));
  }

  /**
   * Creates an API key. Its text is in the answer, and is never shown again. `expiresAt` is in milliseconds since the
   * epoch or ISO 8601. Without it, the key is valid until it is deleted. With a `namespace`, every name in a request
   * with this key gets that prefix, and every name in an answer loses it.
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

  /** Returns all API keys, without their texts. */
  async listKeys(): Promise<readonly KeyInfo[]> {
    return (await this.#http.request<{ keys: KeyInfo[] }>("GET", KEYS_PATH)).keys;
  }

  /**
   * Changes the rights, quota or expiry of a key, and returns it. Null removes a quota or an expiry. @throws
   * RESOURCE_NOT_FOUND
   */
  alterKey(
    id: string,
    change: { expiresAt?: number | string | null; quota?: Quota | null } & Partial<Rights>,
  ): Promise<KeyInfo> {
    return this.#http.request("PATCH", keyPath(id), jsonBody(change));
  }

  /**
   * Revokes a key. Requests with it are refused within seconds, and its sockets are closed within five minutes. Sockets
   * at the topics of `now` and the groups of `nowGroups` are closed at once. @throws RESOURCE_NOT_FOUND
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
   * Creates a token, for a browser for example. Without grants and a role, it has the caller's rights. It can never
   * have more. `ttlMs` is its lifetime, 1,000 to 86,400,000 (24 h), 900,000 (15 min) by default. `subject` becomes the
   * principal of its bearer.
   * @throws CLUSTER_AUTHORIZATION_FAILED
   */
  createToken(
    token: { ttlMs?: number; subject?: string; quota?: Quota } & Partial<Rights> = {},
  ): Promise<TokenInfo> {
    return this.#http.request("POST", TOKENS_PATH, jsonBody(token));
  }

  /** Returns the caller's principal and rights. */
  whoami(): Promise<CallerInfo> {
    return this.#http.request("GET", ME_PATH);
  }
}

/**
 * Returns the name. URL parsers remove . and .. from a path, encoded or not, so the request would go to another path.
 * Neither can name a topic or a group. @throws BrokerError
 */
function named(name: string, code: ErrorName = "INVALID_TOPIC_EXCEPTION"): string {
  if (name === "." || name === "..") throw new BrokerError(code, `a name may not be "${name}"`);
  return name;
}

/** Removes the other fields that an entry of a dry run has, because the broker rejects unknown fields. */
function planEntry({ topic, partition, offset }: PlannedOffset): PlannedOffset {
  return { topic, partition, offset };
}
