// A deployment whose jurisdiction is changed. workerd has no jurisdictions, so the cluster's objects in several of them are
// objects with several names here.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ClusterObject } from "../../durable-objects/cluster/cluster-object.ts";
import { CLUSTER_CALLS } from "../../src/calls/cluster-calls.ts";
import { type ClusterStub, clusterStub, type Env } from "../../src/env.ts";
import { forgetEverything } from "../../src/worker/edge/isolate.ts";
import * as messages from "../support/kafka-schemas.ts";
import { Kafka } from "./kafka-socket.ts";
import {
  call,
  createTopic,
  env,
  evict,
  produce,
  recordBatch,
  TestSocket,
  TWINS,
  unique,
} from "./support.ts";

/** The environment of each deployment's object, by the object's name. It gets a new one in each of its lives. */
const ENVIRONMENTS = new Map<string, Env>();

beforeEach(() => {
  forgetEverything();
  const ready = ClusterObject.prototype.ready;
  vi.spyOn(ClusterObject.prototype, "ready").mockImplementation(function (this: ClusterObject, of) {
    const object = this as unknown as { ctx: DurableObjectState; env: Env };
    object.env = ENVIRONMENTS.get(object.ctx.id.name ?? "") ?? object.env;
    return ready.call(this, of);
  });
});
afterEach(() => void vi.restoreAllMocks());

const getCluster = env.CLUSTER.getByName.bind(env.CLUSTER);

/** The objects themselves, in whichever jurisdiction they are requested. */
function inNone(namespace: DurableObjectNamespace) {
  const getByName = (name: string) => namespace.getByName(name);
  return { getByName, jurisdiction: () => ({ getByName }) };
}

/** A deployment, and its variable's current value. */
class Deployment {
  readonly #name = unique("deployment");
  /** The objects' behavior when they are requested outside any jurisdiction: nothing, mostly. */
  beforeOuter = () => {};
  #variable = "";

  #stub(jurisdiction: string): ClusterStub {
    const bindings = { CLUSTER: { getByName: () => getCluster(`${this.#name} ${jurisdiction}`) } };
    return clusterStub(bindings as unknown as Env);
  }

  /** Deploys it with this value of the variable. The cluster's objects begin a new life. */
  async deploy(variable: string): Promise<ClusterStub> {
    this.#variable = variable;
    for (const place of new Set(["", variable])) {
      ENVIRONMENTS.set(`${this.#name} ${place}`, this.#env);
      const stub = this.#stub(place);
      await runInDurableObject(stub, () => {});
      await evict(stub);
    }
    return this.#stub(variable);
  }

  get #env(): Env {
    const outer = () => {
      this.beforeOuter();
      return getCluster(`${this.#name} `);
    };
    const inside = (name: string) => ({ getByName: () => getCluster(`${this.#name} ${name}`) });
    return {
      ...env,
      CLUSTER: { getByName: outer, jurisdiction: inside },
      PARTITION: inNone(env.PARTITION),
      GROUP: inNone(env.GROUP),
      RIVULET_JURISDICTION: this.#variable,
    } as unknown as Env;
  }

  /** Evicts the cluster object, which finds the same variable again. */
  async evict(): Promise<void> {
    await this.deploy(this.#variable);
  }
}

function refusal(variable: string, recorded: string) {
  const place = recorded === "" ? "in no jurisdiction" : `in the jurisdiction ${recorded}`;
  return expect.objectContaining({
    code: "KAFKA_STORAGE_ERROR",
    retriable: false,
    message: expect.stringContaining(
      `RIVULET_JURISDICTION is "${variable}", but this deployment has its data ${place}, and it stays there`,
    ),
  });
}

const REQUEST = {
  name: "t",
  partitions: 1,
  overrides: {},
  topicId: "id",
  topicIds: ["id"],
  partition: 0,
  logEnd: 1,
  changes: {},
  groupId: "g",
  names: [],
  pattern: null,
  incarnation: 1,
};

