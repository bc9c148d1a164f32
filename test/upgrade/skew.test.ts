// Two releases side by side, as during a rollout: Cloudflare replaces Workers at once and objects within minutes. Clients of
// every kind are at work while the broker goes from one release to the other and back. Their events and actions are written
// down, and checked by the checker of `npm run torture`.
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { ERRORS, isErrorName } from "../../src/core/errors.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import { killBrokers, ReleaseBroker } from "../releases/release-broker.ts";
import { bundleOf, inFolder, previousVersion, sdkOf } from "../releases/releases.ts";
import { until } from "../support/until.ts";
import { check } from "../torture/check.ts";
import { ended, Fleet, type Post, run } from "../torture/fleet.ts";
import { type Event, HistoryWriter, readHistory } from "../torture/history.ts";
import { readLogs, Watcher } from "../torture/watch.ts";
import { BUNDLE } from "./bundle.ts";
import { KeyedProducer, Poller } from "./http-clients.ts";

const TOPIC = "busy";
const PARTITIONS = 6;
/** Far longer than a restart: nobody may lose its place because of one. */
const SESSION_MS = 60_000;
const RECORDS_PER_SECOND = 400;
/** The whole test takes half a minute on a machine of its own. */
const GUARD_MS = 600_000;
/** The work of each client between two steps. */
const STEP_EVENTS = 10;
const GROUPS = { sdk: TOPIC, mixed: TOPIC, classic: TOPIC };
/** Ports that no outgoing connection can be given while the broker is down. */
const PORTS = {
  http: 20_000 + (process.pid % 10_000),
  kafka: 10_000 + (process.pid % 10_000),
};

type Side = "previous" | "this";

/** The release of the Worker, and that of the objects. */
const ROLLOUT: readonly (readonly [worker: Side, objects: Side])[] = [
  ["previous", "previous"],
  ["this", "previous"],
  ["this", "this"],
  ["previous", "this"],
  ["previous", "previous"],
  ["this", "this"],
];

/** `sdk` is the previous release's. SDKs are upgraded when their users do so, so both are at work. */
function posts(url: string, brokers: string, sdk: string): Post[] {
  const native = { url, topic: TOPIC, group: "sdk", sessionTimeoutMs: SESSION_MS };
  const mixed = { ...native, group: "mixed" };
  const kafka = { brokers, topic: TOPIC, sessionTimeoutMs: SESSION_MS };
  const kip848 = { ...kafka, group: "mixed", protocol: "consumer" } as const;
  const classic = { ...kafka, group: "classic", protocol: "classic" } as const;
  const file = "consumer.ts";
  const kafkaFile = "kafka-consumer.ts";
  return [
    { name: "sdk-a", file, arguments: { ...native, handler: "eachRecord", sdk } },
    { name: "sdk-b", file, arguments: { ...native, handler: "eachBatch", instanceId: "b" } },
    { name: "mixed-sdk", file, arguments: { ...mixed, handler: "slow eachRecord", sdk } },
    // Without its own id it would be a new member after each restart.
    { name: "mixed-plain", file: "plain.ts", arguments: { ...mixed, instanceId: "plain" } },
    { name: "mixed-kip848", file: kafkaFile, arguments: { ...kip848, client: "librdkafka" } },
    { name: "classic", file: kafkaFile, arguments: { ...classic, client: "KafkaJS" } },
  ];
}

/**
 * The clients that must make progress in each step. The holder of a slot may change: a Kafka client that ends is started
 * again.
 */
const AT_WORK = ["p0", "p1", "pk", "keyed", "sdk-a", "sdk-b"].concat([
  "mixed-sdk",
  "mixed-plain",
  "mixed-kip848",
  "classic",
]);

/** The progress of each: acknowledged sends and handled records. */
function progressOf(folder: string): number[] {
  const files = readdirSync(folder);
  return AT_WORK.map((name) =>
    files
      .filter((file) => file.startsWith(`${name}.`) && file.endsWith(".ndjson"))
      .reduce((sum, file) => sum + doneIn(readFileSync(join(folder, file), "utf8")), 0),
  );
}

