// The examples, run as their READMEs say: the commands of the `sh` blocks, with the output in the `text` block. The pages
// are in test/browser.
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createTestHarness } from "wrangler";
import { Rivulet } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Node 24, and the command line as `npx` finds it. */
const PATH = [dirname(process.execPath), join(ROOT, "node_modules/.bin"), process.env.PATH].join(
  delimiter,
);

let broker: BrokerProcess;
beforeAll(async () => {
  broker = await BrokerProcess.start();
});
afterAll(() => broker.stop());

const running = new Set<ChildProcess>();
afterEach(async () => {
  for (const child of running) await stop(child, "SIGKILL");
});

/** The commands of each `sh` block, one per line. Their output is that of the `text` block. */
function readmeOf(example: string): { blocks: string[][]; printed: string } {
  const text = readFileSync(join(ROOT, "examples", example, "README.md"), "utf8");
  const blocks = (language: string) =>
    [...text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))].map(
      ([, block = ""]) => block.trim(),
    );
  return {
    blocks: blocks("sh").map((block) => block.split("\n")),
    printed: blocks("text").join("\n"),
  };
}

/** In a shell of its own, without npm's own output. */
function begin(command: string, url = broker.url) {
  const child = spawn("bash", ["-c", command], {
    cwd: ROOT,
    env: { ...process.env, PATH, RIVULET_URL: url, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
    // It can be stopped with everything it starts, as by Ctrl-C.
    detached: true,
  });
  running.add(child);
  const output = { text: "", errors: "" };
  child.stdout.on("data", (data: Buffer) => {
    output.text += data;
  });
  child.stderr.on("data", (data: Buffer) => {
    output.errors += data;
  });
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  const printed = () =>
    output.text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("> "))
      .join("\n");
  return { child, output, exited, printed };
}

async function run(command: string, url?: string): Promise<string> {
  const { child, output, exited, printed } = begin(command, url);
  const code = await exited;
  running.delete(child);
  expect(code, `${command}\n${output.errors}`).toBe(0);
  return printed();
}

/** As Ctrl-C in its terminal. */
async function stop(child: ChildProcess, signal: NodeJS.Signals = "SIGINT"): Promise<void> {
  running.delete(child);
  if (child.exitCode !== null || child.pid === undefined) return;
  const exited = new Promise((resolve) => child.once("close", resolve));
  process.kill(-child.pid, signal);
  await exited;
}

test.each(["queue-and-pubsub", "event-sourcing", "script"])(
  "[EXA-1] %s prints what its README shows",
  async (example) => {
    const { blocks, printed } = readmeOf(example);
    expect(blocks).toHaveLength(1);
    const outputs: string[] = [];
    for (const command of blocks[0] ?? []) outputs.push(await run(command));
    expect(outputs.join("\n")).toBe(printed);
  },
);

test("[EXA-1] node-service handles records, and on Ctrl-C commits and leaves", async () => {
  const { blocks, printed } = readmeOf("node-service");
  const [[create = "", start = ""] = [], [produce = ""] = []] = blocks;
  await run(create);
  const service = begin(start);
  await until("it has partitions", () => service.printed().includes("assigned"));
  await run(produce);
  await until("it has handled", () => service.printed().includes("handled"));
  await stop(service.child);
  expect(service.printed()).toBe(printed);
  const described = await run("npx rivulet --json groups describe order-service");
  const { state, offsets } = JSON.parse(described) as {
    state: string;
    offsets: { committedOffset: number | null }[];
  };
  expect(state).toBe("EMPTY");
  expect(offsets.map(({ committedOffset }) => committedOffset ?? 0).sort()).toEqual([0, 0, 1]);
});

/** Starts an example that brings its own broker and data, and waits until it is ready. */
async function beginAtEdge(start: string, example: string) {
  const dev = begin(`${start} --port 0 --persist-to ${join(broker.dataDir, example)}`);
  const isReady = () =>
    /Ready on (http:\/\/\S+)/.exec(dev.output.text)?.[1]?.replace("localhost", "127.0.0.1");
  const url = await until("it is ready", isReady, 90_000); // It builds before.
  return {
    child: dev.child,
    run: (command: string) => run(command.replace("http://127.0.0.1:8787", url), url),
  };
}

