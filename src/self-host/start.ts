// `npm start`: the bundle on workerd, on this machine, with its data in a folder.
//
//   PORT      8787       HTTP and WebSockets; 0 takes a free port
//   KAFKA_PORT 9092      Kafka's protocol; 0 takes a free port, as does leaving it out if 9092 is taken
//   KAFKA_NODES 1        the number of nodes that the broker presents itself as, each on the next port. Clients open a
//                        connection to each
//   KAFKA_ADVERTISE      the addresses at which its clients find it, if not these: host:port, one for each node, with
//                        commas between
//   KAFKA_TLS_CERT, KAFKA_TLS_KEY
//                        PEM files of a certificate and its key: with both, Kafka's ports speak TLS and nothing else
//   AUTO_CREATE_TOPICS_ENABLE
//                        true or false: whether Kafka's clients create a topic by asking for it. True on a loopback HOST
//   NUM_PARTITIONS 1     the number of partitions of such a topic
//   HOST      127.0.0.1  the address to listen on
//   DATA_DIR  .rivulet   the folder of all data; one broker at a time
//   RIVULET_ROOT_KEY     the root's key. Without one a broker on a loopback HOST is open to this machine, and one on another
//                        HOST makes a key, says it once and keeps it in the data folder. RIVULET_ROOT_KEY_NEXT is good too
//   RIVULET_ALLOWED_ORIGINS, RIVULET_JWT_ISSUERS, RIVULET_SIGNING_KEY, RIVULET_AUDIENCE, RIVULET_QUOTA
//                        see SECURITY.md
//   RIVULET_SESSION_CPU_MS
//                        the CPU after which a session ends and its client connects again, as on Cloudflare. No bound here
//   RIVULET_JURISDICTION refused: workerd has no jurisdictions
//   RIVULET_LOG          text by default; json prints lines of the log as objects, as Cloudflare keeps them
//   SWEEP_MS  10000      between two searches for files of deleted objects
//   RIVULET_V8_FLAGS, RIVULET_DATA_MIB
//                        for tests on Linux: flags of V8's, and a bound on the data that workerd takes besides what it has
//                        when it first answers
//
// Prints one line with the URL when it answers. Ctrl-C and SIGTERM stop it. So does kill -9, and
// that loses nothing acknowledged: every write is in the database before it is acknowledged.
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, chmodSync, constants, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, relative, resolve } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { accessFor } from "./access.ts";
import { assertCluster } from "./cluster-file.ts";
import { kafkaTlsOf } from "./kafka-tls.ts";
import { LogFilter } from "./log-filter.ts";
import { boundData, v8FlagsOf } from "./memory-bounds.ts";
import { advertisedOf, kafkaPortsOf, portOf } from "./ports.ts";
import {
  assertNoJurisdiction,
  flagOf,
  isLoopback,
  MAX_PARTITIONS,
  MAX_SESSION_CPU_MS,
  numberOf,
  runOrExplain,
  StartError,
  stopWithNpm,
} from "./settings.ts";
import { Sweeper, sweepAtRest } from "./sweeper.ts";
import { workerdConfig } from "./workerd-config.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Open WebSockets would keep workerd from stopping. After this long, it is stopped without waiting. */
const STOP_GRACE_MS = 500;
const READY_TIMEOUT_MS = 30_000;
export const DEFAULT_PORT = 8787;
const DEFAULT_SWEEP_MS = 10_000;
const MAX_SWEEP_MS = 86_400_000;
const MAX_DATA_MIB = 1_048_576;
const BARRIER_RETRY_MS = 100;
/** How often the clock is checked, and how far it may differ even if nobody has set it. */
const CLOCK_CHECK_MS = 100;
const CLOCK_SLACK_MS = 1_000;

