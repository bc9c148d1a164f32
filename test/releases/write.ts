// Writes data of every kind into an empty broker, on every interface. A kind that a release adds is added here.
import { toBase64 } from "../../src/core/bytes.ts";
import { encodeBatch } from "../../src/core/log/record-batch.ts";
import type { ProducerRecord } from "../../src/core/record.ts";
import { kafkaJs } from "../e2e/kafka/kafkajs.ts";
import { platformatic } from "../e2e/kafka/platformatic.ts";
import { PlainClient } from "../e2e/plain-client.ts";
import { RawKafka } from "../support/kafka-client.ts";
import * as messages from "../support/kafka-schemas.ts";
import { until } from "../support/until.ts";
import { ask, type Json } from "./ask.ts";
import type { ReleaseBroker } from "./release-broker.ts";

/** Frozen data is opened for years. So nothing in it may expire, except request keys, which get new dates. */
const FOREVER = Number.MAX_SAFE_INTEGER;
const DEFAULTS = { "retention.ms": -1, "producer.id.expiration.ms": FOREVER };
const TEN_YEARS_MINUTES = 10 * 366 * 24 * 60;
/** The longest session: a frozen member is there for this long after it was opened. */
export const SESSION_MS = 30 * 60_000;
/** The records' timestamp: the same in every release. */
const TIMESTAMP = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** Answered requests. A repeat must be answered the same. */
export interface Repeats {
  /** Appends of idempotent producers: the batches as base64. */
  readonly appends: readonly (Place & { readonly batches: string; readonly baseOffset: number })[];
  /** Produce requests with an `Idempotency-Key`. */
  readonly keyed: readonly {
    readonly topic: string;
    readonly key: string;
    readonly body: unknown;
    readonly answer: unknown;
  }[];
}

interface Place {
  readonly topic: string;
  readonly partition: number;
}

/** Members that were there at the end. */
export interface Members {
  /** It came over a plain WebSocket. */
  readonly socket: { readonly groupId: string; readonly query: string };
  readonly poller: { readonly groupId: string; readonly instanceId: string };
  readonly beating: {
    readonly groupId: string;
    readonly memberId: string;
    readonly memberEpoch: number;
  };
  readonly classic: {
    readonly groupId: string;
    readonly memberId: string;
    readonly groupInstanceId: string;
    readonly generationId: number;
  };
}

export interface Written {
  readonly repeats: Repeats;
  readonly members: Members;
}

export async function write(broker: ReleaseBroker): Promise<Written> {
  await ask(broker.url, "PATCH", "/v1/configs", { config: DEFAULTS });
  await writeRecords(broker);
  await writeSegments(broker);
  await writeCompacted(broker);
  await writeFolded(broker);
  const repeats = { appends: await writeAppends(broker), keyed: await writeKeyed(broker) };
  const natives = await joinNatives(broker);
  const kafka = new RawKafka(broker.kafka);
  const members = {
    ...natives,
    beating: await joinByHeartbeat(kafka),
    classic: await joinClassic(kafka),
  };
  await writePositions(broker, kafka);
  kafka.close();
  await deleteSome(broker);
  await writeRegions(broker);
  const config = { "offsets.retention.minutes": TEN_YEARS_MINUTES };
  for (const { groupId } of await groupsOf(broker))
    await ask(broker.url, "PATCH", `/v1/groups/${groupId}`, { config });
  return { repeats, members };
}

async function groupsOf(broker: ReleaseBroker): Promise<{ groupId: string }[]> {
  return (await ask<{ groups: { groupId: string }[] }>(broker.url, "GET", "/v1/groups")).groups;
}

function create(broker: ReleaseBroker, name: string, partitions = 1, config: Json = {}) {
  return ask(broker.url, "POST", "/v1/topics", { name, partitions, config });
}

function send(
  broker: ReleaseBroker,
  topic: string,
  records: readonly unknown[],
  headers: Record<string, string> = {},
): Promise<{ results: unknown[] }> {
  return ask(broker.url, "POST", `/v1/topics/${topic}/records`, { records }, headers);
}

