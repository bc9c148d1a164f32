import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";
import { type Outcome, runHere } from "./cli-here.ts";

const CLI = fileURLToPath(new URL("../../dist/rivulet.js", import.meta.url));
let broker: BrokerProcess;
beforeAll(async () => {
  broker = await BrokerProcess.start();
});
afterAll(() => broker.stop());

/** A test's preparation that is not its subject: a topic that holds `values`. */
async function setUp(name: string, values: readonly string[] = [], partitions = 1): Promise<void> {
  const { admin, producer } = new Rivulet({ url: broker.url });
  await admin.createTopic({ name, partitions });
  if (values.length > 0)
    await producer.send(
      name,
      values.map((value) => ({ value })),
    );
  await producer.close();
}

/** A group without members that has read nothing. */
async function startGroup(groupId: string, topic: string): Promise<void> {
  const { admin } = new Rivulet({ url: broker.url });
  await admin.alterGroup(groupId, { config: { "group.max.size": 5 } });
  await admin.resetGroup(groupId, { to: "earliest", topics: [topic] });
}

/** Nothing of the person who runs the tests. */
const folder = mkdtempSync(join(tmpdir(), "rivulet-cli-"));
function settings(url = broker.url) {
  return { XDG_CONFIG_HOME: folder, RIVULET_URL: url, RIVULET_TOKEN: "" };
}

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, ...settings() };
}

interface Running {
  readonly child: ChildProcess;
  /** Its output so far. */
  readonly printed: { out: string; err: string };
  readonly ended: Promise<Outcome>;
}

function start(command: string, args: readonly string[], env = environment()): Running {
  const child = spawn(command, args, { env });
  const printed = { out: "", err: "" };
  child.stdout.on("data", (data) => {
    printed.out += data;
  });
  child.stderr.on("data", (data) => {
    printed.err += data;
  });
  const ended = new Promise<Outcome>((resolve) =>
    child.once("close", (code) => resolve({ code, ...printed })),
  );
  return { child, printed, ended };
}

/** In this process, because most effects of a command are visible there. */
function rivulet(
  args: readonly string[],
  options: { input?: string; url?: string } = {},
): Promise<Outcome> {
  return runHere(args, options.input ?? "", settings(options.url));
}

/** As a person runs it: the bundle, in a process that ends by itself. */
function rivuletProcess(args: readonly string[], input = ""): Promise<Outcome> {
  const { child, ended } = start(process.execPath, [CLI, ...args]);
  child.stdin?.end(input);
  return ended;
}

/** In a shell in which `rivulet` is this. */
const FUNCTION = `rivulet() { '${process.execPath}' '${CLI}' "$@"; }`;

function post(topic: string, values: readonly unknown[]): Promise<Response> {
  const records = values.map((value, partition) => ({ value, partition }));
  const body = JSON.stringify({ records });
  return fetch(`${broker.url}/v1/topics/${topic}/records`, { method: "POST", body });
}

describe("topics", () => {
  test("[SYS-3] topics are created, listed, described and deleted", async () => {
    expect(await rivuletProcess(["topics", "create", "cli-a", "--partitions", "3"])).toEqual({
      code: 0,
      out: "Created topic cli-a with 3 partitions.\n",
      err: "",
    });
    expect((await rivuletProcess(["topics", "list"])).out).toMatch(
      /^TOPIC +PARTITIONS +RECORDS +STORED\ncli-a +3 +\S+ +\S+\n$/,
    );
    const described = await rivuletProcess(["topics", "describe", "cli-a"]);
    expect(described.out).toContain(
      "PARTITION  LOG START  LOG END  OFFSETS\n        0          0        0        0\n",
    );
    const json = JSON.parse((await rivuletProcess(["--json", "topics", "describe", "cli-a"])).out);
    expect(json).toMatchObject({ name: "cli-a", partitions: 3, offsets: [{}, {}, {}] });
    expect((await rivuletProcess(["topics", "delete", "cli-a"])).out).toBe(
      "Deleted topic cli-a.\n",
    );
    expect((await rivuletProcess(["topics", "list"])).out).toContain("There are no topics.");
  });

  test("[SYS-3] a config value is set, and a wrong one is explained", async () => {
    expect(
      (await rivulet(["topics", "create", "cli-c", "-c", "max.message.bytes=1000"])).code,
    ).toBe(0);
    const wrong = await rivulet(["topics", "create", "cli-d", "-c", "max.message.bytes=x"]);
    expect(wrong).toMatchObject({
      code: 1,
      err: expect.stringContaining('INVALID_CONFIG: config max.message.bytes is "x"'),
    });
  });
});

