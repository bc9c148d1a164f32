// A minimal Kafka consumer: one member, which heartbeats and fetches endlessly.
import { batches } from "../../src/core/log/record-batch.ts";
import { RawKafka } from "./kafka-client.ts";
import * as messages from "./kafka-schemas.ts";

const HEARTBEAT_MS = 2_000;
const MAX_WAIT_MS = 500;
const SESSION_MS = 45_000;

interface Joined {
  readonly errorCode: number;
  readonly memberId: string;
  readonly generationId: number;
}

interface Beaten {
  readonly errorCode: number;
  readonly memberEpoch: number;
  readonly assignment: { topicPartitions: { topicId: string; partitions: number[] }[] } | null;
}

interface Fetched {
  readonly topics: {
    partitions: { partition: number; errorCode: number; records: Uint8Array | null }[];
  }[];
}

/** Alone in its group: it reads the three partitions of the topic. */
export class KafkaConsumer {
  readonly #coordination: RawKafka;
  readonly #reading: RawKafka;
  readonly #groupId: string;
  readonly #topic: string;
  readonly #isClassic: boolean;
  readonly #offsets = [0, 0, 0];
  #memberId = "";
  #generation = 0;
  #isClosed = false;
  heartbeats = 0;
  fetches = 0;
  records = 0;
  /** The error codes that it received. */
  readonly wrong: number[] = [];

  constructor(address: string, groupId: string, topic: string, isClassic: boolean) {
    this.#coordination = new RawKafka(address);
    this.#reading = new RawKafka(address);
    this.#groupId = groupId;
    this.#topic = topic;
    this.#isClassic = isClassic;
  }

  async join(): Promise<void> {
    if (!this.#isClassic) {
      this.#memberId = crypto.randomUUID();
      await this.#beat([this.#topic]);
      return;
    }
    const ask = () =>
      this.#coordination.ask<Joined>(messages.JOIN_GROUP, 5, {
        groupId: this.#groupId,
        memberId: this.#memberId,
        groupInstanceId: null,
        sessionTimeoutMs: SESSION_MS,
        rebalanceTimeoutMs: SESSION_MS,
        protocolType: "consumer",
        protocols: [{ name: "range", metadata: new Uint8Array() }],
      });
    this.#memberId = (await ask()).memberId;
    this.#generation = (await ask()).generationId;
    await this.#coordination.ask(messages.SYNC_GROUP, 3, {
      ...this.#token,
      assignments: [{ memberId: this.#memberId, assignment: new Uint8Array() }],
    });
  }

  get #token() {
    return {
      groupId: this.#groupId,
      memberId: this.#memberId,
      generationId: this.#generation,
      groupInstanceId: null,
    };
  }

  /** Until it is closed. */
  async run(): Promise<void> {
    const timer = setInterval(() => void this.#heartbeat().catch(() => {}), HEARTBEAT_MS);
    // A fetch fails when the connection is closed.
    while (!this.#isClosed) await this.#fetch().catch(() => this.close());
    clearInterval(timer);
  }

  async #heartbeat(): Promise<void> {
    this.heartbeats++;
    const { errorCode } = this.#isClassic
      ? await this.#coordination.ask<{ errorCode: number }>(messages.HEARTBEAT, 3, this.#token)
      : await this.#beat(null);
    if (errorCode !== 0) this.wrong.push(errorCode);
  }

  async #beat(subscribedTopicNames: string[] | null): Promise<Beaten> {
    const answer = await this.#coordination.ask<Beaten>(messages.CONSUMER_GROUP_HEARTBEAT, 1, {
      groupId: this.#groupId,
      memberId: this.#memberId,
      memberEpoch: this.#generation,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: SESSION_MS,
      subscribedTopicNames,
      subscribedTopicRegex: null,
      serverAssignor: null,
      topicPartitions: subscribedTopicNames === null ? null : [],
    });
    this.#generation = answer.memberEpoch;
    return answer;
  }

  async #fetch(): Promise<void> {
    this.fetches++;
    const answer = await this.#reading.ask<Fetched>(messages.FETCH, 11, {
      maxWaitMs: MAX_WAIT_MS,
      minBytes: 1,
      maxBytes: 1_000_000,
      topics: [
        {
          name: this.#topic,
          partitions: this.#offsets.map((fetchOffset, partition) => ({
            partition,
            fetchOffset,
            partitionMaxBytes: 1_000_000,
          })),
        },
      ],
    });
    for (const { partition, errorCode, records } of answer.topics[0]?.partitions ?? []) {
      if (errorCode !== 0) this.wrong.push(errorCode);
      for (const { header } of batches(records ?? new Uint8Array())) {
        this.records += header.lastOffsetDelta + 1;
        this.#offsets[partition] = header.baseOffset + header.lastOffsetDelta + 1;
      }
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#coordination.close();
    this.#reading.close();
  }
}