/** Returns the variable that bounds sessions, if it is set. A machine of one's own bounds none. */
function sessionCpu(): Record<string, string> {
  const name = "RIVULET_SESSION_CPU_MS";
  if (!process.env[name]) return {};
  return { [name]: String(numberOf(name, MAX_SESSION_CPU_MS, MAX_SESSION_CPU_MS)) };
}

/** Starts the broker, and returns its address once it answers. Ctrl-C and SIGTERM stop it, and this process. */
export async function start(): Promise<string> {
  assertNoJurisdiction();
  const host = process.env.HOST || "127.0.0.1";
  const kafkaTls = kafkaTlsOf();
  const port = await portOf("PORT", host, DEFAULT_PORT);
  const kafkaPorts = await kafkaPortsOf(host, port);
  const hostInUrl = host.includes(":") ? `[${host}]` : host;
  const kafkaAddresses = kafkaPorts.map((each) => `${hostInUrl}:${each}`);
  const kafkaAdvertise = advertisedOf(kafkaAddresses);
  const dataDir = resolve(process.env.DATA_DIR || ".rivulet");
  const storagePath = prepareFolder(dataDir);
  const lock = lockFolder(dataDir);
  const sweepMs = numberOf("SWEEP_MS", DEFAULT_SWEEP_MS, MAX_SWEEP_MS);
  const dataMib = numberOf("RIVULET_DATA_MIB", MAX_DATA_MIB, MAX_DATA_MIB);
  sweepAtRest(storagePath);
  assertCluster(storagePath);
  const bundlePath = await bundle();
  const { isOpen, variables, notice } = accessFor(host, dataDir);

  const configPath = resolve(dataDir, "workerd.capnp");
  writeFileSync(
    configPath,
    workerdConfig({
      bundlePath: relative(dataDir, bundlePath),
      storagePath,
      host,
      port,
      kafkaPorts,
      kafkaTls: kafkaTls && {
        certPath: relative(dataDir, kafkaTls.certPath),
        keyPath: relative(dataDir, kafkaTls.keyPath),
      },
      kafkaAdvertise,
      autoCreateTopics: flagOf("AUTO_CREATE_TOPICS_ENABLE", isLoopback(host)),
      numPartitions: numberOf("NUM_PARTITIONS", 1, MAX_PARTITIONS),
      trace: process.env.RIVULET_TRACE,
      v8Flags: v8FlagsOf(),
      isOpen,
      variables: { ...variables, ...sessionCpu() },
    }),
    { mode: 0o600 }, // It has the root's key.
  );
  chmodSync(configPath, 0o600);
  const workerd = spawn(workerdPath(), ["serve", configPath], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  printLines(workerd);
  const watchdog = killWithParent(workerd);

  let isStopping = false;
  const stop = () => {
    if (isStopping) return;
    isStopping = true;
    workerd.kill("SIGTERM");
    setTimeout(() => workerd.kill("SIGKILL"), STOP_GRACE_MS);
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  process.on("SIGHUP", stop);
  stopWithNpm(stop);
  workerd.on("exit", (code, signal) => {
    watchdog.kill("SIGKILL");
    lock.close();
    if (!isStopping)
      console.error(`rivulet: workerd ended by itself (${signal ?? `exit code ${code}`})`);
    process.exit(isStopping ? 0 : 1);
  });
  workerd.on("error", (error) => {
    console.error(`rivulet: workerd could not be started: ${error.message}`);
    process.exit(1);
  });

  const url = `http://${hostInUrl}:${port}`;
  await untilAnswered(url);
  if (dataMib < MAX_DATA_MIB) boundData(workerd.pid as number, dataMib);
  watchClock(url);
  new Sweeper(storagePath, () => barrier(url)).run(sweepMs);
  if (!isStopping && notice !== null) console.log(notice);
  const isWithoutRoot = !(variables.RIVULET_ROOT_KEY || variables.RIVULET_ROOT_KEY_NEXT);
  const reach = isWithoutRoot ? "there is no root key" : "whoever comes needs a key";
  if (!isStopping)
    console.log(
      `Rivulet is ready on ${url} (Kafka on ${kafkaAddresses}${kafkaTls ? " over TLS" : ""}, data in ${dataDir})${isOpen ? "" : `, closed: ${reach}`}`,
    );
  return url;
}

function prepareFolder(dataDir: string): string {
  const storagePath = resolve(dataDir, "objects");
  try {
    mkdirSync(storagePath, { recursive: true });
    accessSync(dataDir, constants.W_OK);
    accessSync(storagePath, constants.W_OK);
    writeFileSync(resolve(dataDir, ".write-test"), "");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(
      `the data folder ${dataDir} cannot be written (${reason}); choose another: DATA_DIR=/path npm start`,
    );
  }
  return storagePath;
}

/**
 * Locks the folder, because two brokers on one folder would corrupt it. The lock
 * is the operating system's, and ends with the process.
 */
function lockFolder(dataDir: string): DatabaseSync {
  const lock = new DatabaseSync(resolve(dataDir, "lock.sqlite"));
  try {
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  } catch {
    throw new StartError(
      `the data folder ${dataDir} is in use by another Rivulet; stop that one, or choose another: DATA_DIR=/path npm start`,
    );
  }
  return lock;
}

/** Returns the Worker's bundle: built from the sources if they are there, or as it was published. */
async function bundle(): Promise<string> {
  const bundlePath = resolve(ROOT, "dist/worker.js");
  if (existsSync(resolve(ROOT, "src/index.ts"))) {
    const { buildIfStale } = await import("./build-if-stale.ts");
    await buildIfStale();
  }
  return bundlePath;
}

function workerdPath(): string {
  const require = createRequire(import.meta.url);
  return resolve(dirname(require.resolve("workerd/package.json")), "bin/workerd");
}

function printLines({ stdout, stderr }: ChildProcess): void {
  const filter = new LogFilter(process.env.RIVULET_LOG === "json");
  const print = (input: Readable | null, to: (line: string) => void) => {
    if (input === null) return;
    createInterface({ input }).on("line", (text) => {
      const line = filter.line(text);
      if (line !== null) to(line);
    });
  };
  print(stdout, (line) => console.log(line));
  print(stderr, (line) => console.error(line));
}

/** Kills workerd if this process is killed without warning. Otherwise it would stay behind on the port. */
function killWithParent(child: ChildProcess): ChildProcess {
  const script = 'read -r _; kill -KILL "$1" 2>/dev/null';
  const watchdog = spawn("/bin/sh", ["-c", script, "sh", String(child.pid)], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  watchdog.unref();
  return watchdog;
}

/** [CLK-4] Sends the broker a request when somebody has set the clock back, because no other request may come. */
function watchClock(url: string): void {
  let aheadMs = Date.now() - performance.now();
  setInterval(() => {
    const nowAheadMs = Date.now() - performance.now();
    if (nowAheadMs < aheadMs - CLOCK_SLACK_MS) void fetch(`${url}/health`).catch(() => {});
    aheadMs = nowAheadMs;
  }, CLOCK_CHECK_MS).unref();
}

async function untilAnswered(url: string): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!(await answers(url))) {
    if (performance.now() > deadline)
      throw new StartError(`the broker did not answer on ${url} within ${READY_TIMEOUT_MS} ms`);
    await new Promise((wait) => setTimeout(wait, 20));
  }
}

/** Resolves once workerd has answered, however long that takes. */
async function barrier(url: string): Promise<void> {
  while (!(await answers(url))) await new Promise((wait) => setTimeout(wait, BARRIER_RETRY_MS));
}

/** True if it answers at all. It is then up. */
async function answers(url: string): Promise<boolean> {
  try {
    await (await fetch(`${url}/health`)).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

if (import.meta.main)
  await runOrExplain(async () => {
    await start();
  });
