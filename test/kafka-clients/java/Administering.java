import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;

/** The newest client advises against some of it; the older one has nothing else. */
@SuppressWarnings({"deprecation", "removal"})
final class Administering {
  private static final Map<String, Admin> admins = new ConcurrentHashMap<>();

  private Administering() {}

  static void addTo(Map<String, Driver.Operation> operations) {
    operations.put("create_topic", Administering::createTopic);
    operations.put("create_partitions", Administering::createPartitions);
    operations.put("list_topics", args -> admin(args).listTopics().names().get());
    operations.put("describe_topics", Administering::describeTopics);
    operations.put("describe_topics_by_id", Administering::describeTopicsById);
    operations.put("describe_config", Administering::describeConfig);
    operations.put("alter_config", Administering::alterConfig);
    operations.put("list_offsets", Administering::listOffsets);
    operations.put("delete_records", Administering::deleteRecords);
    operations.put("delete_topics", args -> admin(args).deleteTopics(Wire.texts(args.get("topics"))).all().get());
    operations.put("describe_cluster", args -> admin(args).describeCluster().nodes().get().size());
    operations.put("list_groups", Administering::listGroups);
    operations.put("describe_group", Administering::describeGroup);
    operations.put("group_offsets", Administering::groupOffsets);
    operations.put("alter_group_offsets", Administering::alterGroupOffsets);
    operations.put("delete_group_offsets", Administering::deleteGroupOffsets);
    operations.put("delete_group", args -> admin(args).deleteConsumerGroups(List.of(groupId(args))).all().get());
  }

  private static Admin admin(JsonNode args) {
    return admins.computeIfAbsent(args.get("brokers").asText(), brokers -> Admin.create(Wire.settings(args)));
  }

  private static String topic(JsonNode args) {
    return args.get("topic").asText();
  }

  private static String groupId(JsonNode args) {
    return args.get("groupId").asText();
  }

  private static Object createTopic(JsonNode args) throws Exception {
    NewTopic topic = new NewTopic(topic(args), args.get("partitions").asInt(), (short) 1);
    return admin(args).createTopics(List.of(topic.configs(Wire.textsByName(args.get("config"))))).all().get();
  }

  private static Object createPartitions(JsonNode args) throws Exception {
    return admin(args).createPartitions(Map.of(topic(args), NewPartitions.increaseTo(args.get("count").asInt()))).all().get();
  }

  private static Object describeTopics(JsonNode args) throws Exception {
    return shown(admin(args).describeTopics(Wire.texts(args.get("topics"))).allTopicNames().get().values());
  }

  private static Object describeTopicsById(JsonNode args) throws Exception {
    List<Uuid> ids = Wire.texts(args.get("ids")).stream().map(Uuid::fromString).toList();
    return shown(admin(args).describeTopics(TopicCollection.ofTopicIds(ids)).allTopicIds().get().values());
  }

  private static Map<String, Object> shown(Collection<TopicDescription> topics) {
    Map<String, Object> shown = new TreeMap<>();
    for (TopicDescription topic : topics) {
      List<List<Integer>> partitions = new ArrayList<>();
      for (TopicPartitionInfo each : topic.partitions()) partitions.add(List.of(each.partition(), each.leader().id()));
      shown.put(topic.name(), Map.of("id", topic.topicId().toString(), "partitions", partitions));
    }
    return shown;
  }

  private static ConfigResource resource(JsonNode args) {
    return new ConfigResource(ConfigResource.Type.valueOf(args.get("type").asText()), args.get("name").asText());
  }

  private static Object describeConfig(JsonNode args) throws Exception {
    Config config = admin(args).describeConfigs(List.of(resource(args))).all().get().get(resource(args));
    Map<String, Object> shown = new TreeMap<>();
    for (ConfigEntry entry : config.entries()) shown.put(entry.name(), List.of(String.valueOf(entry.value()), entry.source().name()));
    return shown;
  }

