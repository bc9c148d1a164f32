// Copied and forged batches, on every interface where a client can append some, against everything that the Worker appends
// itself.
import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";
import { compressor } from "../../src/compression/compress.ts";
import { ERRORS } from "../../src/core/errors.ts";
import { COMPRESSIONS, type CompressionType } from "../../src/core/log/compression.ts";
import { batches, readBatchHeader } from "../../src/core/log/record-batch.ts";
import { partitionStub } from "../../src/env.ts";
import { type AppendAnswer, writeAppendFrame } from "../../src/protocol/append-frame.ts";
import type { RivuletService } from "../../src/sdk/index.ts";
import * as messages from "../support/kafka-schemas.ts";
import { Kafka } from "./kafka-socket.ts";
import {
  call,
  closeSockets,
  createTopic,
  env,
  expectStatus,
  produce,
  readValues,
  recordBatch,
  TestSocket,
  type TopicJson,
  TWINS,
} from "./support.ts";

afterEach(() => closeSockets());

/** The base offset, or the error's name. */
type Answer = number | string;

/** Every way for a client to append its own batches. */
const WAYS: readonly {
  readonly way: string;
  append(topic: TopicJson, bytes: Uint8Array): Promise<Answer>;
}[] = [
  {
    way: "over HTTP",
    append: async ({ name }, bytes) => {
      const path = `/v1/topics/${name}/partitions/0/batches`;
      const { body } = await call<{ baseOffset?: number; code?: string }>("POST", path, bytes);
      return body.baseOffset ?? (body.code as string);
    },
  },
  {
    way: "over a partition's socket",
    append: async ({ name }, bytes) => {
      const socket = await TestSocket.open<AppendAnswer>(`/v1/topics/${name}/partitions/0/socket`);
      socket.send(writeAppendFrame({ requestId: 1, expectedOffset: null, batches: bytes }));
      const answer = await socket.next(
        (message): message is AppendAnswer => typeof message === "object" && "requestId" in message,
      );
      socket.close();
      return answer.type === "appended" ? answer.baseOffset : answer.code;
    },
  },
  {
    way: "by Kafka's Produce",
    append: async ({ name }, records) => {
      const kafka = await Kafka.open();
      const { topics } = await kafka.ask<{
        topics: { partitions: { errorCode: number; baseOffset: number }[] }[];
      }>(messages.PRODUCE, 9, {
        transactionalId: null,
        acks: -1,
        timeoutMs: 10_000,
        topics: [{ name, partitions: [{ partition: 0, records: [records] }] }],
      });
      kafka.close();
      const { errorCode = -1, baseOffset = -1 } = topics[0]?.partitions[0] ?? {};
      const error = Object.entries(ERRORS).find(([, { code }]) => code === errorCode);
      return error === undefined ? baseOffset : error[0];
    },
  },
];

/** Every way in which the Worker encodes and appends by itself. Returns the offset. */
const OWN: readonly {
  readonly own: string;
  produce(topic: TopicJson, value: string): Promise<number | undefined>;
}[] = [
  {
    own: "JSON",
    produce: async ({ name }, value) => (await produce(name, [{ value }]))[0]?.offset,
  },
  {
    own: "NDJSON",
    produce: async ({ name }, value) => {
      const { results } = await expectStatus<{ results: { offset: number }[] }>(
        200,
        "POST",
        `/v1/topics/${name}/records`,
        `${JSON.stringify({ value })}\n`,
        { "content-type": "application/x-ndjson" },
      );
      return results[0]?.offset;
    },
  },
  {
    own: "JSON with an Idempotency-Key",
    produce: async ({ name }, value) => {
      const { results } = await expectStatus<{ results: { offset: number }[] }>(
        200,
        "POST",
        `/v1/topics/${name}/records`,
        { records: [{ value }] },
        { "idempotency-key": `"${crypto.randomUUID()}"` },
      );
      return results[0]?.offset;
    },
  },
  {
    own: "RPC",
    produce: async ({ name }, value) => {
      const { Rivulet } = exports as unknown as { Rivulet: RivuletService };
      const [result] = await Rivulet.produce(name, [{ value }]);
      return (result as { offset: number } | undefined)?.offset;
    },
  },
];

const EACH_WAY = TWINS.flatMap((twin) => WAYS.map((way) => ({ ...twin, ...way })));
const EACH = EACH_WAY.flatMap((way) => OWN.map((own) => ({ ...way, ...own })));

function stubOf({ topicId }: TopicJson) {
  return partitionStub(env, topicId, 0);
}

