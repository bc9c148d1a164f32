// A member of a group over a plain WebSocket that reports every record it is sent as a line of JSON, until SIGTERM.
//   node plain-member.ts URL TOPIC GROUP
import { PlainClient } from "../plain-client.ts";

const [url = "", topic = "", groupId = ""] = process.argv.slice(2);
const client = new PlainClient(url, groupId, `topics=${topic}&sessionTimeoutMs=3000`);
client.onMessage = (message) => {
  if (message.type !== "records") return;
  for (const { offset } of message.records)
    process.stdout.write(`${JSON.stringify({ partition: message.partition, offset })}\n`);
};
process.on("SIGTERM", () => client.close());
