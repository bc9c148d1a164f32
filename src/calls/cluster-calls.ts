// The calls that the ClusterObject answers. The names are on the wire: see calls.ts.
import type { AuditEvent, KeptEvent } from "../core/access/audit.ts";
import type { Grant, Room } from "../core/access/grants.ts";
import type { Quota } from "../core/access/quota.ts";
import type { ShownKey, StoredKey } from "../core/access/stored-key.ts";
import type { ConfigOverrides, TopicConfig } from "../core/cluster/config.ts";
import type { TopicDescription } from "../core/cluster/topics.ts";
import type { Failure, Result } from "../core/errors.ts";
import type { GroupSummary } from "../core/group/describe.ts";
import type { Region } from "../core/placement.ts";
import type { Changed } from "./calls.ts";
import type { RecoveryPoint, Restored } from "./recovery.ts";

/** A topic and its used partitions. `used` is null or absent if they are unknown. */
export interface UsedTopic {
  readonly topic: TopicDescription;
  readonly used?: readonly number[] | null;
}

/**
 * [CLU-5] The topics that others have asked for last. `wantsHot` requests them, for an isolate that knows no topics.
 * After a deploy, all isolates start empty at once, and would each ask for all of their topics.
 */
export interface HotTopics {
  readonly hot?: readonly UsedTopic[];
}

/**
 * [ATT-5] The secret that signs owners, for an object that needs it next. Releases up to 0.3 ask for it in a separate
 * call.
 */
export interface OwnerSecret {
  readonly ownerSecret?: string;
}

/** A deleted topic that is kept for a while. */
export interface DeletedTopic {
  readonly topic: TopicDescription;
  readonly deletedAtMs: number;
  /** The time at which it is deleted for good. */
  readonly purgeAtMs: number;
}

/** A topic as the cluster knows it. */
export interface InspectedTopic {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: number;
  /** The used partitions, with the last reported ends of their logs. Null if unknown. */
  readonly used: readonly { readonly partition: number; readonly logEnd: number | null }[] | null;
}

/** A pending task. */
export interface InspectedTask {
  readonly id: number;
  readonly type: string;
  /** The group and the topic of the task. */
  readonly about: string;
}

export interface ClusterCalls {
  /** [CLU-1] Creates a topic, or returns an error and changes nothing. */
  createTopic(request: {
    name: string;
    partitions: number;
    overrides: Readonly<Record<string, unknown>>;
    /** [PLC-2] The region of the client, if known. It applies if the overrides name no region. */
    region?: Region | null;
    /** [QUO-5] Bounds on the number of topics. At least one must have room. */
    rooms?: readonly Room[] | null;
  }): Promise<Result<{ topic: TopicDescription }>>;

  topic(request: { name: string; wantsHot?: boolean }): Promise<Result<UsedTopic & HotTopics>>;
  topicById(request: {
    topicId: string;
    wantsHot?: boolean;
  }): Promise<Result<UsedTopic & HotTopics>>;
  /** Returns all topics. It is kept for releases up to 0.3, which have no pages. */
  topics(): Promise<TopicDescription[]>;
  /** Returns up to `limit` topics with names after `after`, sorted by name. A shorter list is the last page. */
  topicPage(request: { after: string; limit: number }): Promise<{ topics: TopicDescription[] }>;

  /** [CLU-3] Changes a topic. The number of partitions can only grow. Config keys that are not named stay unchanged. */
  alterTopic(request: {
    name: string;
    partitions?: number | undefined;
    config?: Readonly<Record<string, unknown>> | undefined;
  }): Promise<Result<{ topic: TopicDescription } & Changed>>;

  /** [DEL-1] Returns the kept deleted topics with one name, or after a name, sorted by name and then id. */
  deletedTopics(request: {
    name?: string;
    after?: string;
    limit: number;
  }): Promise<{ topics: DeletedTopic[] }>;
  /** [DEL-2] Restores a deleted topic, with its partitions and the groups' offsets in it. */
  undeleteTopic(request: { topicId: string }): Promise<Result<{ topic: TopicDescription }>>;
  /** [DEL-1] Frees the storage of a deleted topic now. */
  purgeTopic(request: { topicId: string }): Promise<Result<object>>;

  /** [CLU-4] Deletes a topic for all clients at once. Freeing its partitions' storage is retried until it succeeds. */
  deleteTopic(request: { name: string }): Promise<Result<object>>;

  /** Returns the defaults of topics: the values that are set, and the full config that results. */
  defaults(): Promise<{ overrides: ConfigOverrides; config: TopicConfig }>;

