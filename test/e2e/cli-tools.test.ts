// The command line's everyday tools over a real broker: positions and ends, lines and records, lists, alerts and costs.
import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { Kafka, logLevel } from "kafkajs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Consumer, type RecordInput, Rivulet } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";
import { type Outcome, runHere } from "./cli-here.ts";

const CLI = fileURLToPath(new URL("../../dist/rivulet.js", import.meta.url));
let broker: BrokerProcess;
beforeAll(async () => {
  broker = await BrokerProcess.start();
});
afterAll(() => broker.stop());

const folder = mkdtempSync(join(tmpdir(), "rivulet-cli-tools-"));

function rivulet(args: readonly string[], input = "", token = ""): Promise<Outcome> {
  return runHere(args, input, {
    XDG_CONFIG_HOME: folder,
    RIVULET_URL: broker.url,
    RIVULET_TOKEN: token,
  });
}

/** Prints what a command prints if it succeeds without a word on standard error. */
async function done(args: readonly string[], input = ""): Promise<string> {
  const outcome = await rivulet(args, input);
  expect(outcome, args.join(" ")).toMatchObject({ code: 0, err: "" });
  return outcome.out;
}

const sorted = (out: string) => out.trimEnd().split("\n").sort();
const client = () => new Rivulet({ url: broker.url });

async function setUp(
  name: string,
  records: readonly RecordInput[] = [],
  partitions = 1,
): Promise<void> {
  const { admin, producer } = client();
  await admin.createTopic({ name, partitions });
  await producer.send(name, records);
  await producer.close();
}

const at = (time: string) => Date.parse(`2026-11-01T${time}Z`);

describe("positions", () => {
  beforeAll(() =>
    setUp(
      "placed",
      [0, 1].flatMap((partition) =>
        [1, 2, 3].map((hour) => ({
          value: `${partition}-${hour}`,
          timestamp: at(`0${hour}:00`),
          partition,
        })),
      ),
      2,
    ),
  );

  const all = ["0-1", "0-2", "0-3", "1-1", "1-2", "1-3"];
  test.each([
    [["--exit"], all],
    [["--from", "earliest", "--exit"], all],
    [
      ["--from", "2026-11-01T02:00:00Z", "--exit"],
      ["0-2", "0-3", "1-2", "1-3"],
    ],
    [
      ["--from", "2026-11-01T02:00", "--until", "2026-11-01T03:00"],
      ["0-2", "1-2"],
    ],
    [
      ["--until", String(at("02:00"))],
      ["0-1", "1-1"],
    ],
    [["--from", "1m", "--exit"], []],
    [["--from", "latest", "--exit"], []],
    [["--until", "now", "--max", "1", "--partition", "1"], ["1-1"]],
    [
      ["--partition", "1", "--exit"],
      ["1-1", "1-2", "1-3"],
    ],
    [
      ["--partition", "0", "--from", "1", "--exit"],
      ["0-2", "0-3"],
    ],
    [["--partition", "0", "--from", "1", "--until", "2"], ["0-2"]],
    [["--partition", "0", "--from", "3", "--exit"], []],
    [
      ["--partition", "0", "--until", "9", "--exit"],
      ["0-1", "0-2", "0-3"],
    ],
  ])("[CLI-14] consume %j prints %j", async (options, values) => {
    const out = await done(["consume", "placed", ...options]);
    expect(out === "" ? [] : sorted(out)).toEqual(values);
  });

  test("[CLI-14] a duration counts back from now", async () => {
    const now = Date.now();
    await setUp("aged", [
      { value: "old", timestamp: now - 3 * 3_600_000 },
      { value: "new", timestamp: now - 3_600_000 },
    ]);
    expect(await done(["consume", "aged", "--from", "2h", "--exit"])).toBe("new\n");
    expect(await done(["consume", "aged", "--from", "PT4H", "--until", "2h"])).toBe("old\n");
  });

  test("[CLI-14] an offset may be waited for", async () => {
    await setUp("awaited", [{ value: "a" }]);
    const reading = done(["consume", "awaited", "--partition", "0", "--until", "2"]);
    await client().producer.send("awaited", [{ value: "b" }, { value: "c" }]);
    expect(await reading).toBe("a\nb\n");
  });

  test("[CLI-14] several topics are read without a group", async () => {
    await setUp("beside", [{ value: "x" }]);
    const out = await done(["consume", "placed", "beside", "--exit", "--print", "topic,value"]);
    expect(sorted(out)).toEqual(["beside\tx", ...all.map((value) => `placed\t${value}`)]);
  });

  test("[CLI-14] tail starts where it is told", async () => {
    const out = await done(["tail", "placed", "--partition", "0", "--from", "1", "--max", "2"]);
    expect(out).toBe("0-2\n0-3\n");
  });

  test.each([
    [["--from", "42"], /^--from is 42: an offset goes with --partition/],
    [
      ["--from", "4", "--partition", "0"],
      /^--from is 4, placed\/0 has offsets 0 to 2; with --part/,
    ],
    [["--partition", "2"], /^--partition is 2, placed has partitions 0 to 1/],
    [
      ["--until", "2999-01-01"],
      /^--until is 2999-01-01T00:00:00.000Z, it must not be later than now/,
    ],
    [
      ["--from", "2999-01-01"],
      /^--from is 2999-01-01T00:00:00.000Z, it must not be later than now/,
    ],
    [["--from", "999999999d"], /--from <position>.*It must not reach back beyond 1970/],
    [["--from", "2026-02-30", "--group", "g"], /--from <position>.*It must be/],
    [["--partition", "0", "--group", "g"], /^--partition goes without --group/],
    [["placed", "--partition", "0", "x"], /^--partition goes with one topic/],
    [["--key-separator", ":"], /^--key-separator goes with --print key,value/],
    [["--json", "--print", "key"], /^--json prints all fields/],
  ])("[CLI-14] [CLI-16] consume %j is rejected", async (options, err) => {
    const outcome = await rivulet(["consume", "placed", ...options]);
    expect(outcome).toEqual({ code: 2, out: "", err: expect.stringMatching(err) });
  });
});

