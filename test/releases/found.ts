// Everything that clients can find in a broker, in a form that is the same in every release.
import { toBase64 } from "../../src/core/bytes.ts";
import { RawKafka } from "../support/kafka-client.ts";
import * as messages from "../support/kafka-schemas.ts";
import { ask, type Json } from "./ask.ts";
import type { ReleaseBroker } from "./release-broker.ts";

type Named = Readonly<Record<string, unknown>>;

export interface Found {
  /** Config values set for all topics. */
  readonly defaults: Named;
  readonly topics: readonly FoundTopic[];
  readonly groups: readonly FoundGroup[];
}

export interface FoundTopic {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: number;
  readonly overrides: Named;
  /** The config in effect. A later release has more keys. */
  readonly config: Named;
  readonly logs: readonly {
    readonly logStartOffset: number;
    readonly highWatermark: number;
    readonly records: readonly Json[];
    /** The batches as they are sent to Kafka clients, as base64. */
    readonly batches: string;
  }[];
}

export interface FoundGroup {
  readonly groupId: string;
  readonly state: string;
  readonly epoch: number;
  readonly assignor: string;
  readonly overrides: Named;
  readonly members: readonly Named[];
  readonly offsets: readonly Named[];
  /** With metadata and leader epochs, as Kafka clients see them. */
  readonly positions: readonly unknown[];
  readonly history: readonly unknown[];
}

export async function find(broker: ReleaseBroker): Promise<Found> {
  const get = <T = Json>(path: string) => ask<T>(broker.url, "GET", path);
  const kafka = new RawKafka(broker.kafka);
  const { overrides } = await get<{ overrides: Named }>("/v1/configs");
  const { topics } = await get<{ topics: FoundTopic[] }>("/v1/topics");
  const found: FoundTopic[] = [];
  for (const { name, topicId, partitions, overrides, config } of topics) {
    const logs = [];
    for (let partition = 0; partition < partitions; partition++) {
      const path = `/v1/topics/${name}/partitions/${partition}`;
      const { offset: first } = await get<{ offset: number }>(`${path}/offsets?at=earliest`);
      const { records, logStartOffset, highWatermark } = await get<{
        records: Json[];
        logStartOffset: number;
        highWatermark: number;
      }>(`${path}/records?offset=${first}&maxRecords=10000&maxBytes=8388608`);
      const batches = toBase64(await fetchBatches(kafka, name, partition, first));
      logs.push({ logStartOffset, highWatermark, records, batches });
    }
    found.push({ name, topicId, partitions, overrides, config, logs });
  }
  const { groups } = await get<{ groups: { groupId: string }[] }>("/v1/groups");
  const foundGroups: FoundGroup[] = [];
  for (const { groupId } of groups) {
    const path = `/v1/groups/${groupId}`;
    const group = await get<FoundGroup>(path);
    const { overrides } = await get<{ overrides: Named }>(`${path}/config`);
    const { history } = await get<{ history: unknown[] }>(`${path}/history?limit=1000`);
    const { state, epoch, assignor, members, offsets } = group;
    foundGroups.push({
      groupId,
      state,
      epoch,
      assignor,
      overrides,
      members: members.map((member) =>
        only(member, ["memberId", "instanceId", "clientId", "memberEpoch", "assignment", "target"]),
      ),
      offsets: offsets.map((offset) =>
        only(offset, ["topic", "partition", "committedOffset", "logEndOffset", "lag"]),
      ),
      positions: await fetchPositions(kafka, groupId),
      history,
    });
  }
  kafka.close();
  return { defaults: overrides, topics: found, groups: foundGroups };
}

function only(object: Named, fields: readonly string[]): Named {
  return Object.fromEntries(Object.entries(object).filter(([field]) => fields.includes(field)));
}

async function fetchBatches(
  kafka: RawKafka,
  name: string,
  partition: number,
  fetchOffset: number,
): Promise<Uint8Array> {
  const partitionMaxBytes = 8_000_000;
  const answer = await kafka.ask<{
    topics: { partitions: { errorCode: number; records: Uint8Array | null }[] }[];
  }>(messages.FETCH, 11, {
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: partitionMaxBytes,
    topics: [{ name, partitions: [{ partition, fetchOffset, partitionMaxBytes }] }],
  });
  const [found] = answer.topics[0]?.partitions ?? [];
  if (found?.errorCode !== 0) throw new Error(`${name}/${partition}: error ${found?.errorCode}`);
  return found.records ?? new Uint8Array();
}

async function fetchPositions(kafka: RawKafka, groupId: string): Promise<unknown[]> {
  const { topics, errorCode } = await kafka.ask<{
    errorCode: number;
    topics: { name: string; partitions: { partition: number }[] }[];
  }>(messages.OFFSET_FETCH, 7, { groupId, topics: null, requireStable: false });
  if (errorCode !== 0) throw new Error(`positions of ${groupId}: error ${errorCode}`);
  return topics
    .map(({ name, partitions }) => ({
      name,
      partitions: partitions.toSorted((a, b) => a.partition - b.partition),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
