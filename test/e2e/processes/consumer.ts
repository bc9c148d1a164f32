// A member of a group that reports every record it handles as a line of JSON, until SIGTERM.
//   node consumer.ts URL TOPIC GROUP
import { Rivulet } from "../../../src/sdk/index.ts";

const [url = "", topic = "", groupId = ""] = process.argv.slice(2);
const consumer = new Rivulet({ url }).consumer({
  groupId,
  topics: [topic],
  sessionTimeoutMs: 3_000,
  commitIntervalMs: 50,
});
process.on("SIGTERM", () => consumer.close());
const utf8 = new TextDecoder();
await consumer.run({
  eachRecord: ({ offset, value }, { partition }) => {
    process.stdout.write(
      `${JSON.stringify({ partition, offset, id: utf8.decode(value ?? new Uint8Array()) })}\n`,
    );
  },
});
