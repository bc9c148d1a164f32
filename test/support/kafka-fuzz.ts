// Messages that a broken or hostile Kafka client may send, from a seed. They are sound requests of every API in every
// version, the same truncated, flipped and inflated, and noise.

import { MAX_KAFKA_REQUEST_BYTES } from "../../src/core/limits.ts";
import { encodeBatch } from "../../src/core/log/record-batch.ts";
import type { Api } from "../../src/worker/kafka/api.ts";
import { encodeRequest, framed as framedBytes } from "./kafka-frames.ts";
import * as messages from "./kafka-schemas.ts";
import { Random } from "./random.ts";

/** The bytes that are sent in one piece over one connection. */
export interface Shot {
  readonly bytes: Buffer;
  readonly frames: number;
  /** True if one of them may be a request that is answered only when something happens, or a time is over. */
  readonly mayWait: boolean;
  /** True if what follows is a request of its own, if the connection is still there. */
  readonly isWhole: boolean;
}

/** A whole number from 0 to below the bound. */
type Roll = (bound: number) => number;

const APIS = Object.entries(messages) as [keyof typeof messages, Api][];
const MOST_PIPELINED = 24;
const MOST_NOISE_BYTES = 300;
const MOST_FLIPS = 4;
/** Few, so that they create little. */
const NAMES = 8;
const WAITING = new Set([messages.FETCH.key, messages.JOIN_GROUP.key, messages.SYNC_GROUP.key]);
const NO_ID = "00000000-0000-0000-0000-000000000000";
const HUGE_COUNTS = [
  Buffer.from([0x7f, 0xff, 0xff, 0xff]),
  Buffer.from([0xff, 0xff, 0xff, 0xff, 0x07]),
];

export class KafkaFuzz {
  readonly #topic: string;
  readonly #topicId: string;
  readonly #random: Random;

  /** Nothing it creates names another topic than this one and its own, whose names begin with `fuzz-`. */
  constructor(seed: number, topic: string, topicId: string) {
    this.#random = new Random(seed);
    this.#topic = topic;
    this.#topicId = topicId;
  }

