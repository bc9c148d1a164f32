// The programs that the lesson shows, each run unchanged by Node against a broker, and `npm run learn`.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CITIES } from "../../src/console/learn/cities.ts";
import { codeOf } from "../../src/console/learn/code.ts";
import { STEPS } from "../../src/console/learn/steps.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import { BrokerProcess, type Exit, launch, temporaryFolder } from "./broker.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TOPIC = "learn-e2e";
const BILLING = `${TOPIC}-billing`;
const AUDIT = `${TOPIC}-audit`;

/** A folder of somebody who has installed the package. */
const folder = temporaryFolder();
mkdirSync(join(folder, "node_modules"));
symlinkSync(ROOT, join(folder, "node_modules/rivulet"));

class Program {
  text = "";
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;

  constructor(code: string, env: Record<string, string> = {}) {
    const path = join(folder, `step-${crypto.randomUUID()}.mjs`);
    writeFileSync(path, code);
    const child = spawn(process.execPath, [path], { env: { ...process.env, ...env } });
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data: Buffer) => {
        this.text += data;
      });
    this.#child = child;
    this.exited = new Promise((resolve) =>
      child.once("close", (code, signal) => resolve({ code, signal })),
    );
  }

  get lines(): string[] {
    return this.text.split("\n").filter((line) => line !== "");
  }

  /** Ctrl-C. */
  interrupt(): Promise<Exit> {
    this.#child.kill("SIGINT");
    return this.exited;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

let broker: BrokerProcess;
let rivulet: Rivulet;
const programs: Program[] = [];
const ran = new Set<string>();

beforeAll(async () => {
  broker = await BrokerProcess.start();
  rivulet = new Rivulet({ url: broker.url });
});
afterAll(async () => {
  for (const program of programs) program.kill();
  await broker?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function run(id: string): Program {
  const program = new Program(codeOf(id, { url: broker.url, topic: TOPIC, isClosed: false }));
  programs.push(program);
  ran.add(id);
  return program;
}

/** Sends this many records from each city. */
async function send(count: number): Promise<void> {
  const records = CITIES.flatMap((key) =>
    Array.from({ length: count }, (_, total) => ({ key, value: { total } })),
  );
  await rivulet.producer.send(TOPIC, records);
}

const membersOf = async (group: string) => (await rivulet.admin.describeGroup(group)).members;
const DONE = { code: 0, signal: null };

describe("each program of the lesson runs as it is shown", () => {
  test("[LRN-8] a topic: it is created once, and the key's partition is shown", async () => {
    for (const offset of [0, 1]) {
      const program = run("topic");
      expect(await program.exited, program.text).toEqual(DONE);
      expect(program.text).toContain("partition: 2");
      expect(program.text).toContain(`offset: ${offset}`);
    }
    expect((await rivulet.admin.describeTopic(TOPIC)).partitions).toBe(4);
  });

  test("[LRN-8] one: it reads all four partitions, and Ctrl-C commits and leaves", async () => {
    await send(3);
    const program = run("one");
    await until("it has read 26 records", () => program.lines.length >= 26);
    expect(new Set(program.lines.map((line) => line[0]))).toEqual(new Set(["0", "1", "2", "3"]));
    expect(program.text).toMatch(/^2 0 \{ total: 12\.5 \}$/m);
    expect(await program.interrupt()).toEqual(DONE);
    const { members, offsets } = await rivulet.admin.describeGroup(BILLING);
    expect(members).toEqual([]);
    expect(offsets.map(({ lag }) => lag)).toEqual([0, 0, 0, 0]);
  });

  test("[LRN-8] two: the first gives two up, and the second gets them", async () => {
    const first = run("two");
    await until("the first has all", () => first.text.includes("has 0, 1, 2, 3"));
    const second = run("two");
    await until("the second has two", () => /^has \d, \d$/m.test(second.text));
    expect(first.text).toMatch(/^gives up \d, \d$/m);
    for (const each of [first, second]) expect(await each.interrupt()).toEqual(DONE);
  });

  test("[LRN-8] four and five: four have a partition each, and one is a spare", async () => {
    const four = run("four");
    await until(
      "each has one",
      async () =>
        (await rivulet.admin.describeGroup(BILLING).then(({ members }) => members)).every(
          ({ assignment }) => assignment[0]?.partitions.length === 1,
        ) && (await membersOf(BILLING)).length === 4,
    );
    const spare = rivulet.consumer({ groupId: BILLING, topics: [TOPIC], clientId: "spare" });
    const running = spare.run({ eachRecord: () => {} });
    await until("it has joined", async () => (await membersOf(BILLING)).length === 5);
    const five = run("five");
    expect(await five.exited, five.text).toEqual(DONE);
    expect(five.lines.map((line) => line.split(" ")[0]).sort()).toEqual([
      "a",
      "b",
      "c",
      "d",
      "spare",
    ]);
    expect(five.text).toContain("[]");
    await spare.close();
    await running;
    await send(1);
    await until("each has read its partition", () => new Set(four.lines).size >= 4);
    expect(await four.interrupt()).toEqual(DONE);
  });

  test("[LRN-8] death: it is killed at work, and the group waits for its session to end", async () => {
    await send(10);
    const { offsets: before } = await rivulet.admin.describeGroup(BILLING);
    const program = run("death");
    expect(await program.exited, program.text).toEqual({ code: null, signal: "SIGKILL" });
    expect(await membersOf(BILLING)).toHaveLength(1);
    await until("the group has removed it", async () => (await membersOf(BILLING)).length === 0);
    const { offsets } = await rivulet.admin.describeGroup(BILLING);
    const lag = (each: typeof offsets) => each.reduce((sum, { lag }) => sum + (lag ?? 0), 0);
    expect(lag(offsets)).toBeGreaterThan(lag(before) - 10); // The tenth was not committed.
  });

  test("[LRN-8] farewell: it leaves when it wants to, and nobody waits", async () => {
    const program = run("farewell");
    expect(await program.exited, program.text).toEqual(DONE);
    expect(program.text).toMatch(/^left after \d\d records$/m);
    expect(await membersOf(BILLING)).toEqual([]);
  });

  test("[LRN-8] groups: another group reads everything from its start", async () => {
    const { offsets } = await rivulet.admin.describeGroup(BILLING);
    const all = offsets.reduce((sum, { logEndOffset }) => sum + logEndOffset, 0);
    const program = run("groups");
    await until("it has read all", () => program.lines.length === all);
    for (const partition of [0, 1, 2, 3]) expect(program.lines).toContain(`${partition} 0`);
    expect(await program.interrupt()).toEqual(DONE);
  });

  test("[LRN-8] lag: it shows what the group has not read", async () => {
    const { offsets } = await rivulet.admin.describeGroup(BILLING);
    const lag = offsets.reduce((sum, each) => sum + (each.lag ?? 0), 0);
    expect(lag).toBeGreaterThan(0);
    const program = run("lag");
    expect(await program.exited, program.text).toEqual(DONE);
    expect(program.lines).toEqual([`lag ${lag}`]);
  });

  test("[LRN-8] rewind: the group is at the start again", async () => {
    const program = run("rewind");
    expect(await program.exited, program.text).toEqual(DONE);
    const { offsets } = await rivulet.admin.describeGroup(AUDIT);
    expect(offsets.map(({ committedOffset }) => committedOffset)).toEqual([0, 0, 0, 0]);
  });

  test("[LRN-8] every step has a program", () => {
    expect([...ran].sort()).toEqual(STEPS.map(({ id }) => id).sort());
  });
});

test("[LRN-8] [LRN-10] at a closed broker a program takes its key from the environment", async () => {
  const key = "the-root-key-of-the-lesson";
  const closed = await BrokerProcess.start({ env: { RIVULET_ROOT_KEY: key } });
  const program = new Program(codeOf("topic", { url: closed.url, topic: TOPIC, isClosed: true }), {
    RIVULET_TOKEN: key,
  });
  expect(await program.exited, program.text).toEqual(DONE);
  expect(program.text).toContain("partition: 2");
  await closed.stop();
});

describe("npm run learn", () => {
  const LEARN = fileURLToPath(new URL("../../src/self-host/learn.ts", import.meta.url));

  test("[LRN-12] starts a broker and says where the lesson is; with a running broker, it only says that", async () => {
    const dataDir = temporaryFolder();
    const env = { PORT: "0", KAFKA_PORT: "0", DATA_DIR: dataDir };
    const first = launch(env, LEARN);
    await until("it says where", () => first.lines.length === 2);
    const [, url = ""] = /^Rivulet is ready on (\S+)/.exec(first.lines[0] ?? "") ?? [];
    expect(first.lines[1]).toBe(`The lesson is at ${url}/console/learn`);
    const page = await fetch(`${url}/console/learn`);
    expect(page.status).toBe(200);
    expect(await page.text()).toContain("/console/assets/learn-");
    const second = launch({ ...env, PORT: new URL(url).port }, LEARN);
    expect(await second.exited).toEqual(DONE);
    expect(second.lines).toEqual([`The lesson is at ${url}/console/learn`]);
    // As somebody starts it whose command line knows the broker's address.
    const third = launch({ ...env, PORT: "", RIVULET_URL: `${url}/` }, LEARN);
    expect(await third.exited).toEqual(DONE);
    expect(third.lines).toEqual([`The lesson is at ${url}/console/learn`]);
    first.child.kill("SIGTERM");
    expect(await first.exited).toEqual(DONE);
    rmSync(dataDir, { recursive: true, force: true });
  });

  test("[LRN-12] reports errors as npm start does", async () => {
    const { lines, exited } = launch({ PORT: "x" }, LEARN);
    expect(await exited).toEqual({ code: 1, signal: null });
    expect(lines).toEqual(['rivulet: PORT is "x", it must be a number from 0 to 65535']);
  });
});
