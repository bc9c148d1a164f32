// A member of a group by a Kafka client that writes down what it handles, until SIGTERM. It commits only handled records, so
// that nothing is lost with its process.
import { setImmediate, setTimeout } from "node:timers/promises";
import { Consumer as PlatformaticConsumer } from "@platformatic/kafka";
import { KafkaClient } from "kafka-crab-js";
import { AssignerProtocol, Kafka, logLevel, type PartitionAssigner } from "kafkajs";
import { until } from "../../support/until.ts";
import { HistoryWriter } from "../history.ts";
import { mendConnections } from "../kafkajs-connections.ts";

export interface KafkaConsumerArguments {
  readonly folder: string;
  readonly who: string;
  /** `host:port`. */
  readonly brokers: string;
  readonly topic: string;
  readonly group: string;
  readonly client: "KafkaJS" | "platformatic" | "librdkafka";
  /** KafkaJS has only the classic one. */
  readonly protocol: "classic" | "consumer";
  /** A classic member sets it itself; for the others the group's config does. */
  readonly sessionTimeoutMs: number;
}

interface Delivered {
  readonly offset: number | bigint | string;
  readonly value: Buffer | null | undefined;
}

const COMMIT_EVERY_MS = 200;
const HEARTBEAT_EVERY_MS = 500;
const REBALANCE_TIMEOUT_MS = 6_000;
const FETCH_WAIT_MS = 200;
/** A grown topic must be noticed soon. */
const METADATA_AGE_MS = 2_000;
/** A broker that is down may be back: a client must not give up before. */
const RETRIES = 20;
const RETRY_MS = 250;
/** A client that cannot leave cleanly, because the broker is down, ends all the same. */
const LEAVING_GUARD_MS = 8_000;

const { folder, who, brokers, topic, group, client, protocol, sessionTimeoutMs } = JSON.parse(
  process.argv[2] ?? "",
) as KafkaConsumerArguments;
const history = new HistoryWriter(folder, who);
/** The next offset of each partition with handled and uncommitted records. */
const uncommitted = new Map<number, number>();

/** KafkaJS has its own name for it, which no other client knows. */
const roundRobin: PartitionAssigner = ({ cluster }) => ({
  name: "roundrobin",
  version: 0,
  assign: async ({ members, topics }) => {
    const memberIds = members.map(({ memberId }) => memberId).sort();
    const count = cluster.findTopicPartitionMetadata(topic).length;
    return memberIds.map((memberId, i) => {
      const own = Array.from({ length: count }, (_, p) => p).filter(
        (p) => p % memberIds.length === i,
      );
      const assignment = Object.fromEntries(topics.map((name) => [name, own]));
      const memberAssignment = { version: 0, assignment, userData: Buffer.alloc(0) };
      return {
        memberId,
        memberAssignment: AssignerProtocol.MemberAssignment.encode(memberAssignment),
      };
    });
  },
  protocol: ({ topics }) => ({
    name: "roundrobin",
    metadata: AssignerProtocol.MemberMetadata.encode({
      version: 0,
      topics,
      userData: Buffer.alloc(0),
    }),
  }),
});

history.write({ e: "member", group, topic, kind: "kafka" });
const begin = { KafkaJS: kafkaJs, platformatic, librdkafka }[client];
const joining = begin().catch(giveUp);
process.on("SIGTERM", async () => {
  globalThis.setTimeout(() => process.exit(), LEAVING_GUARD_MS);
  const leave = await joining;
  await leave().catch(warn);
  process.exit();
});
function giveUp(error: unknown): never {
  history.write({ e: "fatal", code: "gave up", detail: textOf(error) });
  process.exit(1);
}

function warn(error: unknown): void {
  history.write({ e: "warning", code: "client", detail: textOf(error) });
}

/** With the errors that it is about. */
function textOf(error: unknown): string {
  const inner = error instanceof AggregateError ? error.errors.map(textOf) : [];
  return [String(error), ...inner].join(" <- ");
}

