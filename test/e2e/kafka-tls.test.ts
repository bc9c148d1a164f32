// Kafka's port with TLS: real clients authenticate over it, and nobody is heard without it.
import { connect } from "node:tls";
import { Admin as PlatformaticAdmin } from "@platformatic/kafka";
import { Kafka, logLevel } from "kafkajs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RawKafka } from "../support/kafka-client.ts";
import * as apis from "../support/kafka-schemas.ts";
import { CERT, CERT_PATH, KEY_PATH } from "../support/tls-files.ts";
import { until } from "../support/until.ts";
import { BrokerProcess, launch, temporaryFolder } from "./broker.ts";

const ROOT_KEY = "the-root-key-of-this-test";
const TLS = { KAFKA_TLS_CERT: CERT_PATH, KAFKA_TLS_KEY: KEY_PATH };

let broker: BrokerProcess;
beforeAll(async () => {
  const env = { ...TLS, RIVULET_ROOT_KEY: ROOT_KEY, KAFKA_NODES: "2" };
  broker = await BrokerProcess.start({ env });
});
afterAll(() => broker.stop());

test("[MODE-4] the ready line names TLS too", () => {
  expect(broker.lines).toEqual([
    expect.stringMatching(/\(Kafka on 127\.0\.0\.1:\d+,127\.0\.0\.1:\d+ over TLS, data in /),
  ]);
});

test.each(["plain", "scram-sha-256"] as const)(
  "[MODE-4] KafkaJS authenticates by %s, and large records arrive as sent, through both nodes",
  async (mechanism) => {
    const kafka = new Kafka({
      brokers: [broker.kafka],
      logLevel: logLevel.NOTHING,
      ssl: { ca: CERT },
      sasl: { mechanism, username: "root", password: ROOT_KEY } as never,
    });
    const topic = `tls-${mechanism}`;
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic, numPartitions: 4 }] });
    await admin.disconnect();
    const values = Array.from({ length: 4 }, (_, i) => `${i}`.repeat(700_000));
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({
      topic,
      messages: values.map((value, partition) => ({ value, partition })),
    });
    await producer.disconnect();
    const consumer = kafka.consumer({ groupId: topic });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    const read = new Map<number, string>();
    await new Promise<void>((resolve) => {
      void consumer.run({
        eachMessage: async ({ partition, message }) => {
          read.set(partition, `${message.value}`);
          if (read.size === values.length) resolve();
        },
      });
    });
    await consumer.disconnect();
    expect(values.map((_, partition) => read.get(partition))).toEqual(values);
  },
);

test("[MODE-4] platformatic authenticates by PLAIN", async () => {
  const client = new PlatformaticAdmin({
    clientId: "c",
    bootstrapBrokers: [broker.kafka],
    retries: 0,
    tls: { ca: CERT },
    sasl: { mechanism: "PLAIN", username: "root", password: ROOT_KEY },
  });
  await client.createTopics({ topics: ["tls-other"], partitions: 1, replicas: 1 });
  expect(await client.listTopics()).toContain("tls-other");
  await client.close();
});

test("[MODE-4] a client without TLS is not heard", async () => {
  const client = new RawKafka(broker.kafka);
  await expect(client.ask(apis.API_VERSIONS, 0, {})).rejects.toThrow("closed");
  const kafka = new Kafka({
    brokers: [broker.kafka],
    logLevel: logLevel.NOTHING,
    retry: { retries: 0 },
    sasl: { mechanism: "plain", username: "root", password: ROOT_KEY },
  });
  const admin = kafka.admin();
  await expect(admin.connect()).rejects.toThrow();
  await admin.disconnect();
  await until("the log says why", () =>
    broker.lines.some((line) => line.startsWith("kafka: connection closed: TLS handshake failed")),
  );
});

test("[MODE-4] a client that does not know the certificate, or expects another name, disconnects", async () => {
  const [host = "", port] = broker.kafka.split(":");
  const dialed = (options: object) =>
    new Promise<string>((resolve) => {
      const socket = connect({ host, port: Number(port), ...options }, () => {
        resolve(`${socket.getProtocol()}`);
        socket.destroy();
      });
      socket.on("error", (error) => resolve((error as NodeJS.ErrnoException).code ?? ""));
    });
  expect(await dialed({ ca: CERT })).toBe("TLSv1.3");
  expect(await dialed({ ca: CERT, maxVersion: "TLSv1.2" })).toBe("TLSv1.2");
  expect(await dialed({})).toMatch(/SELF_SIGNED|UNABLE_TO_VERIFY/);
  expect(await dialed({ ca: CERT, servername: "elsewhere.example" })).toBe(
    "ERR_TLS_CERT_ALTNAME_INVALID",
  );
});

test("[MODE-4] [SYS-1] an unusable file is explained in one sentence", async () => {
  const { lines, exited } = launch({
    PORT: "0",
    DATA_DIR: temporaryFolder(),
    KAFKA_TLS_CERT: CERT_PATH,
    KAFKA_TLS_KEY: "/nowhere/key.pem",
  });
  expect((await exited).code).toBe(1);
  expect(lines).toEqual([
    expect.stringMatching(/^rivulet: KAFKA_TLS_KEY is "\/nowhere\/key\.pem", which cannot be read/),
  ]);
});
