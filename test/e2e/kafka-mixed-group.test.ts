// One group of every kind of native member, each a process of its own, each killed. One more member observes all of them go.
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";
import { Reporter } from "./processes/reporter.ts";

interface Place {
  readonly partition: number;
  readonly offset: number;
}

const TOPIC = "mixed";
const GROUP = "mixed-group";
const PARTITIONS = [0, 1, 2, 3, 4, 5, 6, 7];
/** Like those of the members that choose it; those of KIP-848 do not. */
const SESSION_MS = 3_000;

let broker: BrokerProcess;
let rivulet: Rivulet;
beforeAll(async () => {
  broker = await BrokerProcess.start();
  rivulet = new Rivulet({ url: broker.url });
});
afterAll(() => broker.stop());

const KINDS = {
  librdkafka: (name: string) => kafkaMember(name),
  platformatic: (name: string) => kafkaMember(name),
  "the SDK": () => new Reporter<Place>("consumer.ts", [broker.url, TOPIC, GROUP]),
  "a plain WebSocket": () => new Reporter<Place>("plain-member.ts", [broker.url, TOPIC, GROUP]),
};

function kafkaMember(name: string) {
  return new Reporter<Place>("kafka-member.ts", [name, broker.kafka, TOPIC, GROUP]);
}

/** For each member, while nothing is about to move. */
async function shares(): Promise<number[][]> {
  const { state, members } = await rivulet.admin.describeGroup(GROUP);
  if (state !== "STABLE") return [];
  return members.map(({ assignment }) => assignment.flatMap(({ partitions }) => partitions));
}

/** `count` members own every partition, each partition has one owner, and all have their share. */
async function shared(count: number): Promise<void> {
  const least = Math.floor(PARTITIONS.length / count);
  const all = await until(`${count} share all partitions`, async () => {
    const now = await shares();
    return now.length === count && now.every((each) => each.length >= least) && now;
  });
  expect(all.flat().sort()).toEqual(PARTITIONS);
}

test("[KFK-9] one group of Kafka clients, the SDK and a plain WebSocket: each partition has one owner, whichever is killed", async () => {
  await rivulet.admin.createTopic({ name: TOPIC, partitions: PARTITIONS.length });
  const config = {
    "consumer.heartbeat.interval.ms": 500,
    "consumer.max.session.timeout.ms": SESSION_MS,
  };
  await rivulet.admin.alterGroup(GROUP, { config });
  const members = new Map(
    Object.entries(KINDS).map(([kind, start]) => [kind, start(kind)] as const),
  );
  const perPartition = 5;
  let sent = 0;
  const send = async () => {
    const values = Array.from({ length: perPartition }, (_, i) => sent + i);
    await rivulet.producer.send(
      TOPIC,
      values.flatMap((value) => PARTITIONS.map((partition) => ({ value, partition }))),
    );
    sent += perPartition;
  };
  const last = KINDS["the SDK"]();
  members.set("who is left", last);
  const everyone: Reporter<Place>[] = [...members.values()];
  onTestFinished(() => void everyone.map((member) => member.signal("SIGKILL")));
  /** By each current or former member, from this offset on. A lone member may read uncommitted records twice. */
  const read = (from: number) =>
    everyone.flatMap(({ lines }) => {
      const own = lines.filter(({ offset }) => offset >= from);
      return [...new Set(own.map(({ partition, offset }) => `${partition}/${offset}`))];
    });
  const allRead = (from: number) =>
    until("all is read", () => new Set(read(from)).size === PARTITIONS.length * (sent - from));
  /** All of them read records, and no two the same. */
  const readByOne = async () => {
    const from = sent;
    await send();
    await allRead(0);
    expect(read(from)).toHaveLength(PARTITIONS.length * perPartition);
    const readers = [...members.values()];
    expect(readers.every(({ lines }) => lines.some(({ offset }) => offset >= from))).toBe(true);
  };

  await shared(5);
  await readByOne();
  for (const kind of Object.keys(KINDS)) {
    const killed = members.get(kind);
    members.delete(kind);
    expect(await killed?.signal("SIGKILL")).toBeNull(); // It lived until then.
    await send(); // The others read its records.
    await shared(members.size);
    await readByOne();
  }
  await until("all is committed", async () => {
    const { offsets } = await rivulet.admin.describeGroup(GROUP);
    return offsets.every(({ lag }) => lag === 0);
  });
  // And a member that leaves is not waited for.
  expect(await last.signal("SIGTERM")).toBe(0);
  await until("nobody is left", async () => {
    const { state } = await rivulet.admin.describeGroup(GROUP);
    return state === "EMPTY";
  });
});
