// A program that names all that the package exports. It is compiled only.
import {
  Admin,
  type AdminService,
  type Batch,
  type BrokerError,
  bytesSerde,
  type CallerInfo,
  type ConfigInfo,
  ConnectionError,
  Consumer,
  type ConsumerOptions,
  type ConsumerRecord,
  type CreatedKey,
  type ErrorName,
  type Grant,
  type GroupConfigInfo,
  type GroupInfo,
  type GroupOffsetInfo,
  type GroupReset,
  type Handlers,
  type HistoryInfo,
  jsonSerde,
  type KeyInfo,
  type PartitionPosition,
  type PlacedRecord,
  type PlannedOffset,
  type ProduceOptions,
  Producer,
  type ProducerOptions,
  type Quota,
  type ReaderOptions,
  type RecordInput,
  type RecordOutcome,
  RejectRecord,
  ReleaseRecord,
  type ResetResult,
  type ResetTo,
  type Rights,
  Rivulet,
  type RivuletOptions,
  type RivuletService,
  type Role,
  type RunOptions,
  type SendOptions,
  type Serde,
  type Serdes,
  ShareConsumer,
  type ShareConsumerOptions,
  type SharedRecord,
  type ShareRunOptions,
  type StandardSchema,
  stringSerde,
  type Token,
  type TokenInfo,
  type TopicInfo,
  type TopicPartition,
  type TopicRecords,
  type TypedRecord,
  type TypedRecordInput,
} from "rivulet";

const token: Token = () => "token";
const options: RivuletOptions = { url: "http://127.0.0.1:8787", token };
const rivulet = new Rivulet(options);

export async function administer(): Promise<unknown[]> {
  const admin: Admin = rivulet.admin;
  const topic: TopicInfo = await admin.createTopic({ name: "orders", partitions: 6 });
  const configs: ConfigInfo = await admin.describeConfigs();
  const group: GroupInfo = await admin.describeGroup("billing");
  const state: "EMPTY" | "ASSIGNING" | "RECONCILING" | "STABLE" | "DEAD" = group.state;
  const partitions = group.members.flatMap(({ assignment }) =>
    assignment.flatMap((each: { topic: string; partitions: readonly number[] }) => each.partitions),
  );
  const lags = group.offsets.map(({ lag }: GroupOffsetInfo) => lag);
  const config: GroupConfigInfo = await admin.groupConfig("billing");
  const history: readonly HistoryInfo[] = await admin.groupHistory("billing");
  const joined = history.find(({ type, atMs }) => type === "joined" && atMs > 0);
  const to: ResetTo = { shiftBy: -1 };
  const reset: GroupReset = { to, dryRun: true };
  const result: ResetResult = await admin.resetGroup("billing", reset);
  const plan: readonly PlannedOffset[] = result.offsets;
  return [topic, configs, state, partitions, lags, config, joined, plan];
}

const total: StandardSchema<unknown, { readonly total: number }> = {
  "~standard": {
    validate: (value) =>
      typeof value === "object" && value !== null && "total" in value
        ? { value: { total: Number(value.total) } }
        : { issues: [{ message: "has no total", path: ["total"] }] },
  },
};
const valueSerde = jsonSerde(total);
const numbers: Serde<number> = {
  serialize: (value) => String(value),
  deserialize: (bytes) => Number(new TextDecoder().decode(bytes)),
};
const serdes: Serdes<string, string, number, number> = {
  keySerde: stringSerde,
  valueSerde: numbers,
};

/** Keys for services, tokens for browsers. */
export async function grantRights(): Promise<string> {
  const grants: Grant[] = [{ topics: { prefix: "orders." }, operations: ["READ"] }];
  const rights: Rights = { grants };
  const role: Role = "consume";
  const quota: Quota = { requestRate: 50 };
  const of = { principal: "shop", role, namespace: "shop.", quota };
  const made: CreatedKey = await rivulet.admin.createKey(of);
  const keys: readonly KeyInfo[] = await rivulet.admin.listKeys();
  const caller: CallerInfo = await rivulet.admin.whoami();
  const { token: minted }: TokenInfo = await rivulet.admin.createToken({
    ...rights,
    ttlMs: 60_000,
  });
  return `${made.key} ${keys.length} ${caller.principal} ${minted}`;
}