describe("a group's member with an end", () => {
  const values = (partitions: number, from: number, to: number) =>
    Array.from({ length: (to - from) * partitions }, (_, i) => ({
      value: `${i % partitions}-${from + Math.floor(i / partitions)}`,
      partition: i % partitions,
    }));

  test("[CLI-15] it prints what there is, commits, leaves, and goes on there the next time", async () => {
    await setUp("drained", values(3, 0, 5), 3);
    const group = ["consume", "drained", "--group", "drain", "--exit"];
    expect(sorted(await done(group))).toHaveLength(15);
    const { admin, producer } = client();
    const left = await admin.describeGroup("drain");
    expect(left.members).toEqual([]);
    expect(left.offsets.map(({ committedOffset }) => committedOffset)).toEqual([5, 5, 5]);
    expect(await done(group)).toBe("");
    await producer.send("drained", [{ value: "more", partition: 1 }]);
    expect(await done(group)).toBe("more\n");
  });

  test("[CLI-14] [CLI-15] nothing after the end is printed or committed", async () => {
    await setUp("bounded", [
      { value: "a", timestamp: at("01:00") },
      { value: "b", timestamp: at("02:00") },
      { value: "c", timestamp: at("03:00") },
    ]);
    const group = ["consume", "bounded", "--group", "bound"];
    expect(await done([...group, "--until", "2026-11-01T02:00:00Z"])).toBe("a\n");
    const { offsets } = await client().admin.describeGroup("bound");
    expect(offsets).toMatchObject([{ committedOffset: 1 }]);
    expect(await done([...group, "--exit"])).toBe("b\nc\n");
  });

  test("[CLI-14] a group starts at a time only where it has committed nothing", async () => {
    await setUp("timed", [
      { value: "a", timestamp: at("01:00") },
      { value: "b", timestamp: at("02:00") },
    ]);
    const from = ["--from", "2026-11-01T02:00:00Z", "--exit"];
    expect(await done(["consume", "timed", "--group", "timed-1", ...from])).toBe("b\n");
    const { admin } = client();
    await admin.alterGroup("timed-2", { config: { "group.max.size": 9 } });
    await admin.resetGroup("timed-2", { to: "earliest", topics: ["timed"] });
    expect(await done(["consume", "timed", "--group", "timed-2", ...from])).toBe("a\nb\n");
    await admin.alterGroup("timed-3", { config: { "consumer.auto.offset.reset": "earliest" } });
    expect(await done(["consume", "timed", "--group", "timed-3", ...from])).toBe("a\nb\n");
  });

  /** A member that keeps what it has until it is closed. */
  async function member(groupId: string, topic: string, onRevoked?: () => Promise<void>) {
    let assigned = 0;
    const consumer: Consumer = client().consumer({
      groupId,
      topics: [topic],
      onAssigned: (partitions) => {
        assigned += partitions.length;
      },
      ...(onRevoked === undefined ? {} : { onRevoked }),
    });
    const running = consumer.run({ eachRecord: () => {} });
    await until("the other member has partitions", () => assigned > 0);
    return async () => {
      await consumer.close();
      await running;
    };
  }

  test("[CLI-15] if others have all partitions, it ends without a record", async () => {
    await setUp("taken", values(1, 0, 3));
    const close = await member("taken", "taken");
    const second = await done(["consume", "taken", "--group", "taken", "--exit"]);
    // Either of two members may get the only partition. Whoever gets it has read it.
    expect(["", "0-0\n0-1\n0-2\n"]).toContain(second);
    await close();
    const { offsets } = await client().admin.describeGroup("taken");
    expect(offsets).toMatchObject([{ committedOffset: 3 }]);
  });

  test("[CLI-15] it waits for a partition that another member still has to give up", async () => {
    await setUp("shared", values(2, 0, 2), 2);
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let isAsked = false;
    const close = await member("shared", "shared", () => {
      isAsked = true;
      return held;
    });
    await client().producer.send("shared", values(2, 2, 4));
    let isOver = false;
    const reading = done(["consume", "shared", "--group", "shared", "--exit"]).finally(() => {
      isOver = true;
    });
    await until("the other member is asked for a partition", () => isAsked);
    expect(isOver).toBe(false);
    release();
    await reading;
    await close();
    const { offsets } = await client().admin.describeGroup("shared");
    expect(offsets.map(({ committedOffset }) => committedOffset)).toEqual([4, 4]);
  });
});