async function rawBatches(topic: TopicJson, offset: number): Promise<Uint8Array[]> {
  const read = await stubOf(topic).read({ offset, maxBytes: 1_000_000 });
  if (!read.ok) throw new Error(read.detail);
  return Array.from(batches(read.batches), ({ start, header }) =>
    read.batches.slice(start, start + header.sizeInBytes),
  );
}

describe("the Worker's appends", () => {
  test.each(EACH)(
    "[IDM-9] $own: all are stored, whatever is copied $way from elsewhere$when",
    async ({ interrupt, append, produce: own }) => {
      const [a, b] = [await createTopic(1), await createTopic(1)];
      for (let round = 0; round < 4; round++) {
        expect(await own(a, `a ${round}`)).toBe(round);
        const [copy] = await rawBatches(a, round);
        expect(await append(b, copy as Uint8Array)).toBe(2 * round);
        await interrupt(stubOf(b));
        expect(await own(b, `b ${round}`)).toBe(2 * round + 1);
      }
      const expected = [0, 1, 2, 3].flatMap((round) => [`a ${round}`, `b ${round}`]);
      expect((await readValues(b)).map(([, value]) => value)).toEqual(expected);
    },
  );

  test.each(EACH_WAY)(
    "[IDM-9] all are stored, whatever is forged $way in the Worker's name$when",
    async ({ interrupt, append }) => {
      const topic = await createTopic(1);
      await produce(topic.name, [{ value: "first" }]);
      const [batch] = await rawBatches(topic, 0);
      const { producerId } = readBatchHeader(batch as Uint8Array);
      let end = 1;
      for (let i = 0; i < 30; i++) {
        const id = producerId - 2 + (i % 6);
        const forged = recordBatch([`forged ${i}`], { producer: [id, 0, Math.floor(i / 6)] });
        expect(await append(topic, forged)).toBe(end++);
      }
      await interrupt(stubOf(topic));
      const offsets = await Promise.all(
        Array.from({ length: 20 }, async (_, i) => {
          const [stored] = await produce(topic.name, [{ value: `own ${i}` }]);
          return [stored?.offset, `own ${i}`];
        }),
      );
      const stored = new Map(await readValues(topic));
      expect(stored.size).toBe(end + offsets.length);
      for (const [offset, value] of offsets) expect(stored.get(offset as number)).toBe(value);
    },
  );
});

describe("a client's appends", () => {
  test.each(EACH_WAY)(
    "[IDM-8] another append at a known sequence is rejected $way, the same one is a repeat$when",
    async ({ interrupt, append }) => {
      const topic = await createTopic(1);
      const batch = (value: string) =>
        recordBatch([value], { producer: [99, 0, 0], timestamps: [Date.now() + 5] });
      expect(await append(topic, batch("a"))).toBe(0);
      await interrupt(stubOf(topic));
      expect(await append(topic, batch("x"))).toBe("OUT_OF_ORDER_SEQUENCE_NUMBER");
      expect(await append(topic, batch("a"))).toBe(0);
      await interrupt(stubOf(topic));
      expect(await append(topic, batch("a"))).toBe(0);
      expect(await append(topic, batch("x"))).toBe("OUT_OF_ORDER_SEQUENCE_NUMBER");
      expect(await readValues(topic)).toEqual([[0, "a"]]);
    },
  );

  test.each(EACH_WAY)(
    "[IDM-8] a re-encoding with other times and compression is a repeat $way$when",
    async ({ interrupt, append }) => {
      const { gzip, zstd } = COMPRESSIONS;
      const topic = await createTopic(1);
      const nowMs = Date.now();
      const batch = (value: string, laterMs: number, type?: CompressionType) => {
        const compression = type === undefined ? undefined : compressor(type);
        return recordBatch(["first", value], {
          producer: [99, 0, 0],
          timestamps: [nowMs + laterMs, nowMs],
          ...(compression === undefined ? {} : { compression }),
        });
      };
      expect(await append(topic, batch("a", 0))).toBe(0);
      await interrupt(stubOf(topic));
      expect(await append(topic, batch("a", 7))).toBe(0);
      expect(await append(topic, batch("x", 7))).toBe("OUT_OF_ORDER_SEQUENCE_NUMBER");
      await interrupt(stubOf(topic));
      expect(await append(topic, batch("a", 300, gzip))).toBe(0);
      expect(await append(topic, batch("a", 300, zstd))).toBe(0);
      expect(await append(topic, batch("x", 300, gzip))).toBe("OUT_OF_ORDER_SEQUENCE_NUMBER");
      expect((await readValues(topic)).map(([, value]) => value)).toEqual(["first", "a"]);
    },
  );
});
