// [CLU-5] The cluster object is unreachable, and clients continue over real sockets. The broker is the bundle that ships. A
// module of the test around it makes each call of the ClusterObject fail while a switch is on.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { CLUSTER_CALLS } from "../../src/calls/cluster-calls.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import { runs } from "../support/effort.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";
import { kafkaJs } from "./kafka/kafkajs.ts";
import { platformatic } from "./kafka/platformatic.ts";
import { PlainClient } from "./plain-client.ts";

const PARTITIONS = 4;
const TOPIC = "known";
/** The rounds while the cluster is stopped. */
const ROUNDS = runs(5).numRuns;

/** The main module of the broker under test. `/test/cluster/stopped` and `/test/cluster/back` turn the switch. */
const MODULE = `
import * as broker from "./worker.js";
export * from "./worker.js";
let isStopped = false;
for (const name of ${JSON.stringify(Object.keys(CLUSTER_CALLS))}) {
  const original = broker.ClusterObject.prototype[name];
  broker.ClusterObject.prototype[name] = async function (...values) {
    if (isStopped) throw new Error("Network connection lost.");
    return await original.apply(this, values);
  };
}
export default {
  ...broker.default,
  fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    if (!pathname.startsWith("/test/cluster/")) return broker.default.fetch(request, env, context);
    isStopped = pathname === "/test/cluster/stopped";
    return new Response(null, { status: 204 });
  },
};
`;