/** Later records may restart in every partition. */
function rebalanced(): void {
  uncommitted.clear();
  history.write({ e: "rebalanced" });
}

/** Records of one partition, at consecutive offsets. */
async function handle(p: number, records: readonly Delivered[]): Promise<void> {
  const o = Number(records[0]?.offset ?? 0);
  const ids = records.map(({ value }) => String(value).split(" ")[0] ?? "");
  history.write({ e: "start", p, o, ids });
  await (o % 10 === 0 ? setTimeout(10) : setImmediate());
  history.write({ e: "end", p, o, count: records.length });
  uncommitted.set(p, o + records.length);
}

/** One commit after another, for the member's partitions. Returns how to end it, with a last one. */
function commitRegularly(
  isOwn: (partition: number) => boolean,
  commit: (offsets: readonly { partition: number; offset: number }[]) => Promise<unknown>,
): () => Promise<void> {
  let isEnding = false;
  const commitAll = async () => {
    const offsets = [...uncommitted]
      .filter(([partition]) => isOwn(partition))
      .map(([partition, offset]) => ({ partition, offset }));
    uncommitted.clear();
    if (offsets.length > 0) await commit(offsets).catch(warn);
  };
  const running = (async () => {
    while (!isEnding) {
      await commitAll();
      await setTimeout(COMMIT_EVERY_MS);
    }
  })();
  return async () => {
    isEnding = true;
    await running;
    await commitAll();
  };
}

async function kafkaJs(): Promise<() => Promise<void>> {
  mendConnections();
  const kafka = new Kafka({
    brokers: [brokers],
    clientId: who,
    logLevel: logLevel.NOTHING,
    retry: { retries: RETRIES, initialRetryTime: RETRY_MS, maxRetryTime: 1_000 },
  });
  const consumer = kafka.consumer({
    groupId: group,
    sessionTimeout: sessionTimeoutMs,
    rebalanceTimeout: REBALANCE_TIMEOUT_MS,
    heartbeatInterval: HEARTBEAT_EVERY_MS,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    metadataMaxAge: METADATA_AGE_MS,
    partitionAssigners: [roundRobin],
    retry: { retries: RETRIES, initialRetryTime: RETRY_MS, maxRetryTime: 1_000 },
  });
  consumer.on(consumer.events.GROUP_JOIN, rebalanced);
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) giveUp(payload.error);
    warn(payload.error);
  });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    // It commits by itself what a batch's handler has finished.
    autoCommitInterval: COMMIT_EVERY_MS,
    eachBatch: ({ batch }) => handle(batch.partition, batch.messages),
  });
  return () => consumer.disconnect();
}

