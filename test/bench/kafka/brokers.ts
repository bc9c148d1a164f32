// The brokers that Kafka's own tools measure: this one, the one of another tree, and Apache Kafka.
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { BrokerProcess } from "../../e2e/broker.ts";
import { RawKafka } from "../../support/kafka-client.ts";
import { CREATE_TOPICS, LIST_OFFSETS } from "../../support/kafka-schemas.ts";
import { freePort } from "../servers.ts";
import { pidOfWorkerd } from "./memory.ts";

export interface Broker {
  readonly name: string;
  readonly address: string;
  /** The process whose CPU counts. */
  readonly pid: number;
  stop(): Promise<void>;
}

/** Creates a topic of one partition, and returns when its leader serves it. */
export async function createTopic({ address }: Broker, name: string): Promise<void> {
  const client = new RawKafka(address);
  const topic = { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
  const answer = await client.ask<{ topics: { errorCode: number }[] }>(CREATE_TOPICS, 4, {
    topics: [topic],
    timeoutMs: 30_000,
    validateOnly: false,
  });
  const [created] = answer.topics;
  if (created?.errorCode !== 0) throw new Error(`${name}: error ${created?.errorCode}`);
  for (;;) {
    const partitions = [{ partition: 0, timestamp: -1 }];
    const listed = await client.ask<{ topics: { partitions: { errorCode: number }[] }[] }>(
      LIST_OFFSETS,
      1,
      { replicaId: -1, topics: [{ name, partitions }] },
    );
    if (listed.topics[0]?.partitions[0]?.errorCode === 0) break;
  }
  client.close();
}

/** `tree` is a built checkout: this one unless given. */
export async function startRivulet(name: string, tree?: string): Promise<Broker> {
  const program = tree === undefined ? {} : { program: resolve(tree, "src/self-host/start.ts") };
  const broker = await BrokerProcess.start(program);
  const pid = pidOfWorkerd(broker.dataDir);
  return { name, address: broker.kafka, pid, stop: () => broker.stop() };
}

/** One node that is broker and controller. `more` is added to its minimal configuration. */
export async function startApacheKafka(
  name: string,
  classpath: string,
  more: readonly string[],
): Promise<Broker> {
  const folder = mkdtempSync(join(tmpdir(), "rivulet-bench-"));
  const [port, controllerPort] = [await freePort(), await freePort()];
  const config = join(folder, "server.properties");
  const lines = [
    "process.roles=broker,controller",
    "node.id=1",
    `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    "controller.listener.names=CONTROLLER",
    `log.dirs=${join(folder, "logs")}`,
    "offsets.topic.replication.factor=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "share.coordinator.state.topic.replication.factor=1",
    "share.coordinator.state.topic.min.isr=1",
    "group.initial.rebalance.delay.ms=0",
    ...more,
  ];
  mkdirSync(join(folder, "logs"));
  writeFileSync(config, lines.join("\n"));
  // Kafka's own start script gives it this much.
  const java = ["-Xms1G", "-Xmx1G", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"];
  const run = [...java, "-cp", classpath];
  const clusterId = randomBytes(16).toString("base64url");
  const format = ["kafka.tools.StorageTool", "format", "-t", clusterId, "-c", config];
  const formatted = spawnSync("java", [...run, ...format], { encoding: "utf8" });
  if (formatted.status !== 0) throw new Error(formatted.stdout + formatted.stderr);
  const child = spawn("java", [...run, "kafka.Kafka", config], { stdio: "ignore" });
  let hasEnded = false;
  const exited = new Promise<void>((done) =>
    child.once("exit", () => {
      hasEnded = true;
      done();
    }),
  );
  process.once("exit", () => child.kill("SIGKILL"));
  while (!(await isListening(port)))
    if (hasEnded) throw new Error(`${name} ended, with ${lines.join(", ")}`);
  return {
    name,
    address: `127.0.0.1:${port}`,
    pid: child.pid as number,
    stop: async () => {
      child.kill("SIGKILL");
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function isListening(port: number): Promise<boolean> {
  const isOpen = await new Promise<boolean>((done) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      done(true);
    });
    socket.once("error", () => done(false));
  });
  if (!isOpen) await new Promise((done) => setTimeout(done, 100));
  return isOpen;
}
