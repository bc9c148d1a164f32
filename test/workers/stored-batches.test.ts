// The reads of export: batches as stored, and the committed offsets of groups, without waking anybody else.
import { exports } from "cloudflare:workers";
import { expect, test, vi } from "vitest";
import { compressor } from "../../src/compression/compress.ts";
import type { Compressor } from "../../src/core/log/record-batch.ts";
import { BATCH_HEADERS } from "../../src/protocol/stored-batches.ts";
import {
  createTopic,
  decodeAll,
  env,
  expectStatus,
  joined,
  ORIGIN,
  produce,
  readAs,
  recordBatch,
  type TopicJson,
  unique,
} from "./support.ts";

async function read({ name }: TopicJson, query: string, partition = 0) {
  const path = `/v1/topics/${name}/partitions/${partition}/batches${query}`;
  const response = await exports.default.fetch(`${ORIGIN}${path}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const number = (header: string) => Number(response.headers.get(header));
  expect(response.headers.get("content-type")).toBe("application/octet-stream");
  return {
    bytes,
    topicId: response.headers.get(BATCH_HEADERS.topicId),
    nextOffset: number(BATCH_HEADERS.nextOffset),
    logStartOffset: number(BATCH_HEADERS.logStartOffset),
    highWatermark: number(BATCH_HEADERS.highWatermark),
  };
}

const append = ({ name }: TopicJson, bytes: Uint8Array) =>
  expectStatus(200, "POST", `/v1/topics/${name}/partitions/0/batches`, bytes);

test("[FCH-3] batches come byte for byte as they were sent, except for their offsets", async () => {
  const topic = await createTopic(1);
  const compression = compressor(1) as Compressor;
  const sent = [recordBatch(["a", "b"], { compression }), recordBatch(["c"], { keys: ["k"] })];
  for (const batch of sent) await append(topic, batch);
  const whole = await read(topic, "");
  // Base offset and leader epoch lie outside the CRC.
  const crcOn = (bytes: Uint8Array) => bytes.subarray(17);
  const [first, second] = sent as [Uint8Array, Uint8Array];
  expect(crcOn(whole.bytes.subarray(0, first.length))).toEqual(crcOn(first));
  expect(crcOn(whole.bytes.subarray(first.length))).toEqual(crcOn(second));
  expect(whole).toMatchObject({
    ...{ topicId: topic.topicId, nextOffset: 3, logStartOffset: 0, highWatermark: 3 },
  });
  // From the batch that holds the offset, at least one, however little is requested.
  expect((await read(topic, "?offset=1&maxBytes=1")).bytes).toHaveLength(first.length);
  expect((await read(topic, "?offset=3")).bytes).toHaveLength(0);
});

test("[FCH-3] a log that begins in a batch is read from that batch on", async () => {
  const topic = await createTopic(1);
  await append(topic, recordBatch(["a", "b", "c"]));
  await expectStatus(200, "DELETE", `/v1/topics/${topic.name}/partitions/0/records?before=2`);
  const { bytes, logStartOffset } = await read(topic, "");
  expect([decodeAll(bytes).length, logStartOffset]).toEqual([3, 2]);
  const path = `/v1/topics/${topic.name}/partitions/0/batches?offset=1`;
  expect(await expectStatus(416, "GET", path)).toMatchObject({ logStartOffset: 2 });
});

test("[FCH-3] [BND-6] a large response comes whole, in pieces", async () => {
  const topic = await createTopic(1);
  const large = recordBatch(["x".repeat(900_000)]);
  for (let i = 0; i < 3; i++) await append(topic, large.slice());
  const { bytes, nextOffset } = await read(topic, "?maxBytes=8000000");
  expect(nextOffset).toBe(3);
  expect(bytes.length).toBe(3 * large.length);
  expect(bytes.subarray(61, large.length)).toEqual(joined(large).subarray(61));
});

test("[OFF-15] a group's committed offsets are returned, and no partition is asked", async () => {
  const topic = await createTopic(3);
  const group = unique("committed");
  await produce(topic.name, [
    { value: 1, partition: 0 },
    { value: 2, partition: 2 },
  ]);
  await readAs(group, topic, { 0: 1, 2: 0 });
  const asked = vi.spyOn(env.PARTITION, "getByName");
  try {
    expect(await expectStatus(200, "GET", `/v1/groups/${group}/offsets`)).toEqual({
      groupId: group,
      offsets: [
        { topic: topic.name, partition: 0, offset: 1 },
        { topic: topic.name, partition: 2, offset: 0 },
      ],
    });
    expect(asked).not.toHaveBeenCalled();
    await expectStatus(200, "GET", `/v1/groups/${group}`);
    expect(asked).toHaveBeenCalled();
  } finally {
    asked.mockRestore();
  }
  await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
  expect(await expectStatus(200, "GET", `/v1/groups/${group}/offsets`)).toMatchObject({
    offsets: [],
  });
});
