// The features of kcat alone: list, query, produce in its several ways.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import type { Sent } from "./client.ts";
import { consume, produce, runKcat, tryKcat } from "./kcat.ts";
import { numbered } from "./records.ts";
import { storedBatches } from "./stored.ts";
import { WAYS, Ways } from "./ways.ts";

let ways: Ways;
let rivulet: Rivulet;
beforeAll(async () => {
  ways = await Ways.start();
  rivulet = new Rivulet({ url: ways.url });
});
afterAll(() => ways.stop());

let names = 0;
async function newTopic(partitions: number, config = {}): Promise<string> {
  const name = `kcat-${++names}`;
  await rivulet.admin.createTopic({ name, partitions, config });
  return name;
}

interface Listing {
  readonly controllerid: number;
  readonly brokers: readonly { readonly id: number; readonly name: string }[];
  readonly topics: readonly {
    readonly topic: string;
    readonly error?: string;
    readonly partitions: readonly { readonly partition: number; readonly leader: number }[];
  }[];
}

describe.each(WAYS)("over %s", (way) => {
  test("[KFK-10] kcat -L lists the nodes, and the topics with a leader for each partition", async () => {
    const topic = await newTopic(6);
    const brokers = ways.brokers(way);
    const list = async (...args: string[]): Promise<Listing> =>
      JSON.parse((await runKcat(["-L", "-J", "-b", brokers, ...args])).toString());
    const nodes = ways.nodes(way).map((name, id) => ({ id, name }));
    const all = await list();
    expect(all.controllerid).toBe(0);
    expect(all.brokers.toSorted((a, b) => a.id - b.id)).toEqual(nodes);
    const listed = all.topics.find((each) => each.topic === topic)?.partitions ?? [];
    expect(listed.map(({ partition }) => partition)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(new Set(listed.map(({ leader }) => leader))).toEqual(new Set(nodes.map(({ id }) => id)));
    expect((await list("-t", topic)).topics.map((each) => each.topic)).toEqual([topic]);
    // [KFK-23] A request for a topic creates it, if it may have that name.
    expect((await list("-t", "kcat-missing")).topics).toMatchObject([
      { topic: "kcat-missing", partitions: [{ partition: 0 }] },
    ]);
    expect((await list("-t", "kcat missing")).topics).toMatchObject([
      { topic: "kcat missing", error: "Broker: Invalid topic", partitions: [] },
    ]);
    const text = (await runKcat(["-L", "-b", brokers, "-t", topic])).toString();
    for (const { id, name } of nodes) expect(text).toContain(`broker ${id} at ${name}`);
    expect(text).toContain(`topic "${topic}" with 6 partitions:`);
  });

  test("[KFK-10] kcat writes as an idempotent producer, and without acknowledgements", async () => {
    const brokers = ways.brokers(way);
    for (const [property, isIdempotent] of [
      ["enable.idempotence=true", true],
      ["acks=1", false],
      ["acks=0", false],
    ] as const) {
      const topic = await newTopic(3);
      const sent = numbered(0, 3_000, 3);
      await produce(brokers, topic, sent, ["-X", property]);
      const stored = await until(`with ${property} all is stored`, async () => {
        const batches = (await storedBatches(ways.brokers("TCP"), topic, 3)).flat();
        const count = batches.reduce((sum, { recordCount }) => sum + recordCount, 0);
        return count >= sent.length && batches;
      });
      expect(stored.every(({ producerId }) => producerId >= 0 === isIdempotent)).toBe(true);
      const inOrder = (records: readonly Sent[]) =>
        [0, 1, 2].map((partition) =>
          records.filter((each) => each.partition === partition).map(({ value }) => `${value}`),
        );
      expect(inOrder(await consume(brokers, topic))).toEqual(inOrder(sent));
    }
  });

  test("[KFK-10] kcat -Q finds offsets by time; it reads from a time, up to a time, and the last records", async () => {
    const topic = await newTopic(2);
    const brokers = ways.brokers(way);
    const timestamps = [1_000, 2_000, 3_000, 4_000, 5_000].map((ms) => 1_700_000_000_000 + ms);
    await rivulet.producer.send(
      topic,
      timestamps.map((timestamp) => ({ value: `at ${timestamp}`, timestamp, partition: 1 })),
    );
    const query = async (partition: number, time: number) => {
      const asked = `${topic}:${partition}:${time}`;
      return (await runKcat(["-Q", "-b", brokers, "-t", asked])).toString().trim();
    };
    expect(await query(1, 1)).toBe(`${topic} [1] offset 0`);
    expect(await query(1, 1_700_000_003_000)).toBe(`${topic} [1] offset 2`);
    expect(await query(1, 1_700_000_003_001)).toBe(`${topic} [1] offset 3`);
    expect(await query(1, 1_700_000_005_001)).toBe(`${topic} [1] offset -1`);
    expect(await query(1, -1)).toBe(`${topic} [1] offset 5`);
    expect(await query(1, -2)).toBe(`${topic} [1] offset 0`);
    expect(await query(0, 1)).toBe(`${topic} [0] offset -1`);
    const offsets = async (...options: string[]) =>
      (await consume(brokers, topic, ["-p", "1", ...options])).map(({ offset }) => offset);
    expect(await offsets("-o", "s@1700000002001")).toEqual([2, 3, 4]);
    expect(await offsets("-o", "s@1700000002000", "-o", "e@1700000004000")).toEqual([1, 2]);
    expect(await offsets("-o", "-2")).toEqual([3, 4]);
    expect(await offsets("-o", "3", "-c", "1")).toEqual([3]);
  });

  test("[KFK-10] kcat says why a record was rejected", async () => {
    const topic = await newTopic(1, { "max.message.bytes": 1_000 });
    const brokers = ways.brokers(way);
    const args = ["-P", "-b", brokers, "-t", topic, "-p", "0"];
    const refused = await tryKcat(args, "x".repeat(2_000));
    expect(refused.err).toContain("Delivery failed for message: Broker: Message size too large");
    await runKcat(args, "small");
    const read = await consume(brokers, topic);
    expect(read.map(({ offset, value }) => [offset, `${value}`])).toEqual([[0, "small"]]);
  });
});
