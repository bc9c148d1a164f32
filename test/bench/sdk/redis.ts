// Redis Streams: a stream for each partition, a consumer group on each, node-redis.
import { createClient } from "redis";
import { freePort } from "../servers.ts";
import { startProcess, versionOf } from "./server-process.ts";
import { newName, type OnRecord, type Side, type Target } from "./side.ts";

const READ_COUNT = 1000;

type Client = Awaited<ReturnType<typeof connect>>;

/** Null if redis-server is not on PATH. */
export async function startRedis(): Promise<Side | null> {
  const version = versionOf("redis-server");
  if (version === null) return null;
  const port = await freePort();
  const server = await startProcess(
    "redis-server",
    (folder) => [
      ...["--bind", "127.0.0.1", "--port", String(port), "--dir", folder],
      // Rivulet acknowledges synced records, so Redis must too. Its other background work, snapshots and rewriting the file,
      // would only cost it time.
      ...["--appendonly", "yes", "--appendfsync", "always"],
      ...["--save", "", "--auto-aof-rewrite-percentage", "0"],
    ],
    "Ready to accept connections",
  );
  const producer = await connect(port);
  return {
    name: "redis",
    note: `redis-server ${version} --appendonly yes --appendfsync always: acknowledges what is synced to disk`,
    produceShare: 1,
    create: async (partitions, valueBytes) => createTarget(port, producer, partitions, valueBytes),
    stop: async () => {
      producer.destroy();
      await server.stop();
    },
  };
}

async function connect(port: number) {
  // By default the client makes a timer and an AbortSignal for every command, which takes a third of its rate.
  const client = createClient({ url: `redis://127.0.0.1:${port}`, commandOptions: { timeout: 0 } });
  client.on("error", (error) => console.error(`redis: ${error}`));
  await client.connect();
  return client;
}

function createTarget(
  port: number,
  producer: Client,
  partitions: number,
  valueBytes: number,
): Target {
  const name = newName();
  const streams = Array.from({ length: partitions }, (_, i) => `${name}-${i}`);
  const value = "x".repeat(valueBytes); // This client is faster with strings than with Buffers.
  return {
    partitions,
    send: async (partition, count) => {
      const stream = streams[partition] as string;
      // Commands of one tick are one pipeline.
      await Promise.all(Array.from({ length: count }, () => producer.xAdd(stream, "*", { value })));
    },
    consume: async (onRecord) => {
      const group = newName();
      // A command that blocks has a connection to itself.
      const client = await connect(port);
      await Promise.all(
        streams.map((stream) => client.xGroupCreate(stream, group, "0", { MKSTREAM: true })),
      );
      const reader = new GroupReader(client, streams, group, onRecord);
      void reader.run();
      return { stop: () => reader.stop() };
    },
    close: async () => {},
  };
}

/** The records read from one stream; the client's own type is any possible reply. */
interface StreamRead {
  readonly name: string;
  readonly messages: readonly { readonly id: string; readonly message: { value?: string } }[];
}

class GroupReader {
  readonly #client: Client;
  readonly #streams: readonly string[];
  readonly #group: string;
  readonly #onRecord: OnRecord;
  #acknowledged: Promise<unknown> = Promise.resolve();
  #isStopped = false;

  constructor(client: Client, streams: readonly string[], group: string, onRecord: OnRecord) {
    this.#client = client;
    this.#streams = streams;
    this.#group = group;
    this.#onRecord = onRecord;
  }

  async run(): Promise<void> {
    const places = this.#streams.map((key) => ({ key, id: ">" }));
    const options = { COUNT: READ_COUNT, BLOCK: 0 };
    try {
      for (;;) {
        // Sent together with the acknowledgments of the previous read.
        const read = await this.#client.xReadGroup(this.#group, "one", places, options);
        const handled = ((read ?? []) as StreamRead[]).map(({ name, messages }) => {
          for (const { message } of messages) this.#onRecord(message.value?.length ?? 0);
          return { name, ids: messages.map(({ id }) => id) };
        });
        this.#acknowledged = Promise.all(
          handled.map(({ name, ids }) => this.#client.xAck(name, this.#group, ids)),
        );
      }
    } catch (error) {
      if (!this.#isStopped) throw error;
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#acknowledged;
    this.#client.destroy(); // Ends the blocking command.
  }
}
