// The files of a broker on a machine: who makes them, when they go, and what the broker reports when one is gone or damaged.
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import WebSocket from "ws";
import { Rivulet } from "../../src/sdk/index.ts";
import type { Problem } from "../../src/worker/http/problem.ts";
import type { Api } from "../../src/worker/kafka/api.ts";
import { runs } from "../support/effort.ts";
import { RawKafka } from "../support/kafka-client.ts";
import * as messages from "../support/kafka-schemas.ts";
import { until } from "../support/until.ts";
import { BrokerProcess, launch, temporaryFolder } from "./broker.ts";

const DATABASE = /^[0-9a-f]{64}\.sqlite$/;
type Kind = "cluster" | "group" | "partition";

function filesOf(dataDir: string, kind: Kind): string[] {
  const folder = join(dataDir, "objects", `rivulet-${kind}-v1`);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => DATABASE.test(name))
    .map((name) => join(folder, name));
}

function onlyFile(dataDir: string, kind: Kind): string {
  const files = filesOf(dataDir, kind);
  expect(files).toHaveLength(1);
  return files[0] as string;
}

/** The cluster's content and its own description, as one response. */
async function ask(
  broker: BrokerProcess,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: Problem & Record<string, unknown> }> {
  const response = await fetch(`${broker.url}${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === "" ? null : JSON.parse(text) };
}

/** The status with which an upgrade is refused, or 101. */
function upgrade(broker: BrokerProcess, path: string): Promise<number> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${broker.url.replace("http", "ws")}${path}`);
    socket.on("open", () => {
      socket.close();
      resolve(101);
    });
    socket.on("error", () => {});
    socket.on("unexpected-response", (_, response) => resolve(response.statusCode ?? 0));
  });
}

const LEAVE = { instanceId: "i", topics: ["nobody"], leave: true };

