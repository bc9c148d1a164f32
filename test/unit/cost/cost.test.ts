// The program that predicts a workload's cost: its arithmetic, its words, and its quotes in ARCHITECTURE.md.
import { execFileSync } from "node:child_process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { dollarsOf, PRICES, SECONDS_PER_MONTH } from "../../../src/core/metrics/prices.ts";
import { billOf } from "../../cost/bill.ts";
import { documentedBills, HEAD } from "../../cost/documented.ts";
import { projectCounts, projectSampling, textOf } from "../../cost/project.ts";
import { linesOf, trafficOf } from "../../cost/rates.ts";
import { commitsOf, shareRows } from "../../cost/sharing.ts";
import { bytesOnPages } from "../../cost/stored.ts";
import { parseWorkload, type Workload, WorkloadError } from "../../cost/workload.ts";
import { documented, numberOf } from "../../support/cost-table.ts";

const COUNTS = projectCounts();
const MAIN = fileURLToPath(new URL("../../cost/main.ts", import.meta.url));

const BASE = { name: "w", partitions: 1, recordsPerSecond: 100 };

function workload(fields: object): Workload {
  return parseWorkload({ ...BASE, ...fields }, 0);
}

function fileOf(name: string, set: object = {}): Workload {
  const json = JSON.parse(textOf(`test/cost/workloads/${name}.json`)) as object;
  return parseWorkload({ ...json, ...set }, projectSampling());
}

describe("the bill", () => {
  test("[COST-3] is that of ARCHITECTURE.md, line by line", () => {
    const section = textOf("ARCHITECTURE.md").split("### Workloads for a month\n")[1] ?? "";
    const table = section.split("\n#")[0]?.split("\n") ?? [];
    expect(table).toContain(HEAD);
    const rows = table.filter((line) => line.startsWith("| ") && line.includes("**"));
    const lines = documentedBills(textOf, COUNTS, projectSampling()).map(({ line }) => line);
    expect(rows.filter((row) => row !== HEAD)).toEqual(lines);
  });

  test("[COST-3] is what docs/costs.md says of devices and tenants", () => {
    const page = textOf("docs/costs.md").replace(/\s+/g, " ");
    const about = (workload: Workload, precision: number) => {
      const rounded = Math.round(billOf(workload, COUNTS).total / precision) * precision;
      return `$${rounded.toLocaleString("en")}`;
    };
    expect(page).toContain(`cost ${about(fileOf("devices"), 100)} a month`);
    const lingering = about(fileOf("devices", { lingerMs: 100 }), 100);
    expect(page).toContain(`and ${lingering} with \`commit.linger.ms=100\``);
    expect(page).toContain(`each cost ${about(fileOf("quiet-tenants"), 1)} while they are silent`);
    const trickling = about(fileOf("tenants-of-a-record-a-minute"), 10);
    expect(page).toContain(`${trickling} with a record a minute each`);
  });

  test("[COST-3] of a hundred unbatched records a second is what one computes by hand", () => {
    const bill = billOf(workload({ commitMs: 0, reconnectsPerMonth: 0, isClosed: false }), COUNTS);
    const records = 100 * SECONDS_PER_MONTH;
    expect(records).toBe(259_200_000);
    const { rowsWritten, objectRequests, workerRequests, workerCpu } = bill.items;
    // A row each, a snapshot for 64 of them, and now and then a segment.
    expect(rowsWritten.count / (records * (1 + 1 / 64))).toBeCloseTo(1, 4);
    expect(rowsWritten.dollars).toBeCloseTo(259.2 * (1 + 1 / 64) - 50, 0);
    expect(objectRequests.dollars).toBeCloseTo(0.15 * 258.2, 1);
    expect(workerRequests.dollars).toBeCloseTo(0.3 * 249.2, 5);
    expect(workerCpu.dollars).toBeCloseTo(0.02 * (259.2 * 1.52 - 30), 5);
    const sum = Object.values(bill.items).reduce((total, { dollars }) => total + dollars, 5);
    expect(bill.total).toBeCloseTo(sum, 9);
  });

  test("[COST-3] subtracts what the plan includes once", () => {
    for (const kind of Object.keys(PRICES) as (keyof typeof PRICES)[]) {
      const { included, per, dollars } = PRICES[kind];
      expect(dollarsOf(kind, included), kind).toBe(0);
      expect(dollarsOf(kind, included + per), kind).toBeCloseTo(dollars, 9);
    }
  });

  test("[COST-3] has K2 and Queues beside it", () => {
    const bill = billOf(fileOf("event-bus", { keyBytes: 0 }), COUNTS);
    // 2,592 GB in and out three times, 604.8 GB kept; the plan.
    expect(bill.k2.dollars).toBeCloseTo(2_592 * 0.04 * 4 + 604.8 * 0.02 + 5, 6);
    expect(bill.k2.notes.join()).toContain("605 GB kept, an account has 10");
    expect(bill.queues.dollars).toBeCloseTo((3 * 3 * 2_592 - 1) * 0.4 + 5, 6);
  });

  test("[COST-3] says where a workload does not fit", () => {
    const [reason, ...others] = billOf(fileOf("event-bus"), COUNTS).unfit;
    expect(reason).toMatch(
      /^a partition would keep 5\d\.\d GB, its bound is 9\.5 GB: 12 partitions/,
    );
    expect(others).toEqual([]);
    expect(billOf(fileOf("event-bus", { retentionDays: 1 }), COUNTS).unfit).toEqual([]);
    const bounded = billOf(fileOf("event-bus", { retentionBytes: 5e9 }), COUNTS);
    expect(bounded.unfit).toEqual([
      expect.stringMatching(/^retention\.bytes \(5\.0 GB\) keeps 0\./),
    ]);
    const busy = billOf(workload({ recordsPerSecond: 501, retentionDays: 0.1 }), COUNTS);
    expect(busy.unfit).toEqual([expect.stringContaining("501 requests a second")]);
  });

  test("[COST-3] of logs is the smaller part of it if wrangler.toml samples them", () => {
    for (const { what, bill } of documentedBills(textOf, COUNTS, projectSampling())) {
      expect(bill.items.logs.dollars, what).toBeLessThan(bill.total / 50);
    }
    const all = billOf(fileOf("devices", { logSampling: 1 }), COUNTS);
    expect(all.items.logs.dollars).toBe(all.logsOfAll);
    expect(all.logsOfAll).toBeGreaterThan(all.total / 2);
  });
});

