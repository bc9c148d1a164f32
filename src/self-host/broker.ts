// The broker on this machine: the Worker's bundle on workerd, with its data in a folder. `npm start` runs it in a clone and
// `rivulet start` from the package.
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, chmodSync, constants, mkdirSync, writeFileSync } from "node:fs";
import { relative, resolve, sep } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import type { Readable } from "node:stream";
import { accessFor } from "./access.ts";
import { assertCluster } from "./cluster-file.ts";
import { kafkaTlsOf } from "./kafka-tls.ts";
import { LogFilter } from "./log-filter.ts";
import { boundData, v8FlagsOf } from "./memory-bounds.ts";
import { advertisedOf, assertFetchable, kafkaPortsOf, portOf } from "./ports.ts";
import {
  assertNoJurisdiction,
  DEFAULT_PORT,
  flagOf,
  isJsonLog,
  isLoopback,
  MAX_PARTITIONS,
  MAX_SESSION_CPU_MS,
  numberOf,
  outlivesTerminal,
  StartError,
  stopWithNpm,
} from "./settings.ts";
import { Sweeper, sweepAtRest } from "./sweeper.ts";
import { workerdConfig } from "./workerd-config.ts";

/** The time that workerd has to stop by itself. Open WebSockets would keep it from stopping. */
const STOP_GRACE_MS = 500;
const READY_TIMEOUT_MS = 30_000;
const DEFAULT_SWEEP_MS = 10_000;
const MAX_SWEEP_MS = 86_400_000;
const MAX_DATA_MIB = 1_048_576;
const BARRIER_RETRY_MS = 100;
const CLOCK_CHECK_MS = 100;
/** The clock may differ by this much without anybody having set it. */
const CLOCK_SLACK_MS = 1_000;

/** The files that a broker is run from. */
export interface Programs {
  readonly workerdPath: string;
  /** Returns the path of the Worker's bundle. It is called once the ports and the data folder are good. */
  readonly bundle: () => Promise<string>;
}

/** Returns the variable that bounds sessions, if it is set. By default nothing bounds a session on this machine. */
function sessionCpu(): Record<string, string> {
  const name = "RIVULET_SESSION_CPU_MS";
  if (!process.env[name]) return {};
  return { [name]: String(numberOf(name, MAX_SESSION_CPU_MS, MAX_SESSION_CPU_MS)) };
}

/**
 * Starts the broker as the environment says, and returns its address once it answers. Ctrl-C and SIGTERM stop it, and end
 * this process.
 * @throws StartError
 */
export async function startBroker({ workerdPath, bundle }: Programs): Promise<string> {
  assertNoJurisdiction();
  const asJson = isJsonLog();
  const host = process.env.HOST || "127.0.0.1";
  const kafkaTls = kafkaTlsOf();
  assertFetchable("PORT");
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
  writeConfig(
    configPath,
    workerdConfig({
      bundlePath: embedPath(dataDir, bundlePath),
      storagePath,
      host,
      port,
      kafkaPorts,
      kafkaTls: kafkaTls && {
        certPath: embedPath(dataDir, kafkaTls.certPath),
        keyPath: embedPath(dataDir, kafkaTls.keyPath),
      },
      kafkaAdvertise,
      autoCreateTopics: flagOf("AUTO_CREATE_TOPICS_ENABLE", isLoopback(host)),
      numPartitions: numberOf("NUM_PARTITIONS", 1, MAX_PARTITIONS),
      trace: process.env.RIVULET_TRACE,
      v8Flags: v8FlagsOf(),
      isOpen,
      variables: { ...variables, ...sessionCpu() },
    }),
  );
  const isDetached = outlivesTerminal();
  const workerd = spawn(workerdPath, ["serve", configPath], {
    stdio: ["ignore", "pipe", "pipe"],
    detached: isDetached, // The signal of a closed terminal goes to the whole process group.
  });
  printLines(workerd, asJson);
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
  process.on("SIGHUP", () => {
    if (isDetached) console.error("rivulet: the terminal was closed; the broker goes on");
    else stop();
  });
  stopWithNpm(stop);
  workerd.on("exit", (code, signal) => {
    watchdog?.kill("SIGKILL");
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
  const reach = isWithoutRoot ? "there is no root key" : "every client needs a key";
  if (!isStopping)
    console.log(
      `Rivulet is ready on ${url} (Kafka on ${kafkaAddresses}${kafkaTls ? " over TLS" : ""}, data in ${dataDir})${isOpen ? "" : `, closed: ${reach}`}`,
    );
  return url;
}

/** Returns a path as the configuration embeds it: relative to the data folder, with Cap'n Proto's slashes on Windows too. */
function embedPath(dataDir: string, path: string): string {
  return relative(dataDir, path).replaceAll(sep, "/");
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
      `the data folder ${dataDir} cannot be written (${reason}); choose another, such as DATA_DIR=/path`,
    );
  }
  return storagePath;
}

/** The error code of SQLite for a database that another connection has locked. */
const SQLITE_BUSY = 5;

/** Locks the folder, because two brokers on one folder would corrupt it. The operating system ends the lock with the process. */
function lockFolder(dataDir: string): DatabaseSync {
  const path = resolve(dataDir, "lock.sqlite");
  try {
    const lock = new DatabaseSync(path);
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    const { errcode, message } = error as Error & { errcode?: number };
    throw new StartError(
      errcode === SQLITE_BUSY
        ? `the data folder ${dataDir} is in use by another Rivulet; stop that one, or choose another, such as DATA_DIR=/path`
        : `${path} cannot be locked (${message}); remove it: it holds no data`,
    );
  }
}

/** Writes workerd's configuration. The root key is in it, so only its owner may read it. @throws StartError */
function writeConfig(path: string, text: string): void {
  try {
    writeFileSync(path, text, { mode: 0o600 });
    chmodSync(path, 0o600);
  } catch (error) {
    throw new StartError(
      `${path} cannot be written (${(error as Error).message}); remove it: each start makes it anew`,
    );
  }
}

function printLines({ stdout, stderr }: ChildProcess, asJson: boolean): void {
  const filter = new LogFilter(asJson);
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

/**
 * Starts a process that kills workerd if this process is killed without warning. Otherwise workerd would keep the port.
 * Windows has no shell for it.
 */
function killWithParent(child: ChildProcess): ChildProcess | null {
  if (process.platform === "win32") return null;
  const script = 'read -r _; kill -KILL "$1" 2>/dev/null';
  const watchdog = spawn("/bin/sh", ["-c", script, "sh", String(child.pid)], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  watchdog.unref();
  return watchdog;
}

/** [CLK-4] Sends the broker a request after somebody has set the clock back, because no other request may come. */
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

/** Resolves once workerd has answered. It waits without a bound. */
async function barrier(url: string): Promise<void> {
  while (!(await answers(url))) await new Promise((wait) => setTimeout(wait, BARRIER_RETRY_MS));
}

/** True if the broker answers, with any status. */
async function answers(url: string): Promise<boolean> {
  try {
    await (await fetch(`${url}/health`)).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