let url: string;
let kafka: string;
let dataDir: string;
let workerd: ChildProcess;
let exited: Promise<unknown>;
beforeAll(async () => {
  const first = await BrokerProcess.start();
  ({ url, dataDir, kafka } = first);
  await first.signal("SIGTERM");
  const config = join(dataDir, "workerd.capnp");
  const before = readFileSync(config, "utf8");
  const modules = 'modules = [(name = "main.js", esModule = embed "main.js"), ';
  const after = before.replace("modules = [", modules);
  expect(after).not.toBe(before);
  writeFileSync(config, after);
  writeFileSync(join(dataDir, "main.js"), MODULE);
  const program = join(
    dirname(createRequire(import.meta.url).resolve("workerd/package.json")),
    "bin/workerd",
  );
  workerd = spawn(program, ["serve", config], { stdio: "ignore" });
  exited = new Promise((resolve) => workerd.once("exit", resolve));
  await until("the broker answers", () =>
    fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
});
afterAll(async () => {
  workerd.kill("SIGKILL");
  await exited;
  rmSync(dataDir, { recursive: true, force: true });
});

const turn = (to: "stopped" | "back") => fetch(`${url}/test/cluster/${to}`);
const call = (method: string, path: string, body?: object) =>
  fetch(`${url}${path}`, {
    method,
    headers: { "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
const textOf = (value: Uint8Array | null) => Buffer.from(value ?? []).toString();
const sorted = (values: readonly unknown[]) => values.map(String).sort();

/** A member of a group of its own, and the records it has read. */
interface Reader {
  readonly values: unknown[];
  readonly groupId: string;
  /** Drops its connection, and returns. */
  readonly comeBack: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

function sdkReader(rivulet: Rivulet): Reader {
  const groupId = "with-sdk";
  const values: unknown[] = [];
  const start = () => {
    const consumer = rivulet.consumer({ groupId, topics: [TOPIC], from: "earliest" });
    const ended = consumer.run({ eachRecord: ({ value }) => void values.push(textOf(value)) });
    return async () => {
      await consumer.close();
      await ended;
    };
  };
  let stop = start();
  return {
    values,
    groupId,
    comeBack: async () => {
      await stop();
      stop = start();
    },
    stop: () => stop(),
  };
}

function plainReader(): Reader {
  const groupId = "plain";
  const values: unknown[] = [];
  const query = `topics=${TOPIC}&from=earliest&memberId=${crypto.randomUUID()}`;
  const open = () => {
    const client = new PlainClient(url, groupId, query);
    client.onMessage = (message) => {
      if (message.type === "records") values.push(...message.records.map(({ value }) => value));
    };
    return client;
  };
  let client = open();
  return {
    values,
    groupId,
    comeBack: async () => {
      await until("it holds all", () => client.held.size === PARTITIONS);
      client.cut();
      client = open();
    },
    stop: async () => client.close(),
  };
}

function pollingReader(): Reader {
  const groupId = "polling";
  const values: unknown[] = [];
  let ack: object[] = [];
  let isOver = false;
  const ended = (async () => {
    while (!isOver) {
      const body = { instanceId: "one", topics: [TOPIC], ack, from: "earliest", waitMs: 200 };
      const response = await call("POST", `/v1/groups/${groupId}/poll`, body);
      expect(response.status).toBe(200);
      const { records } = (await response.json()) as {
        records: { topic: string; partition: number; offset: number; value: unknown }[];
      };
      values.push(...records.map(({ value }) => value));
      ack = records.map(({ topic, partition, offset }) => ({ topic, partition, offset }));
    }
  })();
  return {
    values,
    groupId,
    comeBack: async () => {},
    stop: () => {
      isOver = true;
      return ended.catch(() => {}); // Its errors show in what it has not read.
    },
  };
}

function kafkaReader(client: typeof kafkaJs): Reader {
  const groupId = client.name.replace(/\W+/g, "-");
  const values: unknown[] = [];
  const onRead = ({ value }: { value: Buffer | null }) => void values.push(textOf(value));
  const join = () => client.join({ brokers: kafka }, { groupId, topics: [TOPIC], onRead });
  let member = join();
  return {
    values,
    groupId,
    comeBack: async () => {
      await (await member).stop();
      member = join();
      await member;
    },
    stop: async () => (await member).stop(),
  };
}

test("[CLU-5] while the cluster is unreachable, members of all kinds continue, resume, rejoin and commit, over real sockets", async () => {
  const rivulet = new Rivulet({ url });
  await rivulet.admin.createTopic({ name: TOPIC, partitions: PARTITIONS });
  const readers = [
    sdkReader(rivulet),
    plainReader(),
    pollingReader(),
    kafkaReader(kafkaJs),
    kafkaReader(platformatic("consumer")),
  ];
  onTestFinished(async () => {
    for (const { stop } of readers) await stop();
  });
  const sent: string[] = [];
  const send = async (round: number) => {
    const value = (way: string) => {
      const one = `${way} ${round}`;
      sent.push(one);
      return one;
    };
    await rivulet.producer.send(TOPIC, [{ value: value("sdk"), partition: round % PARTITIONS }]);
    const records = [{ value: value("http"), partition: (round + 1) % PARTITIONS }];
    const answer = await call("POST", `/v1/topics/${TOPIC}/records`, { records });
    expect(answer.status, await answer.text()).toBe(200);
    const record = { key: null, headers: {}, timestamp: 1_700_000_000_000 };
    await kafkaJs.send(
      { brokers: kafka },
      TOPIC,
      [{ ...record, partition: (round + 2) % PARTITIONS, value: Buffer.from(value("kafka")) }],
      "none",
    );
  };
  const allRead = () =>
    until("everybody has read everything", () =>
      readers.every(({ values }) => new Set(values).size >= sent.length),
    );
  await send(0);
  await allRead();

  await turn("stopped");
  for (let round = 1; round <= ROUNDS; round++) {
    await send(round);
    await allRead();
    await readers[round % readers.length]?.comeBack();
  }
  const creation = { name: "unknown", partitions: 1 };
  const refused = await call("POST", "/v1/topics", creation);
  expect(refused.status).toBe(504);
  expect(await refused.json()).toMatchObject({ code: "REQUEST_TIMED_OUT", retriable: true });
  await send(ROUNDS + 1);
  await allRead();

  // While the cluster is still unreachable, everybody commits everything.
  await until("all is committed", async () => {
    const groups = await Promise.all(
      readers.map(({ groupId }) => rivulet.admin.describeGroup(groupId)),
    );
    return groups.every(({ offsets }) =>
      offsets.every(({ lag, logEndOffset }) => lag === 0 || logEndOffset === 0),
    );
  });

  await turn("back");
  expect((await call("POST", "/v1/topics", creation)).status).toBe(201);
  for (const { values, groupId } of readers)
    expect(sorted([...new Set(values)]), groupId).toEqual(sorted(sent));
});