describe("configs", () => {
  test("[SYS-3] [CFG-2] a topic's config and the defaults are altered, shown and set back", async () => {
    await rivulet(["topics", "create", "cli-config", "-c", "segment.ms=60000"]);
    const altered = await rivulet(
      ["topics", "alter", "cli-config", "-p", "2"].concat([
        "-c",
        "retention.ms=-1",
        "--unset",
        "segment.ms",
      ]),
    );
    expect(altered).toEqual({
      code: 0,
      out: "Altered topic cli-config.\nSet: retention.ms=-1\n",
      err: "",
    });
    const keeping = await rivulet(["topics", "alter", "cli-config", "-c", "cleanup.policy="]);
    expect(keeping.out).toContain("cleanup.policy=");
    expect((await rivulet(["topics", "describe", "cli-config"])).out).toMatch(
      /Config: .*retention\.ms=-1/,
    );

    expect((await rivulet(["configs", "alter", "-c", "retention.bytes=5000"])).out).toBe(
      "Altered the defaults.\nSet: retention.bytes=5000\n",
    );
    expect((await rivulet(["configs", "describe"])).out).toMatch(/retention\.bytes +5000 +set/);
    const json = JSON.parse((await rivulet(["--json", "topics", "describe", "cli-config"])).out);
    expect(json.config).toMatchObject({ "retention.bytes": 5_000, "retention.ms": -1 });
    expect((await rivulet(["configs", "alter", "--unset", "retention.bytes"])).out).toContain(
      "Nothing is set",
    );
    expect((await rivulet(["configs", "alter"])).code).toBe(2);
    const wrong = await rivulet(["configs", "alter", "-c", "retention.ms=-2"]);
    expect(wrong.code).toBe(1);
    expect(wrong.err).toMatch(/INVALID_CONFIG.*retention\.ms is "-2".*-1 to/);
  });
});