function doneIn(history: string): number {
  return history.match(/"e":"(sent","first":\d+,"outcomes":\[\[|end")/g)?.length ?? 0;
}

/** Errors that no client may have received. */
function refusals(events: Iterable<Event>): string[] {
  const found: string[] = [];
  for (const event of events) {
    if (event.e === "fatal") found.push(`${event.who}: ${event.code}: ${event.detail}`);
    const codes =
      event.e === "warning"
        ? [event.code]
        : event.e === "sent"
          ? event.outcomes.filter((outcome) => typeof outcome === "string")
          : [];
    for (const code of codes)
      if (isErrorName(code) && !ERRORS[code].retriable)
        found.push(`${event.who}: ${code}${event.e === "warning" ? `: ${event.detail}` : ""}`);
  }
  return found;
}

/** These end the clients that are still running after a failure of the test. */
const cleanups: (() => void)[] = [killBrokers];
afterEach(() => {
  for (const cleanUp of cleanups) cleanUp();
});

test(
  "[VER-11] [VER-6] across a rollout and a rollback nothing acknowledged is lost, repeated or refused",
  () =>
    inFolder(async (folder) => {
      const historyFolder = join(folder, "history");
      mkdirSync(historyFolder);
      const bundles = { previous: bundleOf(previousVersion(), folder), this: BUNDLE };
      const sdk = sdkOf(previousVersion(), folder);
      const dataDir = join(folder, "data");
      const start = (worker: Side, objects: Side) =>
        ReleaseBroker.start({
          dataDir,
          bundle: bundles[worker],
          objectsBundle: bundles[objects],
          ports: PORTS,
        });
      let broker = await start("previous", "previous");
      const { url } = broker;
      const { admin } = new Rivulet({ url });
      await admin.createTopic({ name: TOPIC, partitions: PARTITIONS });
      await admin.alterGroup("mixed", { config: { "consumer.session.timeout.ms": SESSION_MS } });

      const history = new HistoryWriter(historyFolder, "run");
      const fleet = new Fleet(historyFolder, history, posts(url, broker.kafka, sdk));
      const own = { topic: TOPIC, recordsPerSecond: RECORDS_PER_SECOND };
      const sending = [
        run("producer.ts", historyFolder, "p0", { ...own, url, deliveryTimeoutMs: 60_000, sdk }),
        run("producer.ts", historyFolder, "p1", { ...own, url, deliveryTimeoutMs: 60_000 }),
        run("kafka-producer.ts", historyFolder, "pk", {
          ...own,
          brokers: broker.kafka,
          partitions: PARTITIONS,
        }),
      ];
      const keyed = new KeyedProducer(url, historyFolder, "keyed", TOPIC);
      const poller = new Poller(url, "polled", {
        instanceId: "poller",
        topics: [TOPIC],
        sessionTimeoutMs: SESSION_MS,
      });
      cleanups.push(
        () => fleet.kill(),
        () => keyed.abandon(),
        () => poller.abandon(),
      );
      const groups = [...Object.keys(GROUPS), "polled"];
      const watcher = new Watcher(admin, history, groups, () => true);
      cleanups.push(() => void watcher.end());

      for (const [i, [worker, objects]] of ROLLOUT.entries()) {
        if (i > 0) {
          await broker.stop();
          broker = await start(worker, objects);
        }
        const before = progressOf(historyFolder);
        const polls = poller.answers;
        await until(
          `all get on with a Worker of ${worker} and objects of ${objects} release`,
          () => {
            const now = progressOf(historyFolder);
            const isDone = now.every((count, who) => count >= (before[who] ?? 0) + STEP_EVENTS);
            return isDone && poller.answers >= polls + STEP_EVENTS;
          },
          90_000,
          100,
        ).catch((error) => {
          throw new Error(
            `${error}: ${AT_WORK} ${before} then ${progressOf(historyFolder)} ${broker.log.slice(-2_000)}`,
          );
        });
      }

      for (const producer of sending) producer.kill("SIGTERM");
      await Promise.all([...sending.map(ended), keyed.stop()]);
      await watcher.untilDrained(groups);
      await watcher.end();
      await poller.stop();
      await fleet.end();
      const logs = await readLogs(url, { [TOPIC]: PARTITIONS });
      await broker.stop();

      const { findings, counts } = check(readHistory(historyFolder), logs, GROUPS);
      expect(findings.lines).toEqual([]);
      expect(refusals(readHistory(historyFolder))).toEqual([]);
      expect([...keyed.findings, ...poller.findings]).toEqual([]);
      const ends = logs[TOPIC]?.map(({ offsets }) => offsets.length);
      expect(Array.from({ length: PARTITIONS }, (_, p) => poller.handled.get(p))).toEqual(ends);
      expect(counts.get("records acknowledged")).toBeGreaterThan(500);
    }),
  GUARD_MS,
);
