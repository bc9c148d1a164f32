// Observes the broker from outside, past the proxies: commits during the run, the logs at its end.
import { type Admin, BrokerError, ConnectionError, type GroupInfo } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import type { Logs, PartitionLog } from "./check-log.ts";
import type { HistoryWriter } from "./history.ts";

const POLL_EVERY_MS = 200;
const DRAIN_GUARD_MS = 120_000;

export class Watcher {
  readonly #admin: Admin;
  readonly #history: HistoryWriter;
  /** A look at a group wakes it and its partitions: false for those that must sleep. */
  readonly #mayLook: (group: string) => boolean;
  readonly #ended: Promise<unknown>;
  #isEnding = false;

  constructor(
    admin: Admin,
    history: HistoryWriter,
    groups: readonly string[],
    mayLook: (group: string) => boolean,
  ) {
    this.#admin = admin;
    this.#history = history;
    this.#mayLook = mayLook;
    this.#ended = Promise.all(groups.map((group) => this.#watch(group)));
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    await this.#ended;
  }

  async #watch(group: string): Promise<void> {
    while (!this.#isEnding) {
      if (this.#mayLook(group)) await this.look(group);
      await new Promise((resolve) => setTimeout(resolve, POLL_EVERY_MS));
    }
  }

  /** Null without an answer: the broker is down, or the group is not known yet. */
  async look(groupId: string): Promise<GroupInfo | null> {
    let info: GroupInfo;
    try {
      info = await this.#admin.describeGroup(groupId);
    } catch {
      return null;
    }
    this.#history.write({
      e: "committed",
      group: groupId,
      epoch: info.epoch,
      offsets: info.offsets.map(({ partition, committedOffset }) => [partition, committedOffset]),
      // Each group reads one topic.
      held: info.members.flatMap(({ assignment }) => assignment.flatMap((each) => each.partitions)),
    });
    return info;
  }

  /** Waits until the groups have committed everything and nothing moves. Says what is missing if they never do. */
  async untilDrained(groups: readonly string[]): Promise<void> {
    const last = new Map<string, string>();
    const isDrained = async (group: string) => {
      const info = await this.look(group);
      last.set(group, JSON.stringify(info));
      return info?.state === "STABLE" && info.offsets.every(isRead);
    };
    try {
      for (const group of groups)
        await until(`${group} has read everything`, () => isDrained(group), DRAIN_GUARD_MS);
    } catch (error) {
      const detail = `${String(error)}; last seen: ${[...last.values()].join(" ")}`;
      this.#history.write({ e: "stuck", detail });
    }
  }
}

function isRead({ lag, logEndOffset }: GroupInfo["offsets"][number]): boolean {
  return lag === 0 || logEndOffset === 0;
}

/** Does something that needs the broker, and repeats it while the broker is unreachable. */
export function insist<T>(what: string, ask: () => Promise<T>): Promise<T> {
  return until(what, async () => {
    try {
      return await ask();
    } catch (error) {
      const isPassing = error instanceof BrokerError && error.retriable;
      if (isPassing || error instanceof ConnectionError) return false;
      throw error;
    }
  });
}

export async function readLogs(
  url: string,
  partitionsOf: Readonly<Record<string, number>>,
): Promise<Logs> {
  const logs: Record<string, PartitionLog[]> = {};
  for (const [topic, partitions] of Object.entries(partitionsOf)) {
    logs[topic] = [];
    for (let partition = 0; partition < partitions; partition++)
      logs[topic].push(await readLog(`${url}/v1/topics/${topic}/partitions/${partition}/records`));
  }
  return logs;
}

async function readLog(path: string): Promise<PartitionLog> {
  const log = { offsets: [] as number[], ids: [] as string[] };
  for (let next = 0; ; ) {
    const response = await fetch(`${path}?offset=${next}&maxRecords=10000&maxBytes=8388608`);
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
    const { records, nextOffset } = (await response.json()) as {
      records: { offset: number; value: string }[];
      nextOffset: number;
    };
    if (records.length === 0) return log;
    for (const { offset, value } of records) {
      log.offsets.push(offset);
      log.ids.push(value.split(" ")[0] ?? "");
    }
    next = nextOffset;
  }
}
