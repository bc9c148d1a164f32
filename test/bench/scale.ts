// `npm run scale`: what it costs to create, to join by pattern and to list beside many topics and groups. Two brokers run
// side by side: one with as many as the bounds allow, the other with a hundred of each. The lists are pages of the same
// length.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ClusterStore } from "../../durable-objects/cluster/cluster-store.ts";
import { resolveTopic } from "../../src/core/cluster/topics.ts";
import { MAX_GROUPS, MAX_TOPICS } from "../../src/core/limits.ts";
import { BrokerProcess } from "../e2e/broker.ts";
import { nodeSql } from "../support/node-sql.ts";
import { median, printTable, ratios, round } from "./report.ts";

const FEW = 100;
const ROUNDS = 5;
const CREATIONS = 20;
const JOINS = 40;
const PAGE = 100;
const QUESTIONS = 2_000;
const AT_ONCE = 20;
/** The data that a round itself creates must still fit under the bounds. */
const SPARE_TOPICS = 2 * ROUNDS * CREATIONS;
const SPARE_GROUPS = 4 * ROUNDS * JOINS;
/** The share of groups by pattern among the seeded ones: one in a hundred. */
const PATTERN_EVERY = 100;

interface Size {
  readonly topics: number;
  readonly groups: number;
}

const MANY: Size = { topics: MAX_TOPICS - SPARE_TOPICS, groups: MAX_GROUPS - SPARE_GROUPS };

export async function benchScale(): Promise<void> {
  const few = await seededBroker({ topics: FEW, groups: FEW });
  const many = await seededBroker(MANY);
  console.log(
    `${MANY.topics.toLocaleString("en")} topics and ${MANY.groups.toLocaleString("en")} groups, beside ${FEW} of each; ${ROUNDS} rounds`,
  );
  try {
    const rows: string[][] = [];
    for (const [name, measure] of Object.entries(MEASURES)) {
      const times: { few: number[]; many: number[] } = { few: [], many: [] };
      for (let number = 0; number < ROUNDS; number++) {
        // The first one alternates between rounds, so that other load on the machine affects both.
        const pairs = [["few", few] as const, ["many", many] as const];
        for (const [which, broker] of number % 2 === 0 ? pairs : pairs.reverse())
          times[which].push(await timed(() => measure(broker.url, number)));
      }
      rows.push([
        name,
        round(median(times.few)),
        round(median(times.many)),
        ratios(times.many, times.few),
      ]);
    }
    printTable(["milliseconds", "few", "many", "many / few"], rows);
  } finally {
    for (const broker of [few, many]) {
      await broker.kill();
      rmSync(broker.dataDir, { recursive: true, force: true });
    }
  }
}

type Measure = (url: string, round: number) => Promise<unknown>;

const MEASURES: Readonly<Record<string, Measure>> = {
  [`create a topic, ${CREATIONS} one after another`]: async (url, number) => {
    for (let i = 0; i < CREATIONS; i++)
      await request("POST", `${url}/v1/topics`, { name: `new-${number}-${i}` });
  },
  [`first poll of ${JOINS} new groups at once`]: (url, number) =>
    pollAll(url, `first-${number}`, () => ({ topics: ["topic-000000"] })),
  [`${JOINS} joins by a pattern of their own at once`]: (url, number) =>
    pollAll(url, `own-${number}`, (i) => ({ pattern: `topic-0000${digits(i, 2)}.*` })),
  [`${JOINS} joins by one pattern at once`]: (url, number) =>
    pollAll(url, `one-${number}`, () => ({ pattern: "topic-00000[0-9]" })),
  [`${QUESTIONS} questions to the metadata's object, ${AT_ONCE} at once`]: async (url) => {
    const ask = async () => {
      for (let i = 0; i < QUESTIONS / AT_ONCE; i++)
        await request("GET", `${url}/v1/topics?limit=1&after=topic-000050`);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, ask));
  },
  [`a page of ${PAGE} topics`]: (url) => request("GET", `${url}/v1/topics?limit=${PAGE}`),
  [`a page of ${PAGE} groups`]: (url) => request("GET", `${url}/v1/groups?limit=${PAGE}`),
};

function pollAll(url: string, prefix: string, subscription: (i: number) => object) {
  return Promise.all(
    Array.from({ length: JOINS }, (_, i) =>
      request("POST", `${url}/v1/groups/${prefix}-${i}/poll`, {
        instanceId: "i",
        ...subscription(i),
      }),
    ),
  );
}

async function request(method: string, url: string, body?: object): Promise<void> {
  const response = await fetch(url, {
    method,
    ...(body && {
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${text}`);
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await action();
  return performance.now() - from;
}

/** Starts a broker whose cluster lists this many topics and groups. Their objects do not exist, and are not asked. */
async function seededBroker(size: Size): Promise<BrokerProcess> {
  const dataDir = mkdtempSync(join(tmpdir(), "rivulet-scale-"));
  const first = await BrokerProcess.start({ dataDir });
  await request("POST", `${first.url}/v1/topics`, { name: "first" });
  await first.signal("SIGTERM");
  seed(clusterFile(dataDir), size);
  return await BrokerProcess.start({ dataDir });
}

function clusterFile(dataDir: string): string {
  const folder = join(dataDir, "objects", "rivulet-cluster-v1");
  const file = readdirSync(folder).find((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
  if (file === undefined) throw new Error(`no database of the cluster in ${folder}`);
  return join(folder, file);
}

function seed(file: string, { topics, groups }: Size): void {
  const database = new DatabaseSync(file);
  const store = new ClusterStore(nodeSql(database));
  store.transaction(() => {
    for (let i = 0; i < topics; i++) {
      const name = `topic-${digits(i, 6)}`;
      const topic = resolveTopic({
        name,
        topicId: crypto.randomUUID(),
        partitions: 1,
        initialPartitions: 1,
        overrides: {},
        defaults: {},
      });
      store.putTopic(topic);
      store.rememberUse(topic.topicId);
    }
    for (let i = 0; i < groups; i++) {
      const groupId = `group-${digits(i, 6)}`;
      store.putGroup(groupId);
      store.subscribe(groupId, `topic-${digits(i % topics, 6)}`);
      if (i % PATTERN_EVERY === 0) store.subscribeToPattern(groupId, `team-${digits(i, 6)}-.*`);
    }
  });
  database.close();
}

function digits(number: number, length: number): string {
  return String(number).padStart(length, "0");
}
