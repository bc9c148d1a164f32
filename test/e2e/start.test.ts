import { spawn } from "node:child_process";
import { mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import { BrokerProcess, launch, temporaryFolder } from "./broker.ts";
import { PlainClient } from "./plain-client.ts";

const START = fileURLToPath(new URL("../../src/self-host/start.ts", import.meta.url));

test.each(["SIGTERM", "SIGINT"] as const)(
  "[SYS-1] it says in one line that it is ready, and %s stops it cleanly",
  async (signal) => {
    const broker = await BrokerProcess.start();
    expect(broker.lines).toEqual([
      `Rivulet is ready on ${broker.url} (Kafka on ${broker.kafka}, data in ${broker.dataDir})`,
    ]);
    expect(broker.kafka).toMatch(/^127\.0\.0\.1:\d+$/);
    // Also with a consumer connected.
    await new Rivulet({ url: broker.url }).admin.createTopic({ name: "open" });
    const client = new PlainClient(broker.url, "g", "topics=open");
    await until("it has joined", () => client.held.size === 1);
    expect(await broker.signal(signal)).toEqual({ code: 0, signal: null });
    expect(broker.lines).toHaveLength(1);
    await until("the consumer was cut off", () => client.closed);
  },
);

test("[WEB-1] JSON, the console and the documentation are sent in gzip to clients that accept it", async () => {
  const broker = await BrokerProcess.start();
  const ask = async (path: string, encoding: string) => {
    const headers = { "accept-encoding": encoding };
    const response = await fetch(`${broker.url}${path}`, { headers });
    expect(response.status).toBe(200);
    return { text: await response.text(), encoding: response.headers.get("content-encoding") };
  };
  const page = await ask("/console", "gzip");
  const files = [...page.text.matchAll(/"(\/console\/assets\/[^"]+\.(?:js|css))"/g)];
  expect(files).toHaveLength(2);
  for (const path of [
    "/openapi.json",
    "/docs",
    "/docs/api",
    ...files.map(([, name = ""]) => name),
  ]) {
    const packed = await ask(path, "gzip");
    const plain = await ask(path, "identity");
    expect([packed.encoding, plain.encoding]).toEqual(["gzip", null]);
    expect(packed.text).toBe(plain.text);
  }
  await broker.stop();
});

/** Sends a request with this Host header as no library would. Returns the whole response. */
async function askedAs(broker: BrokerProcess, host: string, path: string): Promise<string> {
  const socket = connect(broker.port, "127.0.0.1");
  socket.end(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
  return (await Array.fromAsync(socket.setEncoding("utf8"))).join("");
}

test.each([
  { kind: "an open broker", env: {} },
  { kind: "a closed broker", env: { RIVULET_ROOT_KEY: "the-root-key-of-hosts" } },
])("[WEB-5] a Host header that is not a host is a 400 of $kind", async ({ env }) => {
  const broker = await BrokerProcess.start({ env });
  for (const host of ["a:99999", "a b", ":", "[::1", "%zz"])
    for (const path of ["/", "/health", "/docs/api", "/console", "/v1/me", "/kafka", "/nowhere"]) {
      const response = await askedAs(broker, host, path);
      expect(response).toMatch(/^HTTP\/1\.1 400 /);
      expect(JSON.parse(response.split("\r\n\r\n")[1] ?? "")).toMatchObject({
        code: "INVALID_REQUEST",
        detail: `the Host header is "${host}", it must be a host name or an address, and its port at most 65535`,
      });
    }
  expect(broker.lines).toHaveLength(1); // Nothing was logged.
  await broker.stop();
});

test("[LOG-5] topics, records and committed offsets are there after a stop and a start", async () => {
  const first = await BrokerProcess.start();
  const { admin, producer } = new Rivulet({ url: first.url });
  await admin.createTopic({ name: "kept", partitions: 2 });
  const outcomes = await producer.send("kept", [
    { key: "a", value: 1 },
    { key: "b", value: 2 },
  ]);
  const client = new PlainClient(first.url, "keepers", "topics=kept");
  await until("both came", () => client.records.length === 2);
  client.close();
  const before = await until("both are committed", async () => {
    const group = await admin.describeGroup("keepers");
    return (
      group.state === "EMPTY" &&
      group.offsets.every(({ lag }) => lag === 0 || lag === null) &&
      group
    );
  });
  await first.signal("SIGTERM");
  const second = await BrokerProcess.start({ dataDir: first.dataDir, port: first.port });
  expect(await admin.describeGroup("keepers")).toEqual(before);
  const again = await producer.send("kept", [
    { key: "a", value: 1 },
    { key: "b", value: 2 },
  ]);
  const next = (list: typeof outcomes) =>
    list.map((outcome) => ("offset" in outcome ? [outcome.partition, outcome.offset] : outcome));
  const counts = new Map<number, number>();
  for (const outcome of outcomes)
    counts.set(outcome.partition, (counts.get(outcome.partition) ?? 0) + 1);
  expect(next(again)).toEqual(
    next(outcomes).map((place) =>
      Array.isArray(place) ? [place[0], (place[1] ?? 0) + (counts.get(place[0] ?? 0) ?? 0)] : place,
    ),
  );
  await second.stop();
});

test("[GRP-7] a session timeout that was running when the broker was killed ends after the restart", async () => {
  const first = await BrokerProcess.start();
  const { admin } = new Rivulet({ url: first.url });
  await admin.createTopic({ name: "orphaned", partitions: 2 });
  const client = new PlainClient(first.url, "orphans", "topics=orphaned&sessionTimeoutMs=1000");
  await until("it has joined", () => client.held.size === 2);
  await first.kill();
  const second = await BrokerProcess.start({ dataDir: first.dataDir, port: first.port });
  // Nobody asks the group for anything: its own alarm, kept on disk, must do it. So check only after it may have.
  await until(
    "the member is removed",
    async () => (await admin.describeGroup("orphans")).members.length === 0,
  );
  await second.stop();
});

test("[SYS-1] a taken port is explained in one sentence", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const { lines, exited } = launch({ PORT: String(port), DATA_DIR: temporaryFolder() });
  expect((await exited).code).toBe(1);
  expect(lines).toEqual([
    expect.stringMatching(/^rivulet: port \d+ on 127\.0\.0\.1 is taken; .*PORT=\d+$/),
  ]);
  server.close();
});

test("[SYS-1] an unwritable data folder is explained in one sentence", async () => {
  const file = join(temporaryFolder(), "file");
  writeFileSync(file, "");
  const { lines, exited } = launch({ PORT: "0", DATA_DIR: file });
  expect((await exited).code).toBe(1);
  expect(lines).toEqual([
    expect.stringMatching(/^rivulet: the data folder .* cannot be written .*DATA_DIR=/),
  ]);
});

test("[SYS-1] a data folder in use by another broker is explained in one sentence", async () => {
  const broker = await BrokerProcess.start();
  const { lines, exited } = launch({ PORT: "0", DATA_DIR: broker.dataDir });
  expect((await exited).code).toBe(1);
  expect(lines).toEqual([
    expect.stringMatching(/^rivulet: the data folder .* is in use by another Rivulet/),
  ]);
  await broker.stop();
});

test("[SYS-1] an invalid port is explained in one sentence", async () => {
  const { lines, exited } = launch({ PORT: "http", DATA_DIR: temporaryFolder() });
  expect((await exited).code).toBe(1);
  expect(lines).toEqual(['rivulet: PORT is "http", it must be a number from 0 to 65535']);
});

test.each(["6000", "10080", "22"])(
  "[SYS-1] port %s, which browsers refuse, is explained in one sentence",
  async (PORT) => {
    const { lines, exited } = launch({ PORT, DATA_DIR: temporaryFolder() });
    expect((await exited).code).toBe(1);
    expect(lines).toEqual([
      `rivulet: PORT is ${PORT}, which browsers and fetch refuse; choose another, such as PORT=8787`,
    ]);
  },
);

test("[SYS-1] an unknown form of the log is explained in one sentence", async () => {
  const { lines, exited } = launch({ PORT: "0", DATA_DIR: temporaryFolder(), RIVULET_LOG: "xml" });
  expect((await exited).code).toBe(1);
  expect(lines).toEqual(['rivulet: RIVULET_LOG is "xml", it must be text or json']);
});

test.each([
  {
    kind: "a damaged lock",
    spoil: (dataDir: string) => writeFileSync(join(dataDir, "lock.sqlite"), "damage ".repeat(100)),
    sentence: "/lock.sqlite cannot be locked (file is not a database); remove it: it holds no data",
  },
  {
    kind: "a folder in place of the lock",
    spoil: (dataDir: string) => mkdirSync(join(dataDir, "lock.sqlite")),
    sentence:
      "/lock.sqlite cannot be locked (unable to open database file); remove it: it holds no data",
  },
  {
    kind: "a folder in place of workerd's configuration",
    spoil: (dataDir: string) => mkdirSync(join(dataDir, "workerd.capnp")),
    sentence: "/workerd.capnp cannot be written (EISDIR",
  },
])("[SYS-1] $kind is explained in one sentence", async ({ spoil, sentence }) => {
  const dataDir = temporaryFolder();
  spoil(dataDir);
  const { lines, exited } = launch({ PORT: "0", KAFKA_PORT: "0", DATA_DIR: dataDir });
  expect((await exited).code).toBe(1);
  expect(lines).toEqual([expect.stringContaining(`rivulet: ${dataDir}${sentence}`)]);
});

test.each([
  { kind: "nohup", program: "nohup", args: [process.execPath] },
  { kind: "a program without a terminal", program: process.execPath, args: [] },
])("[SYS-12] a broker that $kind has started goes on when the terminal is closed", async (how) => {
  const dataDir = temporaryFolder();
  const path = join(dataDir, "output");
  const output = openSync(path, "w");
  const { _, ...inherited } = process.env;
  const child = spawn(how.program, [...how.args, START], {
    env: { ...inherited, PORT: "0", KAFKA_PORT: "0", DATA_DIR: dataDir },
    stdio: ["ignore", output, output],
    detached: true, // As a job of a shell, it has a process group of its own.
  });
  const exited = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
  onTestFinished(() => void child.kill("SIGTERM"));
  const printed = () => readFileSync(path, "utf8");
  await until("it is ready", () => printed().includes("is ready on"));
  process.kill(-(child.pid as number), "SIGHUP");
  await until("it has the signal", () => printed().includes("the broker goes on"));
  const [url = ""] = /http:[^ ]+/.exec(printed()) ?? [];
  expect((await fetch(`${url}/health`)).status).toBe(200);
  child.kill("SIGTERM");
  expect(await exited).toBe(0);
});

test("[SYS-12] a broker whose output is read stops when its terminal is closed", async () => {
  const broker = await BrokerProcess.start();
  expect(await broker.signal("SIGHUP")).toEqual({ code: 0, signal: null });
});

test("[PLC-1] a jurisdiction is refused in one sentence, because workerd has none", async () => {
  const variables = { PORT: "0", DATA_DIR: temporaryFolder(), RIVULET_JURISDICTION: "eu" };
  const { lines, exited } = launch(variables);
  expect((await exited).code).toBe(1);
  expect(lines).toEqual([
    'rivulet: RIVULET_JURISDICTION is "eu", but only Cloudflare has jurisdictions, and a broker here keeps its data on this machine; leave it out',
  ]);
});