describe("rates", () => {
  // `npm run bench -- linger`: a thousand records a second, snapshots included.
  test.each([{ linger: 0.02 }, { linger: 0.1 }])(
    "[COST-4] rows that wait $linger s are those that the bench counts",
    ({ linger }) => {
      const row = `a record a second each, ${1_000 * linger} ms`;
      const measured = numberOf(documented(textOf("ARCHITECTURE.md"), row)[1]);
      const { rows } = shareRows(1_000, linger, 0.001);
      const perMillion = rows * 1_000 * (1 + 1 / 64);
      expect(Math.abs(perMillion - measured)).toBeLessThanOrEqual(measured / 10);
    },
  );

  test("[COST-3] a keyed request is an append in each partition that it has a key for", () => {
    const { touched, appends } = trafficOf(fileOf("event-bus"));
    expect(touched).toBeCloseTo(12, 1);
    expect(appends).toBeCloseTo(10, 1);
    expect(trafficOf(fileOf("event-bus", { isKeyed: false })).touched).toBe(1);
  });

  test("[COST-3] waiting for a commit or for others keeps the partition awake", () => {
    expect(shareRows(10, 0, 0.03).awake).toBeCloseTo(shareRows(10, 0, 0.03).rows * 0.03, 6);
    expect(shareRows(10, 0.1, 0.03).awake).toBeGreaterThan(2 * shareRows(10, 0, 0.03).awake);
    expect(shareRows(1_000, 0.1, 0.03).awake).toBeCloseTo(1, 3);
  });

  test("[COST-3] an object that has slept requests a socket's key again", () => {
    const calls = (recordsPerSecond: number, isClosed = true) =>
      linesOf(workload({ recordsPerSecond, groups: 1, isClosed }), COUNTS)
        .filter(({ what }) => what.startsWith("API keys of sockets"))
        .reduce((sum, line) => sum + (line.calls ?? 0), 0);
    // With each record a window and a commit, or two sockets each 5 minutes.
    expect(calls(1 / 3_600)).toBeCloseTo(2 / 3_600, 9);
    expect(calls(100)).toBeCloseTo(2 / 300, 9);
    expect(calls(100, false)).toBe(0);
  });

  test("[COST-3] a member commits at its interval at least, and once a second at most", () => {
    const each = { linger: 0, independent: 1, interval: 5 };
    const rate = (appends: number) =>
      commitsOf({ ...each, appends, frames: appends, requests: appends });
    expect(rate(200)).toBeCloseTo(1 / 5, 3);
    expect(rate(2)).toBeGreaterThan(0.8);
    expect(rate(2)).toBeLessThanOrEqual(1);
    expect(rate(1 / 60)).toBeCloseTo(1 / 60, 6);
  });

  test.each([360, 1_000, 3_000, 8_800, 36_000])(
    "[COST-4] a row of %i bytes takes as much as SQLite needs for it",
    (size) => {
      const database = new DatabaseSync(":memory:");
      database.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, batches BLOB)");
      const insert = database.prepare("INSERT INTO t VALUES (?, ?)");
      const rows = Math.max(200, Math.floor(2e6 / size));
      let bytes = 0;
      for (let i = 0; i < rows; i++) {
        const own = Math.round(size * (0.8 + (0.4 * ((i * 7) % 100)) / 100));
        bytes += bytesOnPages(own);
        insert.run(i, new Uint8Array(own));
      }
      const { page_count } = database.prepare("PRAGMA page_count").get() as { page_count: number };
      database.close();
      expect(Math.abs(bytes / (4_096 * page_count) - 1)).toBeLessThan(0.1);
    },
  );
});