describe("looking makes no file", () => {
  let broker: BrokerProcess;
  let kafka: RawKafka;
  beforeAll(async () => {
    broker = await BrokerProcess.start({ env: { SWEEP_MS: "3600000" } }); // A new one would stay.
    kafka = new RawKafka(broker.kafka);
    await new Rivulet({ url: broker.url }).admin.createTopic({ name: "there", partitions: 3 });
  });
  afterAll(() => broker.stop());

  const http = (method: string, path: string, body?: unknown) => () =>
    ask(broker, method, path, body).then(({ status }) => status);
  const ws = (path: string) => () => upgrade(broker, path);
  const code = (api: Api, version: number, request: unknown) => async () =>
    JSON.stringify(await kafka.ask(api, version, request));
  const nobody = crypto.randomUUID();
  const member = { groupId: "nobody", memberId: "m", groupInstanceId: null, generationId: 1 };
  const named = [{ name: "there", partitions: [{ partition: 0 }] }];
  const fetchById = (topicId: string, partition: number) => ({
    maxWaitMs: 0,
    minBytes: 1,
    topics: [{ topicId, partitions: [{ partition, fetchOffset: 0, partitionMaxBytes: 1_000 }] }],
  });

  test.each<[string, () => Promise<unknown>, unknown]>([
    ["GET a group", http("GET", "/v1/groups/nobody"), 404],
    ["GET its config", http("GET", "/v1/groups/nobody/config"), 404],
    ["GET its history", http("GET", "/v1/groups/nobody/history"), 404],
    ["reset its offsets", http("POST", "/v1/groups/nobody/offsets", { to: "earliest" }), 404],
    ["forget its offsets", http("DELETE", "/v1/groups/nobody/offsets?topics=there"), 404],
    ["DELETE it", http("DELETE", "/v1/groups/nobody"), 404],
    ["leave it", http("POST", "/v1/groups/nobody/poll", LEAVE), 200],
    ["GET a topic", http("GET", "/v1/topics/nobody"), 404],
    ["read a topic", http("GET", "/v1/topics/nobody/partitions/0/records"), 404],
    ["read a partition", http("GET", "/v1/topics/there/partitions/3/records"), 404],
    [
      "produce to a topic",
      http("POST", "/v1/topics/nobody/records", { records: [{ value: 1 }] }),
      404,
    ],
    ["a socket by name", ws("/v1/topics/nobody/partitions/0/socket"), 404],
    [
      "a socket by an unknown id",
      ws(`/v1/topics/there/partitions/0/socket?topicId=${nobody}`),
      404,
    ],
    ["a socket by what is no id", ws("/v1/topics/there/partitions/0/socket?topicId=x"), 404],
    ["describe the topics' config", http("GET", "/v1/topics/there"), 200],
    [
      "change the topic's config",
      http("PATCH", "/v1/topics/there", { config: { "retention.ms": 9_000_000 } }),
      200,
    ],
    ["DescribeGroups", code(messages.DESCRIBE_GROUPS, 5, { groups: ["nobody"] }), /Dead/],
    [
      "ConsumerGroupDescribe",
      code(messages.CONSUMER_GROUP_DESCRIBE, 0, { groupIds: ["nobody"] }),
      /:69,/,
    ],
    ["DeleteGroups", code(messages.DELETE_GROUPS, 2, { groups: ["nobody"] }), /:69/],
    ["Heartbeat", code(messages.HEARTBEAT, 4, member), /:25/],
    ["SyncGroup", code(messages.SYNC_GROUP, 5, { ...member, assignments: [] }), /:25/],
    [
      "LeaveGroup",
      code(messages.LEAVE_GROUP, 4, {
        groupId: "nobody",
        members: [{ memberId: "m", groupInstanceId: null }],
      }),
      /:25/,
    ],
    [
      "ConsumerGroupHeartbeat",
      code(messages.CONSUMER_GROUP_HEARTBEAT, 0, {
        groupId: "nobody",
        memberId: "m",
        memberEpoch: 3,
        instanceId: null,
        rackId: null,
        rebalanceTimeoutMs: -1,
        subscribedTopicNames: null,
        serverAssignor: null,
        topicPartitions: null,
      }),
      /:25/,
    ],
    [
      "OffsetFetch",
      code(messages.OFFSET_FETCH, 5, {
        groupId: "nobody",
        topics: [{ name: "there", partitions: [0] }],
      }),
      /:-1/,
    ],
    [
      "OffsetCommit of a member",
      code(messages.OFFSET_COMMIT, 7, {
        ...member,
        topics: [
          {
            name: "there",
            partitions: [{ partition: 0, committedOffset: 0, committedMetadata: "" }],
          },
        ],
      }),
      /:25/,
    ],
    ["OffsetDelete", code(messages.OFFSET_DELETE, 0, { groupId: "nobody", topics: named }), /:69/],
    [
      "Metadata by id",
      code(messages.METADATA, 12, { topics: [{ topicId: nobody, name: null }] }),
      /"errorCode":100,/,
    ],
    [
      "Fetch by id",
      () => kafka.ask(messages.FETCH, 13, fetchById(nobody, 0)).then(JSON.stringify as never),
      /:100/,
    ],
  ])("[FIL-1] %s", async (_, look, answer) => {
    if (answer instanceof RegExp) expect(await look()).toMatch(answer);
    else expect(await look()).toBe(answer);
    expect(filesOf(broker.dataDir, "group")).toEqual([]);
    expect(filesOf(broker.dataDir, "partition")).toEqual([]);
  });

  test("[FIL-1] deleting a topic creates no file for partitions that were never used", async () => {
    expect((await ask(broker, "DELETE", "/v1/topics/there")).status).toBe(204);
    expect(filesOf(broker.dataDir, "partition")).toEqual([]);
  });
});

test("[FIL-2] deleted data goes from the disk, while the broker runs and when it starts", async () => {
  let broker = await BrokerProcess.start({ env: { SWEEP_MS: "100" } });
  const { dataDir, port } = broker;
  const count = () => filesOf(dataDir, "group").length + filesOf(dataDir, "partition").length;
  const cycle = async (n: number) => {
    const name = `t${n}`;
    await ask(broker, "POST", "/v1/topics", { name, partitions: 4 });
    await ask(broker, "POST", `/v1/topics/${name}/records`, { records: [{ value: n }] });
    const poll = { instanceId: "i", topics: [name] };
    await ask(broker, "POST", `/v1/groups/g${n}/poll`, poll);
    await ask(broker, "POST", `/v1/groups/g${n}/poll`, { ...poll, leave: true });
    expect((await ask(broker, "DELETE", `/v1/groups/g${n}`)).status).toBe(204);
    expect((await ask(broker, "DELETE", `/v1/topics/${name}`)).status).toBe(204);
  };
  for (let n = 0; n < 20; n++) await cycle(n);
  expect(count()).toBeGreaterThan(20);
  await until("the files are gone", () => count() === 0, 60_000);
  for (let n = 0; n < 5; n++) await cycle(n);
  // Data not yet freed is freed after the start, and its files are swept later.
  await until("all of it is freed", async () => {
    const { body } = await ask(broker, "GET", "/v1/doctor/tasks");
    return (body as unknown as { tasks: unknown[] }).tasks.length === 0;
  });
  await broker.kill();
  expect(count()).toBeGreaterThan(5);
  broker = await BrokerProcess.start({ dataDir, port, env: { SWEEP_MS: "3600000" } });
  expect(count()).toBe(0);
  await broker.stop();
});

