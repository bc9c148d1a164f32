// Topics and groups.
import type { GroupStateName } from "../core/group/coordinator.ts";
import type { TopicAssignment } from "../core/group/describe.ts";
import type { HistoryEntry } from "../core/group/history.ts";
import type { TopicPartition } from "../core/record.ts";
import {
  CONFIGS_PATH,
  GROUPS_PATH,
  groupPath,
  partitionPath,
  TOPICS_PATH,
  topicPath,
} from "../protocol/paths.ts";
import { type HttpClient, jsonBody } from "./http.ts";

export interface TopicInfo {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: number;
  /** By Kafka's keys, e.g. `max.message.bytes`. */
  readonly config: Readonly<Record<string, string | number>>;
  /** What was set on this topic; the rest of `config` are defaults. */
  readonly overrides: Readonly<Record<string, string | number>>;
}

export interface ConfigInfo {
  /** What topics get that do not set a key themselves, by Kafka's keys. */
  readonly config: Readonly<Record<string, string | number>>;
  readonly overrides: Readonly<Record<string, string | number>>;
}

export interface GroupConfigInfo extends ConfigInfo {
  readonly groupId: string;
}

export interface GroupInfo {
  readonly groupId: string;
  readonly state: GroupStateName;
  readonly epoch: number;
  readonly assignor: string;
  readonly members: readonly {
    readonly memberId: string;
    readonly instanceId?: string;
    readonly clientId?: string;
    readonly memberEpoch: number;
    /** False while its connection is lost and its session timeout runs. */
    readonly connected: boolean;
    /** What it may consume now. */
    readonly assignment: readonly TopicAssignment[];
    /** What it shall consume once every member has let go of what is no longer its own. */
    readonly target: readonly TopicAssignment[];
  }[];
  readonly offsets: readonly GroupOffsetInfo[];
  /** Partitions whose logs do not answer, and why; `offset` is what the group has committed there, else 0. */
  readonly unreadable?: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly offset: number;
    readonly code: string;
    readonly detail: string;
  }[];
}

/** An entry of a group's flight recorder. */
export interface HistoryInfo extends HistoryEntry {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

export interface GroupOffsetInfo {
  readonly topic: string;
  readonly partition: number;
  /** The next offset the group will read; null where it has committed nothing. */
  readonly committedOffset: number | null;
  readonly logEndOffset: number;
  /** Records not read yet; null where nothing was committed. */
  readonly lag: number | null;
  /** The age of the oldest record not read yet; null where there is none, or none that can be read. */
  readonly oldestUnreadMs: number | null;
}

/** Where a group shall go on. Times are milliseconds since the epoch or ISO 8601. */
export type ResetTo =
  | "earliest"
  | "latest"
  /** Where it is, clamped to the log. */
  | "current"
  /** So long ago: milliseconds, or ISO 8601 as in P1DT2H. */
  | { readonly duration: number | string }
  | { readonly offset: number }
  | { readonly timestamp: number | string }
  | { readonly shiftBy: number };

/** An entry of a plan: where the group shall go on in a partition. */
export interface PlannedOffset extends TopicPartition {
  readonly offset: number;
}

/** One target for all of the group's topics or for `topics`, or a plan: an offset for each partition it names. */
export type GroupReset = { readonly dryRun?: boolean } & (
  | { readonly topics?: readonly string[]; readonly to: ResetTo }
  | { readonly offsets: readonly PlannedOffset[] }
);

export interface ResetResult {
  readonly groupId: string;
  readonly dryRun: boolean;
  readonly offsets: readonly (PlannedOffset & { readonly committedOffset: number | null })[];
}

/** Every method throws BrokerError with Kafka's error name in `code`, or ConnectionError. */
export class Admin {
  readonly #http: Pick<HttpClient, "request">;

  constructor(http: Pick<HttpClient, "request">) {
    this.#http = http;
  }

  /** An admin whose every call the signal ends, with its reason. What was asked for may be done all the same. */
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
  describeTopic(name: string): Promise<TopicInfo> {
    return this.#http.request("GET", topicPath(name));
  }

  /** Partitions only grow; a config of null takes the key away. @throws INVALID_PARTITIONS, INVALID_CONFIG */
  alterTopic(
    name: string,
    change: { partitions?: number; config?: Record<string, string | number | null> },
  ): Promise<TopicInfo> {
    return this.#http.request("PATCH", topicPath(name), jsonBody(change));
  }