  /** Each change is an operation, a config's name and a value. */
  private static Object alterConfig(JsonNode args) throws Exception {
    List<AlterConfigOp> changes = new ArrayList<>();
    for (JsonNode change : args.get("changes")) {
      ConfigEntry entry = new ConfigEntry(change.get(1).asText(), change.get(2).asText());
      changes.add(new AlterConfigOp(entry, AlterConfigOp.OpType.valueOf(change.get(0).asText())));
    }
    return admin(args).incrementalAlterConfigs(Map.of(resource(args), (Collection<AlterConfigOp>) changes)).all().get();
  }

  private static OffsetSpec spec(JsonNode at) {
    if (at.isNumber()) return OffsetSpec.forTimestamp(at.asLong());
    return switch (at.asText()) {
      case "earliest" -> OffsetSpec.earliest();
      case "latest" -> OffsetSpec.latest();
      case "max timestamp" -> OffsetSpec.maxTimestamp();
      default -> throw new IllegalArgumentException(at.asText());
    };
  }

  /** For each named partition, offset and time. */
  private static Object listOffsets(JsonNode args) throws Exception {
    Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
    args.get("at")
        .properties()
        .forEach(each -> asked.put(new TopicPartition(topic(args), Integer.parseInt(each.getKey())), spec(each.getValue())));
    Map<TopicPartition, List<Long>> found = new HashMap<>();
    for (Map.Entry<TopicPartition, ListOffsetsResultInfo> each : admin(args).listOffsets(asked).all().get().entrySet())
      found.put(each.getKey(), List.of(each.getValue().offset(), each.getValue().timestamp()));
    return Wire.byPartition(found);
  }

  private static Object deleteRecords(JsonNode args) throws Exception {
    Map<TopicPartition, RecordsToDelete> asked = new HashMap<>();
    Wire.numbers(topic(args), args.get("before")).forEach((place, offset) -> asked.put(place, RecordsToDelete.beforeOffset(offset)));
    return admin(args).deleteRecords(asked).all().get();
  }

  /** State and kind of each group, as the running client lists them: the older one has no listGroups. */
  private static Object listGroups(JsonNode args) throws Exception {
    Map<String, Object> shown = new TreeMap<>();
    admin(args)
        .listConsumerGroups()
        .all()
        .get()
        .forEach(each -> shown.put(each.groupId(), List.of(each.state().get().toString(), each.type().get().toString())));
    return shown;
  }

  private static Object describeGroup(JsonNode args) throws Exception {
    ConsumerGroupDescription group =
        admin(args).describeConsumerGroups(List.of(groupId(args))).all().get().get(groupId(args));
    List<Object> members = new ArrayList<>();
    group.members()
        .forEach(each -> members.add(Map.of("clientId", each.clientId(), "assignment", Wire.places(each.assignment().topicPartitions()))));
    return Map.of(
        "state", group.state().toString(), "type", group.type().toString(), "assignor", group.partitionAssignor(), "members", members);
  }

  private static Object groupOffsets(JsonNode args) throws Exception {
    Map<TopicPartition, Object> offsets = new HashMap<>();
    admin(args)
        .listConsumerGroupOffsets(groupId(args))
        .partitionsToOffsetAndMetadata()
        .get()
        .forEach((place, each) -> offsets.put(place, List.of(each.offset(), each.metadata())));
    return Wire.byPartition(offsets);
  }

  private static Object alterGroupOffsets(JsonNode args) throws Exception {
    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
    Wire.numbers(topic(args), args.get("offsets")).forEach((place, offset) -> offsets.put(place, new OffsetAndMetadata(offset, "reset")));
    return admin(args).alterConsumerGroupOffsets(groupId(args), offsets).all().get();
  }

  private static Object deleteGroupOffsets(JsonNode args) throws Exception {
    Set<TopicPartition> places = new HashSet<>();
    args.get("partitions").forEach(each -> places.add(new TopicPartition(topic(args), each.asInt())));
    return admin(args).deleteConsumerGroupOffsets(groupId(args), places).all().get();
  }
}