  /** [CFG-3] Changes the defaults for all topics that do not override the key. */
  alterDefaults(request: {
    changes: Readonly<Record<string, unknown>>;
  }): Promise<Result<{ overrides: ConfigOverrides; config: TopicConfig } & Changed>>;

  /**
   * [FIL-3] [FIL-4] Notes that a partition starts to be used, or starts a new life. Called by the partition. Returns
   * its topic, and the last reported end of its log. Null means that no end was ever reported, so the partition was
   * never used. With `hasBegun`, the partition has its tables by now, and an end of 0 is noted.
   */
  usePartition(request: { topicId: string; partition: number; hasBegun?: boolean }): Promise<
    | ({ ok: true } & { topic: TopicDescription; knownLogEnd: number | null } & OwnerSecret)
    /** [DEL-1] With `isKept`, the topic was deleted and may be restored. */
    | (Failure & { isKept?: boolean })
  >;

  /** [FIL-4] Notes that the partition's log ends at `logEnd`, in its storage. */
  noteLogEnd(request: { topicId: string; partition: number; logEnd: number }): Promise<void>;

  /** [FIL-1] Returns each topic's used partitions. Null if they are unknown or the topic is gone. */
  usedPartitions(request: { topicIds: readonly string[] }): Promise<(readonly number[] | null)[]>;

  /**
   * [CLK-1] [CLK-4] Notes that the clock was set back. Called by the Worker. Returns the objects to notify: all groups,
   * and the most recently written partitions, because a commit may be waiting in them.
   */
  noticeClock(): Promise<{
    groups: string[];
    partitions: { topicId: string; partition: number }[];
  }>;

  /**
   * [PLC-1] Asks the cluster's object outside any jurisdiction for the jurisdiction of this deployment's data. If there
   * is no data yet, notes the given one. Called by the cluster's object in that jurisdiction. Returns the jurisdiction,
   * empty for none.
   */
  claimJurisdiction(request: { jurisdiction: string }): Promise<{ jurisdiction: string }>;

  /** [DRX-1] Returns topics by name, starting after `after`. */
  inspectTopics(request: {
    after: string | null;
    limit: number;
  }): Promise<{ topics: readonly InspectedTopic[] }>;

  /** [DRX-1] Returns the oldest tasks for other objects that are not done yet. */
  inspectTasks(request: { limit: number }): Promise<{ tasks: readonly InspectedTask[] }>;

  /** [DRX-3] True if the topic exists, or its partitions must still be freed. */
  knowsTopic(request: { topicId: string }): Promise<{ isKnown: boolean }>;

  /** [RCV-1] Finds the state that was stored at a time. It changes nothing. */
  recoveryPoint(request: { toMs: number }): Promise<Result<RecoveryPoint>>;

  /** [RCV-2] Starts a new life with the state of a bookmark. Later changes are lost. */
  recoverTo(request: { bookmark: string }): Promise<Result<Restored>>;

  /** Returns the ids of all groups. It is kept for releases up to 0.3, which have no pages. */
  groups(): Promise<string[]>;
  /**
   * Returns up to `limit` groups with ids after `after`, sorted by id, each with its last reported summary, or null. A
   * shorter list is the last page.
   */
  groupPage(request: {
    after: string;
    limit: number;
  }): Promise<{ groups: { groupId: string; summary: GroupSummary | null }[] }>;
  /** [KFK-34] Notes a group's state and type for lists. Called by the group, or by a caller that has asked it. */
  summarizeGroup(request: { groupId: string; summary: GroupSummary }): Promise<void>;
  hasGroup(request: { groupId: string }): Promise<boolean>;
  /** [FIL-6] Notes that the group has stored something. Called by the group. */
  noteGroupMade(request: { groupId: string }): Promise<void>;
  /** [FIL-6] True if the group has ever stored something. It may have lost it. */
  isGroupMade(request: { groupId: string }): Promise<boolean>;

  /**
   * Lists the group, and notifies it of changes to these and matching topics from now on. Returns the topics that
   * exist, and whether the group has ever stored something. With `mustExist`, nonexistent names are not remembered. If
   * none of the names exists, the group is not listed [GRP-13].
   */
  subscribe(request: {
    groupId: string;
    names: readonly string[];
    pattern: string | null;
    mustExist?: boolean;
    /** [QUO-5] Bounds on the number of groups. At least one must have room if this group is not listed yet. */
    rooms?: readonly Room[] | null | undefined;
    /** The group's entry in lists, if the group is new. */
    summary?: GroupSummary | null;
  }): Promise<
    Result<
      {
        topics: TopicDescription[];
        retiredIncarnation: number;
        isMade: boolean;
        /** True if the group was not listed before. */
        isListedNow?: boolean;
      } & OwnerSecret
    >
  >;