test.each([
  { example: "edge-function", does: "creates a topic and produces" },
  { example: "edge-cron", does: "polls until nothing is left, and acknowledges" },
])("[EXA-1] [RPC-3] [POL-1] $example $does over its service binding", async ({ example }) => {
  const { blocks, printed } = readmeOf(example);
  const [[start = ""] = [], commands = []] = blocks;
  const edge = await beginAtEdge(start, example);
  const outputs: string[] = [];
  for (const command of commands) outputs.push(await edge.run(command));
  expect(outputs.join("\n")).toBe(printed);
  if (example === "edge-cron") {
    const { lag } = JSON.parse(await edge.run("npx rivulet --json groups lag receipts"));
    expect(lag).toBe(0);
  }
  await stop(edge.child);
});

test("[EXA-1] [EXA-4] edge-consumer adds up, starts again by its alarm, and stops", async () => {
  const { blocks, printed } = readmeOf("edge-consumer");
  const [[start = ""] = [], commands = [], [end = ""] = []] = blocks;
  const totals = commands.at(-1) ?? "";
  const first = await beginAtEdge(start, "edge-consumer");
  const outputs: string[] = [];
  for (const command of commands.slice(0, -1)) outputs.push(await first.run(command));
  const added = printed.split("\n").at(-1);
  await until("all is added up", async () => (await first.run(totals)) === added);
  expect([...outputs, added].join("\n")).toBe(printed);

  // All of it dies at once. Only the alarm is left of the consumer.
  await stop(first.child, "SIGKILL");
  const second = await beginAtEdge(start, "edge-consumer");
  await second.run(commands.at(-2) ?? "");
  const twice = '{"milk":4,"tea":14}';
  await until("it goes on", async () => (await second.run(totals)) === twice, 90_000);
  const { members } = JSON.parse(await second.run("npx rivulet --json groups describe totals"));
  expect(members).toMatchObject([{ instanceId: "totals", connected: true }]);

  expect(await second.run(end)).toBe("stopped");
  const stopped = JSON.parse(await second.run("npx rivulet --json groups describe totals"));
  expect(stopped.members).toMatchObject([{ instanceId: "totals", connected: false }]);
  const positions = stopped.offsets.map(
    ({ committedOffset }: { committedOffset: number | null }) => committedOffset ?? 0,
  );
  expect(positions.sort()).toEqual([0, 2, 4]);
  await stop(second.child);
});

test("[EXA-1] [RPC-7] edge-cron and edge-consumer need no secret at a broker that is closed, as every deployment is", async () => {
  const key = "the-root-key-of-this-test";
  const edge = createTestHarness({
    root: ROOT,
    workers: [
      { configPath: "examples/edge-consumer/wrangler.toml" },
      { configPath: "examples/edge-cron/wrangler.toml" },
      { configPath: "wrangler.toml", secrets: { RIVULET_ROOT_KEY: key } },
    ],
  });
  const { url } = await edge.listen();
  try {
    expect((await edge.fetch("/v1/topics")).status).toBe(401);
    const rivulet = new Rivulet({ url: url.href, token: key });
    for (const name of ["sales", "payments", "receipts"]) await rivulet.admin.createTopic({ name });
    await rivulet.producer.send("sales", [{ value: { product: "tea", amount: 3 } }]);
    await rivulet.producer.send("payments", [{ key: "c-7", value: { amount: 12 } }]);

    await edge.fetch("/consumer", { method: "PUT" });
    const totals = async () => (await edge.fetch("/totals")).text();
    await until("it has added up", async () => (await totals()) === '{"tea":3}');
    await edge.fetch("/consumer", { method: "DELETE" });

    await edge.getWorker("receipts").scheduled({ cron: "* * * * *" });
    expect(await rivulet.admin.listOffset("receipts", 0, "latest")).toMatchObject({ offset: 1 });
  } finally {
    await edge.close();
  }
});

test("[EXA-1] every example is listed, and has a README", () => {
  const folders = readdirSync(join(ROOT, "examples"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  const list = readFileSync(join(ROOT, "examples/README.md"), "utf8");
  for (const name of folders) expect(list).toContain(`[${name}](${name})`);
  expect(folders.length).toBeGreaterThanOrEqual(9);
});
