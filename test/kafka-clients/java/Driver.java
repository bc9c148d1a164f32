import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Drives Kafka's Java client. Each line of standard input is a JSON object: an operation, its arguments, and an id for the
 * response. Operations run concurrently. Members of a group print what they read without a request.
 */
public final class Driver {
  interface Operation {
    Object run(JsonNode args) throws Exception;
  }

  private static final ObjectMapper JSON = new ObjectMapper();

  public static void main(String[] given) throws Exception {
    Map<String, Operation> operations = new LinkedHashMap<>();
    Producing.addTo(operations);
    Consuming.addTo(operations);
    Administering.addTo(operations);
    WordCount.addTo(operations);
    ExecutorService threads = Executors.newCachedThreadPool();
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
    for (String line; (line = lines.readLine()) != null; ) {
      JsonNode asked = JSON.readTree(line);
      threads.execute(() -> say(answer(operations, asked)));
    }
    System.exit(0);
  }

  private static Map<String, Object> answer(Map<String, Operation> operations, JsonNode asked) {
    Map<String, Object> answer = new LinkedHashMap<>();
    answer.put("id", asked.get("id").asInt());
    try {
      answer.put("result", operations.get(asked.get("op").asText()).run(asked.get("args")));
    } catch (Throwable error) {
      answer.put("error", named(error instanceof ExecutionException ? error.getCause() : error));
    }
    return answer;
  }

  /** The error and its causes, each by its class. */
  static String named(Throwable error) {
    String name = error.getClass().getSimpleName() + ": " + error.getMessage();
    return error.getCause() == null ? name : name + ", caused by " + named(error.getCause());
  }

  static synchronized void say(Map<String, Object> what) {
    try {
      System.out.println(JSON.writeValueAsString(what));
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
  }
}
