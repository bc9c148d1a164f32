import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

final class Producing {
  private Producing() {}

  static void addTo(Map<String, Driver.Operation> operations) {
    operations.put("send", Producing::send);
    operations.put("begin_transaction", Producing::beginTransaction);
  }

  private static KafkaProducer<byte[], byte[]> producer(Properties settings) {
    return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
  }

  /** The place of each record, in the given order. */
  private static Object send(JsonNode args) throws Exception {
    Properties settings = Wire.settings(args);
    settings.put("compression.type", args.get("codec").asText());
    settings.putIfAbsent("linger.ms", "20");
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    try (KafkaProducer<byte[], byte[]> producer = producer(settings)) {
      String topic = args.get("topic").asText();
      for (JsonNode record : args.get("records")) sent.add(producer.send(Wire.record(topic, record)));
    }
    List<List<Long>> places = new ArrayList<>();
    for (Future<RecordMetadata> each : sent) places.add(List.of((long) each.get().partition(), each.get().offset()));
    return places;
  }

  private static Object beginTransaction(JsonNode args) {
    Properties settings = Wire.settings(args);
    settings.put("transactional.id", args.get("transactionalId").asText());
    try (KafkaProducer<byte[], byte[]> producer = producer(settings)) {
      producer.initTransactions();
      producer.beginTransaction();
    }
    return null;
  }
}