describe("a group that takes a partition away", () => {
  test("[CLI-15] the member ends without the partition, and the other goes on where it was committed", async () => {
    const filler = "x".repeat(10_000);
    const records = Array.from({ length: 600 }, (_, i) => ({
      value: `${i} ${filler}`,
      partition: i % 2,
    }));
    await setUp("moved", records, 2);
    const print = ["--print", "partition,offset,value"];
    const args = ["consume", "moved", "--group", "move", "--exit", ...print];
    const child = spawn(process.execPath, [CLI, ...args], {
      env: { ...process.env, XDG_CONFIG_HOME: folder, RIVULET_URL: broker.url, RIVULET_TOKEN: "" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    // Nobody reads the pipe, so the member stops in the middle.
    const history = async () =>
      await client()
        .admin.groupHistory("move")
        .catch(() => []);
    const has = async (type: string) => (await history()).some((entry) => entry.type === type);
    await until("it has both partitions", () => has("assigned"));
    const others: string[] = [];
    const other = client().consumer({ groupId: "move", topics: ["moved"] });
    const running = other.run({
      eachRecord: ({ offset }, { partition }) => others.push(`${partition}\t${offset}`),
    });
    await until("it is told to give one up", () => has("revoking"));
    let out = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      out += text;
    });
    const code = await new Promise((resolve) => child.once("close", resolve));
    expect(code).toBe(0);
    const printed = out
      .trimEnd()
      .split("\n")
      .map((line) => line.split("\t").slice(0, 2).join("\t"));
    await until("the rest is read", () => printed.length + others.length >= records.length);
    await other.close();
    await running;
    const all = records.map(({ partition }, i) => `${partition}\t${Math.floor(i / 2)}`);
    expect([...printed, ...others].sort()).toEqual(all.sort());
    expect(others.length).toBeGreaterThan(0);
  });
});

describe("lines and records", () => {
  test("[CLI-16] [CLI-17] what --print key,value prints, produce reads again", async () => {
    await setUp("pairs", [], 2);
    const lines = "k1:a:b\nk2:c\nk1:\nk3:NULL\n";
    const header = ["--header", "source=shop", "--header", "source=web", "--header", "n=1"];
    await done(
      ["produce", "pairs", "--key-separator", ":", "--null-value", "NULL", ...header].concat([
        "--timestamp",
        "2026-11-01T01:00:00Z",
      ]),
      lines,
    );
    const print = ["--exit", "--print", "key,value", "--key-separator", ":"];
    expect(sorted(await done(["consume", "pairs", ...print]))).toEqual(
      sorted("k1:a:b\nk2:c\nk1:\nk3:null\n"),
    );
    const json = (await done(["--json", "consume", "pairs", "--exit"])).trimEnd().split("\n");
    for (const line of json)
      expect(JSON.parse(line)).toMatchObject({
        timestamp: at("01:00"),
        headers: { source: ["shop", "web"], n: "1" },
      });
    expect(
      json.map((line) => JSON.parse(line).value).filter((value) => value === null),
    ).toHaveLength(1);
    const shown = await done(["consume", "pairs", "--exit", "--print", "timestamp,headers,key"]);
    expect(sorted(shown)[0]).toBe("2026-11-01T01:00:00.000Z\tsource=shop,source=web,n=1\tk1");
  });

  test("[CLI-17] a tombstone is written by its key, and reads no input", async () => {
    await setUp("customers", [], 3);
    const options = ["--tombstone", "--key", "c-7", "--header", "by=ops"];
    expect(await done(["produce", "customers", ...options])).toMatch(
      /^Appended a tombstone for c-7 to partition \d of customers\.\n$/,
    );
    const json = JSON.parse(await done(["--json", "produce", "customers", ...options]));
    expect(json).toMatchObject({ topic: "customers", records: 1 });
    const [line = ""] = (await done(["--json", "consume", "customers", "-e", "-n", "1"])).split(
      "\n",
    );
    expect(JSON.parse(line)).toMatchObject({ key: "c-7", value: null, headers: { by: "ops" } });
    for (const [args, err] of [
      [["--tombstone"], /^--tombstone goes with --key/],
      [["--tombstone", "--key", "k", "--array"], /^--tombstone reads no input/],
      [["--key", "k", "--key-separator", ":"], /^--key and --key-separator exclude each other/],
    ] as const)
      expect(await rivulet(["produce", "customers", ...args])).toMatchObject({
        code: 2,
        err: expect.stringMatching(err),
      });
  });

  test.each([
    ["gz", gzipSync("a\nb\n"), [], /gunzip -c \S+\.gz \| rivulet produce/],
    ["utf16", Buffer.from("\ufeffa\n", "utf16le"), [], /iconv -f UTF-16 -t UTF-8/],
    ["nul", Buffer.from("a\0b\n"), [], /has NUL bytes/],
    [
      "json",
      Buffer.from('[\n  {"a": 1}\n]\n'),
      [],
      /give --array, or `jq -c '\.\[\]' \S+\.json \|/,
    ],
    ["objects", Buffer.from('{\n  "a": 1\n}\n'), ["--key-field", "a"], /`jq -c \. \S+\.objects \|/],
  ])(
    "[CLI-18] a file %s is rejected before anything is stored",
    async (name, bytes, options, err) => {
      const topic = `refused-${name}`;
      await setUp(topic);
      const file = join(folder, `file.${name}`);
      writeFileSync(file, bytes);
      const refused = await rivulet(["produce", topic, "--file", file, ...options]);
      expect(refused).toMatchObject({ code: 2, out: "", err: expect.stringMatching(err) });
      expect(await done(["consume", topic, "--exit"])).toBe("");
      await done(["produce", topic, "--file", file, "--raw"]);
      expect(await done(["consume", topic, "--exit"])).not.toBe("");
    },
  );
});

describe("lists", () => {
  beforeAll(async () => {
    await setUp(
      "large",
      Array.from({ length: 50 }, (_, i) => ({ value: `${i}`.repeat(100) })),
    );
    await setUp("small", [{ value: "1" }, { value: "2" }]);
    const { admin } = client();
    for (const groupId of ["behind", "read"]) {
      await admin.alterGroup(groupId, { config: { "group.max.size": 9 } });
      const to = groupId === "read" ? "latest" : "earliest";
      await admin.resetGroup(groupId, { to, topics: ["large"] });
    }
  });

  interface ListedTopic {
    readonly name: string;
    readonly records: number | null;
    readonly bytes: number | null;
  }
  interface ListedGroup {
    readonly groupId: string;
    readonly lag: number | null;
  }

  test("[CLI-19] topics are listed with their sizes, the largest first if asked", async () => {
    const listed = async () =>
      JSON.parse(await done(["--json", "topics", "list", "--sort", "records"])) as ListedTopic[];
    const all = await until("the metrics know both topics", async () => {
      const topics = await listed();
      const known = topics.filter(({ records, bytes }) => records !== null && bytes !== null);
      return known.filter(({ name }) => /^(large|small)$/.test(name)).length === 2 && topics;
    });
    const named = (name: string) => all.find((topic) => topic.name === name);
    expect(named("large")).toMatchObject({ partitions: 1, records: 50, config: {} });
    expect(named("small")?.records).toBe(2);
    expect(named("large")?.bytes).toBeGreaterThan(5_000);
    const sizes = all.map(({ records }) => records ?? -1);
    expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
    const table = await done(["topics", "list", "--sort", "name"]);
    expect(table).toMatch(/^TOPIC +PARTITIONS +RECORDS +STORED\n/);
    expect(table).toMatch(/\nlarge +1 +50 +[\d.]+ kB\n[\s\S]*\nsmall +1 +2 +[\d.]+ kB\n/);
  });

  test("[CLI-19] groups are listed with state, members and lag, by lag or by state if asked", async () => {
    const listed = async (...options: string[]) =>
      JSON.parse(await done(["--json", "groups", "list", ...options])) as ListedGroup[];
    const all = await until("the metrics know the lag", async () => {
      const groups = await listed("--sort", "lag");
      const known = groups.filter(({ lag }) => lag !== null).map(({ groupId }) => groupId);
      return known.includes("behind") && known.includes("read") && groups;
    });
    const named = (groupId: string) => all.find((group) => group.groupId === groupId);
    expect(named("behind")).toMatchObject({ state: "EMPTY", members: 0, lag: 50 });
    expect(named("read")).toMatchObject({ lag: 0, oldestUnreadMs: 0 });
    expect(all[0]?.groupId).toBe("behind");
    expect(await done(["groups", "list"])).toMatch(
      /^GROUP +STATE +MEMBERS +LAG +BEHIND\nbehind +EMPTY +0 +50 +\d+(ms|s|m)\n/,
    );
    const empty = await listed("--state", "empty");
    expect(empty.map(({ groupId }) => groupId)).toEqual(expect.arrayContaining(["behind", "read"]));
    expect(await done(["groups", "list", "--state", "RECONCILING"])).toBe(
      "There are no groups in the state RECONCILING.\n",
    );
  });

  test("[CLI-19] a column shows a dash to a caller that may not see it", async () => {
    const closed = await BrokerProcess.start({
      env: { RIVULET_ROOT_KEY: "the-root-of-this-test" },
    });
    const { admin } = new Rivulet({ url: closed.url, token: "the-root-of-this-test" });
    await admin.createTopic({ name: "seen" });
    const { key } = await admin.createKey({ principal: "reader", role: "read" });
    const list = (...args: string[]) =>
      runHere(args, "", { XDG_CONFIG_HOME: folder, RIVULET_URL: closed.url, RIVULET_TOKEN: key });
    expect(await list("topics", "list")).toEqual({
      code: 0,
      out: "TOPIC  PARTITIONS  RECORDS  STORED\nseen            1        -       -\n",
      err: "",
    });
    expect(await list("groups", "list")).toMatchObject({ code: 0, err: "" });
    expect(await list("costs")).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^CLUSTER_AUTHORIZATION_FAILED: .*\n`rivulet whoami` shows/),
    });
    await closed.stop();
  });
});