describe("input", () => {
  test.each([
    { json: null, says: "a workload is an object, not null" },
    { json: [], says: "a workload is an object, not []" },
    { json: { partitions: 1 }, says: "name is undefined, it must be text" },
    {
      json: { name: "w" },
      says: "partitions is missing, it must be a whole number from 1 to 1000",
    },
    {
      json: { ...BASE, partitions: 0 },
      says: "partitions is 0, it must be a whole number from 1 to 1000",
    },
    { json: { ...BASE, partitions: 1.5 }, says: "partitions is 1.5, it must be a whole number" },
    {
      json: { ...BASE, recordBytes: "x" },
      says: 'recordBytes is "x", it must be a whole number from 0',
    },
    {
      json: { ...BASE, lingerMs: 1_001 },
      says: "lingerMs is 1001, it must be a whole number from 0 to 1000",
    },
    {
      json: { ...BASE, logSampling: 2 },
      says: "logSampling is 2, it must be a number from 0 to 1",
    },
    { json: { ...BASE, isKeyed: 1 }, says: "isKeyed is 1, it must be true or false" },
    {
      json: { ...BASE, record: 1 },
      says: "record is no field, the fields are name, topics, partitions",
    },
  ])("[COST-5] $says", ({ json, says }) => {
    const parse = () => parseWorkload(json, 0.01);
    expect(parse).toThrow(WorkloadError);
    expect(parse).toThrow(says);
  });

  const run = (...args: string[]) =>
    execFileSync(process.execPath, [MAIN, ...args], { encoding: "utf8", stdio: "pipe" });

  test("[COST-3] the program prints the bill, and the same as JSON", () => {
    const path = fileURLToPath(new URL("../../cost/workloads/devices.json", import.meta.url));
    const { total } = billOf(fileOf("devices", { lingerMs: 100 }), COUNTS);
    const text = run(path, "--set", "lingerMs=100");
    expect(text).toContain(`devices: $${total.toFixed(2)} a month`);
    expect(text).toContain("Does not fit: a partition would keep");
    expect(JSON.parse(run(path, "--set", "lingerMs=100", "--json"))).toMatchObject({
      workload: { name: "devices", lingerMs: 100, logSampling: projectSampling() },
      total,
    });
  });

  test("[COST-5] the program names the file and its fault, and fails", () => {
    const path = fileURLToPath(new URL("../../cost/workloads/devices.json", import.meta.url));
    expect(() => run(path, "--set", "partitions=0")).toThrow(
      /devices\.json: partitions is 0, it must be a whole number from 1 to 1000/,
    );
  });
});
