// The HTTP API as one more client, in JSON.
import type { Client, Header, Read } from "./client.ts";

interface HttpRecord {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key?: string | null;
  readonly keyBase64?: string;
  readonly value?: string | null;
  readonly valueBase64?: string;
  readonly headers: Readonly<Record<string, HeaderValue | readonly HeaderValue[]>>;
}

type HeaderValue = string | null | { readonly base64: string };

export function overHttp(url: string): Client {
  return {
    name: "HTTP",
    writes: ["none"],
    reads: ["none", "gzip", "snappy", "lz4", "zstd"],
    sendsTime: true,
    sendsNullHeaders: true,
    send: async (_, topic, records) => {
      const sent = records.map(({ key, value, headers, ...place }) => ({
        ...place,
        ...(key === null ? { key } : { keyBase64: key.toString("base64") }),
        ...(value === null ? { value } : { valueBase64: value.toString("base64") }),
        headers: byName(headers),
      }));
      const body = JSON.stringify({ records: sent });
      const response = await fetch(`${url}/v1/topics/${topic}/records`, { method: "POST", body });
      if (!response.ok) throw new Error(await response.text());
    },
    readAll: async (_, topic, count) => {
      const read: Read[] = [];
      for (let partition = 0; read.length < count; partition++) {
        const path = `${url}/v1/topics/${topic}/partitions/${partition}/records?offset=0`;
        const response = await fetch(path, { headers: { accept: "application/x-ndjson" } });
        if (!response.ok) throw new Error(await response.text());
        for (const line of (await response.text()).split("\n").filter((each) => each !== ""))
          read.push(fromJson(partition, JSON.parse(line) as HttpRecord));
      }
      return read;
    },
  };
}

function fromJson(partition: number, record: HttpRecord): Read {
  const { offset, timestamp, key, keyBase64, value, valueBase64, headers } = record;
  return {
    partition,
    offset,
    timestamp,
    key: bytes(key, keyBase64),
    value: bytes(value, valueBase64),
    headers: Object.entries(headers).flatMap(([name, given]) =>
      [given].flat().map((each): Header => [name, headerBytes(each as HeaderValue)]),
    ),
  };
}

function bytes(text: string | null | undefined, base64: string | undefined): Buffer | null {
  if (base64 !== undefined) return Buffer.from(base64, "base64");
  return text === null || text === undefined ? null : Buffer.from(text);
}

function headerBytes(value: HeaderValue): Buffer | null {
  if (value === null) return null;
  return typeof value === "string" ? Buffer.from(value) : Buffer.from(value.base64, "base64");
}

function byName(headers: readonly Header[]): Record<string, HeaderValue | HeaderValue[]> {
  const named = Map.groupBy(headers, ([name]) => name);
  const one = ([, value]: Header) => value && { base64: value.toString("base64") };
  return Object.fromEntries([...named].map(([name, all]) => [name, all.map(one)]));
}