describe("alerts and costs", () => {
  let receiver: Server;
  const received: string[] = [];
  beforeAll(async () => {
    receiver = createServer(async (request, response) => {
      let body = "";
      for await (const piece of request) body += piece;
      received.push(JSON.parse(body).type);
      response.end();
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => receiver.once("listening", resolve));
  });
  afterAll(() => receiver.close());

  test("[CLI-20] an alert is set, listed, shown, tested, replaced and deleted", async () => {
    expect(await done(["alerts", "list"])).toMatch(/^There are no alerts\./);
    const { port } = receiver.address() as AddressInfo;
    const webhook = `http://127.0.0.1:${port}/hook`;
    const set = await done(
      ["alerts", "set", "late", "--type", "group-lag", "--match", "billing"].concat([
        ...["--threshold", "5m", "--for", "30s", "--webhook", webhook],
      ]),
    );
    expect(set).toMatch(
      /^Set alert late: group billing is 5m behind for 30s\.\nIts secret[^\n]*:\nwhsec_\S+\n$/,
    );
    expect(await done(["alerts", "list"])).toMatch(
      /^ALERT +RULE +FIRING +WEBHOOK +LAST MESSAGE\nlate +group billing is 5m behind for 30s +0 +http:\S+ +-\n$/,
    );
    expect(await done(["alerts", "test", "late"])).toBe(
      "A test message for alert late is on its way.\n",
    );
    await until("the webhook is told", () => received.includes("alert.test"));
    const shown = await until("the message is noted", async () => {
      const out = await done(["alerts", "show", "late"]);
      return out.includes("delivered at") && out;
    });
    expect(shown).toMatch(/^Alert: +late\nRule: +group billing[\s\S]*\n\nNothing is firing\.\n$/);

    const replaced = JSON.parse(
      await done(["--json", "alerts", "set", "late", "--type", "budget"]),
    );
    expect(replaced).toEqual({
      ...{ name: "late", type: "budget", match: "*", threshold: 80, forSeconds: 0, webhook: null },
    });
    const [info] = JSON.parse(await done(["--json", "alerts", "list"]));
    expect(info).toMatchObject({ name: "late", type: "budget", firing: [] });
    expect(await done(["alerts", "delete", "late"])).toBe("Deleted alert late.\n");
    for (const verb of ["show", "delete", "test"])
      expect(await rivulet(["alerts", verb, "late"])).toMatchObject({
        code: 1,
        err: expect.stringMatching(/^RESOURCE_NOT_FOUND: there is no alert late/),
      });
    const wrong = await rivulet(["alerts", "set", "x", "--type", "budget", "--threshold", "5m"]);
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining("must be in percent") });
  });

  test("[CLI-20] costs are shown by topic and group, and add up to a total", async () => {
    await setUp("priced", [{ value: "1" }]);
    const answer = await until("the topic has a line", async () => {
      const costs = JSON.parse(await done(["--json", "costs", "--topic", "priced"]));
      return costs.lines.length === 1 && costs;
    });
    expect(answer.lines[0]).toMatchObject({ kind: "topic", name: "priced" });
    expect(answer.lines[0].month).toBeGreaterThan(0);
    expect(answer.total.month).toBeGreaterThan(answer.lines[0].month);
    const table = await done(["costs", "--kind", "topic", "--limit", "1"]);
    expect(table).toMatch(
      /^KIND +NAME +AN HOUR +TODAY +THIS MONTH +PROJECTED\ntopic +\S+( +<?\$[\d.]+){4}\n/,
    );
    expect(table).toMatch(
      /\n… +more with --limit( +-){4}\ntotal +of everything( +<?\$[\d.]+){4}\n\n/,
    );
    expect(table).toMatch(
      /\nDollars at Cloudflare's prices of [^\n]*, without what a plan includes\.\n$/,
    );
    expect(await rivulet(["costs", "--topic", "a", "--group", "b"])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/^give --kind, --topic or --group, not several/),
    });
  });
});

