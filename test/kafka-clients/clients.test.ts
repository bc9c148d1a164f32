// Other people's clients and the SDK, crossed: what one writes the others read.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import type { Client } from "./client.ts";
import { Driver } from "./drivers.ts";
import { overHttp } from "./http.ts";
import { kafkaPython } from "./kafka-python.ts";
import { kcat } from "./kcat.ts";
import { contents, everyKind, places } from "./records.ts";
import { sdkOf } from "./sdk.ts";
import { storedBatches } from "./stored.ts";
import { BETWEEN, WAYS, Ways } from "./ways.ts";

let ways: Ways;
let rivulet: Rivulet;
let sdk: Client;
let http: Client;
let java: Driver;
let older: Driver;
let franz: Driver;
beforeAll(async () => {
  java = Driver.java("newest");
  older = Driver.java("older");
  franz = Driver.franz();
  ways = await Ways.start();
  http = overHttp(ways.url);
  rivulet = new Rivulet({ url: ways.url });
  sdk = sdkOf(ways.url);
});
afterAll(() => Promise.all([ways.stop(), java.end(), older.end(), franz.end()]));

let names = 0;
async function newTopic(partitions: number): Promise<string> {
  const name = `clients-${++names}`;
  await rivulet.admin.createTopic({ name, partitions });
  return name;
}

describe.each(WAYS)("over %s", (way) => {
  const everywhere = [
    ["kcat", () => kcat],
    ["kafka-python", () => kafkaPython],
    ["the Java client", () => java],
    ["the SDK", () => sdk],
  ] as const;
  const others = [
    ["an older Java client", () => older],
    ["franz-go", () => franz],
    ["HTTP", () => http],
  ] as const;
  test.each<readonly [string, () => Client]>(
    way === BETWEEN ? everywhere : [...everywhere, ...others],
  )(
    "[KFK-10] what %s writes, in every codec it knows, all clients, the SDK and HTTP read byte for byte",
    async (_, clientOf) => {
      const writer = clientOf();
      const brokers = ways.brokers(way);
      const partitions = 3;
      const records = everyKind(partitions, writer);
      const topic = await newTopic(partitions);
      for (const codec of writer.writes) await writer.send(brokers, topic, records, codec);
      const batches = (await storedBatches(ways.brokers("TCP"), topic, partitions)).flat();
      const codecs = new Set(batches.map(({ compression }) => compression));
      // A client leaves a batch uncompressed if it would not get smaller.
      expect([...codecs].sort()).toEqual([...new Set([...writer.writes, "none"])].sort());
      const all = writer.writes.flatMap(() => records);
      expect(batches.reduce((sum, { recordCount }) => sum + recordCount, 0)).toBe(all.length);
      const read = await sdk.readAll(brokers, topic, all.length);
      expect(contents(read, writer.sendsTime)).toEqual(contents(all, writer.sendsTime));
      // Default times are the same to everybody too.
      const readers: readonly Client[] = [kcat, kafkaPython, java, older, franz, http];
      for (const reader of readers.filter(({ reads }) =>
        writer.writes.every((each) => reads.includes(each)),
      ))
        expect(places(await reader.readAll(brokers, topic, all.length))).toEqual(places(read));
    },
  );
});
