// The features of franz-go and its admin besides writing and reading.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import { beatOften } from "./client.ts";
import { Driver } from "./drivers.ts";
import { numbered } from "./records.ts";
import { storedBatches } from "./stored.ts";
import { Ways } from "./ways.ts";

let franz: Driver;
let ways: Ways;
let rivulet: Rivulet;
beforeAll(async () => {
  franz = Driver.franz();
  ways = await Ways.start();
  rivulet = new Rivulet({ url: ways.url });
});
afterAll(() => Promise.all([ways.stop(), franz.end()]));

let names = 0;
const newName = () => `franz-${++names}`;

describe.each(["TCP", "a bridge with three nodes"] as const)("over %s", (way) => {
  const ask = <T>(op: string, args: object = {}) =>
    franz.ask<T>(op, { brokers: ways.brokers(way), ...args });
  const send = (topic: string, from: number, to: number, partitions: number) =>
    franz.send(ways.brokers(way), topic, numbered(from, to, partitions));

  test("[KFK-10] kadm creates a topic, describes, grows, trims and deletes it, and finds offsets", async () => {
    const topic = newName();
    const config = { "retention.ms": "-1" };
    await ask("create_topic", { topic, partitions: 2, config });
    await expect(ask("create_topic", { topic, partitions: 2, config })).rejects.toThrow(
      "TOPIC_ALREADY_EXISTS",
    );
    await ask("grow", { topic, count: 3 });
    const leaders = await ask<Record<string, number>>("describe", { topic });
    expect(Object.keys(leaders)).toEqual(["0", "1", "2"]);
    expect(new Set(Object.values(leaders)).size).toBe(ways.nodes(way).length);
    expect(await ask("config", { topic })).toMatchObject({ "retention.ms": "-1" });

    await send(topic, 0, 30, 3);
    // An idempotent producer has an id.
    for (const { producerId } of (await storedBatches(ways.brokers("TCP"), topic, 3)).flat())
      expect(producerId).toBeGreaterThanOrEqual(0);
    const time = numbered(0, 30, 3)[12]?.timestamp;
    expect(await ask("time_offsets", { topic, time })).toEqual({ 0: 4, 1: 4, 2: 4 });
    await ask("trim", { topic, offsets: { 0: 4, 2: 10 } });
    expect(await ask("start_offsets", { topic })).toEqual({ 0: 4, 1: 0, 2: 10 });
    expect(await ask("end_offsets", { topic })).toEqual({ 0: 10, 1: 10, 2: 10 });

    await ask("delete_topic", { topic });
    await expect(ask("delete_topic", { topic })).rejects.toThrow("UNKNOWN_TOPIC_OR_PARTITION");
  });

  test.each(["eager", "cooperative", "consumer"])(
    "[KFK-10] kadm describes a group of %s members, shows its lag, resets and deletes it",
    async (protocol) => {
      const topic = newName();
      const groupId = `${topic}-group`;
      await ask("create_topic", { topic, partitions: 4 });
      if (protocol === "consumer") await beatOften(rivulet, groupId);
      await send(topic, 0, 40, 4);
      const join = () =>
        franz.join({ ...{ brokers: ways.brokers(way), groupId, protocol }, topics: [topic] });
      const [first, second] = [await join(), await join()];
      await until("each has half", () => first.assigned.size === 2 && second.assigned.size === 2);
      const described = () => ask("group", { groupId, protocol });
      await until("it is stable", async () => {
        const { state } = (await described()) as { state: string };
        return state === "Stable";
      });
      expect(await described()).toEqual({ state: "Stable", shares: [2, 2] });
      await expect(ask("delete_group", { groupId })).rejects.toThrow("NON_EMPTY_GROUP");
      await second.stop();
      await until("the first has all", () => first.assigned.size === 4);
      await send(topic, 40, 80, 4);
      await until("all is read", () => first.read.length + second.read.length >= 80);
      await first.stop();

      expect(await ask("lag", { groupId })).toEqual({ state: "Empty", total: 0 });
      expect(await ask<object>("groups")).toHaveProperty(groupId, "Empty");
      await ask("commit", { groupId, topic, offsets: { 0: 15, 1: 0 } });
      expect(await ask("lag", { groupId })).toEqual({ state: "Empty", total: 25 });
      await ask("delete_group", { groupId });
      expect(await ask<object>("groups")).not.toHaveProperty(groupId);
    },
  );

  test.each(["eager", "consumer"])(
    "[KFK-10] %s members of franz-go read the topics of a pattern, including a later one",
    async (protocol) => {
      const stem = newName();
      for (const topic of [`${stem}-a`, `${stem}-b`, `other-${stem}-a`])
        await ask("create_topic", { topic, partitions: 1 });
      if (protocol === "consumer") await beatOften(rivulet, stem);
      const member = await franz.join({
        ...{ brokers: ways.brokers(way), groupId: stem, protocol },
        pattern: `^${stem}-[a-c]$`,
      });
      await until("it has both", () => member.assigned.size === 2);
      expect([...member.assigned].sort()).toEqual([`${stem}-a-0`, `${stem}-b-0`]);
      await ask("create_topic", { topic: `${stem}-c`, partitions: 1 });
      await send(`${stem}-c`, 0, 5, 1);
      await until("it has read the third", () => member.read.length >= 5);
      expect(member.assigned.size).toBe(3);
      await member.stop();
    },
  );
});
