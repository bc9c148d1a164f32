import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

final class Consuming {
  private static final Duration POLL = Duration.ofMillis(100);
  private static final AtomicInteger lastId = new AtomicInteger();
  private static final Map<Integer, Member> members = new ConcurrentHashMap<>();
  private static final Map<Integer, KafkaConsumer<byte[], byte[]>> consumers = new ConcurrentHashMap<>();

  private Consuming() {}

  static void addTo(Map<String, Driver.Operation> operations) {
    operations.put("read_all", Consuming::readAll);
    operations.put("join", Consuming::join);
    operations.put("stop", args -> members.remove(args.get("member").asInt()).stop());
    operations.put("open", Consuming::open);
    operations.put("seek", Consuming::seek);
    operations.put("position", args -> consumer(args).position(place(args)));
    operations.put("read", args -> shown(read(consumer(args), args.get("count").asInt())));
    operations.put("commit", Consuming::commit);
    operations.put("committed", Consuming::committed);
    operations.put("beginning_offsets", args -> Wire.byPartition(consumer(args).beginningOffsets(consumer(args).assignment())));
    operations.put("end_offsets", args -> Wire.byPartition(consumer(args).endOffsets(consumer(args).assignment())));
    operations.put("offsets_for_times", Consuming::offsetsForTimes);
    operations.put("close", Consuming::close);
  }

  private static KafkaConsumer<byte[], byte[]> consumer(Properties settings) {
    settings.putIfAbsent("auto.offset.reset", "earliest");
    settings.putIfAbsent("fetch.max.wait.ms", "200");
    return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  private static KafkaConsumer<byte[], byte[]> consumer(JsonNode args) {
    return consumers.get(args.get("consumer").asInt());
  }

  private static TopicPartition place(JsonNode args) {
    return new TopicPartition(args.get("topic").asText(), args.get("partition").asInt());
  }

  private static List<TopicPartition> assignAll(KafkaConsumer<byte[], byte[]> consumer, String topic) {
    List<TopicPartition> places = new ArrayList<>();
    for (PartitionInfo each : consumer.partitionsFor(topic)) places.add(new TopicPartition(topic, each.partition()));
    consumer.assign(places);
    return places;
  }

  /** At least this many records: a poll returns what has come. */
  private static List<ConsumerRecord<byte[], byte[]>> read(KafkaConsumer<byte[], byte[]> consumer, int count) {
    List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
    while (records.size() < count) consumer.poll(POLL).forEach(records::add);
    return records;
  }

  private static List<Map<String, Object>> shown(List<ConsumerRecord<byte[], byte[]>> records) {
    return records.stream().map(Wire::shown).toList();
  }

  private static Object readAll(JsonNode args) {
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(Wire.settings(args))) {
      assignAll(consumer, args.get("topic").asText());
      return shown(read(consumer, args.get("count").asInt()));
    }
  }

  /** A consumer of all of a topic's partitions, without a subscription. */
  private static Object open(JsonNode args) {
    KafkaConsumer<byte[], byte[]> consumer = consumer(Wire.settings(args));
    assignAll(consumer, args.get("topic").asText());
    int id = lastId.incrementAndGet();
    consumers.put(id, consumer);
    return id;
  }

  private static Object seek(JsonNode args) {
    consumer(args).seek(place(args), args.get("offset").asLong());
    return null;
  }

  private static Object commit(JsonNode args) {
    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
    Wire.numbers(args.get("topic").asText(), args.get("offsets"))
        .forEach((place, offset) -> offsets.put(place, new OffsetAndMetadata(offset, args.get("metadata").asText())));
    consumer(args).commitSync(offsets);
    return null;
  }

  private static Object committed(JsonNode args) {
    Map<Integer, Object> shown = new HashMap<>();
    consumer(args)
        .committed(consumer(args).assignment())
        .forEach((place, each) -> shown.put(place.partition(), each == null ? null : List.of(each.offset(), each.metadata())));
    return shown;
  }

  private static Object offsetsForTimes(JsonNode args) {
    Map<Integer, Object> shown = new HashMap<>();
    consumer(args)
        .offsetsForTimes(Wire.numbers(args.get("topic").asText(), args.get("times")))
        .forEach((place, each) -> shown.put(place.partition(), each == null ? null : List.of(each.offset(), each.timestamp())));
    return shown;
  }

  private static Object close(JsonNode args) {
    consumers.remove(args.get("consumer").asInt()).close();
    return null;
  }

  private static Object join(JsonNode args) {
    int id = lastId.incrementAndGet();
    Properties settings = Wire.settings(args);
    settings.put("group.id", args.get("groupId").asText());
    Member member = new Member(id, consumer(settings));
    if (args.has("brokerPattern")) member.consumer.subscribe(new SubscriptionPattern(args.get("brokerPattern").asText()), member);
    else if (args.has("pattern")) member.consumer.subscribe(Pattern.compile(args.get("pattern").asText()), member);
    else member.consumer.subscribe(Wire.texts(args.get("topics")), member);
    members.put(id, member);
    new Thread(member).start();
    return id;
  }

  /** Polls in a thread of its own until it is stopped, and reports what it reads and what it is assigned. */
  private static final class Member implements Runnable, ConsumerRebalanceListener {
    final KafkaConsumer<byte[], byte[]> consumer;
    private final int id;
    private final CompletableFuture<Object> ended = new CompletableFuture<>();
    private volatile boolean isStopped = false;

    Member(int id, KafkaConsumer<byte[], byte[]> consumer) {
      this.id = id;
      this.consumer = consumer;
    }

    @Override
    public void run() {
      try (consumer) {
        while (!isStopped) {
          List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
          consumer.poll(POLL).forEach(records::add);
          if (!records.isEmpty()) Driver.say(Map.of("member", id, "records", shown(records)));
        }
      } catch (Throwable error) {
        Driver.say(Map.of("member", id, "failed", Driver.named(error)));
        ended.completeExceptionally(error);
      }
      ended.complete(null);
    }

    /** As a program ends: commits, leaves. */
    Object stop() throws Exception {
      isStopped = true;
      return ended.get();
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> places) {
      Driver.say(Map.of("member", id, "assigned", Wire.places(places)));
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> places) {
      Driver.say(Map.of("member", id, "revoked", Wire.places(places)));
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> places) {
      Driver.say(Map.of("member", id, "lost", Wire.places(places)));
    }
  }
}