  /** What topics get that do not set a key themselves. */
  describeConfigs(): Promise<ConfigInfo> {
    return this.#http.request("GET", CONFIGS_PATH);
  }

  /** Changes the defaults of all topics; null takes a key away. @throws INVALID_CONFIG */
  alterConfigs(config: Record<string, string | number | null>): Promise<ConfigInfo> {
    return this.#http.request("PATCH", CONFIGS_PATH, jsonBody({ config }));
  }

  /** The bounds of a partition: `at` is "earliest", "latest", "max-timestamp", milliseconds or an ISO time. */
  listOffset(
    topic: string,
    partition: number,
    at: string | number,
  ): Promise<{ offset: number; timestamp?: number }> {
    return this.#http.request(
      "GET",
      `${partitionPath(topic, partition)}/offsets?at=${encodeURIComponent(at)}`,
    );
  }

  /**
   * Deletes the records of a partition before an offset; the log begins there from then on.
   * @throws UNKNOWN_TOPIC_OR_PARTITION, OFFSET_OUT_OF_RANGE
   */
  deleteRecords(
    topic: string,
    partition: number,
    before: number,
  ): Promise<{ logStartOffset: number }> {
    return this.#http.request(
      "DELETE",
      `${partitionPath(topic, partition)}/records?before=${before}`,
    );
  }

  /** @throws UNKNOWN_TOPIC_OR_PARTITION */
  deleteTopic(name: string): Promise<void> {
    return this.#http.request("DELETE", topicPath(name));
  }

  async listGroups(): Promise<readonly { readonly groupId: string }[]> {
    return (await this.#http.request<{ groups: { groupId: string }[] }>("GET", GROUPS_PATH)).groups;
  }

  /** @throws GROUP_ID_NOT_FOUND */
  describeGroup(groupId: string): Promise<GroupInfo> {
    return this.#http.request("GET", groupPath(groupId));
  }

  /** What is set for the group, and what holds. @throws GROUP_ID_NOT_FOUND */
  groupConfig(groupId: string): Promise<GroupConfigInfo> {
    return this.#http.request("GET", `${groupPath(groupId)}/config`);
  }

  /**
   * Changes the group's config; `null` takes a key away. A group that nobody has joined yet comes to be.
   * @throws INVALID_CONFIG
   */
  alterGroup(
    groupId: string,
    change: { config: Readonly<Record<string, string | number | null>> },
  ): Promise<GroupConfigInfo> {
    return this.#http.request("PATCH", groupPath(groupId), jsonBody(change));
  }

  /** What happened in the group, oldest first, the newest `limit` entries (200). @throws GROUP_ID_NOT_FOUND */
  async groupHistory(groupId: string, limit?: number): Promise<readonly HistoryInfo[]> {
    const query = limit === undefined ? "" : `?limit=${limit}`;
    const path = `${groupPath(groupId)}/history${query}`;
    return (await this.#http.request<{ history: HistoryInfo[] }>("GET", path)).history;
  }

  /**
   * Sets the group's position. The `offsets` of a dry run are a plan.
   * @throws NON_EMPTY_GROUP, UNKNOWN_TOPIC_OR_PARTITION, GROUP_ID_NOT_FOUND
   */
  resetGroup(groupId: string, reset: GroupReset): Promise<ResetResult> {
    const body = "offsets" in reset ? { ...reset, offsets: reset.offsets.map(planEntry) } : reset;
    return this.#http.request("POST", `${groupPath(groupId)}/offsets`, jsonBody(body));
  }

  /**
   * Forgets the group's positions in these topics, which no member may subscribe to now.
   * @throws GROUP_SUBSCRIBED_TO_TOPIC, UNKNOWN_TOPIC_OR_PARTITION, GROUP_ID_NOT_FOUND
   */
  deleteGroupOffsets(groupId: string, topics: readonly string[]): Promise<void> {
    const query = `?topics=${topics.map(encodeURIComponent).join(",")}`;
    return this.#http.request("DELETE", `${groupPath(groupId)}/offsets${query}`);
  }

  /** @throws NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND */
  deleteGroup(groupId: string): Promise<void> {
    return this.#http.request("DELETE", groupPath(groupId));
  }
}

/** Without what else the entry of a dry run has: the broker refuses fields it does not know. */
function planEntry({ topic, partition, offset }: PlannedOffset): PlannedOffset {
  return { topic, partition, offset };
}
