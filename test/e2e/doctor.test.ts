// Doctor, against a broker whose folder was tampered with while it was stopped.
import { copyFileSync, existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Finding } from "../../src/cli/doctor/findings.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import { BrokerProcess } from "./broker.ts";
import { type Outcome, runHere } from "./cli-here.ts";

let broker: BrokerProcess;
beforeAll(async () => {
  broker = await BrokerProcess.start();
});
afterAll(() => broker.stop());

const rivulet = (...args: string[]): Promise<Outcome> =>
  runHere(args, "", {
    XDG_CONFIG_HOME: broker.dataDir,
    RIVULET_URL: broker.url,
    RIVULET_TOKEN: "",
  });

interface Report {
  readonly woken: { readonly partitions: number; readonly groups: number };
  readonly findings: readonly (Finding & { readonly repaired: boolean })[];
  readonly notLooked: readonly string[];
}

/** Doctor's findings, by kind and subject. */
async function examined(...options: string[]) {
  const { code, out, err } = await rivulet("--json", "doctor", ...options);
  if (out === "") throw new Error(err);
  const report = JSON.parse(out) as Report;
  const found = report.findings.map(({ kind, about }) => `${kind} ${about}`).sort();
  return { code, err, report, found };
}

const here = () => ["--data-dir", broker.dataDir];
const admin = () => new Rivulet({ url: broker.url }).admin;

async function produce(topic: string, ...partitions: number[]): Promise<void> {
  const { producer } = new Rivulet({ url: broker.url });
  const outcomes = await producer.send(
    topic,
    partitions.map((partition) => ({ value: "a", partition })),
  );
  expect(outcomes.filter((each) => "error" in each)).toEqual([]);
  await producer.close();
}

function folderOf(object: "cluster" | "partition" | "group"): string {
  return join(broker.dataDir, "objects", `rivulet-${object}-v1`);
}

function databases(object: "cluster" | "partition" | "group"): string[] {
  const folder = folderOf(object);
  return readdirSync(folder)
    .filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name))
    .map((name) => join(folder, name));
}

/** Changes a database while no broker has it open. */
function change(path: string, ...statements: string[]): void {
  const database = new DatabaseSync(path);
  for (const statement of statements) database.exec(statement);
  database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  database.close();
}

/** The files of a topic's partitions, by number. */
function filesOf(topic: string): string[] {
  const files: string[] = [];
  for (const path of databases("partition")) {
    const database = new DatabaseSync(path);
    const found = database.prepare("SELECT name FROM sqlite_master WHERE name = 'partition'").get();
    const row = found && database.prepare("SELECT topic FROM partition").get();
    database.close();
    if (row === undefined) continue;
    const { name, partition } = JSON.parse(String(row.topic));
    if (name === topic) files[partition] = path;
  }
  return files;
}

/** Stops the broker, does this to its folder, and starts it again. */
async function meanwhile(tamper: (cluster: string) => void): Promise<void> {
  const { port, dataDir } = broker;
  await broker.signal("SIGTERM");
  tamper(databases("cluster")[0] as string);
  broker = await BrokerProcess.start({ port, dataDir });
}

test("[DRX-1] [DRX-4] it says if all is well, and wakes only used partitions and listed groups", async () => {
  const topic = await admin().createTopic({ name: "well", partitions: 5 });
  expect(topic.partitions).toBe(5);
  await produce("well", 1, 3);
  await admin().alterGroup("well-group", { config: {} });
  await admin().resetGroup("well-group", { offsets: [{ topic: "well", partition: 1, offset: 1 }] });
  const { code, out, err } = await rivulet("doctor");
  expect(err).toBe("# this wakes 2 used partitions and 1 listed group, 32 at a time\n");
  expect([code, out]).toEqual([0, expect.stringMatching(/--data-dir[\s\S]*All is well\.\n$/)]);
  const { report, found } = await examined(...here());
  expect(found).toEqual([]);
  expect(report).toEqual({ woken: { partitions: 2, groups: 1 }, findings: [], notLooked: [] });
});

