// Debian's kafka-python, in a process that driver.py drives.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Codec, GroupClient, Header, Read, Sent } from "./client.ts";
import { HEARTBEAT_MS, SESSION_MS } from "./client.ts";

/** Debian's own, whatever other there is on the PATH. */
export const PYTHON = "/usr/bin/python3";
const DRIVER = fileURLToPath(new URL("./driver.py", import.meta.url));

interface Answer {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: string;
  readonly records?: readonly WireRecord[];
}

interface WireRecord {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [string, string | null])[];
}

export class KafkaPython {
  /** What it has read as a group's member. */
  readonly read: Read[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  readonly #asked = new Map<number, (answer: Answer) => void>();
  #lastId = 0;

  constructor(brokers: string) {
    this.#child = spawn(PYTHON, [DRIVER, brokers], { stdio: ["pipe", "pipe", "inherit"] });
    this.#ended = new Promise((resolve) => this.#child.once("close", resolve));
    void this.#ended.then((code) => {
      for (const answer of this.#asked.values()) answer({ error: `it ended with ${code}` });
    });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
      const answer = JSON.parse(line) as Answer;
      if (answer.records !== undefined) this.read.push(...answer.records.map(fromWire));
      else this.#asked.get(answer.id ?? 0)?.(answer);
    });
  }

  /** Of driver.py's operations. @throws with the name of the exception there */
  async ask<T>(op: string, args: object = {}): Promise<T> {
    const id = ++this.#lastId;
    const { result, error } = await new Promise<Answer>((resolve) => {
      this.#asked.set(id, resolve);
      this.#child.stdin?.write(`${JSON.stringify({ id, op, args })}\n`);
    });
    this.#asked.delete(id);
    if (error !== undefined) throw new Error(error);
    return result as T;
  }

  async readRecords(count: number): Promise<Read[]> {
    return (await this.ask<WireRecord[]>("read", { count })).map(fromWire);
  }

  /** As a program that ends: commits, leaves. */
  async close(): Promise<void> {
    await this.ask("close");
    await this.#ended;
  }
}

function fromWire({ key, value, headers, ...rest }: WireRecord): Read {
  return {
    ...rest,
    key: bytes(key),
    value: bytes(value),
    headers: headers.map(([name, text]): Header => [name, bytes(text)]),
  };
}

function toWire({ key, value, headers, ...rest }: Sent) {
  return {
    ...rest,
    key: text(key),
    value: text(value),
    headers: headers.map(([name, value]) => [name, text(value)]),
  };
}

const bytes = (base64: string | null) => (base64 === null ? null : Buffer.from(base64, "base64"));
const text = (data: Buffer | null) => data?.toString("base64") ?? null;

let codecs: readonly Codec[] | null = null;

/** It needs a module for each but gzip: which it has, it says. */
function knownCodecs(): readonly Codec[] {
  codecs ??= JSON.parse(execFileSync(PYTHON, [DRIVER, "--codecs"], { encoding: "utf8" }));
  return codecs as readonly Codec[];
}

async function withOne<T>(brokers: string, use: (one: KafkaPython) => Promise<T>): Promise<T> {
  const one = new KafkaPython(brokers);
  try {
    return await use(one);
  } finally {
    await one.close();
  }
}

export const kafkaPython: GroupClient = {
  name: "kafka-python",
  get writes() {
    return knownCodecs();
  },
  get reads() {
    return knownCodecs();
  },
  sendsTime: true,
  sendsNullHeaders: false,
  send: (brokers, topic, records, codec = "none") =>
    withOne(brokers, async (one) => {
      await one.ask("send", { topic, records: records.map(toWire), codec });
    }),
  readAll: (brokers, topic, count) =>
    withOne(brokers, async (one) => {
      await one.ask("open");
      const { partitions } = await one.ask<{ partitions: { partition: number }[] }>(
        "describe_topic",
        { topic },
      );
      await one.ask("assign", { topic, partitions: partitions.map((each) => each.partition) });
      return one.readRecords(count);
    }),
  join: async (brokers, groupId, topic) => {
    const one = new KafkaPython(brokers);
    const settings = {
      auto_commit_interval_ms: 200,
      session_timeout_ms: SESSION_MS,
      heartbeat_interval_ms: HEARTBEAT_MS,
    };
    await one.ask("join", { group_id: groupId, topic, settings });
    return { read: one.read, stop: () => one.close() };
  },
};