async function platformatic(): Promise<() => Promise<void>> {
  const consumer = new PlatformaticConsumer({
    clientId: who,
    bootstrapBrokers: [brokers],
    groupId: group,
    retries: RETRIES,
    retryDelay: RETRY_MS,
    metadataMaxAge: METADATA_AGE_MS,
    ...(protocol === "consumer"
      ? { groupProtocol: protocol }
      : {
          sessionTimeout: sessionTimeoutMs,
          rebalanceTimeout: REBALANCE_TIMEOUT_MS,
          heartbeatInterval: HEARTBEAT_EVERY_MS,
        }),
  });
  consumer.on("error", giveUp);
  consumer.on("consumer:heartbeat:error", ({ error }) => {
    warn(error);
    // With KIP-848 it would keep beating forever with an unknown id.
    if (protocol === "consumer" && /UNKNOWN_MEMBER_ID/.test(JSON.stringify(error))) giveUp(error);
  });
  const stream = await consumer.consume({
    topics: [topic],
    mode: "committed",
    fallbackMode: "earliest",
    autocommit: false,
    maxWaitTime: FETCH_WAIT_MS,
  });
  // Its continuation was requested anew.
  stream.on("offsets", rebalanced);
  const reading = (async () => {
    const next = new Map<number, bigint>();
    for await (const message of stream) {
      const { partition, offset } = message;
      // With breaking connections it may deliver an earlier fetch once more, and then has two that follow each other. That
      // is its own doing: it drops everything before the offset that a fetch has requested. Records that it skips by that
      // were handled before, which is checked.
      if (offset !== (next.get(partition) ?? offset)) {
        warn(`${partition}/${offset} instead of ${next.get(partition)}`);
        history.write({ e: "rebalanced" });
      }
      next.set(partition, offset + 1n);
      await handle(partition, [message as Delivered]);
    }
  })();
  let isLeaving = false;
  reading.then(() => isLeaving || giveUp("the stream ended"), giveUp);
  const isOwn = (partition: number) =>
    consumer.assignments?.some(({ partitions }) => partitions.includes(partition)) === true;
  const endCommits = commitRegularly(isOwn, (offsets) =>
    consumer.commit({
      offsets: offsets.map(({ partition, offset }) => ({
        topic,
        partition,
        offset: BigInt(offset),
        leaderEpoch: 0,
      })),
    }),
  );
  return async () => {
    isLeaving = true;
    await endCommits();
    await consumer.close(true);
  };
}

async function librdkafka(): Promise<() => Promise<void>> {
  const kafka = new KafkaClient({ brokers, clientId: who, logLevel: "error" });
  const consumer = kafka.createConsumer({
    groupId: group,
    enableAutoCommit: false,
    configuration: {
      "group.protocol": protocol,
      "auto.offset.reset": "earliest",
      "fetch.wait.max.ms": FETCH_WAIT_MS,
      "topic.metadata.refresh.interval.ms": METADATA_AGE_MS,
      "reconnect.backoff.max.ms": 1_000,
      ...(protocol === "consumer"
        ? {}
        : {
            "session.timeout.ms": sessionTimeoutMs,
            "heartbeat.interval.ms": HEARTBEAT_EVERY_MS,
            "partition.assignment.strategy": "roundrobin",
          }),
    },
  });
  consumer.onEvents((error, event) => {
    if (error !== undefined && error !== null) warn(error);
    else if (event.name === "PostRebalance") rebalanced();
    else if (event.payload.error !== undefined) warn(event.payload.error);
  });
  await consumer.subscribe(topic);
  const isOwn = (partition: number) =>
    consumer
      .assignment()
      .some(({ partitionOffset }) => partitionOffset.some((each) => each.partition === partition));
  let isStopped = false;
  const reading = (async () => {
    while (!isStopped) {
      const messages = await consumer.recvBatch(100, 100).catch(async (error) => {
        warn(error);
        await setTimeout(RETRY_MS);
        return [];
      });
      // Events before these records must be written down first.
      await setImmediate();
      for (const run of runs(messages)) {
        const [first] = run;
        if (first !== undefined)
          await handle(
            first.partition,
            run.map(({ offset, payload }) => ({ offset, value: payload })),
          );
      }
    }
  })();
  const endCommits = commitRegularly(isOwn, async (offsets) => {
    for (const { partition, offset } of offsets)
      await consumer.commit(topic, partition, offset, "Async");
  });
  return async () => {
    await endCommits();
    // It leaves the group with this, while it is still being asked for records.
    consumer.unsubscribe();
    await until("it has let go", () => consumer.assignment().length === 0);
    isStopped = true;
    await reading;
    await consumer.disconnect();
  };
}

/** Neighbors of one partition at consecutive offsets, together. */
function runs<T extends { partition: number; offset: number }>(messages: readonly T[]): T[][] {
  const all: T[][] = [];
  for (const message of messages) {
    const before = all.at(-1)?.at(-1);
    const isNext = before?.partition === message.partition && before.offset + 1 === message.offset;
    if (isNext) all.at(-1)?.push(message);
    else all.push([message]);
  }
  return all;
}