  next(): Shot {
    if (this.#roll(6) > 0) return shotOf([this.#frame()]);
    return shotOf(Array.from({ length: 2 + this.#roll(MOST_PIPELINED) }, () => this.#frame(5)));
  }

  /** With its length before it. Of the first `kinds`: the connection survives most of the first five. */
  #frame(kinds = 10): Buffer {
    switch (this.#roll(kinds)) {
      case 0:
      case 1:
        return framed(this.#sound());
      case 2:
      case 3:
        return framed(this.#flipped(1 + this.#roll(MOST_FLIPS)));
      case 4: {
        const sound = this.#sound();
        return framed(
          sound.subarray(0, this.#roll(20) === 0 ? this.#roll(sound.length) : undefined),
        );
      }
      case 5:
        return framed(this.#noise(this.#roll(MOST_NOISE_BYTES)));
      case 6: {
        const sound = this.#sound();
        return framed(sound.subarray(0, this.#roll(sound.length)));
      }
      case 7: {
        const length = Buffer.alloc(4);
        const lengths = [-1, -(2 ** 31), 2 ** 31 - 1, MAX_KAFKA_REQUEST_BYTES + 1];
        length.writeInt32BE(lengths[this.#roll(lengths.length)] as number);
        return Buffer.concat([length, this.#noise(this.#roll(MOST_NOISE_BYTES))]);
      }
      case 8: {
        const sound = Buffer.from(this.#sound());
        const count = HUGE_COUNTS[this.#roll(HUGE_COUNTS.length)] as Buffer;
        count.copy(sound, 8 + this.#roll(sound.length - 8));
        return framed(sound);
      }
      default: {
        // Half of it, or more than there is.
        const whole = framed(this.#sound());
        const extra = this.#roll(2) === 0 ? this.#noise(1 + this.#roll(8)) : null;
        return extra === null
          ? whole.subarray(0, 1 + this.#roll(whole.length - 1))
          : framed(Buffer.concat([whole.subarray(4), extra]));
      }
    }
  }

  #sound(): Buffer {
    const [name, api] = APIS[this.#roll(APIS.length)] as (typeof APIS)[number];
    const [from, to] = api.versions;
    const request = CONTENTS[name]({
      roll: this.#roll,
      topic: this.#topic,
      topicId: this.#roll(8) === 0 ? NO_ID : this.#topicId,
      made: `fuzz-made-${this.#roll(NAMES)}`,
      groupId: `fuzz-group-${this.#roll(NAMES)}`,
      memberId: this.#roll(2) === 0 ? "" : `fuzz-member-${this.#roll(NAMES)}`,
    });
    const version = from + this.#roll(to - from + 1);
    return Buffer.from(encodeRequest(api, version, request, this.#roll(1_000)));
  }

  #flipped(count: number): Buffer {
    const bytes = Buffer.from(this.#sound());
    for (let i = 0; i < count; i++) {
      const at = this.#roll(bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << this.#roll(8));
    }
    return bytes;
  }

  #noise(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.#roll(256)));
  }

  readonly #roll: Roll = (bound) => this.#random.integer(0, bound - 1);
}

function shotOf(frames: readonly Buffer[]): Shot {
  const bytes = Buffer.concat(frames);
  return {
    bytes,
    isWhole: isWhole(bytes),
    frames: frames.length,
    mayWait: frames.some((frame) => frame.length >= 6 && WAITING.has(frame.readInt16BE(4))),
  };
}

function isWhole(bytes: Buffer): boolean {
  let at = 0;
  while (at + 4 <= bytes.length) {
    const length = bytes.readInt32BE(at);
    if (length < 0 || length > MAX_KAFKA_REQUEST_BYTES) return true; // The connection ends with it.
    at += 4 + length;
  }
  return at === bytes.length;
}

interface World {
  readonly roll: Roll;
  readonly topic: string;
  readonly topicId: string;
  /** A topic that may be created and deleted. */
  readonly made: string;
  readonly groupId: string;
  readonly memberId: string;
}

const BATCH = encodeBatch([
  { key: new Uint8Array(3), value: new Uint8Array(20), headers: [], timestamp: 1 },
]);
const byTopic = (name: string, partition: object) => [{ name, partitions: [partition] }];
const resource = (topic: string, more: object) => [
  { resourceType: 2, resourceName: topic, ...more },
];
const acl = (names: object, roll: Roll) => ({
  ...names,
  resourceType: roll(9),
  patternType: roll(6),
  operation: roll(16),
  permissionType: roll(5),
});
const member = ({ groupId, memberId, roll }: World) => ({
  groupId,
  memberId,
  generationId: roll(3),
  groupInstanceId: roll(4) === 0 ? "fuzz-instance" : null,
});

/** A request that a client might make, with the fields of all versions. */
const CONTENTS: Readonly<Record<keyof typeof messages, (world: World) => object>> = {
  PRODUCE: ({ topic, roll }) => ({
    acks: roll(4) === 0 ? 0 : -1,
    timeoutMs: 1_000,
    topics: byTopic(topic, { partition: roll(3), records: [BATCH] }),
  }),
  FETCH: ({ topic, topicId, roll }) => ({
    maxWaitMs: roll(20),
    minBytes: roll(2),
    maxBytes: 10_000,
    topics: [
      {
        name: topic,
        topicId,
        partitions: [{ partition: roll(3), fetchOffset: roll(50), partitionMaxBytes: 1_000 }],
      },
    ],
    forgottenTopics: [{ name: topic, topicId, partitions: [0] }],
    rackId: "r",
  }),
  LIST_OFFSETS: ({ topic, roll }) => ({
    replicaId: -1,
    topics: byTopic(topic, { partition: roll(3), timestamp: roll(5) - 4 }),
  }),
  METADATA: ({ topic, topicId, roll }) => ({
    topics: roll(4) === 0 ? null : [{ name: topic, topicId }],
  }),
  OFFSET_COMMIT: (world) => ({
    ...member(world),
    topics: byTopic(world.topic, { partition: 0, committedOffset: 1, committedMetadata: "m" }),
  }),
  OFFSET_FETCH: ({ groupId, topic }) => ({
    groupId,
    topics: [{ name: topic, partitions: [0, 1] }],
    groups: [{ groupId, topics: [{ name: topic, partitions: [0] }] }],
    requireStable: true,
  }),
  FIND_COORDINATOR: ({ groupId, roll }) => ({ key: groupId, keyType: roll(2), keys: [groupId] }),
  JOIN_GROUP: (world) => ({
    ...member(world),
    sessionTimeoutMs: 1_000,
    rebalanceTimeoutMs: 200,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: new Uint8Array(12) }],
    reason: "because",
  }),
  HEARTBEAT: member,
  LEAVE_GROUP: (world) => ({ ...member(world), members: [member(world)] }),
  SYNC_GROUP: (world) => ({
    ...member(world),
    protocolType: "consumer",
    protocolName: "range",
    assignments: [{ memberId: world.memberId, assignment: new Uint8Array(12) }],
  }),
  DESCRIBE_GROUPS: ({ groupId }) => ({ groups: [groupId] }),
  LIST_GROUPS: () => ({ statesFilter: ["Stable"], typesFilter: ["classic"] }),
  SASL_HANDSHAKE: () => ({ mechanism: "PLAIN" }),
  API_VERSIONS: () => ({ clientSoftwareName: "fuzz", clientSoftwareVersion: "1" }),
  CREATE_TOPICS: ({ made, roll }) => ({
    topics: [
      {
        name: made,
        numPartitions: 1,
        replicationFactor: 1,
        assignments: [],
        configs: [{ name: "retention.ms", value: "60000" }],
      },
    ],
    timeoutMs: 1_000,
    validateOnly: roll(2) === 0,
  }),
  DELETE_TOPICS: ({ made }) => ({
    topics: [{ name: made, topicId: NO_ID }],
    topicNames: [made],
    timeoutMs: 1_000,
  }),
  DELETE_RECORDS: ({ topic }) => ({
    topics: byTopic(topic, { partition: 0, offset: 1 }),
    timeoutMs: 1_000,
  }),
  INIT_PRODUCER_ID: () => ({ transactionalId: null, transactionTimeoutMs: 1_000 }),
  OFFSET_FOR_LEADER_EPOCH: ({ topic }) => ({
    topics: byTopic(topic, { partition: 0, leaderEpoch: 0 }),
  }),
  DESCRIBE_ACLS: ({ roll }) => acl({ resourceName: null, principal: null, host: null }, roll),
  CREATE_ACLS: ({ topic, roll }) => ({
    creations: [acl({ resourceName: topic, principal: "User:fuzz", host: "*" }, roll)],
  }),
  DELETE_ACLS: ({ topic, roll }) => ({
    filters: [acl({ resourceName: topic, principal: null, host: null }, roll)],
  }),
  DESCRIBE_CONFIGS: ({ topic, roll }) => ({
    resources: resource(topic, { configurationKeys: roll(2) === 0 ? null : ["retention.ms"] }),
  }),
  ALTER_CONFIGS: ({ topic, roll }) => ({
    resources: resource(topic, { configs: [{ name: "retention.ms", value: "3600000" }] }),
    validateOnly: roll(2) === 0,
  }),
  INCREMENTAL_ALTER_CONFIGS: ({ topic, roll }) => ({
    resources: resource(topic, {
      configs: [{ name: "retention.ms", operation: 0, value: "3600000" }],
    }),
    validateOnly: roll(2) === 0,
  }),
  SASL_AUTHENTICATE: () => ({ authBytes: new Uint8Array(20) }),
  CREATE_PARTITIONS: ({ made, roll }) => ({
    topics: [{ name: made, count: 1 + roll(3), assignments: null }],
    timeoutMs: 1_000,
    validateOnly: roll(2) === 0,
  }),
  DELETE_GROUPS: ({ groupId }) => ({ groups: [groupId] }),
  OFFSET_DELETE: ({ groupId, topic }) => ({ groupId, topics: byTopic(topic, { partition: 0 }) }),
  DESCRIBE_CLUSTER: () => ({ includeClusterAuthorizedOperations: true }),
  CONSUMER_GROUP_HEARTBEAT: ({ groupId, memberId, topic, topicId, roll }) => ({
    groupId,
    memberId,
    memberEpoch: roll(4) - 2,
    instanceId: null,
    rackId: null,
    rebalanceTimeoutMs: 1_000,
    subscribedTopicNames: [topic],
    subscribedTopicRegex: null,
    serverAssignor: null,
    topicPartitions: [{ topicId, partitions: [0] }],
  }),
  CONSUMER_GROUP_DESCRIBE: ({ groupId }) => ({
    groupIds: [groupId],
    includeAuthorizedOperations: false,
  }),
  DESCRIBE_TOPIC_PARTITIONS: ({ topic }) => ({
    topics: [{ name: topic }],
    responsePartitionLimit: 10,
    cursor: { topicName: topic, partition: 0 },
  }),
};

function framed(request: Uint8Array): Buffer {
  return Buffer.from(framedBytes(request));
}
