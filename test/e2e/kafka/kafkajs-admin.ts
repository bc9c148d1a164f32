import { AssignerProtocol, ConfigResourceTypes } from "kafkajs";
import type { AdminKind, Config } from "./admin.ts";
import { kafkaOf } from "./kafkajs.ts";

export const kafkaJsAdmin: AdminKind = {
  name: "KafkaJS",
  connect: async (address) => {
    const admin = kafkaOf(address).admin({ retry: { retries: 0 } });
    await admin.connect();
    const listed = (config: Config) =>
      Object.entries(config).map(([name, value]) => ({ name, value }));
    return {
      createTopic: (topic, numPartitions, config) => {
        const configEntries = listed(config);
        return admin.createTopics({ topics: [{ topic, numPartitions, configEntries }] });
      },
      addPartitions: async (topic, count) => {
        await admin.createPartitions({ topicPartitions: [{ topic, count }] });
      },
      leaders: async (name) => {
        const { topics } = await admin.fetchTopicMetadata({ topics: [name] });
        return topics[0]?.partitions.map(({ leader }) => leader) ?? [];
      },
      brokers: async () =>
        (await admin.describeCluster()).brokers.map(
          ({ nodeId, host, port }) => `${nodeId} ${host}:${port}`,
        ),
      topicConfig: async (name) => {
        const { resources } = await admin.describeConfigs({
          includeSynonyms: false,
          resources: [{ type: ConfigResourceTypes.TOPIC, name }],
        });
        const entries = resources[0]?.configEntries ?? [];
        return Object.fromEntries(
          entries.map(({ configName, configValue }) => [configName, configValue]),
        );
      },
      replaceConfig: async (name, config) => {
        const resource = { type: ConfigResourceTypes.TOPIC, name, configEntries: listed(config) };
        await admin.alterConfigs({ validateOnly: false, resources: [resource] });
      },
      listTopics: () => admin.listTopics(),
      deleteTopic: (name) => admin.deleteTopics({ topics: [name] }),
      bounds: async (topic, partition) => {
        const offsets = await admin.fetchTopicOffsets(topic);
        const own = offsets.find((each) => each.partition === partition);
        return [Number(own?.low), Number(own?.high)];
      },
      offsetAt: async (topic, partition, timestamp) => {
        const offsets = await admin.fetchTopicOffsetsByTimestamp(topic, timestamp);
        return Number(offsets.find((each) => each.partition === partition)?.offset);
      },
      listGroups: async () => (await admin.listGroups()).groups.map(({ groupId }) => groupId),
      describeGroup: async (groupId, topic) => {
        const group = (await admin.describeGroups([groupId])).groups[0];
        const shares = group?.members.map(({ memberAssignment }) => {
          const decoded = AssignerProtocol.MemberAssignment.decode(memberAssignment);
          return decoded?.assignment[topic] ?? [];
        });
        return { state: group?.state ?? "", shares: shares ?? [] };
      },
      committed: async (groupId, topic) => {
        const topics = await admin.fetchOffsets({ groupId, topics: [topic] });
        const offsets = (topics[0]?.partitions ?? []).map(
          ({ partition, offset }) => [partition, Number(offset)] as const,
        );
        return Object.fromEntries(offsets.filter(([, offset]) => offset >= 0));
      },
      setOffsets: (groupId, topic, offsets) =>
        admin.setOffsets({
          groupId,
          topic,
          partitions: offsets.map((offset, partition) => ({ partition, offset: String(offset) })),
        }),
      deleteGroup: async (groupId) => {
        await admin.deleteGroups([groupId]);
      },
      close: () => admin.disconnect(),
    };
  },
};