describe("a deployment", () => {
  const changes = [
    ["", "eu"],
    ["eu", ""],
    ["eu", "us"],
    ["fedramp", "fedramp-high"],
  ].flatMap(([from = "", to = ""]) => TWINS.map(({ when }) => ({ from, to, when })));

  test.for(changes)(
    "[PLC-1] from $from to $to is refused by every call, and set back everything is there$when",
    async ({ from, to, when }) => {
      const deployment = new Deployment();
      const first = await deployment.deploy(from);
      const created = await first.createTopic({ name: "t", partitions: 1, overrides: {} });
      const groups = { groupId: unique("group"), names: ["t"], pattern: null };
      await first.subscribe(groups);
      const moved = await deployment.deploy(to);
      const methods = Object.keys(CLUSTER_CALLS).filter((method) => method !== "claimJurisdiction");
      for (const method of methods) {
        if (when !== "") await deployment.evict();
        const ask = moved[method as "createTopic"];
        const refused = await ask(REQUEST).then(String, ({ cause }) => cause);
        expect(refused, method).toEqual(refusal(to, from));
      }
      const back = await deployment.deploy(from);
      expect(await back.topics()).toMatchObject([
        { name: "t", topicId: created.ok && created.topic.topicId },
      ]);
      expect(await back.groups()).toEqual([groups.groupId]);
      expect(await back.alterTopic({ name: "t", partitions: 3 })).toMatchObject({ ok: true });
    },
  );

  test.each(["eu", "us"])(
    "[PLC-1] that has nothing yet may begin in %s, whoever has queried it",
    async (to) => {
      const deployment = new Deployment();
      const looked = await deployment.deploy("");
      expect([await looked.topics(), await looked.groups()]).toEqual([[], []]);
      const moved = await deployment.deploy(to);
      expect(await moved.createTopic({ name: "t", partitions: 1, overrides: {} })).toMatchObject({
        ok: true,
      });
      await expect((await deployment.deploy("")).topics()).rejects.toThrow(`set it to ${to}`);
    },
  );

  test("[PLC-1] asks outside its jurisdiction once, and works if nobody answers there", async () => {
    const deployment = new Deployment();
    const stub = await deployment.deploy("eu");
    deployment.beforeOuter = () => {
      throw new Error("Network connection lost");
    };
    await expect(stub.topics()).rejects.toThrow("Network connection lost");
    deployment.beforeOuter = () => {};
    expect(await stub.topics()).toEqual([]);
    deployment.beforeOuter = () => {
      throw new Error("Network connection lost");
    };
    await deployment.evict();
    expect(await stub.topics()).toEqual([]);
  });

  test("[PLC-1] does no remaining work until it is set back", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const deployment = new Deployment();
    const stub = await deployment.deploy("");
    await stub.topics();
    const task = { type: "configure-topic", topicId: "gone" };
    const tasks = () =>
      runInDurableObject(stub, (_, { storage }) => [...storage.sql.exec("SELECT task FROM tasks")]);
    await runInDurableObject(stub, async (_, { storage }) => {
      storage.sql.exec("INSERT INTO tasks (task) VALUES (?)", JSON.stringify(task));
      await storage.setAlarm(Date.now() + 3_600_000);
    });
    await deployment.deploy("eu");
    await runDurableObjectAlarm(stub);
    expect(await tasks()).toHaveLength(1);
    await deployment.deploy("");
    await runDurableObjectAlarm(stub);
    expect(await tasks()).toEqual([]);
  });
});