test("[DRX-2] looking creates no file and changes none", async () => {
  const state = () =>
    ["partition", "group"].flatMap((kind) => {
      const folder = folderOf(kind as "partition");
      return readdirSync(folder).map((name) => {
        const { mtimeMs, size } = statSync(join(folder, name));
        return `${name} ${mtimeMs} ${size}`;
      });
    });
  // A first look has woken everything that it wakes.
  await meanwhile(() => {});
  const before = state();
  const { readFolder } = await import("../../src/cli/doctor/data-folder.ts");
  const { found, unread } = await readFolder(broker.dataDir);
  expect([found.length, unread]).toEqual([3, []]);
  expect(state()).toEqual(before);
  expect((await rivulet("doctor", "--data-dir", join(broker.dataDir, "objects"))).err).toContain(
    "is no DATA_DIR of a broker",
  );
});

describe("what is wrong", () => {
  test("[DRX-1] a partition that has lost its storage, and one with another's storage", async () => {
    await admin().createTopic({ name: "lost", partitions: 4 });
    await produce("lost", 0, 1, 2, 3);
    const [lost, another, kept] = filesOf("lost") as [string, string, string];
    const backup = join(broker.dataDir, "backup");
    await meanwhile(() => {
      copyFileSync(lost, `${backup}-0`);
      copyFileSync(another, `${backup}-1`);
      for (const suffix of ["", "-wal", "-shm"]) rmSync(`${lost}${suffix}`, { force: true });
      copyFileSync(kept, another);
    });
    const { code, report, found } = await examined();
    expect([code, found]).toEqual([1, ["partition-failing lost/0", "partition-failing lost/1"]]);
    const [gone, wrong] = report.findings;
    expect(gone?.detail).toMatch(/KAFKA_STORAGE_ERROR: lost\/0: its storage is gone/);
    expect(wrong?.detail).toMatch(/its storage is that of partition/);
    expect(gone?.command).toContain("rivulet topics delete lost");
    // None of that is repaired automatically.
    expect(
      (await examined("--repair", "--yes")).report.findings.map((each) => each.repaired),
    ).toEqual([...[false, false]]);
    await meanwhile(() => {
      copyFileSync(`${backup}-0`, lost);
      copyFileSync(`${backup}-1`, another);
    });
    expect((await examined()).found).toEqual([]);
  });

  test("[DRX-1] [DRX-3] a config that did not arrive, and groups that are listed wrongly or not at all", async () => {
    await admin().createTopic({ name: "tampered", partitions: 2 });
    await produce("tampered", 0, 1);
    await admin().alterGroup("hidden", { config: {} });
    await admin().resetGroup("hidden", { topics: ["tampered"], to: "latest" });
    const [first] = filesOf("tampered") as [string];
    await meanwhile((cluster) => {
      change(
        cluster,
        "DELETE FROM groups WHERE group_id = 'hidden'",
        "INSERT INTO groups (group_id) VALUES ('ghost')",
        "DELETE FROM partition_use WHERE partition = 1 AND topic_id = (SELECT topic_id FROM topic_ids WHERE name = 'tampered')",
      );
      change(
        first,
        `UPDATE partition SET topic = json_set(topic, '$.overrides', json('{"retention.ms":5}'))`,
      );
    });
    const wrong = [
      "config-older tampered/0",
      "group-missing ghost",
      "group-unlisted hidden",
      "partition-unknown tampered/1",
    ];
    expect((await examined(...here())).found).toEqual(wrong);
    // Elsewhere it says that it has not looked at the folder.
    const { report, found } = await examined();
    expect(found).toEqual(wrong.slice(0, 2));
    expect(report.notLooked).toEqual([expect.stringContaining("--data-dir")]);
    // Without a terminal nobody can be asked.
    expect(await rivulet("doctor", "--repair")).toMatchObject({
      code: 2,
      err: expect.stringContaining("--yes"),
    });
    const repaired = await examined(...here(), "--repair", "--yes");
    expect(repaired.report.findings.map((each) => each.repaired)).toEqual([true, true, true, true]);
    expect(repaired.code).toBe(0);
    expect((await examined(...here())).found).toEqual([]);
    expect((await admin().describeGroup("hidden")).offsets).toMatchObject([
      { committedOffset: 1 },
      { committedOffset: 1 },
    ]);
    const { offset } = await admin().listOffset("tampered", 1, "latest");
    expect(offset).toBe(1);
  });

  test("[DRX-2] [DRX-3] an orphan is freed only on request, and what the cluster knows never is", async () => {
    const { topicId } = await admin().createTopic({ name: "orphaned", partitions: 2 });
    await produce("orphaned", 0, 1);
    const known = (await admin().describeTopic("well")).topicId;
    await meanwhile((cluster) =>
      change(
        cluster,
        "DELETE FROM topics WHERE name = 'orphaned'",
        "DELETE FROM topic_ids WHERE name = 'orphaned'",
        `DELETE FROM partition_use WHERE topic_id = '${topicId}'`,
      ),
    );
    const orphans = ["orphan orphaned/0", "orphan orphaned/1"];
    expect((await examined(...here(), "--repair", "--yes")).found).toEqual(orphans);
    const again = await examined(...here());
    expect(again.found).toEqual(orphans);
    const refused = await fetch(`${broker.url}/v1/doctor/orphans`, {
      method: "POST",
      body: JSON.stringify({ topicId: known, partition: 1 }),
    });
    expect([refused.status, ((await refused.json()) as { detail: string }).detail]).toEqual([
      400,
      expect.stringContaining("a topic that exists"),
    ]);
    expect(await rivulet("doctor", "--destroy-orphans", "--yes")).toMatchObject({ code: 2 });
    // A copy of a file under another name is no object's, and only the operator can free it.
    const [first] = again.report.findings;
    const [, file = ""] = /it has a file, (\S+\.sqlite),/.exec(first?.detail ?? "") ?? [];
    const copy = join(dirname(file), `${"1".repeat(64)}.sqlite`);
    for (const suffix of ["", "-wal"])
      if (existsSync(`${file}${suffix}`)) copyFileSync(`${file}${suffix}`, `${copy}${suffix}`);
    const freed = await examined(...here(), "--destroy-orphans", "--yes");
    const outcomes = freed.report.findings.map(({ about, repaired }) => `${about} ${repaired}`);
    expect(outcomes.sort()).toEqual(
      [`${first?.about} false`, "orphaned/0 true", "orphaned/1 true"].sort(),
    );
    for (const suffix of ["", "-wal", "-shm"]) rmSync(`${copy}${suffix}`, { force: true });
    expect((await examined(...here())).found).toEqual([]);
    expect((await admin().listOffset("well", 1, "latest")).offset).toBe(1);
  });

  test("[DRX-2] [DRX-3] a kept deleted topic is no orphan, and is not freed", async () => {
    const config = { "topic.delete.delay.ms": 3_600_000 };
    const { topicId } = await admin().createTopic({ name: "kept", config });
    await produce("kept", 0);
    await admin().deleteTopic("kept");
    expect(filesOf("kept")).toHaveLength(1);
    expect((await examined(...here())).found).toEqual([]);
    const { status } = await fetch(`${broker.url}/v1/doctor/orphans`, {
      method: "POST",
      body: JSON.stringify({ topicId, partition: 0 }),
    });
    expect(status).toBe(400);
  });

  test("[DRX-1] committed offsets beyond the end of a log, and a task that does not get done", async () => {
    await admin().createTopic({ name: "older", partitions: 1 });
    await produce("older", 0);
    const [file] = filesOf("older") as [string];
    await meanwhile(() => copyFileSync(file, join(broker.dataDir, "older")));
    await produce("older", 0, 0, 0);
    await admin().alterGroup("ahead", { config: {} });
    await admin().resetGroup("ahead", { topics: ["older"], to: "latest" });
    await meanwhile((cluster) => {
      copyFileSync(join(broker.dataDir, "older"), file);
      for (const suffix of ["-wal", "-shm"]) rmSync(`${file}${suffix}`, { force: true });
      // The ends of logs are as where nobody reports them.
      change(
        cluster,
        "UPDATE partition_use SET log_end = NULL WHERE topic_id = (SELECT topic_id FROM topic_ids WHERE name = 'older')",
        `INSERT INTO tasks (task) VALUES ('{"type":"tell-nobody-yet","topic":"well"}')`,
      );
    });
    const { found, report } = await examined();
    expect(found).toContain("position-beyond-end ahead in older/0");
    const position = report.findings.find(({ kind }) => kind === "position-beyond-end");
    expect(position?.detail).toBe("it has committed 4, and the log ends at 1");
    const stuck = report.findings.filter(({ kind }) => kind === "task-stuck");
    expect(stuck.map(({ detail }) => detail)).toContain("tell-nobody-yet well is not getting done");
    const [, , ...command] = (position?.command ?? "").split(" ");
    await rivulet("groups", ...command);
    expect((await examined()).found).not.toContain("position-beyond-end ahead in older/0");
  });
});