/** Records of every form, on a topic without a config of its own, which has grown. */
async function writeRecords(broker: ReleaseBroker): Promise<void> {
  await create(broker, "orders", 2);
  await send(broker, "orders", [
    { key: "käse", value: "Gruyère 🧀", headers: { origin: "Bern", many: ["a", "b"], none: null } },
    { key: "json", value: { a: [1, 2.5, null, true], ü: "ö" }, timestamp: TIMESTAMP },
    { key: null, value: null },
    { keyBase64: "/wD+", valueBase64: "AAECA/8=", timestamp: 0 },
    { value: "x".repeat(10_000) },
  ]);
  await ask(broker.url, "PATCH", "/v1/topics/orders", { partitions: 3 });
  const placed = [0, 1, 2].flatMap((partition) =>
    Array.from({ length: 5 }, (_, i) => ({ partition, key: `k${i}`, value: `${partition}-${i}` })),
  );
  await send(broker, "orders", placed);
  await create(broker, "appended", 1, { "message.timestamp.type": "LogAppendTime" });
  await send(broker, "appended", [{ value: "stamped", timestamp: TIMESTAMP }, { value: "too" }]);
  await create(broker, "unused", 4, { "max.message.bytes": 1_000, "retention.bytes": 5_000_000 });
  for (const name of ["pattern-a", "pattern-b"]) {
    await create(broker, name);
    await send(broker, name, [{ value: name }]);
  }
}

/** Segments with a few records each, of which the first are deleted. */
async function writeSegments(broker: ReleaseBroker): Promise<void> {
  await create(broker, "segments", 1, { "segment.ms": 1, "cleanup.policy": "" });
  for (let i = 0; i < 6; i++)
    await send(broker, "segments", [{ key: `${i}`, value: `a${i}` }, { value: `b${i}` }]);
  await ask(broker.url, "DELETE", "/v1/topics/segments/partitions/0/records?before=5");
}

/** A compacted log with tombstones, whose closed segments compaction has seen. */
async function writeCompacted(broker: ReleaseBroker): Promise<void> {
  const config = {
    "cleanup.policy": "compact",
    "segment.ms": 1,
    "min.cleanable.dirty.ratio": 0,
    "delete.retention.ms": FOREVER,
  };
  await create(broker, "latest", 1, config);
  await send(broker, "latest", [{ key: "kept", value: "since the first segment" }]);
  for (let i = 0; i < 4; i++) {
    const records = ["a", "b", "c"].map((key) => ({ key, value: `${key}${i}` }));
    await send(broker, "latest", [...records, { key: "gone", value: i < 2 ? "there" : null }]);
  }
  const path = "/v1/topics/latest/partitions/0/records?offset=0";
  await until("closed segments are compacted", async () => {
    const { records } = await ask<{ records: { offset: number }[] }>(broker.url, "GET", path);
    return records.map(({ offset }) => offset).join() === "0,13,14,15,16";
  });
  // From now on it stays unchanged, whenever it is opened.
  await ask(broker.url, "PATCH", "/v1/topics/latest", { config: { "segment.ms": FOREVER } });
}

/** Batches in every compression. */
async function writeFolded(broker: ReleaseBroker): Promise<void> {
  await create(broker, "folded");
  const client = platformatic("classic");
  for (const compression of client.compressions) {
    const records = Array.from({ length: 10 }, (_, i) => ({
      partition: 0,
      key: Buffer.from(`${compression}-${i}`),
      value: Buffer.from(`${compression} `.repeat(20)),
      headers: { compression },
      timestamp: TIMESTAMP + i,
    }));
    await client.send({ brokers: broker.kafka }, "folded", records, compression);
  }
}

function records(count: number, name: string): ProducerRecord[] {
  const utf8 = new TextEncoder();
  return Array.from({ length: count }, (_, i) => ({
    key: utf8.encode(name),
    value: utf8.encode(`${name} ${i}`),
    headers: [],
    timestamp: TIMESTAMP + i,
  }));
}

/** More appends than a snapshot of the producers holds, so that some are in it and others after it. */
const APPENDS = 70;

async function writeAppends(broker: ReleaseBroker): Promise<Repeats["appends"]> {
  await create(broker, "idempotent", 2);
  const appends = [];
  const producers = [
    { partition: 0, producerId: 4_711, producerEpoch: 3 },
    { partition: 0, producerId: 4_712, producerEpoch: 0 },
    { partition: 1, producerId: 4_711, producerEpoch: 3 },
  ];
  for (const { partition, ...producer } of producers)
    for (let i = 0; i < (producer.producerId === 4_711 ? APPENDS : 3); i++) {
      const batch = encodeBatch(records(2, `p${i}`), { ...producer, baseSequence: 2 * i });
      const path = `/v1/topics/idempotent/partitions/${partition}/batches`;
      const response = await fetch(`${broker.url}${path}`, { method: "POST", body: batch });
      if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
      const { baseOffset } = (await response.json()) as { baseOffset: number };
      appends.push({
        topic: "idempotent",
        partition,
        batches: toBase64(batch),
        baseOffset,
        producer,
      });
    }
  // A partition recognizes the last five of a producer.
  const last = Object.values(
    Object.groupBy(appends, ({ partition, producer }) => `${partition} ${producer.producerId}`),
  );
  return last.flatMap((own) => own?.slice(-5) ?? []).map(({ producer: _, ...append }) => append);
}

