// Debian's kcat: one process for each task.
import { type ChildProcess, spawn } from "node:child_process";
import type { Codec, GroupClient, Header, Member, Read, Sent } from "./client.ts";
import { HEARTBEAT_MS, SESSION_MS } from "./client.ts";

export const KCAT = "kcat";
const ALL_CODECS: readonly Codec[] = ["none", "gzip", "snappy", "lz4", "zstd"];

export interface Outcome {
  readonly code: number | null;
  readonly out: Buffer;
  readonly err: string;
}

/** Whatever its exit code. */
export function tryKcat(args: readonly string[], input: string | Buffer = ""): Promise<Outcome> {
  const child = spawn(KCAT, args);
  const out = collect(child);
  let err = "";
  child.stderr.on("data", (data) => {
    err += data;
  });
  child.stdin.on("error", () => {}); // It ended without having read all: its code says why.
  child.stdin.end(input);
  return new Promise((resolve) =>
    child.once("close", (code) => resolve({ code, out: Buffer.concat(out), err })),
  );
}

/** Its output. @throws if it failed, with its error */
export async function runKcat(args: readonly string[], input?: string | Buffer): Promise<Buffer> {
  const { code, out, err } = await tryKcat(args, input);
  if (code !== 0) throw new Error(`kcat ${args.join(" ")} ended with ${code}: ${err}`);
  return out;
}

function collect(child: ChildProcess): Buffer[] {
  const chunks: Buffer[] = [];
  child.stdout?.on("data", (data: Buffer) => chunks.push(data));
  return chunks;
}

/** No record that is sent here contains them. */
const KEY_END = "<end of key>";
const RECORD_END = "<end of record>";

/** Headers, partition and nulls are options of a whole run. */
function optionsOf({ partition, value, headers }: Sent): string[] {
  const given = headers.flatMap(([name, text]) => ["-H", text === null ? name : `${name}=${text}`]);
  return ["-p", String(partition), ...given, ...(value === null ? ["-Z"] : [])];
}

export async function produce(
  brokers: string,
  topic: string,
  records: readonly Sent[],
  more: readonly string[] = [],
): Promise<void> {
  const args = ["-P", "-b", brokers, "-t", topic, "-K", KEY_END, "-D", RECORD_END, ...more];
  const runs = Map.groupBy(records, (record) => JSON.stringify(optionsOf(record)));
  for (const [options, alike] of runs) {
    const input = alike.flatMap(({ key, value }) => [
      ...(key === null ? [] : [key, Buffer.from(KEY_END)]),
      value ?? Buffer.alloc(0),
      Buffer.from(RECORD_END),
    ]);
    await runKcat([...args, ...(JSON.parse(options) as string[])], Buffer.concat(input));
  }
}

/** A line of numbers and headers, then key and value, whose lengths the line gives. */
const FORMAT = "%p %o %T %K %S %h\n%k%s\n";

/** The whole records in the output, and the rest. */
export function parse(printed: Buffer): { records: Read[]; rest: Buffer } {
  const records: Read[] = [];
  for (let at = 0; ; ) {
    const lineEnd = printed.indexOf("\n", at);
    const line = lineEnd === -1 ? null : printed.subarray(at, lineEnd).toString();
    const match = /^(\d+) (\d+) (\d+) (-?\d+) (-?\d+) (.*)$/.exec(line ?? "");
    if (line !== null && match === null) throw new Error(`kcat printed ${JSON.stringify(line)}`);
    if (match === null) return { records, rest: printed.subarray(at) };
    const [partition = 0, offset = 0, timestamp = 0, keySize = 0, valueSize = 0] = match
      .slice(1)
      .map(Number);
    const keyEnd = lineEnd + 1 + Math.max(keySize, 0);
    const valueEnd = keyEnd + Math.max(valueSize, 0);
    if (valueEnd >= printed.length) return { records, rest: printed.subarray(at) };
    const key = keySize < 0 ? null : printed.subarray(lineEnd + 1, keyEnd);
    const value = valueSize < 0 ? null : printed.subarray(keyEnd, valueEnd);
    const headers = headersOf(match[6] ?? "");
    records.push({ partition, offset, timestamp, key, value, headers });
    at = valueEnd + 1;
  }
}

function headersOf(text: string): Header[] {
  if (text === "") return [];
  return text.split(",").map((header): Header => {
    const [name = "", value = ""] = header.split("=");
    return [name, value === "NULL" ? null : Buffer.from(value)];
  });
}

/** The stored records, read without a group. */
export async function consume(
  brokers: string,
  topic: string,
  more: readonly string[] = ["-o", "beginning"],
): Promise<Read[]> {
  const args = ["-C", "-q", "-e", "-b", brokers, "-t", topic, "-f", FORMAT, ...more];
  return parse(await runKcat(args)).records;
}

async function join(brokers: string, groupId: string, topic: string): Promise<Member> {
  const properties = [
    "auto.offset.reset=earliest",
    "auto.commit.interval.ms=200",
    "fetch.wait.max.ms=200",
    `session.timeout.ms=${SESSION_MS}`,
    `heartbeat.interval.ms=${HEARTBEAT_MS}`,
  ].flatMap((property) => ["-X", property]);
  const args = ["-G", groupId, "-u", "-q", "-b", brokers, "-f", FORMAT, ...properties, topic];
  const child = spawn(KCAT, args, { stdio: ["ignore", "pipe", "inherit"] });
  const closed = new Promise<number | null>((resolve) => child.once("close", resolve));
  const read: Read[] = [];
  let rest: Buffer = Buffer.alloc(0);
  child.stdout.on("data", (data: Buffer) => {
    const parsed = parse(Buffer.concat([rest, data]));
    read.push(...parsed.records);
    rest = parsed.rest;
  });
  return {
    read,
    stop: async () => {
      child.kill("SIGTERM");
      const code = await closed;
      if (code !== 0) throw new Error(`kcat ended with ${code}`);
    },
  };
}

export const kcat: GroupClient = {
  name: "kcat",
  writes: ALL_CODECS,
  reads: ALL_CODECS,
  sendsTime: false,
  sendsNullHeaders: true,
  send: (brokers, topic, records, codec = "none") =>
    produce(brokers, topic, records, ["-z", codec]),
  readAll: (brokers, topic) => consume(brokers, topic),
  join,
};