  /**
   * [CLK-5] Notes the incarnation of a group that is about to be deleted. Called by the group. The group's next
   * incarnation will be later, whatever the clock shows.
   */
  retireIncarnation(request: { incarnation: number }): Promise<void>;

  // Calls for authentication (src/worker/access).

  /** [APK-2] Stores a new API key. */
  putApiKey(request: { key: StoredKey }): Promise<Result<object>>;
  /** Returns a key, and the version of all keys. Releases up to 0.3 do not include the version. */
  apiKey(request: { id: string }): Promise<{ key: StoredKey | null; version?: string }>;
  /**
   * [APK-4] Returns the ids of the keys that were created, changed or revoked since a version. Null if unknown: any key
   * may have changed.
   */
  apiKeyChanges(request: {
    since: string;
  }): Promise<{ version: string; changed: readonly string[] | null }>;
  /** [APK-2] Returns the API keys, without their verifiers. */
  apiKeys(): Promise<ShownKey[]>;
  /** [APK-3] Changes the rights and the expiry of a key. Absent fields stay unchanged. Null removes a value. */
  alterApiKey(request: {
    id: string;
    grants?: readonly Grant[] | undefined;
    expiresAtMs?: number | null | undefined;
    quota?: Quota | null | undefined;
  }): Promise<Result<{ key: ShownKey } & Changed>>;
  deleteApiKey(request: { id: string }): Promise<Result<{ key: ShownKey }>>;
  /** [APK-2] Notes that the key was used today. */
  noteApiKeyUsed(request: { id: string }): Promise<void>;
  /** [AUD-1] Stores lines of the audit log. */
  noteAudit(request: { events: readonly AuditEvent[] }): Promise<void>;
  /** [AUD-2] Returns lines of the audit log, the newest first: those before a number, or all. */
  audit(request: { limit: number; before?: number | null }): Promise<{ events: KeptEvent[] }>;
  /**
   * Returns a secret of this deployment. If none has this name, the proposal becomes it: the first one wins. Without a
   * proposal, the answer may be null.
   */
  secret(request: { name: string; proposal?: string | null }): Promise<{ value: string | null }>;
  /** [JWT-4] Returns the last valid key set of a token issuer. */
  issuerKeys(request: { url: string }): Promise<{ kept: { jwks: string; atMs: number } | null }>;
  keepIssuerKeys(request: { url: string; jwks: string; atMs: number }): Promise<void>;

  /**
   * [GRP-13] Forgets a group that no longer exists or never existed. Called by the group. The call may arrive late, so
   * the group is asked again. If it has subscribed in the meantime, it stays.
   */
  forgetGroup(request: { groupId: string }): Promise<void>;
}

/** The fields of a call. */
export type ClusterRequest<Method extends keyof ClusterCalls> = Parameters<ClusterCalls[Method]>[0];

/** [VER-10] True for calls that may run twice without harm. The platform may repeat those whose answer was lost. */
export const CLUSTER_CALLS: Readonly<Record<keyof ClusterCalls, boolean>> = {
  createTopic: false,
  topic: true,
  topicById: true,
  topics: true,
  topicPage: true,
  alterTopic: true,
  deleteTopic: false,
  deletedTopics: true,
  undeleteTopic: false,
  purgeTopic: false,
  defaults: true,
  alterDefaults: true,
  usePartition: true,
  noteLogEnd: true,
  usedPartitions: true,
  noticeClock: true,
  inspectTopics: true,
  inspectTasks: true,
  knowsTopic: true,
  recoveryPoint: true,
  recoverTo: false,
  groups: true,
  groupPage: true,
  summarizeGroup: true,
  hasGroup: true,
  noteGroupMade: true,
  isGroupMade: true,
  claimJurisdiction: true,
  subscribe: true,
  retireIncarnation: true,
  forgetGroup: true,
  putApiKey: true,
  apiKey: true,
  apiKeyChanges: true,
  apiKeys: true,
  alterApiKey: true,
  deleteApiKey: false,
  noteApiKeyUsed: true,
  noteAudit: false,
  audit: true,
  secret: true,
  issuerKeys: true,
  keepIssuerKeys: true,
};
