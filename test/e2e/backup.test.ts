// Export and import, with the command line in processes of its own, which are killed, and a broker that is.
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compressor } from "../../src/compression/compress.ts";
import { type Compressor, encodeBatch } from "../../src/core/log/record-batch.ts";
import type { ProducerRecord } from "../../src/core/record.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import { isDeep } from "../support/effort.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";
import { type Outcome, runHere } from "./cli-here.ts";

const CLI = fileURLToPath(new URL("../../dist/rivulet.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "rivulet-backup-"));
const FORMATS = ["ndjson", "batches"] as const;

let broker: BrokerProcess;
beforeAll(async () => {
  broker = await BrokerProcess.start();
});
afterAll(() => broker.stop());

const settings = () => ({
  ...{ XDG_CONFIG_HOME: folder, RIVULET_URL: broker.url, RIVULET_TOKEN: "" },
});
const rivulet = (...args: string[]): Promise<Outcome> => runHere(args, "", settings());

async function done(...args: string[]): Promise<Outcome> {
  const outcome = await rivulet(...args);
  expect(outcome, args.join(" ")).toMatchObject({ code: 0 });
  return outcome;
}

const admin = () => new Rivulet({ url: broker.url }).admin;

interface JsonRecord {
  readonly offset: number;
}

/** Everything that a partition holds, in HTTP's form. */
async function recordsOf(topic: string, partition: number): Promise<JsonRecord[]> {
  const path = `/v1/topics/${topic}/partitions/${partition}/records`;
  const response = await fetch(`${broker.url}${path}`, {
    headers: { accept: "application/x-ndjson" },
  });
  const text = await response.text();
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

/** The records without their offsets, and the offsets. */
async function contentOf(topic: string, partitions: number) {
  const all = await Promise.all(
    Array.from({ length: partitions }, (_, partition) => recordsOf(topic, partition)),
  );
  return all.map((records) => ({
    records: records.map(({ offset: _, ...record }) => record),
    offsets: records.map(({ offset }) => offset),
  }));
}

async function appendBatch(topic: string, partition: number, batch: Uint8Array): Promise<void> {
  const path = `/v1/topics/${topic}/partitions/${partition}/batches`;
  const { status } = await fetch(`${broker.url}${path}`, { method: "POST", body: batch });
  expect(status).toBe(200);
}

const text = (value: string) => Buffer.from(value);

/** Records of all kinds: bytes that are not text, tombstones, headers out of order, old times. */
const KINDS: readonly ProducerRecord[] = [
  { key: null, value: text("plain"), headers: [], timestamp: 1_000 },
  { key: text("k"), value: null, headers: [], timestamp: 2_000 },
  { key: Uint8Array.of(0xff, 0x00), value: Uint8Array.of(0xc3), headers: [], timestamp: -1 },
  {
    ...{ key: text(""), value: text(""), timestamp: 3_000 },
    headers: [
      { key: "b", value: text("1") },
      { key: "a", value: null },
      { key: "b", value: Uint8Array.of(0xfe) },
      { key: "7", value: text("") },
    ],
  },
];

const dense = (length: number) => Array.from({ length }, (_, offset) => offset);

describe.each(FORMATS)("as %s", (format) => {
  test("[BAK-1] [BAK-3] what is exported is what is restored: records of every kind, config, committed offsets", async () => {
    const topic = `kinds-${format}`;
    const config = {
      "cleanup.policy": "compact,delete",
      "retention.ms": -1,
      "message.timestamp.type": "LogAppendTime",
    };
    await admin().createTopic({ name: topic, partitions: 3 });
    for (const type of [1, 4] as const)
      await appendBatch(
        topic,
        0,
        encodeBatch(KINDS, { compression: compressor(type) as Compressor }),
      );
    await appendBatch(
      topic,
      0,
      encodeBatch(KINDS, { producerId: 5, producerEpoch: 1, baseSequence: 9 }),
    );
    await appendBatch(topic, 2, encodeBatch(KINDS));
    await admin().deleteRecords(topic, 0, 2); // In the middle of a batch.
    await admin().alterTopic(topic, { config });
    await appendBatch(topic, 2, encodeBatch(KINDS.slice(1))); // With the time of the append.
    await admin().alterGroup(`${topic}-group`, { config: {} });
    await admin().resetGroup(`${topic}-group`, {
      offsets: [
        { topic, partition: 0, offset: 5 },
        { topic, partition: 2, offset: 7 },
      ],
    });
    const file = join(folder, topic);
    const { out } = await done(
      "export",
      topic,
      "--groups",
      `${topic}-group`,
      "--format",
      format,
      "--to",
      file,
    );
    expect(out).toBe(
      `Exported 17 records of ${topic} and the committed offsets of 1 group to ${file}.\n`,
    );
    const copy = `${topic}-copy`;
    expect((await done("import", file, "--topic", copy)).out).toBe(
      `Imported 17 records to 3 partitions of ${copy}.\nGroup ${topic}-group has its committed offsets in 2 partitions.\n`,
    );
    const [before, after] = [await contentOf(topic, 3), await contentOf(copy, 3)];
    expect(after.map(({ records }) => records)).toEqual(before.map(({ records }) => records));
    expect(after.map(({ offsets }) => offsets)).toEqual([dense(10), [], dense(7)]);
    expect((await admin().describeTopic(copy)).overrides).toEqual(config);
    const { offsets } = await admin().describeGroup(`${topic}-group`);
    const positions = offsets.filter((each) => each.topic === copy);
    expect(positions.map(({ committedOffset }) => committedOffset)).toEqual([3, null, 7]);
    // A repetition changes nothing.
    const again = await done("--json", "import", file, "--topic", copy);
    expect(JSON.parse(again.out)).toMatchObject({
      ...{ records: 17, stored: 0 },
      groups: [{ set: 0, kept: 2 }],
    });
    expect(await contentOf(copy, 3)).toEqual(after);
  });

  test("[BAK-5] a truncated or damaged file changes nothing, and the error says where", async () => {
    const topic = `cut-${format}`;
    await admin().createTopic({ name: topic });
    await appendBatch(topic, 0, encodeBatch(KINDS));
    await appendBatch(topic, 0, encodeBatch(KINDS));
    const file = join(folder, topic);
    await done("export", topic, "--format", format, "--to", file);
    const whole = readFileSync(file);
    const before = await admin().listTopics();
    writeFileSync(file, whole.subarray(0, whole.length - 1));
    const cut = await rivulet("import", file, "--topic", `${topic}-x`);
    expect(cut).toMatchObject({ code: 1, out: "" });
    expect(cut.err).toMatch(
      format === "ndjson"
        ? /is cut off: it ends in line 12 .*whole up to offset 7 of partition 0\. Nothing was changed/
        : /is cut off: it ends at byte \d+ .*whole up to offset 7 of partition 0\. Nothing was changed/,
    );
    const damaged = Buffer.from(whole);
    damaged.writeUInt8(damaged.readUInt8(500) ^ 1, 500);
    writeFileSync(file, damaged);
    const flipped = await rivulet("import", file, "--topic", `${topic}-x`);
    expect(flipped.code).toBe(1);
    expect(flipped.err).toMatch(
      /is damaged: (lines \d+ to \d+|the frame at byte \d+): the sum does not match/,
    );
    expect(await admin().listTopics()).toEqual(before);
    // The export continues where the file is whole, and completes it.
    writeFileSync(file, whole.subarray(0, whole.length - 1));
    await done("export", topic, "--format", format, "--to", file);
    expect(readFileSync(file)).toEqual(whole);
  });
});

test("[BAK-2] a complete export is not overwritten, and one of several topics continues with what is missing", async () => {
  const to = `${join(folder, "several")}/`;
  for (const name of ["several-a", "several-b"]) await admin().createTopic({ name });
  await appendBatch("several-a", 0, encodeBatch(KINDS));
  await done("export", "several-a", "--to", to);
  const again = await rivulet("export", "several-a", "--to", to);
  expect(again).toMatchObject({ code: 1, out: "" });
  expect(again.err).toContain("nothing was exported");
  const { out } = await done("export", "several-a", "several-b", "--to", to);
  expect(out).toContain("was complete already, with 4 records of several-a");
  expect(out).toContain("Exported 0 records of several-b");
  expect(existsSync(join(folder, "several", "several-b.ndjson"))).toBe(true);
  const missing = await rivulet("export", "several-a", "nobody", "--to", join(folder, "none/"));
  expect(missing.err).toContain("UNKNOWN_TOPIC_OR_PARTITION");
  await done("import", join(to, "several-b.ndjson"), "--topic", "several-c");
  expect(await contentOf("several-c", 1)).toEqual([{ records: [], offsets: [] }]);
});

test("[BAK-4] a topic with any other content is refused, and stays as it is", async () => {
  const file = join(folder, "other");
  await admin().createTopic({ name: "other", partitions: 2 });
  await appendBatch("other", 0, encodeBatch(KINDS));
  await done("export", "other", "--to", file);
  const refused = async (topic: string, why: string) => {
    const before = await contentOf(topic, 1);
    const { code, err } = await rivulet("import", file, "--topic", topic);
    expect([code, err]).toEqual([1, expect.stringContaining(why)]);
    expect(await contentOf(topic, 1)).toEqual(before);
  };
  await admin().createTopic({ name: "other-1" });
  await refused("other-1", "has 1 partitions, the file 2");
  await admin().createTopic({ name: "other-2", partitions: 2 });
  await appendBatch("other-2", 0, encodeBatch(KINDS.slice(1)));
  await refused("other-2", "has another record at offset 0 than the file");
  await admin().createTopic({ name: "other-3", partitions: 2 });
  for (let i = 0; i < 2; i++) await appendBatch("other-3", 0, encodeBatch(KINDS));
  await refused("other-3", "ends at 8, the file has 4 records");
  const config = { "message.timestamp.type": "LogAppendTime" };
  await admin().createTopic({ name: "other-4", partitions: 2, config });
  await refused("other-4", "would give the records other times");
  // A topic that somebody has created keeps its config.
  await admin().createTopic({ name: "other-5", partitions: 2, config: { "retention.ms": -1 } });
  await done("import", file, "--topic", "other-5");
  expect((await admin().describeTopic("other-5")).overrides).toEqual({ "retention.ms": -1 });
});

test("[BAK-4] a group with members keeps its committed offsets, which the import says, and a later run sets them", async () => {
  const { consumer, admin: admins } = new Rivulet({ url: broker.url });
  await admins.createTopic({ name: "manned" });
  await appendBatch("manned", 0, encodeBatch(KINDS));
  await admins.alterGroup("crew", { config: {} });
  await admins.resetGroup("crew", { offsets: [{ topic: "manned", partition: 0, offset: 2 }] });
  const file = join(folder, "manned");
  await done("export", "manned", "--groups", "--to", file);
  await admins.deleteGroup("crew");
  await admins.createTopic({ name: "elsewhere" });
  const member = new Rivulet({ url: broker.url }).consumer({
    groupId: "crew",
    topics: ["elsewhere"],
  });
  expect(consumer).toBeDefined();
  const running = member.run({ eachRecord: () => {} });
  await until(
    "it has joined",
    async () => (await admins.describeGroup("crew").catch(() => null))?.members.length === 1,
  );
  const { code, err } = await rivulet("import", file, "--topic", "manned-2");
  expect([code, err]).toEqual([
    1,
    expect.stringContaining("the committed offsets of crew were not set (NON_EMPTY_GROUP"),
  ]);
  await member.close();
  await running;
  await done("import", file, "--topic", "manned-2");
  const { offsets } = await admins.describeGroup("crew");
  expect(offsets.find(({ topic }) => topic === "manned-2")).toMatchObject({ committedOffset: 2 });
});

// Broken off in the middle.

/** The guard and the pauses of a wait for a moment that must not be missed. */
const OFTEN = [30_000, 2] as const;
const LARGE = isDeep ? 30_000 : 16_000;

/** This many records in two partitions, with values that show their place. */
async function makeLarge(name: string): Promise<void> {
  await admin().createTopic({ name, partitions: 2 });
  for (const partition of [0, 1]) {
    for (let from = 0; from < LARGE; from += 2_000) {
      const records = Array.from({ length: 2_000 }, (_, i) => ({
        ...{ key: text(`k${(from + i) % 97}`), headers: [], timestamp: 1_000 + from + i },
        value: text(`${partition}-${from + i} ${"x".repeat(80)}`),
      }));
      await appendBatch(name, partition, encodeBatch(records));
    }
  }
}

function start(...args: string[]) {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { ...process.env, ...settings() },
  });
  const printed = { out: "", err: "" };
  child.stdout.on("data", (data) => {
    printed.out += data;
  });
  child.stderr.on("data", (data) => {
    printed.err += data;
  });
  const ended = once(child, "close").then(([code]) => ({
    code: code as number | null,
    ...printed,
  }));
  return { child, ended, printed };
}

const sizeOf = (path: string) => (existsSync(path) ? statSync(path).size : 0);

async function endsOf(topic: string): Promise<number> {
  const end = async (partition: number) =>
    (
      await admin()
        .listOffset(topic, partition, "latest")
        .catch(() => ({ offset: 0 }))
    ).offset;
  return (await end(0)) + (await end(1));
}

describe.each(FORMATS)("broken off, as %s", (format) => {
  const name = `large-${format}`;
  const file = join(folder, `${name}.file`);
  beforeAll(() => makeLarge(name));

  test("[BAK-2] an export that is killed while records arrive continues and has each record once", async () => {
    let kills = 0;
    // Each try is killed a little later than where the previous one ended.
    for (let size = 1; kills < 4; ) {
      const { child, ended } = start("export", name, "--format", format, "--to", file);
      const reached = until(
        "it has written some",
        () => sizeOf(file) >= size || child.exitCode !== null,
        ...OFTEN,
      );
      await reached;
      if (child.exitCode !== null) break;
      child.kill("SIGKILL");
      await ended;
      kills++;
      size = sizeOf(file) + 250_000;
    }
    expect(kills).toBeGreaterThan(0);
    // Records after the first begin are not part of it.
    await appendBatch(name, 1, encodeBatch(KINDS));
    // The last bytes may be missing, too: those that did not reach the disk.
    truncateSync(file, Math.max(0, sizeOf(file) - 1));
    const { code, out } = await start("export", name, "--format", format, "--to", file).ended;
    expect(code).toBe(0);
    expect(out).toContain(`Exported ${2 * LARGE} records`);
    const copy = `${name}-a`;
    await done("import", file, "--topic", copy);
    const [before, after] = [await contentOf(name, 2), await contentOf(copy, 2)];
    for (const partition of [0, 1]) {
      expect(after[partition]?.offsets).toEqual(dense(LARGE));
      expect(after[partition]?.records).toEqual(before[partition]?.records.slice(0, LARGE));
    }
  });

  test("[BAK-4] an import that is killed, like its broker, continues and stores nothing twice", async () => {
    const copy = `${name}-b`;
    let kills = 0;
    for (let stored = 1; kills < 3; ) {
      const { child, ended } = start("import", file, "--topic", copy);
      await until(
        "it has stored some",
        async () => child.exitCode !== null || (await endsOf(copy)) >= stored,
        ...OFTEN,
      );
      if (child.exitCode !== null) break;
      child.kill("SIGKILL");
      await ended;
      kills++;
      stored = (await endsOf(copy)) + 5_000;
    }
    expect(kills).toBeGreaterThan(0);
    const last = start("import", file, "--topic", copy);
    const { port, dataDir } = broker;
    await broker.kill();
    broker = await BrokerProcess.start({ port, dataDir });
    expect(await last.ended).toMatchObject({ code: expect.any(Number) });
    await done("import", file, "--topic", copy);
    const [before, after] = [await contentOf(name, 2), await contentOf(copy, 2)];
    for (const partition of [0, 1]) {
      expect(after[partition]?.offsets).toEqual(dense(LARGE));
      expect(after[partition]?.records).toEqual(before[partition]?.records.slice(0, LARGE));
    }
    expect((await admin().describeTopic(copy)).overrides).toEqual({});
  });

  test("[BAK-2] a full disk is reported with what to do, and then the run continues", async () => {
    const full = join(folder, `${name}.full`);
    // A shell that ignores the limit's signal has its programs get an error, as on a full disk.
    const shell = `trap '' XFSZ; ulimit -f 2000; exec "$@"`;
    const child = spawn(
      "bash",
      [
        "-c",
        shell,
        "bash",
        process.execPath,
        CLI,
        "export",
        name,
        "--format",
        format,
        "--to",
        full,
      ],
      { env: { ...process.env, ...settings() } },
    );
    let err = "";
    child.stderr.on("data", (data) => {
      err += data;
    });
    const [code] = await once(child, "close");
    expect([code, err]).toEqual([
      1,
      expect.stringMatching(/could not be written: .*run the same command again/),
    ]);
    await done("export", name, "--format", format, "--to", full);
    expect(sizeOf(full)).toBeGreaterThan(2_000 * 1_024);
    await done("import", full, "--topic", `${name}-c`);
    expect(await endsOf(`${name}-c`)).toBe(2 * LARGE + KINDS.length);
  });
});

test("[BAK-6] a topic of many times the memory is exported and imported", async () => {
  const name = "wide";
  await admin().createTopic({ name });
  // 60 MB or more, in batches of 10 MB that compress to nearly nothing.
  const batches = isDeep ? 12 : 6;
  const records = Array.from({ length: 100 }, (_, timestamp) => ({
    ...{ key: null, headers: [], timestamp },
    value: Buffer.alloc(100_000, timestamp),
  }));
  const batch = encodeBatch(records, { compression: compressor(1) as Compressor });
  for (let i = 0; i < batches; i++) await appendBatch(name, 0, batch.slice());
  const file = join(folder, "wide.ndjson");
  const small = ["--max-old-space-size=40", CLI];
  const run = async (...args: string[]) => {
    const child = spawn(process.execPath, [...small, ...args], {
      env: { ...process.env, ...settings() },
      stdio: "ignore",
    });
    const [code] = await once(child, "close");
    expect(code).toBe(0);
  };
  await run("export", name, "--to", file);
  expect(sizeOf(file)).toBeGreaterThan(batches * 10_000_000);
  await run("import", file, "--topic", "wide-2");
  expect((await admin().listOffset("wide-2", 0, "latest")).offset).toBe(batches * 100);
});
