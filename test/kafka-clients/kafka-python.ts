// Debian's kafka-python, in a process that driver.py drives.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Codec, GroupClient, Read } from "./client.ts";
import { HEARTBEAT_MS, SESSION_MS } from "./client.ts";
import { Driven, fromWire, toWire, type WireRecord } from "./driven.ts";

/** Debian's own, whatever else is on the PATH. */
export const PYTHON = "/usr/bin/python3";
const DRIVER = fileURLToPath(new URL("./driver.py", import.meta.url));

export class KafkaPython {
  /** The records it has read as a group's member. */
  readonly read: Read[] = [];
  readonly #process: Driven<{ readonly records: readonly WireRecord[] }>;

  /** `settings` apply to each of its clients. */
  constructor(brokers: string, settings: object = {}) {
    const args = [DRIVER, brokers, JSON.stringify(settings)];
    this.#process = new Driven(PYTHON, args, ({ records }) =>
      this.read.push(...records.map(fromWire)),
    );
  }

  /** Runs one of driver.py's operations. @throws with the name of the exception there */
  ask<T>(op: string, args: object = {}): Promise<T> {
    return this.#process.ask<T>(op, args);
  }

  async readRecords(count: number): Promise<Read[]> {
    return (await this.ask<WireRecord[]>("read", { count })).map(fromWire);
  }

  /** As a program ends: commits, leaves. */
  async close(): Promise<void> {
    await this.ask("close");
    await this.#process.end();
  }
}

let codecs: readonly Codec[] | null = null;

/** It needs a module for each codec but gzip, and reports which it has. */
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