describe("where the cluster refuses to work in a jurisdiction", () => {
  /** From now on everybody meets a cluster whose data is elsewhere. */
  async function misplace(): Promise<void> {
    const name = unique("cluster");
    const bindings = { CLUSTER: { getByName: () => getCluster(name) } };
    await clusterStub(bindings as unknown as Env).claimJurisdiction({ jurisdiction: "eu" });
    forgetEverything();
    vi.spyOn(env.CLUSTER, "getByName").mockImplementation(() => getCluster(name));
    vi.spyOn(console, "error").mockImplementation(() => {});
  }

  const TOPIC = "/v1/topics/t";
  const batch = recordBatch(["a"]);
  const records = { records: [{ value: 1 }] };
  const GROUP = "/v1/groups/nobody";
  test.each<[string, string, unknown?]>([
    ["GET", "/v1/topics"],
    ["POST", "/v1/topics", { name: "other" }],
    ["GET", TOPIC],
    ["PATCH", TOPIC, { partitions: 2 }],
    ["DELETE", TOPIC],
    ["GET", "/v1/configs"],
    ["PATCH", "/v1/configs", { config: {} }],
    ["POST", `${TOPIC}/records`, records],
    ["POST", `${TOPIC}/partitions/0/batches`, batch],
    ["GET", `${TOPIC}/partitions/0/records`],
    ["GET", `${TOPIC}/partitions/0/records?waitMs=10`],
    ["GET", `${TOPIC}/partitions/0/offsets`],
    ["DELETE", `${TOPIC}/partitions/0/records?before=0`],
    ["GET", `${TOPIC}/stream`],
    ["GET", "/v1/groups"],
    ["GET", GROUP],
    ["GET", `${GROUP}/config`],
    ["PATCH", GROUP, { config: {} }],
    ["GET", `${GROUP}/history`],
    ["POST", `${GROUP}/offsets`, { to: "earliest" }],
    ["DELETE", `${GROUP}/offsets?topics=t`],
    ["DELETE", GROUP],
    ["POST", `${GROUP}/poll`, { instanceId: "i", topics: ["t"] }],
  ])("[PLC-1] %s %s says so", async (method, path, body) => {
    await misplace();
    const own = path.replace("nobody", unique("nobody"));
    const answer = await call<{ code: string; retriable: boolean; detail: string }>(
      method,
      own,
      body,
    );
    expect(answer).toMatchObject({
      status: 503,
      body: {
        code: "KAFKA_STORAGE_ERROR",
        retriable: false,
        detail: expect.stringContaining('RIVULET_JURISDICTION is "", but'),
      },
    });
  });

  test("[PLC-1] Kafka clients get KAFKA_STORAGE_ERROR", async () => {
    await misplace();
    const kafka = await Kafka.open();
    const topics = [
      { name: "t", numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] },
    ];
    const created = await kafka.ask(messages.CREATE_TOPICS, 5, { topics, timeoutMs: 1_000 });
    expect(created).toMatchObject({
      topics: [{ errorCode: 56, errorMessage: expect.stringContaining("RIVULET_JURISDICTION") }],
    });
    const joined = await kafka.ask(messages.JOIN_GROUP, 3, {
      groupId: unique("group"),
      sessionTimeoutMs: 9_000,
      rebalanceTimeoutMs: 9_000,
      memberId: "",
      groupInstanceId: null,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: [] }],
    });
    expect(joined).toMatchObject({ errorCode: 56 });
  });

  test("[PLC-1] a member that joins over a socket is told", async () => {
    await misplace();
    const socket = await TestSocket.open(`/v1/groups/${unique("group")}/socket`);
    socket.send({ type: "join", memberId: "m", memberEpoch: 0, topics: ["t"] });
    expect(
      JSON.stringify(await Promise.race([socket.closed, socket.next((_): _ is never => true)])),
    ).toContain("RIVULET_JURISDICTION");
  });

  test("[PLC-1] a partition that begins there stores nothing", async () => {
    const topic = await createTopic(2);
    await produce(topic.name, [{ value: "a", partition: 0 }]);
    await misplace();
    const stub = env.PARTITION.getByName(`${topic.topicId}/1`) as unknown as {
      append(request: object): Promise<unknown>;
    } & DurableObjectStub;
    const append = async () => await stub.append({ batches: batch, callsVersion: 2 });
    await expect(append()).rejects.toThrow("RIVULET_JURISDICTION");
    const tables = await runInDurableObject(stub, (_, { storage }) => [
      ...storage.sql.exec("SELECT name FROM sqlite_master"),
    ]);
    expect(tables).toEqual([]);
  });
});
