// `npm run churn -- --minutes M`: topics and groups come and go, and connections are opened and cut, on one broker. It
// reports workerd's memory and the files of the objects at a sixth, at half and at the end. Deleted data must be freed, on
// disk too. It exits with 1 if files of deleted topics or groups are left. It also does if the memory at the end is twice
// that of the first report.
import { readdirSync, statSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Rivulet } from "../../src/sdk/index.ts";
import { printTable } from "../bench/report.ts";
import { BrokerProcess, temporaryFolder } from "../e2e/broker.ts";
import { workerdBelow } from "../e2e/memory.ts";

const { values } = parseArgs({ options: { minutes: { type: "string" } }, strict: false });
const minutes = Number(values.minutes);
if (!(minutes > 0)) {
  console.error("Usage: npm run churn -- --minutes M");
  process.exit(2);
}

const WORKERS = 4;
const PARTITIONS = 3;
const RECORDS = 300;
/** Kept from the beginning to the end, and used by all. */
const KEPT_TOPIC = "kept";
/** The time that the broker may go without removing a file of a deleted object, once nothing happens any more. */
const STANDSTILL_MS = 60_000;

interface Look {
  readonly minute: number;
  readonly memoryMib: number;
  readonly files: Readonly<Record<string, number>>;
  readonly diskMib: number;
  readonly rounds: number;
}

const dataDir = temporaryFolder();
const broker = await BrokerProcess.start({ dataDir });
const rivulet = new Rivulet({ url: broker.url });
await rivulet.admin.createTopic({ name: KEPT_TOPIC, partitions: PARTITIONS });
await rivulet.producer.send(KEPT_TOPIC, [{ value: "kept" }]);
const startMs = performance.now();
const elapsedMinutes = () => (performance.now() - startMs) / 60_000;
let rounds = 0;
let isOver = false;
const looks: Look[] = [look()];
const workers = Promise.all(Array.from({ length: WORKERS }, (_, number) => work(number)));
for (const share of [1 / 6, 1 / 2, 1]) {
  await passed(share * minutes);
  looks.push(look());
}
isOver = true;
await workers;
const left = await swept();
printTable(
  ["minute", "rounds", "memory, MiB", "partition files", "group files", "on disk, MiB"],
  [...looks, left].map(({ minute, rounds, memoryMib, files, diskMib }) => [
    minute.toFixed(1),
    String(rounds),
    memoryMib.toFixed(0),
    String(files.partition),
    String(files.group),
    diskMib.toFixed(1),
  ]),
);
const kept = await rivulet.admin.listTopics();
const [, first] = looks;
const problems = [
  kept.length === 1 ? null : `${kept.length} topics are left, there must be one`,
  (left.files.partition ?? 0) <= PARTITIONS
    ? null
    : `${left.files.partition} partition files are left`,
  (left.files.group ?? 0) === 0 ? null : `${left.files.group} group files are left`,
  first !== undefined && left.memoryMib > 2 * first.memoryMib
    ? `memory has grown from ${first.memoryMib.toFixed(0)} to ${left.memoryMib.toFixed(0)} MiB`
    : null,
].filter((problem) => problem !== null);
for (const problem of problems) console.log(problem);
if (problems.length === 0) console.log("clean");
await broker.stop();
process.exit(problems.length === 0 ? 0 : 1);

async function passed(minute: number): Promise<void> {
  while (elapsedMinutes() < minute) await new Promise((resolve) => setTimeout(resolve, 200));
}

function look(): Look {
  const folder = join(dataDir, "objects");
  const files: Record<string, number> = {};
  let bytes = 0;
  for (const kind of ["cluster", "partition", "group"]) {
    const own = join(folder, `rivulet-${kind}-v1`);
    const names = readdirSync(own);
    files[kind] = names.filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name)).length;
    for (const name of names) bytes += sizeOf(join(own, name));
  }
  const { memoryMib } = workerdBelow(broker.pid);
  return { minute: elapsedMinutes(), memoryMib, files, diskMib: bytes / 2 ** 20, rounds };
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch {
    return 0; // It has just gone.
  }
}

/** Waits until nothing deleted is on the disk, or no more files go. */
async function swept(): Promise<Look> {
  let least = Number.POSITIVE_INFINITY;
  let untilMs = performance.now() + STANDSTILL_MS;
  for (;;) {
    // The group of the cut sockets keeps its member for a session.
    await (await fetch(`${broker.url}/v1/groups/cut`, { method: "DELETE" })).text();
    const now = look();
    const isClean = (now.files.partition ?? 0) <= PARTITIONS && now.files.group === 0;
    const files = (now.files.partition ?? 0) + (now.files.group ?? 0);
    if (files < least) {
      least = files;
      untilMs = performance.now() + STANDSTILL_MS;
    }
    if (isClean || performance.now() > untilMs) return now;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** Repeats: a topic is created, produced to, read by a group and by polls, and all of it is deleted. */
async function work(number: number): Promise<void> {
  for (let round = 0; !isOver; round++) {
    const topic = `t-${number}-${round}`;
    const group = `g-${number}-${round}`;
    await rivulet.admin.createTopic({ name: topic, partitions: PARTITIONS });
    const producer = rivulet.newProducer();
    const sent = Array.from({ length: RECORDS }, (_, i) => ({
      key: `k${i}`,
      value: "v".repeat(500),
    }));
    await producer.send(topic, sent);
    await producer.close();
    await consume(topic, group);
    cutConnections();
    await rivulet.admin.deleteTopic(topic);
    await rivulet.admin.deleteGroup(group);
    await poll(`p-${number}-${round}`);
    rounds++;
  }
}

async function consume(topic: string, groupId: string): Promise<void> {
  const consumer = rivulet.consumer({ groupId, topics: [topic], from: "earliest" });
  let left = RECORDS;
  await new Promise<void>((resolve) => {
    void consumer.run({
      eachRecord: () => {
        if (--left === 0) resolve();
      },
    });
  });
  await consumer.close();
}

/** A member without a socket, of a group that is deleted when it has left. */
async function poll(group: string): Promise<void> {
  const path = `${broker.url}/v1/groups/${group}`;
  const post = (body: object) =>
    fetch(`${path}/poll`, { method: "POST", body: JSON.stringify(body) }).then((answer) =>
      answer.text(),
    );
  await post({ instanceId: "i", topics: [KEPT_TOPIC] });
  await post({ instanceId: "i", topics: [], leave: true });
  await (await fetch(path, { method: "DELETE" })).text();
}

/**
 * Connections that break off: of streams and sockets that were read from, and of Kafka clients that sent half a request.
 */
function cutConnections(): void {
  const { port, hostname } = new URL(broker.url);
  const stream = createConnection(Number(port), hostname, () => {
    stream.write(`GET /v1/topics/${KEPT_TOPIC}/stream?from=earliest HTTP/1.1\r\nhost: x\r\n\r\n`);
  });
  stream.on("data", () => stream.destroy());
  const [kafkaHost = "", kafkaPort = ""] = broker.kafka.split(":");
  const kafka = createConnection(Number(kafkaPort), kafkaHost, () => {
    kafka.write(Buffer.from([0, 0, 1, 0, 0, 18]), () => kafka.resetAndDestroy());
  });
  const socket = new WebSocket(
    `${broker.url.replace("http", "ws")}/v1/groups/cut/consume?topics=${KEPT_TOPIC}&instanceId=cut`,
  );
  socket.onmessage = () => socket.close();
  for (const each of [stream, kafka]) each.on("error", () => {});
  socket.onerror = () => {};
}