describe("records", () => {
  test("[SYS-3] piped input comes out again, keyed by a field", async () => {
    await setUp("cli-r", [], 4);
    const lines = Array.from({ length: 50 }, (_, i) => JSON.stringify({ id: `o-${i % 7}`, n: i }));
    const produced = await rivuletProcess(
      ["produce", "cli-r", "--key-field", "id"],
      `${lines.join("\n")}\n`,
    );
    expect(produced.out).toMatch(/^Produced 50 records to \d partitions of cli-r\.\n$/);
    const consumed = await rivuletProcess(["consume", "cli-r", "--exit"]);
    expect(consumed.out.trimEnd().split("\n").sort()).toEqual([...lines].sort());

    const json = (await rivulet(["--json", "consume", "cli-r", "--exit"])).out
      .trimEnd()
      .split("\n");
    const byKey = Map.groupBy(
      json.map((line) => JSON.parse(line)),
      (record) => record.key,
    );
    expect(byKey.size).toBe(7);
    for (const records of byKey.values()) {
      expect(new Set(records.map((record) => record.partition)).size).toBe(1);
      const numbers = records.map((record) => JSON.parse(record.value).n);
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    }
  });

  test("[SYS-3] bytes that are not text come out as they went in", async () => {
    await setUp("cli-bytes");
    const bytes = Buffer.from([0x63, 0xe9, 0x0a, 0xff, 0xfe, 0x0a, 0x00, 0x0d, 0x0a]);
    writeFileSync(join(folder, "bytes"), bytes);
    const copied = `${FUNCTION}; rivulet produce cli-bytes --raw < bytes && rivulet consume cli-bytes -e > out`;
    const { child, ended } = start("bash", ["--norc", "-c", `cd '${folder}'; ${copied}`]);
    child.stdin?.end();
    expect(await ended).toMatchObject({ code: 0, err: "" });
    expect(readFileSync(join(folder, "out"))).toEqual(bytes);
  });

  test("[SYS-3] [PRD-6] keys and values stay as they are written", async () => {
    await setUp("cli-numbers");
    const numbers = '[{"id":12345678901234567890},{"id":9007199254740993}, {"id":7.0, "id":1e400}]';
    await rivulet(["produce", "cli-numbers", "--array"], { input: numbers });
    const records = '{"value":{ "b":1.0,"b":2}}\n';
    await rivulet(["produce", "cli-numbers", "--records"], { input: records });
    const lines = '{"id":7.0}\n';
    await rivulet(["produce", "cli-numbers", "--key-field", "id"], { input: lines });
    const consumed = await rivulet(["--json", "consume", "cli-numbers", "-e"]);
    const read = consumed.out.trim().split("\n");
    expect(read.map((line) => JSON.parse(line).value)).toEqual([
      '{"id":12345678901234567890}',
      '{"id":9007199254740993}',
      '{"id":7.0, "id":1e400}',
      '{ "b":1.0,"b":2}',
      '{"id":7.0}',
    ]);
    expect(JSON.parse(read[4] ?? "{}").key).toBe("7.0");
  });

  test("[SYS-3] [CLI-25] a rejected line is named, with the number of lines stored before", async () => {
    await setUp("cli-refused");
    const lines = Array.from({ length: 2_500 }, (_, i) =>
      i === 2_499 ? "x".repeat(1_100_000) : i,
    );
    const produced = await rivulet(["produce", "cli-refused"], {
      input: `\n${lines.join("\n")}\n`,
    });
    expect(produced).toMatchObject({
      code: 1,
      err: expect.stringMatching(
        /^MESSAGE_TOO_LARGE: line 2501 has .*\n2000 records stored before that\.\n$/,
      ),
    });
  });

  test("[CLI-25] a line without an end is not collected beyond what a record may have", async () => {
    await setUp("cli-endless");
    const produced = await rivulet(["produce", "cli-endless"], {
      input: `a\n${"x".repeat(1_100_000)}`,
    });
    expect(produced).toMatchObject({
      code: 1,
      err: "MESSAGE_TOO_LARGE: line 2 has more than 1048588 bytes, the bound\n0 records stored before that.\n",
    });
  });

  test("[SYS-3] [CLI-13] whole records are copied with keys, headers and times", async () => {
    const { admin, producer } = new Rivulet({ url: broker.url });
    await admin.createTopic({ name: "cli-from" });
    await setUp("cli-to", [], 3);
    await producer.send("cli-from", [
      { key: "k", value: "line\nline", headers: { a: ["1", null], b: { base64: "/w==" } } },
      {
        value: 1,
        headers: JSON.parse('{"__proto__":"p","constructor":["c","d"],"toString":null}'),
      },
      { keyBase64: "/w==", valueBase64: "//4=", timestamp: 1_700_000_000_000 },
      { value: null, key: "gone" },
    ]);
    const consumed = await rivulet(["--json", "consume", "cli-from", "-e"]);
    const produced = await rivulet(["produce", "cli-to", "--records"], { input: consumed.out });
    expect(produced).toMatchObject({ code: 0, err: "" });
    const copied = await rivulet(["--json", "consume", "cli-to", "-e"]);
    const records = (out: string) =>
      out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line))
        .map(({ topic: _, partition: _p, offset: _o, ...own }) => JSON.stringify(own))
        .sort();
    expect(records(copied.out)).toEqual(records(consumed.out));
    for (const [input, err] of [
      ['{"value":1}\n\n{"valve":1}', /line 3: a record has no field "valve"/],
      ["[1]", /line 1 is not a record/],
      ['{"key":"k"}', /value: is required/],
    ] as const)
      expect((await rivulet(["produce", "cli-to", "--records"], { input })).err).toMatch(err);
  });

  test("[SYS-3] a file, one JSON array or lines, is produced", async () => {
    await setUp("cli-f");
    writeFileSync(join(folder, "array.json"), '[{"a":1},\n{"a":2}]');
    writeFileSync(join(folder, "lines.txt"), "plain text\r\n\nänd \u2028 more");
    expect(
      (await rivulet(["produce", "cli-f", "-f", join(folder, "array.json"), "--array"])).code,
    ).toBe(0);
    expect((await rivulet(["produce", "cli-f", "-f", join(folder, "lines.txt")])).code).toBe(0);
    expect((await rivulet(["consume", "cli-f", "-e"])).out).toBe(
      '{"a":1}\n{"a":2}\nplain text\nänd \u2028 more\n',
    );
    expect(await rivulet(["produce", "cli-f", "-f", join(folder, "none")])).toMatchObject({
      code: 1,
      err: expect.stringContaining("ENOENT"),
    });
  });

  test("[SYS-3] [PAT-1] [GRP-8] a static member consumes by pattern", async () => {
    for (const name of ["pat-1", "pat-2"]) {
      await setUp(name, [name]);
    }
    const group = ["--group", "pat", "--instance-id", "one"];
    const consumed = await rivulet(["consume", "--pattern", "pat-.*", ...group, "--max", "2"]);
    expect(consumed.out.split("\n").sort()).toEqual(["", "pat-1", "pat-2"]);
    const described = await rivulet(["groups", "describe", "pat"]);
    expect(described.out, "its place is kept").toMatch(/connection lost/);
  });

  test("[SYS-3] [LOG-8] records before an offset are deleted", async () => {
    await setUp("cli-d", ["one", "two", "three"]);
    const range = ["--partition", "0", "--before", "2"];
    const deleted = await rivulet(["topics", "delete-records", "cli-d", ...range]);
    expect(deleted.out).toBe("cli-d/0 begins at 2.\n");
    expect((await rivulet(["consume", "cli-d", "--exit"])).out).toBe("three\n");
  });

  test("[SYS-3] a group consumes, is described, and is reset", async () => {
    await setUp("cli-g", ["one", "two", "three"]);
    expect((await rivuletProcess(["consume", "cli-g", "--group", "cli", "--max", "2"])).out).toBe(
      "one\ntwo\n",
    );
    const described = await rivulet(["groups", "describe", "cli"]);
    expect(described.out).toMatch(/State: {2}EMPTY at epoch \d+, assigned by uniform/);
    expect(described.out).toMatch(/LAG +OLDEST UNREAD +OWNER\n *cli-g +0 +2 +3 +1 +\d+(ms|s)\n/);
    expect((await rivulet(["consume", "cli-g", "--group", "cli", "--max", "1"])).out).toBe(
      "three\n",
    );
    const dry = await rivulet(["groups", "reset", "cli", "--shift-by=-2", "--dry-run"]);
    expect(dry.out).toMatch(/dry run[\s\S]*cli-g\s+0\s+3\s+1/);
    await rivulet(["groups", "reset", "cli", "--to", "earliest"]);
    expect((await rivulet(["consume", "cli-g", "--group", "cli", "--max", "3"])).out).toBe(
      "one\ntwo\nthree\n",
    );
    const history = await rivulet(["groups", "history", "cli", "--max", "9"]);
    expect(history.out).toMatch(/^TIME +EPOCH +EVENT +MEMBER +DETAIL\n/);
    expect(history.out).toMatch(/removed +cli-\d+ +left\n/);
    expect(history.out).toMatch(/offsets reset +cli-g:0\n/);
    expect((await rivulet(["groups", "delete-offsets", "cli", "cli-g"])).out).toBe(
      "Group cli has no committed offsets in cli-g.\n",
    );
    expect((await rivulet(["--json", "groups", "list"])).out).toContain('{"groupId":"cli",');
    expect((await rivulet(["groups", "delete", "cli"])).out).toBe("Deleted group cli.\n");
  });
});

