// Kafka's admin clients against the broker.
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { errorNames } from "./kafka/admin.ts";
import { kafkaJs } from "./kafka/kafkajs.ts";
import { kafkaJsAdmin } from "./kafka/kafkajs-admin.ts";
import { platformatic } from "./kafka/platformatic.ts";
import { platformaticAdmin } from "./kafka/platformatic-admin.ts";
import { KafkaRig, TRANSPORTS } from "./kafka/rig.ts";

let rig: KafkaRig;
beforeAll(async () => {
  rig = await KafkaRig.start();
});
afterAll(() => rig.stop());

const ADMINS = [
  { ...kafkaJsAdmin, member: kafkaJs },
  { ...platformaticAdmin, member: platformatic("classic") },
];

const refused = (name: string) => (error: unknown) => errorNames(error).includes(name);

const AT_MS = 1_700_000_000_000;

describe.each(TRANSPORTS)("over %s", { concurrent: true }, (transport) => {
  test.each(ADMINS)(
    "[KFK-13] $name creates, describes, grows, configures, lists and deletes a topic",
    async (kind) => {
      const admin = await kind.connect(rig.address(transport));
      const topic = rig.newName();
      const described = () => rig.rivulet.admin.describeTopic(topic);
      const config = { "retention.ms": "60000", "segment.ms": "5000" };
      expect(await admin.createTopic(topic, 2, config)).toBe(true);
      expect(await described()).toMatchObject({ partitions: 2 });
      expect(await admin.leaders(topic)).toEqual([0, 0]);
      expect(await admin.createTopic(topic, 3, {})).toBe(false);
      const wrong = admin.createTopic(`${topic}-wrong`, 2, { "retention.ms": "soon" });
      await expect(wrong).rejects.toSatisfy(refused("INVALID_CONFIG"));
      expect(await admin.listTopics()).toContain(topic);
      expect(await admin.listTopics()).not.toContain(`${topic}-wrong`);

      await admin.addPartitions(topic, 5);
      expect(await described()).toMatchObject({ partitions: 5 });
      expect(await admin.leaders(topic)).toEqual([0, 0, 0, 0, 0]);
      const fewer = admin.addPartitions(topic, 3);
      await expect(fewer).rejects.toSatisfy(refused("INVALID_PARTITIONS"));

      const defaults = { "segment.ms": "604800000", "cleanup.policy": "delete" };
      expect(await admin.topicConfig(topic)).toMatchObject({ ...defaults, ...config });
      await admin.replaceConfig(topic, { "retention.ms": "70000" });
      expect(await admin.topicConfig(topic)).toMatchObject({
        ...defaults,
        "retention.ms": "70000",
      });
      if (admin.changeConfig !== undefined) {
        await admin.changeConfig(topic, { "cleanup.policy": "compact" });
        const changed = { ...defaults, "retention.ms": "70000", "cleanup.policy": "compact" };
        expect(await admin.topicConfig(topic)).toMatchObject(changed);
        await admin.changeConfig(topic, { "cleanup.policy": null });
      }
      expect((await described()).overrides).toEqual({ "retention.ms": 70_000 });
      const bad = admin.replaceConfig(topic, { "retention.ms": "soon" });
      await expect(bad).rejects.toSatisfy(refused("INVALID_CONFIG"));

      await admin.deleteTopic(topic);
      expect(await admin.listTopics()).not.toContain(topic);
      const gone = admin.deleteTopic(topic);
      await expect(gone).rejects.toSatisfy(refused("UNKNOWN_TOPIC_OR_PARTITION"));
      await admin.close();
    },
  );

  test.each(ADMINS)(
    "[KFK-13] $name learns where the broker is, the bounds of a log, and offsets by time",
    async (kind) => {
      const address = rig.address(transport);
      const admin = await kind.connect(address);
      // Without a bridge it is at the URL's address.
      const isBridged = kind.name !== "KafkaJS" || transport === "TCP";
      const at = isBridged ? address.brokers : new URL(rig.broker.url).host;
      expect(await admin.brokers()).toEqual([`0 ${at}`]);
      const topic = await rig.newTopic(2);
      const records = Array.from({ length: 10 }, (_, i) => ({
        value: i,
        partition: 1,
        timestamp: AT_MS + 10 * i,
      }));
      await rig.rivulet.producer.send(topic, records);
      await rig.rivulet.admin.deleteRecords(topic, 1, 2);
      expect(await admin.bounds(topic, 0)).toEqual([0, 0]);
      expect(await admin.bounds(topic, 1)).toEqual([2, 10]);
      expect(await admin.offsetAt(topic, 1, AT_MS + 50)).toBe(5);
      expect(await admin.offsetAt(topic, 1, AT_MS + 51)).toBe(6);
      expect(await admin.offsetAt(topic, 1, AT_MS)).toBe(2);
      await admin.close();
    },
  );

  test.each(ADMINS)(
    "[KFK-14] $name lists and describes a group, sets its offsets and deletes it",
    async (kind) => {
      const address = rig.address(transport);
      const admin = await kind.connect(address);
      const topic = await rig.newTopic(3);
      const groupId = `${topic}-group`;
      const records = Array.from({ length: 12 }, (_, i) => ({ value: i, partition: i % 3 }));
      await rig.rivulet.producer.send(topic, records);
      expect(await admin.listGroups()).not.toContain(groupId);
      const first = await kind.member.join(address, { groupId, topics: [topic] });
      await until("it has read", () => first.read.length >= 12);
      expect(await admin.listGroups()).toContain(groupId);
      expect(await admin.describeGroup(groupId, topic)).toEqual({
        state: "Stable",
        shares: [[0, 1, 2]],
      });
      const busy = admin.deleteGroup(groupId);
      await expect(busy).rejects.toSatisfy(refused("NON_EMPTY_GROUP"));
      const allCommitted = { 0: 4, 1: 4, 2: 4 };
      await until("it has committed", async () =>
        isDeepStrictEqual(await admin.committed(groupId, topic), allCommitted),
      );
      await first.stop();
      expect(await admin.describeGroup(groupId, topic)).toEqual({ state: "Empty", shares: [] });
      expect(await admin.committed(groupId, topic)).toEqual(allCommitted);

      await admin.setOffsets(groupId, topic, [3, 0, 4]);
      expect(await admin.committed(groupId, topic)).toEqual({ 0: 3, 1: 0, 2: 4 });
      const second = await kind.member.join(address, { groupId, topics: [topic] });
      await until("it has read again", () => second.read.length >= 5);
      const places = second.read.map(({ partition, offset }) => `${partition}/${offset}`);
      expect(places.sort()).toEqual(["0/3", "1/0", "1/1", "1/2", "1/3"]);
      await second.stop();

      if (admin.forgetOffsets !== undefined) {
        await admin.forgetOffsets(groupId, topic, [0, 1, 2]);
        expect(await admin.committed(groupId, topic)).toEqual({});
      }
      await admin.deleteGroup(groupId);
      expect(await admin.listGroups()).not.toContain(groupId);
      expect(await admin.committed(groupId, topic)).toEqual({});
      const gone = admin.deleteGroup(groupId);
      await expect(gone).rejects.toSatisfy(refused("GROUP_ID_NOT_FOUND"));
      await admin.close();
    },
  );
});