export async function produce(): Promise<readonly RecordOutcome[]> {
  const producerOptions: ProducerOptions = { lingerMs: 5, partitioner: () => 0 };
  const typed: Producer<TypedRecordInput<string, number>> = rivulet.newProducer({
    ...producerOptions,
    keySerde: stringSerde,
    valueSerde: numbers,
  });
  await typed.send("orders", [{ key: "customer-7", value: 12 }]);
  // @ts-expect-error: a value is a number.
  await typed.send("orders", [{ value: "twelve" }]);
  const plain: Producer = rivulet.producer;
  const records: RecordInput[] = [{ value: { total: 12 }, headers: { trace: "a-1" } }];
  const topics: TopicRecords[] = [{ topic: "orders", records }];
  await plain.sendBatch(topics);
  const sendOptions: SendOptions = { compression: "zstd", signal: new AbortController().signal };
  return plain.send("orders", records, sendOptions);
}

export async function consume(): Promise<number> {
  const consumerOptions: ConsumerOptions = {
    groupId: "billing",
    topics: ["orders"],
    onAssigned: (partitions: readonly PartitionPosition[]) => partitions.length,
    onRevoked: (partitions: readonly TopicPartition[]) => partitions.length,
    onError: ({ code, retriable }: BrokerError): [ErrorName, boolean] => [code, retriable],
  };
  const bytes: Consumer = rivulet.consumer({ ...consumerOptions, keySerde: bytesSerde });
  const run: RunOptions = { partitionsConsumedConcurrently: 3 };
  const handlers: Handlers = {
    ...run,
    eachBatch: ({ records, topic }: Batch<ConsumerRecord>) => [records.length, topic],
  };
  await bytes.run(handlers).catch((error) => error instanceof ConnectionError);
  for await (const placed of bytes) {
    const { offset, partition }: PlacedRecord = placed;
    if (offset > partition) break;
  }
  const numbered: Consumer<TypedRecord<string, number>> = rivulet.consumer({
    ...consumerOptions,
    ...serdes,
  });
  let sum = 0;
  for await (const { key, value } of numbered) sum += (value ?? 0) + (key?.length ?? 0);
  const readerOptions: ReaderOptions = { topic: "orders", from: "earliest" };
  const reader = await rivulet.reader({ ...readerOptions, valueSerde });
  for await (const { value } of reader) sum += value?.total ?? 0;
  return sum;
}

/** A queue. */
export async function work(): Promise<void> {
  const shareOptions: ShareConsumerOptions = { groupId: "workers", topics: ["jobs"] };
  const runOptions: ShareRunOptions = { concurrency: 5 };
  const worker: ShareConsumer<TypedRecord<Uint8Array, string>> = rivulet.shareConsumer({
    ...shareOptions,
    valueSerde: stringSerde,
  });
  const eachRecord = ({ value, deliveryCount }: SharedRecord<TypedRecord<Uint8Array, string>>) => {
    if (value === null) throw new RejectRecord("it has no value");
    if (deliveryCount < 2) throw new ReleaseRecord(1_000);
  };
  await worker.run({ eachRecord }, runOptions);
  if (!(worker instanceof ShareConsumer)) throw new Error("it is no share consumer");
}

/** A Worker that has the broker as a service binding. */
export async function serve(env: { readonly RIVULET: RivuletService }): Promise<Response> {
  const produceOptions: ProduceOptions = { idempotencyKey: "order-17" };
  const outcomes = await env.RIVULET.produce("orders", [{ value: "paid" }], produceOptions);
  const failed = outcomes.filter((outcome) => "error" in outcome && outcome.error.retriable);
  const admin: AdminService = await env.RIVULET.admin;
  return Response.json([failed, await admin.listTopics(), [Admin, Consumer, Producer]]);
}