describe("resets from a file", () => {
  const plan = join(folder, "plan");
  const reset = (...args: string[]) => rivulet(["groups", "reset", "cli-p", ...args]);

  beforeAll(async () => {
    await setUp("cli-p", ["one", "two", "three"]);
    await rivulet(["consume", "cli-p", "--group", "cli-p", "--max", "2"]);
  });

  test("[OFF-8] a file of lines is a plan, and so is the JSON of a dry run", async () => {
    writeFileSync(plan, "\uFEFF# where it was\r\n\r\n cli-p , 0, 1\r\n");
    const dry = await reset("--from-file", plan, "--dry-run");
    expect(dry).toMatchObject({ code: 0, err: "" });
    expect(dry.out).toMatch(/dry run[\s\S]*cli-p +0 +2 +1\n/);

    const exported = await reset("--to", "current", "--dry-run", "--json");
    expect((await reset("--from-file", plan)).out).toMatch(/continues at:[\s\S]*cli-p +0 +2 +1\n/);
    writeFileSync(plan, exported.out);
    const back = await reset("--from-file", plan, "--json");
    expect(JSON.parse(back.out)).toEqual({
      groupId: "cli-p",
      dryRun: false,
      offsets: [{ topic: "cli-p", partition: 0, committedOffset: 1, offset: 2 }],
    });
  });

  test.each([
    { text: "cli-p,0,1\n\ncli-p,1\n", err: /plan, line 3 is "cli-p,1", it must be topic,part/ },
    {
      text: "cli-p,0,1,2",
      err: /plan, line 1 is "cli-p,0,1,2", it must be topic,partition,offset/,
    },
    { text: ",0,1", err: /line 1 is ",0,1"/ },
    { text: "topic,partition,offset\n", err: /line 1: the partition is "partition", it must be a/ },
    { text: "# plan\ncli-p,0,-1", err: /line 2: the offset is "-1", it must be a whole number/ },
    { text: "cli-p,0,1\ncli-p,0,2", err: /line 2: partition 0 of topic cli-p is on line 1/ },
    { text: "# nothing\n", err: /plan names no partition/ },
    { text: '{"offsets": [', err: /plan is not JSON: / },
    { text: "[]", err: /plan is JSON without a list `offsets`, as `rivulet groups reset/ },
    { text: '{"offsets": []}', err: /plan names no partition/ },
    { text: '{"offsets": [5]}', err: /offsets\[0\] is 5, it must be an object/ },
  ])("[OFF-8] a file is rejected with its fault: $err", async ({ text, err }) => {
    writeFileSync(plan, text);
    const outcome = await reset("--from-file", plan);
    expect(outcome).toEqual({ code: 2, out: "", err: expect.stringMatching(err) });
  });

  test("[OFF-8] what the broker says about a plan is passed on", async () => {
    writeFileSync(plan, "cli-p,7,0\n");
    expect(await reset("--from-file", plan)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^UNKNOWN_TOPIC_OR_PARTITION: partition 7 of topic cli-p/),
    });
    writeFileSync(plan, '{"offsets":[{"topic":"cli-p","partition":0}]}');
    expect(await reset("--from-file", plan)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^INVALID_REQUEST: offsets\[0\]\.offset: /),
    });
  });

  test.each([[["--to", "latest"]], [["--topic", "cli-p"]]])(
    "[OFF-8] a file and %s exclude each other",
    async (args) => {
      writeFileSync(plan, "cli-p,0,0\n");
      expect(await reset("--from-file", plan, ...args)).toMatchObject({
        code: 2,
        err: expect.stringContaining("--from-file names the partitions and their offsets"),
      });
    },
  );

  test("[OFF-8] a missing file is named", async () => {
    const outcome = await reset("--from-file", join(folder, "none"));
    expect(outcome).toMatchObject({
      code: 2,
      err: expect.stringMatching(/^--from-file .*none cannot be read: ENOENT/),
    });
  });
});

describe("what goes on", () => {
  test("[CLI-1] tail prints new records of all partitions until it is interrupted", async () => {
    await setUp("cli-tail", [], 2);
    await post("cli-tail", ["before", "before"]);
    const { child, printed, ended } = start(process.execPath, [CLI, "tail", "cli-tail"]);
    await until("both partitions are read", async () => {
      await post("cli-tail", ["a", "b"]);
      return printed.out.includes("a\n") && printed.out.includes("b\n");
    });
    child.kill("SIGINT");
    const { code, out, err } = await ended;
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(new Set(out.trimEnd().split("\n"))).toEqual(new Set(["a", "b"]));
  });

  test("[CLI-3] lag shows how far a group is behind, repeatedly for programs", async () => {
    await setUp("cli-lag", [], 2);
    await post("cli-lag", ["one", "two"]);
    await startGroup("lag", "cli-lag");
    const lag = await rivulet(["groups", "lag", "lag"]);
    expect(lag.out).toMatch(/^TOPIC +PARTITION +COMMITTED +LOG END +LAG +OLDEST UNREAD +OWNER\n/);
    expect(lag.out).toMatch(/\ncli-lag +1 +0 +1 +1 +\d+(ms|s)\n\nTotal lag: 2\n$/);

    const watch = ["--json", "groups", "lag", "lag", "--watch", "1"];
    const { child, printed, ended } = start(process.execPath, [CLI, ...watch]);
    await until("two lines", () => printed.out.split("\n").length > 2);
    child.kill("SIGINT");
    const { code, out } = await ended;
    expect(code).toBe(0);
    for (const line of out.trimEnd().split("\n"))
      expect(JSON.parse(line)).toMatchObject({ groupId: "lag", lag: 2, offsets: [{}, {}] });
  });

  test("[CLI-9] a pipe whose reader has gone ends it quietly", async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `${i} of what no pipe holds all of`);
    await setUp("cli-pipe", lines);
    const script = `${FUNCTION}; rivulet consume cli-pipe | head -1; echo "\${PIPESTATUS[0]}"`;
    expect(await start("bash", ["--norc", "-c", script]).ended).toEqual({
      code: 0,
      out: `${lines[0]}\n0\n`,
      err: "",
    });
  });
});

/** util-linux has it everywhere; on a Mac it is a different one. */
describe.skipIf(spawnSync("script", ["--version"]).status !== 0)("on a terminal", () => {
  /** As typed in a terminal of so many columns. */
  const inTerminal = (command: string, columns: number) =>
    start("script", ["-qec", `stty cols ${columns} rows 24; ${command}`, "/dev/null"], {
      ...environment(),
      SHELL: "/bin/sh", // Otherwise `script` takes the shell of the person who runs the tests.
    });
  const quoted = `'${process.execPath}' '${CLI}'`;

  test("[CLI-2] a long run shows its progress in one line, and the totals at the end", async () => {
    await setUp("cli-progress");
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    const running = inTerminal(`cat '${pipe}' | ${quoted} produce cli-progress`, 80);
    const input = openSync(pipe, "r+"); // Does not wait for the reader.
    writeSync(input, "one\ntwo\n");
    const lines = () => running.printed.out.split("\r\x1b[K").slice(1);
    await until("a line is drawn over itself", () => lines().length > 1);
    closeSync(input);
    const { code, out } = await running.ended;
    expect(code).toBe(0);
    expect(out, "what came is sent when nothing more comes").toContain("\r\x1b[K2 records  ");
    expect(lines().at(-1)).toMatch(
      /^2 records, 6 B in \S+ s, \d+\/s\r\nProduced 2 records to 1 partition/,
    );
  });

  test("[CLI-22] consume shows control characters on a terminal, and a file has the bytes", async () => {
    const value = "a\tb\x1b[31m\x07\x9b";
    await setUp("cli-raw", [value]);
    const file = join(folder, "raw");
    const consume = `${quoted} --quiet consume cli-raw --exit`;
    const { out } = await inTerminal(`${consume}; ${consume} > '${file}'`, 80).ended;
    expect(out).toBe("a\tb\\x1b[31m\\x07\\x9b\r\n");
    expect(readFileSync(file, "utf8")).toBe(`${value}\n`);
  });

  test("[CLI-3] [CLI-4] lag is drawn in place, fits, and ends with Ctrl-C", async () => {
    const topic = "a-topic-whose-name-is-rather-long";
    await setUp(topic);
    await startGroup("drawn", topic);
    // A waiting shell would get Ctrl-C as well, and exit with 130 whatever the result.
    const watching = `exec ${quoted} groups lag drawn --watch 1`;
    const { child, printed, ended } = inTerminal(watching, 70);
    const screens = () => printed.out.split("\x1b[H\x1b[J").slice(1);
    await until("drawn twice", () => screens().length > 1 && printed.out.endsWith("lag: 0\r\n"));
    child.stdin?.write("\x03");
    expect((await ended).code).toBe(0);
    for (const screen of screens()) {
      const lines = screen.split("\r\n");
      expect(lines[0]).toMatch(/^Group drawn, \d{4}-/);
      expect(lines[2]).toMatch(/^a-topic-\S*… +0 +0 +0 +0 +-$/);
      expect(Math.max(...lines.slice(0, 3).map(({ length }) => length))).toBeLessThanOrEqual(70);
    }
  });
});

describe("settings", () => {
  test("[CLI-7] [CLI-8] the config file sets the broker and the token", async () => {
    const asked: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      asked.push(request.headers.authorization);
      response.end('{"topics":[]}');
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const file = join(folder, "rivulet", "config.json");
    mkdirSync(join(folder, "rivulet"));
    writeFileSync(file, JSON.stringify({ url, token: "a-secret-of-some-length" }));
    expect((await rivulet(["topics", "list"], { url: "" })).code).toBe(0);
    const bearer = "Bearer a-secret-of-some-length";
    expect(asked.splice(0), "the topics and their sizes").toEqual([bearer, bearer]);
    const bridge = start(process.execPath, [CLI, "kafka-bridge", "-p", "0"], {
      ...environment(),
      RIVULET_URL: "",
    });
    await new Promise((resolve) => bridge.child.stdout?.once("data", resolve));
    expect(asked.splice(0)).toEqual([bearer]);
    bridge.child.kill("SIGINT");
    await bridge.ended;
    server.close();

    const shown = await rivulet(["config", "show"]);
    expect(shown.out).toContain(`Config file: ${file}\n`);
    expect(shown.out).toMatch(/url +http:\S+ +RIVULET_URL\ntoken +\*{4}ngth +\S+config\.json\n$/);
    writeFileSync(file, '{"urls":"x"}');
    const refused = await rivulet(["topics", "list"]);
    writeFileSync(file, "{}");
    const err = `${file}: "urls" is not a setting, there are url and token\n`;
    expect(refused).toEqual({ code: 2, out: "", err });
  });

  test("[CLI-8] a bridge to a closed broker starts without a token, and not with a wrong one", async () => {
    const closed = await BrokerProcess.start({ env: { RIVULET_ROOT_KEY: "a-root-key-of-a-test" } });
    const bridge = (...args: string[]) =>
      start(process.execPath, [CLI, "--url", closed.url, ...args, "kafka-bridge", "-p", "0"]);
    const { child, printed, ended } = bridge();
    await until("it listens", () => printed.out.includes("Kafka clients find"));
    child.kill("SIGINT");
    expect((await ended).code).toBe(0);
    const outcome = await bridge("--token", "another").ended;
    expect(outcome).toMatchObject({ code: 1, out: "" });
    expect(outcome.err).toMatch(/^SASL_AUTHENTICATION_FAILED: /);
    await closed.stop();
  });

  test("[CLI-6] Tab in bash offers the names that the broker has", async () => {
    await setUp("tabbed");
    const script = `${FUNCTION}
      source <(rivulet completion bash)
      COMP_WORDS=(rivulet topics describe tab); COMP_CWORD=3
      # It gives up after a second, which is short on a busy machine. Whoever waits presses Tab again.
      for _ in {1..20}; do _rivulet; ((\${#COMPREPLY[@]})) && break; done
      echo "\${COMPREPLY[@]}"
      RIVULET_URL=http://127.0.0.1:9 _rivulet; echo "\${COMPREPLY[@]}"`;
    const outcome = await start("bash", ["--norc", "-c", script]).ended;
    expect(outcome).toEqual({ code: 0, out: "tabbed\n\n", err: "" });
  });
});

describe("errors", () => {
  test.each([
    {
      args: ["topics", "describe", "nosuch"],
      code: 1,
      err: /^UNKNOWN_TOPIC_OR_PARTITION: .*nosuch.*\n.*rivulet topics list/,
    },
    {
      args: ["topics", "create", "a b"],
      code: 1,
      err: /^INVALID_TOPIC_EXCEPTION: topic name "a b"/,
    },
    { args: ["groups", "describe", "."], code: 1, err: /^INVALID_GROUP_ID: a name may not be/ },
    { args: ["topics", "describe", ".."], code: 1, err: /^INVALID_TOPIC_EXCEPTION: a name/ },
    { args: ["produce", "."], code: 1, err: /^INVALID_TOPIC_EXCEPTION: a name/ },
    { args: ["consume", ".."], code: 1, err: /^INVALID_TOPIC_EXCEPTION: a name/ },
    { args: ["consume", "cli-p", "--group", "."], code: 1, err: /^INVALID_GROUP_ID/ },
    { args: ["consume"], code: 2, err: /^name a topic, or give --pattern/ },
    {
      args: ["consume", "cli-p", "--instance-id", "i"],
      code: 2,
      err: /^--pattern and --instance-id go with --group only/,
    },
    {
      args: ["consume", "--pattern", "(", "--group", "cli-p"],
      code: 1,
      err: /^INVALID_REGULAR_EXPRESSION: topicPattern is "\("/,
    },
    {
      args: [
        "groups",
        "alter",
        "cli-b",
        "--config",
        "group.max.size=5",
        "--unset",
        "group.max.size",
      ],
      code: 2,
      err: /^group.max.size is both set and unset/,
    },
    { args: ["consume", "nosuch"], code: 1, err: /^UNKNOWN_TOPIC_OR_PARTITION/ },
    {
      args: ["groups", "describe", "nosuch"],
      code: 1,
      err: /^GROUP_ID_NOT_FOUND: .*\n.*rivulet groups list/,
    },
    {
      args: ["groups", "reset", "nosuch"],
      code: 2,
      err: /one option \(0 given\): --to, --to-offset/,
    },
    { args: ["topics", "create"], code: 2, err: /missing required argument 'name'/ },
    { args: ["topics", "create", "x", "-p", "many"], code: 2, err: /whole number/ },
    { args: ["frobnicate"], code: 2, err: /unknown command/ },
    {
      args: ["--url", "ftp://x", "topics", "list"],
      code: 2,
      err: /must be an http or https address/,
    },
    ...[
      { options: ["--nodes", "17"], err: /^--nodes: must be a number from 1 to 16; got 17/ },
      { options: ["--nodes", "0"], err: /at least 1/ },
      { options: ["--port", "65536"], err: /^--port: must be a number from 0 to 65535; got 65536/ },
      { options: ["--port", "65534", "--nodes", "3"], err: /the last port would be 65536/ },
      { options: ["--advertise", "x"], err: /^--advertise: must be host:port.*got "x"/ },
      { options: ["--advertise", "x:65536"], err: /^--advertise: must be host:port/ },
      { options: ["--nodes", "2", "--advertise", "a:1"], err: /names 1 nodes, --nodes 2/ },
      { options: ["--nodes", "2", "--advertise", "a:1, a:1"], err: /"a:1" is listed twice/ },
    ].map(({ options, err }) => ({ args: ["kafka-bridge", ...options], code: 2, err })),
  ])("[SYS-3] $args fails with what to do", async ({ args, code, err }) => {
    const outcome = await rivulet(args);
    expect(outcome.err).toMatch(err);
    expect(outcome.code).toBe(code);
    expect(outcome.out).toBe("");
  });

  test("[SYS-3] the exit code is 1 after a failure, 2 after wrong usage", async () => {
    for (const [code, args, err] of [
      [
        1,
        ["topics", "describe", "nosuch"],
        /^UNKNOWN_TOPIC_OR_PARTITION: .*nosuch.*\n.*rivulet topics/,
      ],
      [2, ["consume"], /^name a topic, or give --pattern/],
      [2, ["frobnicate"], /unknown command/],
      [1, ["topics", "list", "--url", "http://127.0.0.1:9"], /Is the broker running\?/],
    ] as const)
      expect(await rivuletProcess(args)).toEqual({
        code,
        out: "",
        err: expect.stringMatching(err),
      });
  });

  test("[SYS-3] a broker that does not answer is explained", async () => {
    const outcome = await rivulet(["topics", "list"], { url: "http://127.0.0.1:9" });
    expect(outcome).toMatchObject({
      code: 1,
      err: expect.stringMatching(/Is the broker running\? Start it with `npm start`/),
    });
  });
});
