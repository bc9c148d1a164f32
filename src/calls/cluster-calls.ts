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

/** A topic and its partitions that have been used. They are null, or absent, if that is not remembered. */
export interface UsedTopic {
  readonly topic: TopicDescription;
  readonly used?: readonly number[] | null;
}

/**
 * [CLU-5] With `wantsHot`, the topics that others have asked for last, for an isolate that knows none. After a deploy every
 * isolate begins anew at once, and would ask for each of its topics.
 */
export interface HotTopics {
  readonly hot?: readonly UsedTopic[];
}

/** [ATT-5] The secret that signs owners, for an object that needs it next. Releases up to 0.3 have it asked for. */
export interface OwnerSecret {
  readonly ownerSecret?: string;
}

/** A topic that was deleted and is kept for a while. */
export interface DeletedTopic {
  readonly topic: TopicDescription;
  readonly deletedAtMs: number;
  /** When it goes for good. */
  readonly purgeAtMs: number;
}

/** A topic as the cluster knows it. */
export interface InspectedTopic {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: number;
  /** The partitions that were used, with the ends of their logs as last reported. Null if that is not remembered. */
  readonly used: readonly { readonly partition: number; readonly logEnd: number | null }[] | null;
}

/** A task that waits. */
export interface InspectedTask {
  readonly id: number;
  readonly type: string;
  /** The group and the topic that it is about. */
  readonly about: string;
}

export interface ClusterCalls {
  /** [CLU-1] Creates a topic, or returns what is wrong and changes nothing. */
  createTopic(request: {
    name: string;
    partitions: number;
    overrides: Readonly<Record<string, unknown>>;
    /** [PLC-2] Where it is created from, if that is known. It counts if the overrides name no region. */
    region?: Region | null;
    /** [QUO-5] Bounds on the number of topics, of which one must have room. */
    rooms?: readonly Room[] | null;
  }): Promise<Result<{ topic: TopicDescription }>>;

  topic(request: { name: string; wantsHot?: boolean }): Promise<Result<UsedTopic & HotTopics>>;
  topicById(request: {
    topicId: string;
    wantsHot?: boolean;
  }): Promise<Result<UsedTopic & HotTopics>>;
  /** Returns all topics. Answered for releases up to 0.3, which know no pages. */
  topics(): Promise<TopicDescription[]>;
  /** Returns the topics whose names come after this one, by name, up to `limit` of them. Fewer are the last. */
  topicPage(request: { after: string; limit: number }): Promise<{ topics: TopicDescription[] }>;

  /** [CLU-3] Changes a topic. The number of partitions only grows. Config keys that are not named stay as they are. */
  alterTopic(request: {
    name: string;
    partitions?: number | undefined;
    config?: Readonly<Record<string, unknown>> | undefined;
  }): Promise<Result<{ topic: TopicDescription } & Changed>>;

  /** [DEL-1] Returns the deleted topics that are kept, of one name or after a name, by name and then by id. */
  deletedTopics(request: {
    name?: string;
    after?: string;
    limit: number;
  }): Promise<{ topics: DeletedTopic[] }>;
  /** [DEL-2] Brings a deleted topic back, with its partitions and the positions of groups in it. */
  undeleteTopic(request: { topicId: string }): Promise<Result<{ topic: TopicDescription }>>;
  /** [DEL-1] Frees a deleted topic now. */
  purgeTopic(request: { topicId: string }): Promise<Result<object>>;

  /** [CLU-4] Deletes a topic, for everyone at once. Freeing its partitions' storage is retried until it is done. */
  deleteTopic(request: { name: string }): Promise<Result<object>>;

  /** Returns the config of topics that set nothing themselves: the values set, and the full config that results. */
  defaults(): Promise<{ overrides: ConfigOverrides; config: TopicConfig }>;

  /** [CFG-3] Changes the defaults for every topic that does not set the key itself. */
  alterDefaults(request: {
    changes: Readonly<Record<string, unknown>>;
  }): Promise<Result<{ overrides: ConfigOverrides; config: TopicConfig } & Changed>>;

  /**
   * [FIL-3] [FIL-4] Notes that a partition begins to be used, or begins a new life. Called by the partition. Returns its
   * topic, and the end of its log as it was last reported. Null means that it was never reported, so the partition
   * was never used. With `hasBegun` the partition has its tables by now, and an end of 0 is noted.
   */
  usePartition(request: { topicId: string; partition: number; hasBegun?: boolean }): Promise<
    | ({ ok: true } & { topic: TopicDescription; knownLogEnd: number | null } & OwnerSecret)
    /** [DEL-1] With `isKept`, the topic was deleted and may be brought back. */
    | (Failure & { isKept?: boolean })
  >;

  /** [FIL-4] Notes that the partition's log ends there and that its storage holds it. */
  noteLogEnd(request: { topicId: string; partition: number; logEnd: number }): Promise<void>;

  /**
   * [FIL-1] Lists each topic's partitions that have been used. Null if the use is not remembered or the topic is gone.
   */
  usedPartitions(request: { topicIds: readonly string[] }): Promise<(readonly number[] | null)[]>;

  /**
   * [CLK-1] [CLK-4] Notes that the clock was set back. Called by the Worker. Returns the objects to tell: every group, and
   * the partitions written to last, because a commit may wait in them.
   */
  noticeClock(): Promise<{
    groups: string[];
    partitions: { topicId: string; partition: number }[];
  }>;

