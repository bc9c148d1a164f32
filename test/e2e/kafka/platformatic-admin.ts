import {
  Admin,
  ConfigResourceTypes,
  IncrementalAlterConfigOperationTypes,
  ListOffsetTimestamps,
} from "@platformatic/kafka";
import { type AdminKind, type Config, errorNames } from "./admin.ts";
import { platformaticAt } from "./platformatic.ts";

export const platformaticAdmin: AdminKind = {
  name: "@platformatic/kafka",
  connect: async (address) => {
    const admin = new Admin({ ...platformaticAt(address), retries: 0 });
    const listed = (config: Config) =>
      Object.entries(config).map(([name, value]) => ({ name, value }));
    const resource = (resourceName: string) => ({
      resourceType: ConfigResourceTypes.TOPIC,
      resourceName,
    });
    const offsetAt = async (name: string, partitionIndex: number, timestamp: bigint) => {
      const topics = [{ name, partitions: [{ partitionIndex, timestamp }] }];
      const [listed] = await admin.listOffsets({ topics });
      return Number(listed?.partitions[0]?.offset);
    };
    return {
      createTopic: async (topic, partitions, config) => {
        try {
          await admin.createTopics({ topics: [topic], partitions, configs: listed(config) });
          return true;
        } catch (error) {
          if (errorNames(error).includes("TOPIC_ALREADY_EXISTS")) return false;
          throw error;
        }
      },
      addPartitions: (name, count) => admin.createPartitions({ topics: [{ name, count }] }),
      leaders: async (name) => {
        const { topics } = await admin.metadata({ topics: [name], forceUpdate: true });
        return topics.get(name)?.partitions.map(({ leader }) => leader) ?? [];
      },
      brokers: async () => {
        const { brokers } = await admin.metadata({ topics: [] });
        return [...brokers].map(([id, { host, port }]) => `${id} ${host}:${port}`);
      },
      topicConfig: async (name) => {
        const [described] = await admin.describeConfigs({ resources: [resource(name)] });
        const entries = described?.configs ?? [];
        return Object.fromEntries(entries.map((entry) => [entry.name, entry.value ?? ""]));
      },
      replaceConfig: (name, config) =>
        admin.alterConfigs({ resources: [{ ...resource(name), configs: listed(config) }] }),
      changeConfig: (topic, changes) => {
        const { SET, DELETE } = IncrementalAlterConfigOperationTypes;
        const configs = Object.entries(changes).map(([name, value]) =>
          value === null
            ? { name, configOperation: DELETE }
            : { name, configOperation: SET, value },
        );
        return admin.incrementalAlterConfigs({ resources: [{ ...resource(topic), configs }] });
      },
      listTopics: () => admin.listTopics(),
      deleteTopic: (name) => admin.deleteTopics({ topics: [name] }),
      bounds: async (topic, partition) => [
        await offsetAt(topic, partition, ListOffsetTimestamps.EARLIEST),
        await offsetAt(topic, partition, ListOffsetTimestamps.LATEST),
      ],
      offsetAt: (topic, partition, timestamp) => offsetAt(topic, partition, BigInt(timestamp)),
      listGroups: async () => [...(await admin.listGroups()).keys()],
      describeGroup: async (groupId, topic) => {
        const group = (await admin.describeGroups({ groups: [groupId] })).get(groupId);
        const members = [...(group?.members.values() ?? [])];
        const shares = members.map(({ assignments }) => assignments?.get(topic)?.partitions ?? []);
        return { state: group?.state ?? "", shares };
      },
      committed: async (groupId, topic) => {
        const [group] = await admin.listConsumerGroupOffsets({ groups: [groupId] });
        const own = group?.topics.find(({ name }) => name === topic);
        return Object.fromEntries(
          (own?.partitions ?? []).map(({ partitionIndex, committedOffset }) => [
            partitionIndex,
            Number(committedOffset),
          ]),
        );
      },
      setOffsets: (groupId, topic, offsets) => {
        const partitionOffsets = offsets.map((offset, partition) => ({
          partition,
          offset: BigInt(offset),
        }));
        const topics = [{ name: topic, partitionOffsets }];
        return admin.alterConsumerGroupOffsets({ groupId, topics });
      },
      forgetOffsets: async (groupId, topic, partitions) => {
        const topics = [{ name: topic, partitionIndexes: [...partitions] }];
        await admin.deleteConsumerGroupOffsets({ groupId, topics });
      },
      deleteGroup: (groupId) => admin.deleteGroups({ groups: [groupId] }),
      close: () => admin.close(),
    };
  },
};
