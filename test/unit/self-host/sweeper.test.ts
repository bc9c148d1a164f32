import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Sweeper, sweepAtRest } from "../../../src/self-host/sweeper.ts";

let storage = "";
let folder = "";
let opened: DatabaseSync[] = [];

beforeEach(() => {
  storage = mkdtempSync(join(tmpdir(), "rivulet-sweeper-"));
  folder = join(storage, "rivulet-group-v1");
  mkdirSync(folder);
});
afterEach(() => {
  for (const database of opened) database.close();
  opened = [];
  rmSync(storage, { recursive: true });
});

function pathOf(n: number, within = folder): string {
  return join(within, `${String(n).padStart(64, "0")}.sqlite`);
}

/** As workerd opens a file. */
function open(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 0 });
  opened.push(database);
  database.exec("PRAGMA journal_mode = WAL");
  return database;
}

function make(path: string, ...statements: string[]): void {
  const database = open(path);
  for (const each of statements) database.exec(each);
  database.close();
  opened.pop();
}

async function lookUntilDone(sweeper: Sweeper): Promise<number> {
  let removed = 0;
  for (let look = 0; look < 4; look++) removed += await sweeper.look();
  return removed;
}

const answered = async () => {};

test("[FIL-2] [RLY-6] a relay's file goes before workerd is started, and never while it runs", async () => {
  const relays = join(storage, "rivulet-relay-v1");
  mkdirSync(relays);
  make(pathOf(1, relays));
  make(pathOf(2));
  expect(await lookUntilDone(new Sweeper(storage, answered))).toBe(1);
  expect(existsSync(pathOf(1, relays))).toBe(true);
  expect(sweepAtRest(storage)).toBe(1);
  expect(existsSync(pathOf(1, relays))).toBe(false);
});

test("[FIL-2] [CLK-3] the next check comes in time if the clock is set during one", async () => {
  make(pathOf(1));
  vi.useFakeTimers({ toFake: ["setTimeout", "Date"] });
  try {
    const startMs = Date.now();
    let looks = 0;
    const sweeper = new Sweeper(storage, async () => {
      looks++;
      vi.setSystemTime(startMs + (looks % 2) * 30 * 24 * 3_600_000);
    });
    sweeper.run(60_000);
    for (let i = 1; i <= 3; i++) {
      await vi.advanceTimersByTimeAsync(60_000);
      expect(looks).toBe(i);
    }
  } finally {
    vi.useRealTimers();
  }
});

describe("what is empty goes", () => {
  test("[FIL-2] of groups and partitions, before workerd starts and while it runs", async () => {
    const partitions = join(storage, "rivulet-partition-v1");
    mkdirSync(partitions);
    for (const n of [1, 2]) make(pathOf(n));
    make(pathOf(3, partitions));
    expect(sweepAtRest(storage)).toBe(3);
    make(pathOf(4));
    make(pathOf(5, partitions));
    expect(await lookUntilDone(new Sweeper(storage, answered))).toBe(2);
    expect([...readdirSync(folder), ...readdirSync(partitions)]).toEqual([]);
  });

  test("[FIL-2] also what kill -9 has left beside it", () => {
    make(pathOf(1));
    writeFileSync(`${pathOf(1)}-wal`, "");
    writeFileSync(`${pathOf(1)}-shm`, new Uint8Array(32_768));
    expect(sweepAtRest(storage)).toBe(1);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("what may be something stays", () => {
  test("[FIL-2] a table, in the file or only in the write-ahead log of one that was killed", async () => {
    make(pathOf(1), "CREATE TABLE t (x)");
    const open2 = open(pathOf(2));
    open2.exec("CREATE TABLE t (x); INSERT INTO t VALUES (7)");
    const killed = `${pathOf(3)}`;
    // The leftovers of a killed process: the file of one page, and everything in the log beside it.
    writeFileSync(killed, readFileSync(pathOf(2)));
    writeFileSync(`${killed}-wal`, readFileSync(`${pathOf(2)}-wal`));
    expect(statSync(killed).size).toBeLessThanOrEqual(4_096);
    expect(sweepAtRest(storage)).toBe(0);
    expect(await lookUntilDone(new Sweeper(storage, answered))).toBe(0);
    expect(open(killed).prepare("SELECT x FROM t").all()).toEqual([{ x: 7 }]);
  });

  test("[FIL-2] a database that is open, a folder, text, and files of other names", async () => {
    open(pathOf(1)).prepare("SELECT 1 FROM sqlite_master").all();
    mkdirSync(pathOf(2));
    writeFileSync(pathOf(3), "this is no database");
    make(join(folder, "metadata.sqlite"));
    const before = readdirSync(folder).sort();
    expect(sweepAtRest(storage)).toBe(0);
    expect(await lookUntilDone(new Sweeper(storage, answered))).toBe(0);
    expect(readdirSync(folder).sort()).toEqual(before);
  });

  test("[FIL-2] what was made since the last check", async () => {
    const sweeper = new Sweeper(storage, answered);
    for (let look = 0; look < 6; look++) {
      rmSync(pathOf(1), { force: true });
      make(pathOf(1));
      expect(await sweeper.look()).toBe(0);
    }
    expect(existsSync(pathOf(1))).toBe(true);
  });
});

test("[FIL-2] whoever opens a file that goes is refused until workerd has answered, and then has a new one", async () => {
  make(pathOf(1));
  let reached = 0;
  const sweeper = new Sweeper(storage, async () => {
    if (++reached !== 3) return;
    // Between the file's removal and the response. A process that had already opened it cannot reach it…
    expect(existsSync(pathOf(1))).toBe(false);
    expect(() => early.exec("PRAGMA journal_mode = WAL")).toThrow(/locked/);
    // …and one that opens it now writes to a new one.
    open(pathOf(1)).exec("CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  });
  const early = new DatabaseSync(pathOf(1), { timeout: 0 });
  opened.push(early);
  expect(await lookUntilDone(sweeper)).toBe(1);
  const [, late] = opened;
  late?.exec("INSERT INTO t VALUES (2)");
  expect(open(pathOf(1)).prepare("SELECT x FROM t").all()).toEqual([{ x: 1 }, { x: 2 }]);
});
