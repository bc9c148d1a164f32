import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;

/** Kafka Streams' word count: lines come in, and each word goes out with its count so far. */
final class WordCount {
  private static final Map<String, KafkaStreams> running = new ConcurrentHashMap<>();

  private WordCount() {}

  static void addTo(Map<String, Driver.Operation> operations) {
    operations.put("start_word_count", WordCount::start);
    operations.put("stop_word_count", WordCount::stop);
  }

  /** Returns when it runs. */
  private static Object start(JsonNode args) throws Exception {
    Properties settings = Wire.settings(args);
    String id = args.get("applicationId").asText();
    settings.put("application.id", id);
    StreamsBuilder builder = new StreamsBuilder();
    builder.stream(args.get("input").asText(), Consumed.with(Serdes.ByteArray(), Serdes.String()))
        .flatMapValues(line -> List.of(line.split(" ")))
        .groupBy((key, word) -> word, Grouped.with("words", Serdes.String(), Serdes.String()))
        .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("counts"))
        .toStream()
        .mapValues(String::valueOf)
        .to(args.get("output").asText(), Produced.with(Serdes.String(), Serdes.String()));
    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    CountDownLatch settled = new CountDownLatch(1);
    Throwable[] failure = new Throwable[1];
    streams.setUncaughtExceptionHandler(
        error -> {
          failure[0] = error;
          return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
    streams.setStateListener(
        (now, before) -> {
          if (now == KafkaStreams.State.RUNNING || now == KafkaStreams.State.ERROR) settled.countDown();
        });
    running.put(id, streams);
    streams.start();
    settled.await();
    if (failure[0] != null) throw new IllegalStateException(failure[0]);
    return null;
  }

  /** It leaves its group, and forgets its state on this machine: its counts are in the broker alone. */
  private static Object stop(JsonNode args) {
    KafkaStreams streams = running.remove(args.get("applicationId").asText());
    streams.close(CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP));
    streams.cleanUp();
    return null;
  }
}
