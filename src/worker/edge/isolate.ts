// The state that this isolate keeps between requests, all in one place. It holds metadata and numbers, and
// nothing that belongs to a request. The platform may discard it at any time. src/memory.ts counts the memory
// in use.

import { QuotaBook } from "../../core/access/quota-book.ts";
import type { StoredKey } from "../../core/access/stored-key.ts";
import type { Topic } from "../../core/cluster/topics.ts";
import type { BrokerError } from "../../core/errors.ts";
import { MIN_READ_ROOM_BYTES } from "../../core/limits.ts";
import { RequestCounts } from "../../core/metrics/request-counts.ts";
import type { ShareTerms } from "../../core/share/share-terms.ts";
import { memory } from "../../memory.ts";
import type { PooledProducer } from "./pooled-producer.ts";

/** One connection of a Kafka client, as seen by other connections of its isolate. */
export interface KafkaConnection {
  /** True if a complete request has ever come. */
  readonly hasSpoken: boolean;
  /** True if the principal of the connection is known. */
  readonly isKnown: boolean;
  /** True if its next request waits until its principal may do more. */
  readonly isMuted: boolean;
  /** The turn since which there has been no request. Null while a request is in progress. */
  readonly quietSince: number | null;
  /** The time when it last showed that it is alive. */
  readonly seenMs: number;
  /** Makes the connection close. */
  letGo(error: BrokerError): void;
}

/** A topic as the cluster last described it. */
export interface KnownTopic {
  readonly topic: Topic;
  /** The partitions that had been used by then. Null if the cluster does not know. */
  readonly used: ReadonlySet<number> | null;
  readonly atMs: number;
  /**
   * The time for which the description is valid without asking again. It varies by topic, so that not all are
   * asked about at once.
   */
  readonly freshMs: number;
  /** The time when the cluster was last asked again. Null if it was not. */
  renewedMs: number | null;
  /** The request that asked the cluster. Null if that is not known. */
  askedFor: symbol | null;
}

/** A share group, as it said when it was asked. */
export interface OpenShareGroup {
  readonly incarnation: number;
  readonly terms: ShareTerms;
  /** The topics that it knows. */
  readonly topics: ReadonlySet<string>;
  readonly atMs: number;
}

interface Isolate {
  /** The time that the clock showed at the last request. */
  latestMs: number;
  /** The time when this isolate last changed the defaults, from which topics' configs are resolved. */
  defaultsChangedMs: number;
  /** Topics by name. */
  readonly topics: Map<string, KnownTopic>;
  /** All topics by name, as last listed. Null if not known, or if there were too many to keep. */
  listed: { readonly topics: Map<string, Topic>; readonly atMs: number } | null;
  /** Names and ids that are being looked up, each with a promise of the answer. */
  readonly lookups: Map<string, Promise<Topic>>;
  /** Names and ids without a topic, and the time when that was found out. */
  readonly unknownTopics: Map<string, number>;
  /** The names of those topics by their ids. */
  readonly topicNames: Map<string, string>;
  /** Partitions that have been used, by topic id and number. */
  readonly usedPartitions: Map<string, true>;
  /** Groups that exist, and the time when the cluster said so. */
  readonly groups: Map<string, number>;
  /** Share groups that this isolate has opened. */
  readonly shareGroups: Map<string, OpenShareGroup>;
  /** API keys by their ids, and the time when the cluster returned them. */
  readonly apiKeys: Map<string, { readonly key: StoredKey; readonly atMs: number }>;
  /** The version of all API keys that the known ones belong to, and the time when the cluster was asked for it. */
  apiKeysAsOf: { readonly version: string; readonly atMs: number } | null;
  /** Ids without an API key, and the time when the cluster said so. */
  readonly unknownApiKeys: Map<string, number>;
  /** The deployment's secrets by their names. They never change. */
  readonly secrets: Map<string, string>;
  /** The remaining quotas of the callers served here. */
  quotas: QuotaBook;
  /** Producers that no request is using. */
  idleProducers: PooledProducer[];
  /** The size of the largest recent answers of partitions. */
  largeReadBytes: number;
  /** Counts of requests by outcome. */
  requests: RequestCounts;
  /** Connections of Kafka's clients. */
  readonly kafka: {
    readonly connections: Set<KafkaConnection>;
    /** Increases each time a connection becomes quiet. */
    turns: number;
  };
}

export const isolate: Isolate = {
  latestMs: 0,
  defaultsChangedMs: 0,
  topics: new Map(),
  listed: null,
  lookups: new Map(),
  unknownTopics: new Map(),
  topicNames: new Map(),
  usedPartitions: new Map(),
  groups: new Map(),
  shareGroups: new Map(),
  apiKeys: new Map(),
  apiKeysAsOf: null,
  unknownApiKeys: new Map(),
  secrets: new Map(),
  quotas: new QuotaBook(),
  idleProducers: [],
  largeReadBytes: MIN_READ_ROOM_BYTES,
  requests: new RequestCounts(),
  kafka: { connections: new Set(), turns: 0 },
};

/** [BND-1] Removes the oldest entries, so that at most `max` are left. */
export function forgetOldest(
  entries: Map<string, unknown>,
  max: number,
  forget: (key: string) => void = (key) => entries.delete(key),
): void {
  for (const oldest of entries.keys()) {
    if (entries.size <= max) return;
    forget(oldest);
  }
}

/** Resets the state to that of a new isolate. */
export function forgetEverything(): void {
  isolate.latestMs = 0;
  isolate.defaultsChangedMs = 0;
  isolate.topics.clear();
  isolate.lookups.clear();
  isolate.unknownTopics.clear();
  isolate.topicNames.clear();
  isolate.usedPartitions.clear();
  isolate.groups.clear();
  isolate.apiKeys.clear();
  isolate.apiKeysAsOf = null;
  isolate.unknownApiKeys.clear();
  isolate.secrets.clear();
  isolate.quotas = new QuotaBook();
  isolate.idleProducers = [];
  isolate.largeReadBytes = MIN_READ_ROOM_BYTES;
  isolate.requests = new RequestCounts();
  isolate.listed = null;
  memory.budget.forgetEverything();
}