async function writeKeyed(broker: ReleaseBroker): Promise<Repeats["keyed"]> {
  await create(broker, "keyed", 3);
  const keyed = [];
  for (let i = 0; i < 4; i++) {
    const key = `order-${i}`;
    const body = [0, 1, 2].map((n) => ({ key: `${key}-${n}`, value: n, partition: (i + n) % 3 }));
    const answer = await send(broker, "keyed", body, { "idempotency-key": key });
    keyed.push({ topic: "keyed", key, body: { records: body }, answer });
  }
  return keyed;
}

/** Members by a plain WebSocket, a poll, and a poll with a pattern. The group of the first two has a config. */
async function joinNatives(broker: ReleaseBroker): Promise<Pick<Members, "socket" | "poller">> {
  const poller = { groupId: "natives", instanceId: "poller" };
  const query = `topics=orders,appended&instanceId=static&clientId=plain&sessionTimeoutMs=${SESSION_MS}`;
  const plain = new PlainClient(broker.url, "natives", query);
  await until("the plain member has read all", () => plain.records.length === 22);
  const poll = (body: Json = {}) =>
    ask<{ assignment: unknown[]; records: (Place & { offset: number })[] }>(
      broker.url,
      "POST",
      "/v1/groups/natives/poll",
      {
        instanceId: poller.instanceId,
        topics: ["orders"],
        sessionTimeoutMs: SESSION_MS,
        ...body,
      },
    );
  await until("the poller has partitions", async () => (await poll()).assignment.length > 0);
  const more = [0, 1, 2].map((partition) => ({ partition, value: `more ${partition}` }));
  await send(broker, "orders", more);
  const polled = await until("the poller reads", async () => {
    const { records } = await poll();
    return records.length > 0 && records;
  });
  const acked = polled
    .slice(0, 1)
    .map(({ topic, partition, offset }) => ({ topic, partition, offset }));
  await poll({ ack: acked });
  const config = { "group.max.size": 9, "consumer.auto.offset.reset": "earliest" };
  await ask(broker.url, "PATCH", "/v1/groups/natives", { config });
  await until("what was acknowledged is committed", async () => {
    const { offsets } = await ask<{ offsets: { lag: number }[] }>(
      broker.url,
      "GET",
      "/v1/groups/natives",
    );
    return offsets.reduce((sum, { lag }) => sum + lag, 0) === polled.length - 1;
  });
  plain.cut();
  await until("its socket is gone", () => plain.closed);
  await ask(broker.url, "POST", "/v1/groups/patterns/poll", {
    instanceId: "by-pattern",
    pattern: "pattern-.*",
    sessionTimeoutMs: SESSION_MS,
  });
  return { socket: { groupId: "natives", query }, poller };
}

interface Beaten {
  readonly errorCode: number;
  readonly memberEpoch: number;
}

/** A member of KIP-848, which holds its partitions. */
async function joinByHeartbeat(kafka: RawKafka): Promise<Members["beating"]> {
  const groupId = "beaters";
  await kafka.ask(messages.INCREMENTAL_ALTER_CONFIGS, 1, {
    resources: [
      {
        resourceType: 32,
        resourceName: groupId,
        configs: [
          { name: "consumer.session.timeout.ms", configOperation: 0, value: String(SESSION_MS) },
        ],
      },
    ],
    validateOnly: false,
  });
  const memberId = "beating-member-0000001";
  let memberEpoch = 0;
  const beat = async (owned: unknown[] | null) => {
    const answer = await kafka.ask<Beaten & { assignment: { topicPartitions: unknown[] } | null }>(
      messages.CONSUMER_GROUP_HEARTBEAT,
      1,
      {
        groupId,
        memberId,
        memberEpoch,
        instanceId: null,
        rackId: null,
        rebalanceTimeoutMs: 60_000,
        subscribedTopicNames: owned?.length === 0 ? ["orders", "segments"] : null,
        subscribedTopicRegex: null,
        serverAssignor: null,
        topicPartitions: owned,
      },
    );
    if (answer.errorCode !== 0) throw new Error(`heartbeat: error ${answer.errorCode}`);
    memberEpoch = answer.memberEpoch;
    return answer;
  };
  const { assignment } = await beat([]);
  await beat(assignment?.topicPartitions ?? []);
  await commit(kafka, { groupId, memberId, generationId: memberEpoch }, [
    { topic: "orders", partition: 0, offset: 2, leaderEpoch: 0, metadata: "seen" },
    { topic: "segments", partition: 0, offset: 7, leaderEpoch: -1, metadata: "" },
  ]);
  return { groupId, memberId, memberEpoch };
}