  /**
   * [PLC-1] Asks the cluster's object outside of any jurisdiction where this deployment has its data. If it has none yet,
   * it is to be there, which is noted. Called by the cluster's object there. Returns the jurisdiction, empty for none.
   */
  claimJurisdiction(request: { jurisdiction: string }): Promise<{ jurisdiction: string }>;

  /** [DRX-1] Lists topics by name, from the one after `after` on. */
  inspectTopics(request: {
    after: string | null;
    limit: number;
  }): Promise<{ topics: readonly InspectedTopic[] }>;

  /** [DRX-1] Lists the oldest tasks that other objects have still to be told. */
  inspectTasks(request: { limit: number }): Promise<{ tasks: readonly InspectedTask[] }>;

  /** [DRX-3] True if the topic exists, or its partitions are still to be freed. */
  knowsTopic(request: { topicId: string }): Promise<{ isKnown: boolean }>;

  /** [RCV-1] Finds the state that was stored at a time. It changes nothing. */
  recoveryPoint(request: { toMs: number }): Promise<Result<RecoveryPoint>>;

  /** [RCV-2] Begins a new life with the state of a bookmark. What was stored since is gone. */
  recoverTo(request: { bookmark: string }): Promise<Result<Restored>>;

  /** Returns the ids of all groups. Answered for releases up to 0.3, which know no pages. */
  groups(): Promise<string[]>;
  /**
   * Returns the groups whose ids come after this one, by id, up to `limit` of them, each with what it last told of itself, or
   * null. Fewer are the last.
   */
  groupPage(request: {
    after: string;
    limit: number;
  }): Promise<{ groups: { groupId: string; summary: GroupSummary | null }[] }>;
  /** [KFK-34] Notes a group's state and type for lists. Called by the group, or by whoever has asked it. */
  summarizeGroup(request: { groupId: string; summary: GroupSummary }): Promise<void>;
  hasGroup(request: { groupId: string }): Promise<boolean>;
  /** [FIL-6] Notes that the group has stored something. Called by the group. */
  noteGroupMade(request: { groupId: string }): Promise<void>;
  /** [FIL-6] True if the group has ever stored something, which it may have lost. */
  isGroupMade(request: { groupId: string }): Promise<boolean>;

  /**
   * Lists the group and reports changes to these topics, and to matching ones, to it from now on. Returns the topics
   * that exist, and whether the group has ever stored something. With `mustExist`, names of topics that do not exist
   * are not remembered. If none of them exists, the group is not listed for them [GRP-13].
   */
  subscribe(request: {
    groupId: string;
    names: readonly string[];
    pattern: string | null;
    mustExist?: boolean;
    /** [QUO-5] Bounds on the number of groups, of which one must have room if this group is not listed yet. */
    rooms?: readonly Room[] | null | undefined;
    /** The group's line in lists, if the group is new. */
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
   * [CLK-5] Notes the incarnation of a group that is about to be deleted. Called by the group. Whatever the clock shows,
   * the group's next incarnation is later.
   */
  retireIncarnation(request: { incarnation: number }): Promise<void>;

  // For the way in (src/worker/access).

  /** [APK-2] Stores a new API key. */
  putApiKey(request: { key: StoredKey }): Promise<Result<object>>;
  /** Returns a key, and the version of all keys. Releases up to 0.3 leave the version out. */
  apiKey(request: { id: string }): Promise<{ key: StoredKey | null; version?: string }>;
  /**
   * [APK-4] Returns the ids of the keys that were made, changed or revoked since a version. Null if nobody knows: any may
   * have been.
   */
  apiKeyChanges(request: {
    since: string;
  }): Promise<{ version: string; changed: readonly string[] | null }>;
  /** [APK-2] Lists the API keys, without what tells whether somebody has one. */
  apiKeys(): Promise<ShownKey[]>;
  /** [APK-3] Changes what a key may do, and when it expires. What is not named stays as it is. A null takes away. */
  alterApiKey(request: {
    id: string;
    grants?: readonly Grant[] | undefined;
    expiresAtMs?: number | null | undefined;
    quota?: Quota | null | undefined;
  }): Promise<Result<{ key: ShownKey } & Changed>>;
  deleteApiKey(request: { id: string }): Promise<Result<{ key: ShownKey }>>;
  /** [APK-2] Notes that the key is in use today. */
  noteApiKeyUsed(request: { id: string }): Promise<void>;
  /** [AUD-1] Keeps lines of the audit log. */
  noteAudit(request: { events: readonly AuditEvent[] }): Promise<void>;
  /** [AUD-2] Returns lines of the audit log, the newest first, of those before a number or of all. */
  audit(request: { limit: number; before?: number | null }): Promise<{ events: KeptEvent[] }>;
  /**
   * Returns a secret of this deployment. If there is none of this name, the proposal becomes it: the first one counts.
   * Without a proposal the answer may be null.
   */
  secret(request: { name: string; proposal?: string | null }): Promise<{ value: string | null }>;
  /** [JWT-4] Returns the last good key set of an issuer of tokens. */
  issuerKeys(request: { url: string }): Promise<{ kept: { jwks: string; atMs: number } | null }>;
  keepIssuerKeys(request: { url: string; jwks: string; atMs: number }): Promise<void>;

  /**
   * [GRP-13] Forgets a group that no longer exists or never came to be. Called by the group. The call may come late, so
   * the group is asked again. If it has subscribed meanwhile, it stays.
   */
  forgetGroup(request: { groupId: string }): Promise<void>;
}

/** The fields of a call. */
export type ClusterRequest<Method extends keyof ClusterCalls> = Parameters<ClusterCalls[Method]>[0];

/** [VER-10] The calls that do no harm if they run twice. The platform may repeat those whose answer was lost. */
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