describe("a member with a name that steers a terminal", () => {
  test("[CLI-22] its control characters are shown in every table, and are in the JSON", async () => {
    await setUp("named", [{ value: "a" }]);
    const clientId = "\x1b[31mevil\x1b]0;x\x07\nROW";
    const shown = "\\x1b[31mevil\\x1b]0;x\\x07\\x0aROW";
    const groupId = "steered";
    // A native member's name has no such characters. The names of Kafka clients come as they are.
    const kafka = new Kafka({ clientId, brokers: [broker.kafka], logLevel: logLevel.NOTHING });
    const consumer = kafka.consumer({ groupId });
    await consumer.connect();
    await consumer.subscribe({ topics: ["named"] });
    const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
    await consumer.run({ eachMessage: async () => {} });
    await joined;
    const texts = [
      await done(["groups", "describe", groupId]),
      await done(["groups", "lag", groupId]),
      await done(["groups", "history", groupId]),
    ];
    for (const text of texts) {
      expect(text).toContain(shown);
      expect(text.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
    }
    const json = JSON.parse(await done(["--json", "groups", "describe", groupId]));
    expect(json.members[0].clientId).toBe(clientId);
    await consumer.disconnect();
  });
});

describe("what nobody meant", () => {
  test("[CLI-18] a carriage return ends a line with the line feed, and --raw keeps it", async () => {
    await setUp("returns");
    await done(["produce", "returns"], "a\r\nb\n");
    await done(["produce", "returns", "--raw"], "c\r\n");
    expect(await done(["consume", "returns", "--exit"])).toBe("a\nb\nc\r\n");
  });

  test("[SYS-3] a reset that would set nothing is an error that names --topic", async () => {
    await done(["groups", "alter", "new-group", "--config", "consumer.assignor=range"]);
    const { code, out, err } = await rivulet(["groups", "reset", "new-group", "--to", "latest"]);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(
      /^group new-group has committed nothing yet, .* name its topics with --topic\n$/,
    );
  });

  test("[SYS-3] the bridge says which port is taken", async () => {
    const { code, err } = await rivulet(["kafka-bridge", "--port", String(broker.port)]);
    expect(code).toBe(1);
    expect(err).toBe(
      `port ${broker.port} on 127.0.0.1 is taken; stop what uses it, or choose another with --port\n`,
    );
  });
});