/** A static member of a classic group in its stable state. */
async function joinClassic(kafka: RawKafka): Promise<Members["classic"]> {
  const groupId = "classics";
  const groupInstanceId = "classic-static";
  const { errorCode, memberId, generationId } = await kafka.ask<{
    errorCode: number;
    memberId: string;
    generationId: number;
  }>(messages.JOIN_GROUP, 5, {
    groupId,
    memberId: "",
    groupInstanceId,
    sessionTimeoutMs: SESSION_MS,
    rebalanceTimeoutMs: 60_000,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: new Uint8Array([0, 1, 2]) }],
  });
  if (errorCode !== 0) throw new Error(`join: error ${errorCode}`);
  const token = { groupId, memberId, groupInstanceId, generationId };
  const assignments = [{ memberId, assignment: new Uint8Array([3, 4, 5]) }];
  await kafka.ask(messages.SYNC_GROUP, 3, { ...token, assignments });
  await commit(kafka, token, [
    { topic: "orders", partition: 1, offset: 1, leaderEpoch: 0, metadata: "classic" },
  ]);
  return token;
}

interface Position extends Place {
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
}

export async function commit(
  kafka: RawKafka,
  token: {
    readonly groupId: string;
    readonly memberId: string;
    readonly generationId: number;
    readonly groupInstanceId?: string;
  },
  positions: readonly Position[],
): Promise<void> {
  const { topics } = await kafka.ask<{
    topics: { partitions: { errorCode: number }[] }[];
  }>(messages.OFFSET_COMMIT, 8, {
    groupInstanceId: null,
    ...token,
    topics: positions.map(({ topic, partition, offset, leaderEpoch, metadata }) => ({
      name: topic,
      partitions: [
        {
          partition,
          committedOffset: offset,
          committedLeaderEpoch: leaderEpoch,
          committedMetadata: metadata,
        },
      ],
    })),
  });
  const errors = topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode));
  if (errors.some((code) => code !== 0)) throw new Error(`commit: errors ${errors.join()}`);
}

/** Committed offsets of groups without members: from KafkaJS, from a commit without a member, and from a reset. */
async function writePositions(broker: ReleaseBroker, kafka: RawKafka): Promise<void> {
  const member = await kafkaJs.join(
    { brokers: broker.kafka },
    { groupId: "kafkajs", topics: ["orders"] },
  );
  await until("KafkaJS has read all", () => member.read.length === 23);
  await member.stop();
  await commit(kafka, { groupId: "committed", memberId: "", generationId: -1 }, [
    { topic: "orders", partition: 0, offset: 3, leaderEpoch: 0, metadata: "mëta" },
    { topic: "folded", partition: 0, offset: 50, leaderEpoch: -1, metadata: "" },
  ]);
  await commit(kafka, { groupId: "reset", memberId: "", generationId: -1 }, [
    { topic: "segments", partition: 0, offset: 12, leaderEpoch: 0, metadata: "" },
  ]);
  await ask(broker.url, "POST", "/v1/groups/reset/offsets", { to: "earliest" });
}

/** A topic and a group with a region. Release 0.1 has none. */
async function writeRegions(broker: ReleaseBroker): Promise<void> {
  const { config } = await ask<{ config: Json }>(broker.url, "GET", "/v1/topics/orders");
  if (!("rivulet.region" in config)) return;
  const region = { "rivulet.region": "weur" };
  await create(broker, "placed", 2, region);
  await send(broker, "placed", [{ key: "a", value: "in Western Europe" }]);
  await ask(broker.url, "PATCH", "/v1/groups/placed", { config: region });
}

/** A deleted topic, one of the same name, and a deleted group. */
async function deleteSome(broker: ReleaseBroker): Promise<void> {
  for (const name of ["gone", "again"]) {
    await create(broker, name, 2);
    await send(broker, name, [{ value: "before" }]);
    await ask(broker.url, "DELETE", `/v1/topics/${name}`);
  }
  await create(broker, "again", 1, { "retention.ms": FOREVER });
  await send(broker, "again", [{ value: "after" }]);
  await ask(broker.url, "POST", "/v1/groups/removed/poll", { instanceId: "i", topics: ["again"] });
  await ask(broker.url, "POST", "/v1/groups/removed/poll", { instanceId: "i", leave: true });
  await ask(broker.url, "DELETE", "/v1/groups/removed");
}