test("[FIL-2] groups that come and go under one name lose nothing acknowledged, across clean-up and kill -9", async () => {
  const env = { SWEEP_MS: "5" };
  let broker = await BrokerProcess.start({ env });
  const { dataDir, port } = broker;
  await ask(broker, "POST", "/v1/topics", { name: "t" });
  await ask(broker, "POST", "/v1/topics/t/records", { records: [{ value: 0 }, { value: 1 }] });
  const poll = { instanceId: "i", topics: ["t"] };
  const ack = [{ topic: "t", partition: 0, offset: 0 }];
  let isOver = false;
  let cycles = 0;
  const lost: unknown[] = [];
  const churn = async (group: string, pauseMs: number) => {
    const path = `/v1/groups/${group}`;
    const done = async (method: string, to: string, body?: unknown) => {
      const answer = await ask(broker, method, to, body);
      if (answer.status >= 400) throw new Error(`${method} ${to}: ${JSON.stringify(answer.body)}`);
      return answer.body;
    };
    while (!isOver) {
      try {
        await done("POST", `${path}/poll`, poll);
        await done("POST", `${path}/poll`, { ...poll, ack, leave: true });
      } catch {
        continue; // Killed: nothing is known to be committed.
      }
      const found = await until("an answer", () => done("GET", path).catch(() => null));
      const offsets = found.offsets as { committedOffset: number }[];
      if (offsets[0]?.committedOffset !== 1) lost.push([group, found]);
      await until("it is deleted", async () => {
        const { status } = await ask(broker, "DELETE", path).catch(() => ({ status: 0 }));
        return status === 204 || status === 404;
      });
      cycles++;
      // About as long as workerd takes to close the file, because then it may be cleaned up.
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  };
  // Some return at once, and the others about when workerd closes their files.
  const { numRuns: quick } = runs(3);
  const { numRuns: slow } = runs(12);
  const groups = Array.from({ length: quick + slow }, (_, i) =>
    churn(`g${i}`, i < quick ? 0 : 9_600 + (1_200 * (i - quick)) / slow),
  );
  for (let kill = 0; kill < 2; kill++) {
    const before = cycles;
    const most = (kill + 1) * slow;
    await until("groups come and go", () => cycles > before + most, 100_000);
    await broker.kill();
    broker = await BrokerProcess.start({ dataDir, port, env });
  }
  const before = cycles;
  await until("all have come and gone again", () => cycles > before + 2 * slow, 100_000);
  isOver = true;
  await Promise.all(groups);
  expect(lost).toEqual([]);
  await until("the files are gone", () => filesOf(dataDir, "group").length === 0, 150_000);
  await broker.stop();
}, 400_000);

describe("a partition that lost something", () => {
  const records = [{ value: 1 }];
  const produce = "/v1/topics/t/records";

  /** The folder of a broker that stored three records, with a group at offset 1. */
  let left: string;
  beforeAll(async () => {
    const broker = await BrokerProcess.start();
    left = broker.dataDir;
    await ask(broker, "POST", "/v1/topics", { name: "t" });
    for (let i = 0; i < 3; i++) await ask(broker, "POST", produce, { records });
    const poll = { instanceId: "i", topics: ["t"] };
    await ask(broker, "POST", "/v1/groups/g/poll", poll);
    const ack = [{ topic: "t", partition: 0, offset: 0 }];
    await ask(broker, "POST", "/v1/groups/g/poll", { ...poll, ack, leave: true });
    await broker.signal("SIGTERM");
  });
  afterAll(() => rmSync(left, { recursive: true, force: true }));

  /** A folder of its own with the broker's files. */
  function stopped(): string {
    const dataDir = temporaryFolder();
    cpSync(left, dataDir, { recursive: true });
    return dataDir;
  }

  /** Every interface responds with the name of the damage, and deleting the topic ends it. */
  async function expectStopped(broker: BrokerProcess, why: RegExp): Promise<void> {
    const told = { code: "KAFKA_STORAGE_ERROR", errorCode: 56, retriable: false };
    for (const [method, path, body] of [
      ["POST", produce, { records }],
      ["GET", "/v1/topics/t/partitions/0/records?offset=0"],
      ["GET", "/v1/topics/t/partitions/0/offsets?at=latest"],
      ["DELETE", "/v1/topics/t/partitions/0/records?before=1"],
    ] as const) {
      const answer = await ask(broker, method, path, body);
      expect(answer, `${method} ${path}`).toMatchObject({ status: 503, body: told });
      expect(answer.body.detail).toMatch(why);
      expect(answer.body.detail).toMatch(/^t\/0: .*\/rivulet-partition-v1\/[0-9a-f]{64}\.sqlite/);
    }
    expect(await upgrade(broker, "/v1/topics/t/partitions/0/socket")).toBe(503);
    const kafka = new RawKafka(broker.kafka);
    const partition = { partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000 };
    const fetched = await kafka.ask<{ topics: { partitions: { errorCode: number }[] }[] }>(
      messages.FETCH,
      12,
      { maxWaitMs: 0, minBytes: 1, topics: [{ name: "t", partitions: [partition] }] },
    );
    expect(fetched.topics[0]?.partitions[0]?.errorCode).toBe(56);
    kafka.close();
    expect(await ask(broker, "GET", "/health")).toMatchObject({
      status: 503,
      body: { status: "storage failures", failing: 1 },
    });
    expect(broker.lines.filter((line) => line.startsWith("storage damaged: "))).toEqual([
      expect.stringMatching(/partition .*\/0, .*\.sqlite: .*t\/0: /),
    ]);
    await ask(broker, "DELETE", "/v1/topics/t");
    await ask(broker, "POST", "/v1/topics", { name: "t" });
    expect(await ask(broker, "POST", produce, { records })).toMatchObject({ status: 200 });
  }

  test("[FIL-3] its file is gone: it serves nothing, and gives no offset out again", async () => {
    const dataDir = stopped();
    rmSync(onlyFile(dataDir, "partition"));
    const broker = await BrokerProcess.start({ dataDir });
    await expectStopped(broker, /its storage is gone, though its log had ended at \d+/);
    await broker.stop();
  });

  test("[FIL-4] its file is an older one: it serves nothing, and says where the log ended", async () => {
    const dataDir = stopped();
    const file = onlyFile(dataDir, "partition");
    copyFileSync(file, `${file}.older`);
    const between = await BrokerProcess.start({ dataDir });
    for (let i = 0; i < 4; i++) await ask(between, "POST", produce, { records });
    const cluster = new DatabaseSync(onlyFile(dataDir, "cluster"), { readOnly: true });
    const known = () =>
      cluster.prepare("SELECT max(log_end) AS known FROM partition_use").get() as { known: number };
    await until("the cluster knows the end", () => known().known === 7);
    cluster.close();
    await between.kill();
    rmSync(`${file}-wal`, { force: true });
    rmSync(`${file}-shm`, { force: true });
    renameSync(`${file}.older`, file);
    const broker = await BrokerProcess.start({ dataDir });
    await expectStopped(broker, /its log ends at 3, but had ended at 7/);
    await broker.stop();
  });

  test("[FIL-4] an intact one continues after kill -9", async () => {
    const dataDir = stopped();
    const first = await BrokerProcess.start({ dataDir });
    for (let i = 0; i < 4; i++) await ask(first, "POST", produce, { records });
    await first.kill();
    const broker = await BrokerProcess.start({ dataDir });
    const answer = await ask(broker, "POST", produce, { records });
    expect(answer.body.results).toMatchObject([{ partition: 0, offset: 7 }]);
    expect(await ask(broker, "GET", "/health")).toMatchObject({ status: 200 });
    await broker.stop();
  });

  test("[FIL-6] a group's file is gone: nobody joins or commits until the group is deleted or restored", async () => {
    const dataDir = stopped();
    const file = onlyFile(dataDir, "group");
    renameSync(file, `${file}.saved`);
    const poll = { instanceId: "i", topics: ["t"] };
    const gone = await BrokerProcess.start({ dataDir });
    const refused = await ask(gone, "POST", "/v1/groups/g/poll", poll);
    expect(refused).toMatchObject({
      status: 503,
      body: { code: "KAFKA_STORAGE_ERROR", retriable: false },
    });
    expect(refused.body.detail).toMatch(/^group g: its storage is gone, .*\.sqlite/);
    const kafka = new RawKafka(gone.kafka);
    const partitions = [{ partition: 0, committedOffset: 0, committedMetadata: "" }];
    const topics = [{ name: "t", partitions }];
    const byHand = { groupId: "g", memberId: "", groupInstanceId: null, generationId: -1, topics };
    const commit = () =>
      kafka.ask(messages.OFFSET_COMMIT, 7, byHand).then((each) => JSON.stringify(each));
    expect(await commit()).toMatch(/"errorCode":56/);
    kafka.close();
    await gone.signal("SIGTERM");

    renameSync(`${file}.saved`, file);
    const restored = await BrokerProcess.start({ dataDir });
    const again = await ask(restored, "POST", "/v1/groups/g/poll", poll);
    expect(again.body.records).toMatchObject([{ offset: 1 }, { offset: 2 }]);
    await ask(restored, "POST", "/v1/groups/g/poll", { ...poll, leave: true });
    await restored.signal("SIGTERM");

    rmSync(file);
    const anew = await BrokerProcess.start({ dataDir });
    expect(await ask(anew, "POST", "/v1/groups/g/poll", poll)).toMatchObject({ status: 503 });
    await ask(anew, "DELETE", "/v1/groups/g");
    const first = await ask(anew, "POST", "/v1/groups/g/poll", poll);
    expect(first.body.records).toMatchObject([{ offset: 0 }, { offset: 1 }, { offset: 2 }]);
    await anew.stop();
  });

  /** The only file of each kind, and its write-ahead log, replaces the other. */
  function swap(one: string, other: string): void {
    for (const suffix of ["", "-wal", "-shm"]) {
      if (existsSync(one + suffix)) renameSync(one + suffix, `${one}.swapped${suffix}`);
      if (existsSync(other + suffix)) renameSync(other + suffix, one + suffix);
      if (existsSync(`${one}.swapped${suffix}`))
        renameSync(`${one}.swapped${suffix}`, other + suffix);
    }
  }

  test("[FIL-7] files are swapped: nobody is served another's data, and swapped back all is as it was", async () => {
    const dataDir = stopped();
    const first = await BrokerProcess.start({ dataDir });
    const [t, g] = [onlyFile(dataDir, "partition"), onlyFile(dataDir, "group")];
    const others = (kind: Kind, own: string) =>
      filesOf(dataDir, kind).find((file) => file !== own) as string;
    await ask(first, "POST", "/v1/topics", { name: "u" });
    for (let i = 0; i < 5; i++) await ask(first, "POST", "/v1/topics/u/records", { records });
    const poll = { instanceId: "i", topics: ["u"] };
    await ask(first, "POST", "/v1/groups/h/poll", poll);
    await first.signal("SIGTERM");
    const [u, h] = [others("partition", t), others("group", g)];

    swap(t, u);
    swap(g, h);
    const swapped = await BrokerProcess.start({ dataDir });
    const refused = { status: 503, body: { code: "KAFKA_STORAGE_ERROR", retriable: false } };
    for (const [method, path, body] of [
      ["POST", produce, { records }],
      ["GET", "/v1/topics/t/partitions/0/records"],
      ["POST", "/v1/topics/u/records", { records }],
      ["GET", "/v1/topics/u/partitions/0/records"],
      ["GET", "/v1/groups/g"],
      ["POST", "/v1/groups/g/poll", poll],
      ["DELETE", "/v1/groups/g"],
      ["GET", "/v1/groups/h"],
      ["POST", "/v1/groups/h/poll", poll],
    ] as const) {
      const answer = await ask(swapped, method, path, body);
      expect(answer, `${method} ${path}`).toMatchObject(refused);
      expect(answer.body.detail).toMatch(/^(partition|group) .*: its storage is that of/);
    }
    expect(await upgrade(swapped, "/v1/topics/t/partitions/0/socket")).toBe(503);
    expect(await upgrade(swapped, "/v1/groups/g/socket")).toBe(503);
    expect(await ask(swapped, "GET", "/health")).toMatchObject({
      status: 503,
      body: { status: "storage failures", failing: 4 },
    });
    for (const [file, own, found] of [
      [t, "partition .*/0", "partition .*/0, of topic u"],
      [u, "partition .*/0", "partition .*/0, of topic t"],
      [g, "group g", "group h"],
      [h, "group h", "group g"],
    ])
      expect(swapped.lines).toContainEqual(
        expect.stringMatching(`storage damaged: ${own}, ${file}: .* that of ${found}; put`),
      );
    await swapped.signal("SIGTERM");

    swap(t, u);
    swap(g, h);
    const whole = await BrokerProcess.start({ dataDir });
    const appended = await ask(whole, "POST", produce, { records });
    expect(appended.body.results).toMatchObject([{ partition: 0, offset: 3 }]);
    const { body } = await ask(whole, "GET", "/v1/groups/g");
    expect(body.offsets).toMatchObject([{ topic: "t", committedOffset: 1 }]);
    expect(await ask(whole, "GET", "/health")).toMatchObject({ status: 200 });
    await whole.stop();
  });

  const damages: [string, (file: string) => void][] = [
    ["text instead of a database", (file) => writeFileSync(file, "this is text\n".repeat(1_000))],
    ["cut in the middle", (file) => truncateSync(file, 10_000)],
    ["with pages overwritten", overwrite],
    [
      "a folder",
      (file) => {
        rmSync(file);
        mkdirSync(file);
      },
    ],
  ];
  test.each(damages)(
    "[ERR-2] [ERR-3] [ERR-4] %s: its own error on every interface",
    async (_, damage) => {
      const dataDir = stopped();
      for (const kind of ["partition", "group"] as const) damage(onlyFile(dataDir, kind));
      const broker = await BrokerProcess.start({ dataDir });
      const told = { code: "KAFKA_STORAGE_ERROR", errorCode: 56 };
      for (const [method, path, body] of [
        ["POST", produce, { records }],
        ["GET", "/v1/topics/t/partitions/0/records?offset=0"],
        ["GET", "/v1/groups/g"],
        ["POST", "/v1/groups/g/poll", { instanceId: "i", topics: ["t"] }],
        ["PATCH", "/v1/groups/g", { config: { "group.max.size": 9 } }],
      ] as const)
        expect(await ask(broker, method, path, body), `${method} ${path}`).toMatchObject({
          status: 503,
          body: told,
        });
      expect(await upgrade(broker, "/v1/topics/t/partitions/0/socket")).toBe(503);
      expect(await upgrade(broker, "/v1/groups/g/socket")).toBe(503);
      expect(await ask(broker, "GET", "/health")).toMatchObject({
        status: 503,
        body: { status: "storage failures", failing: 2 },
      });
      const lines = broker.lines.slice(1);
      expect(lines).toEqual([
        expect.stringMatching(/^storage \w+: partition .*\/0, \/.*\.sqlite: \w+: .*SQLITE_/),
        expect.stringMatching(/^storage \w+: group g, \/.*\.sqlite: \w+: .*SQLITE_/),
      ]);
      await broker.stop();
    },
  );

  function overwrite(file: string): void {
    const bytes = readFileSync(file);
    bytes.fill(0xa5, 4_096);
    writeFileSync(file, bytes);
  }

  test.each<[string, (file: string) => void, RegExp]>([
    ["gone", (file) => rmSync(file), /database is gone from .*1 partition\(s\) and 1 group\(s\)/],
    ["text", (file) => writeFileSync(file, "this is text\n".repeat(1_000)), /is damaged \(/],
    ["overwritten", overwrite, /is damaged \(/],
    ["cut", (file) => truncateSync(file, 10_000), /is damaged \(/],
    ["empty", (file) => writeFileSync(file, ""), /is damaged \(empty\)/],
    [
      "a group's",
      (file) => copyFileSync(onlyFile(dirname(dirname(dirname(file))), "group"), file),
      /is damaged \(it is not a cluster's\)/,
    ],
  ])(
    "[FIL-5] [FIL-7] the cluster's database is %s: startup says so in one sentence",
    async (_, damage, said) => {
      const dataDir = stopped();
      damage(onlyFile(dataDir, "cluster"));
      const { lines, exited } = launch({ PORT: "0", KAFKA_PORT: "0", DATA_DIR: dataDir });
      expect((await exited).code).toBe(1);
      expect(lines).toEqual([expect.stringMatching(said)]);
      expect(lines[0]).toContain(join(dataDir, "objects", "rivulet-cluster-v1"));
      rmSync(dataDir, { recursive: true });
    },
  );
});
