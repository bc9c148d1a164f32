// The SDK as one more client, to cross the others with.
import { Rivulet } from "../../src/sdk/index.ts";
import type { Client, Header, Read } from "./client.ts";

export function sdkOf(url: string): Client {
  const rivulet = new Rivulet({ url });
  return {
    name: "the SDK",
    writes: ["none", "gzip", "zstd"],
    reads: ["none", "gzip", "snappy", "lz4", "zstd"],
    sendsTime: true,
    sendsNullHeaders: true,
    send: async (_, topic, records, codec = "none") => {
      const compression = codec as "none" | "gzip" | "zstd";
      const outcomes = await rivulet.producer.send(
        topic,
        records.map(({ headers, ...record }) => ({ ...record, headers: byName(headers) })),
        { compression },
      );
      for (const outcome of outcomes) if ("error" in outcome) throw new Error(outcome.error.detail);
    },
    readAll: async (_, topic, count) => {
      const read: Read[] = [];
      for await (const record of await rivulet.reader({ topic, from: "earliest" })) {
        read.push({
          ...record,
          key: record.key && Buffer.from(record.key),
          value: record.value && Buffer.from(record.value),
          headers: record.headers.map(({ key, value }) => [key, value && Buffer.from(value)]),
        });
        if (read.length === count) break;
      }
      return read;
    },
  };
}

function byName(headers: readonly Header[]): Record<string, (Buffer | null)[]> {
  const named = Map.groupBy(headers, ([name]) => name);
  return Object.fromEntries([...named].map(([name, all]) => [name, all.map(([, value]) => value)]));
}
