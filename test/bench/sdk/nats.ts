// NATS JetStream over WebSocket: a stream in files and a durable pull consumer for each partition.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  AckPolicy,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
  jetstream,
  jetstreamManager,
  StorageType,
} from "@nats-io/jetstream";
import { wsconnect } from "@nats-io/nats-core";
import { freePort } from "../servers.ts";
import { startProcess, versionOf } from "./server-process.ts";
import { type Consuming, newName, type OnRecord, type Side, type Target } from "./side.ts";

/** Requested ahead, and acknowledged at once with policy "all": the fastest of the variants tried. */
const MESSAGES_AHEAD = 5000;
const MESSAGES_PER_ACK = 1000;
/** Acknowledgments are sent at least this often, as Rivulet's SDK commits. */
const ACK_INTERVAL_MS = 500;
/** Only a hang can fail a call. */
const TIMEOUT_MS = 60_000;

/** Null if nats-server is not on PATH. */
export async function startNats(): Promise<Side | null> {
  const version = versionOf("nats-server");
  if (version === null) return null;
  const [port, webSocketPort] = [await freePort(), await freePort()];
  let isSynced = true;
  const server = await startProcess(
    "nats-server",
    (folder) => {
      const path = join(folder, "nats.conf");
      const write = (sync: string) =>
        writeFileSync(
          path,
          `listen: "127.0.0.1:${port}"
           jetstream { store_dir: ${JSON.stringify(folder)}${sync} }
           websocket { listen: "127.0.0.1:${webSocketPort}", no_tls: true }`,
        );
      write(", sync_interval: always");
      isSynced = spawnSync("nats-server", ["-t", "-c", path]).status === 0;
      if (!isSynced) write(""); // Before 2.10 there is no such setting.
      return ["-c", path];
    },
    "Server is ready",
  );
  // Traces of where a request began take this client half of its time.
  const options = { servers: `ws://127.0.0.1:${webSocketPort}`, noAsyncTraces: true };
  const [publishing, consuming] = [await wsconnect(options), await wsconnect(options)];
  const client = jetstream(publishing, { timeout: TIMEOUT_MS });
  const manager = await jetstreamManager(consuming, { timeout: TIMEOUT_MS });
  return {
    name: "jetstream",
    note: isSynced
      ? `nats-server ${version}, file storage, sync_interval always: acknowledges what is synced to disk`
      : `nats-server ${version}, file storage, does not know sync_interval: acknowledges BEFORE anything is synced`,
    produceShare: 1 / 4,
    create: (partitions, valueBytes) => createTarget(client, manager, partitions, valueBytes),
    stop: async () => {
      await Promise.all([publishing.close(), consuming.close()]);
      await server.stop();
    },
  };
}

async function createTarget(
  client: JetStreamClient,
  manager: JetStreamManager,
  partitions: number,
  valueBytes: number,
): Promise<Target> {
  const name = newName();
  const streams = Array.from({ length: partitions }, (_, i) => `${name}-${i}`);
  for (const stream of streams)
    await manager.streams.add({ name: stream, subjects: [stream], storage: StorageType.File });
  const value = new Uint8Array(valueBytes).fill(120);
  return {
    partitions,
    send: async (partition, count) => {
      const subject = streams[partition] as string;
      await Promise.all(Array.from({ length: count }, () => client.publish(subject, value)));
    },
    consume: async (onRecord) => {
      const group = newName();
      const all = await Promise.all(
        streams.map((stream) => consumeStream(manager, stream, group, onRecord)),
      );
      return {
        stop: async () => {
          await Promise.all(all.map((each) => each.stop()));
        },
      };
    },
    close: async () => {},
  };
}

async function consumeStream(
  manager: JetStreamManager,
  stream: string,
  group: string,
  onRecord: OnRecord,
): Promise<Consuming> {
  await manager.consumers.add(stream, {
    durable_name: group,
    ack_policy: AckPolicy.All,
    max_ack_pending: -1,
  });
  const consumer = await manager.jetstream().consumers.get(stream, group);
  let handled = 0;
  let due: JsMsg | null = null;
  const acknowledge = () => {
    due?.ack();
    due = null;
  };
  const messages = await consumer.consume({
    max_messages: MESSAGES_AHEAD,
    callback: (message) => {
      onRecord(message.data.length);
      due = message;
      if (++handled % MESSAGES_PER_ACK === 0) acknowledge();
    },
  });
  const timer = setInterval(acknowledge, ACK_INTERVAL_MS);
  return {
    stop: async () => {
      clearInterval(timer);
      acknowledge();
      await messages.close();
    },
  };
}
