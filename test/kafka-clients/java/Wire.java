import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;

/** Arguments and results as in JSON: bytes are base64. */
final class Wire {
  private Wire() {}

  static String encoded(byte[] bytes) {
    return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
  }

  static byte[] decoded(JsonNode text) {
    return text.isNull() ? null : Base64.getDecoder().decode(text.asText());
  }

  static Map<String, Object> shown(ConsumerRecord<byte[], byte[]> record) {
    List<List<String>> headers = new ArrayList<>();
    for (Header header : record.headers()) {
      List<String> pair = new ArrayList<>();
      pair.add(header.key());
      pair.add(encoded(header.value()));
      headers.add(pair);
    }
    Map<String, Object> shown = new LinkedHashMap<>();
    shown.put("topic", record.topic());
    shown.put("partition", record.partition());
    shown.put("offset", record.offset());
    shown.put("timestamp", record.timestamp());
    shown.put("key", encoded(record.key()));
    shown.put("value", encoded(record.value()));
    shown.put("headers", headers);
    return shown;
  }

  static ProducerRecord<byte[], byte[]> record(String topic, JsonNode given) {
    ProducerRecord<byte[], byte[]> record =
        new ProducerRecord<>(
            topic,
            given.get("partition").asInt(),
            given.get("timestamp").asLong(),
            decoded(given.get("key")),
            decoded(given.get("value")));
    for (JsonNode header : given.get("headers"))
      record.headers().add(header.get(0).asText(), decoded(header.get(1)));
    return record;
  }

  static List<String> texts(JsonNode list) {
    List<String> texts = new ArrayList<>();
    list.forEach(each -> texts.add(each.asText()));
    return texts;
  }

  static Map<String, String> textsByName(JsonNode object) {
    Map<String, String> texts = new LinkedHashMap<>();
    if (object != null) object.properties().forEach(each -> texts.put(each.getKey(), each.getValue().asText()));
    return texts;
  }

  /** One number for each partition of a topic. */
  static Map<TopicPartition, Long> numbers(String topic, JsonNode byPartition) {
    Map<TopicPartition, Long> numbers = new HashMap<>();
    byPartition
        .properties()
        .forEach(each -> numbers.put(new TopicPartition(topic, Integer.parseInt(each.getKey())), each.getValue().asLong()));
    return numbers;
  }

  static <T> Map<Integer, T> byPartition(Map<TopicPartition, T> values) {
    Map<Integer, T> sorted = new TreeMap<>();
    values.forEach((place, value) -> sorted.put(place.partition(), value));
    return sorted;
  }

  static List<String> places(Collection<TopicPartition> places) {
    return places.stream().map(TopicPartition::toString).sorted().toList();
  }

  /** A client's settings: its brokers, and what the test adds. */
  static Properties settings(JsonNode args) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args.get("brokers").asText());
    settings.putAll(textsByName(args.get("settings")));
    return settings;
  }
}
