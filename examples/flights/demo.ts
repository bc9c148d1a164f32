// `npm run demo`: 20,000 flights through a consumer group whose members die and join while they flow.
//
// A producer sends the flights to 12 partitions. Three consumer processes in the group "delays" share
// them; one is killed with SIGKILL midway, a new one joins later; a second group, "audit", reads
// everything too. At the end the totals per airport, each offset counted once, are compared with those
// computed straight from the file. Exits 0 where they are equal, 1 on anything else.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Rivulet } from "../../src/sdk/index.ts";
import { type Broker, startBroker } from "./broker.ts";
import { type ConsumerReport, PARTITIONS, readFlights, TOPIC } from "./flight.ts";
import { Tally } from "./tally.ts";

const DEAD = "worker-2 (dead)";
const DEADLINE_MS = 55_000;
const startedMs = Date.now();
const flights = readFlights();
const delays = new Tally();
const audit = new Tally();
/** The owner of each partition of the group "delays". */
const owners = new Map<number, string>();
const processes = new Set<ChildProcess>();
let wake: () => void = () => {};

function say(text: string): void {
  console.log(`${((Date.now() - startedMs) / 1000).toFixed(1).padStart(5)}s  ${text}`);
}

function run(file: string, args: readonly string[], url: string): ChildProcess {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(process.execPath, [path, ...args], {
    env: { ...process.env, RIVULET_URL: url },
    stdio: ["ignore", "pipe", "inherit"],
  });
  processes.add(child);
  child.once("exit", (code, signal) => {
    processes.delete(child);
    if (code !== 0 && signal === null)
      fail(`${file} ${args.join(" ")} failed with exit code ${code}`);
    wake();
  });
  return child;
}

function consumer(groupId: string, name: string, tally: Tally, url: string): ChildProcess {
  const child = run("consumer.ts", [groupId, name], url);
  if (child.stdout === null) return child;
  createInterface(child.stdout).on("line", (line) => {
    const report = JSON.parse(line) as ConsumerReport;
    if (report.type === "batch") tally.add(report);
    else if (groupId === "delays") own(name, report);
    wake();
  });
  return child;
}

function own(name: string, report: Exclude<ConsumerReport, { type: "batch" }>): void {
  for (const partition of report.partitions) {
    if (report.type === "assigned") owners.set(partition, name);
    else if (owners.get(partition) === name) owners.delete(partition);
  }
  if (report.partitions.length > 0) show();
}

/** One line: which worker owns which partitions now. */
function show(): void {
  const names = [...new Set(owners.values())].sort();
  const shares = names.map((name) => {
    const partitions = [...owners]
      .filter(([, owner]) => owner === name)
      .map(([partition]) => partition);
    return `${name}: ${partitions.sort((a, b) => a - b).join(" ")}`;
  });
  const free = PARTITIONS - owners.size;
  say(`${shares.join("  |  ")}${free > 0 ? `  |  (${free} on the move)` : ""}`);
}

/** Waits for a condition on what the consumers report. */
async function until(what: string, condition: () => boolean): Promise<void> {
  while (!condition()) {
    const leftMs = DEADLINE_MS - (Date.now() - startedMs);
    if (leftMs <= 0)
      fail(
        `not done within ${DEADLINE_MS / 1000} s: ${what} (delays ${delays.count}, audit ${audit.count})`,
      );
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, leftMs);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function fail(reason: string): never {
  console.error(`\nThe demo failed: ${reason}`);
  for (const child of processes) child.kill("SIGKILL");
  void broker?.stop().finally(() => process.exit(1));
  if (broker === undefined) process.exit(1);
  throw new Error(reason);
}

let broker: Broker | undefined;

async function main(): Promise<void> {
  broker = await startBroker();
  const { url } = broker;
  say(`Broker on ${url}; ${flights.length} flights, ${PARTITIONS} partitions`);
  await new Rivulet({ url }).admin.createTopic({ name: TOPIC, partitions: PARTITIONS });

  const workers = new Map(
    ["worker-1", "worker-2", "worker-3"].map((name) => [
      name,
      consumer("delays", name, delays, url),
    ]),
  );
  consumer("audit", "auditor", audit, url);
  await until(
    "three workers share the partitions",
    () => owners.size === PARTITIONS && new Set(owners.values()).size === 3,
  );

  say("The producer starts");
  let isProducing = true;
  run("producer.ts", [], url).once("exit", () => {
    isProducing = false;
    say("The producer has sent everything");
  });

  await until("a third of the flights is handled", () => delays.count > flights.length / 3);
  say("worker-2 is killed (SIGKILL): its partitions move when its session ends");
  workers.get("worker-2")?.kill("SIGKILL");
  for (const [partition, owner] of owners) if (owner === "worker-2") owners.set(partition, DEAD);
  show();
  await until(
    "the partitions of worker-2 have moved",
    () => ![...owners.values()].includes(DEAD) && owners.size === PARTITIONS,
  );
  if (!isProducing) say("(the producer was faster than the session timeout)");

  say("worker-4 joins");
  consumer("delays", "worker-4", delays, url);
  await until(
    "worker-4 has its share",
    () => [...owners.values()].includes("worker-4") && owners.size === PARTITIONS,
  );

  await until(
    "both groups have everything",
    () => delays.count >= flights.length && audit.count >= flights.length && !isProducing,
  );
  say(
    `Both groups have handled everything; ${delays.repeated} records came twice after the kill and were counted once`,
  );
  for (const child of processes) child.kill("SIGTERM");
  await until("the consumers have left", () => processes.size === 0);
  await broker.stop();
  finish();
}

function finish(): void {
  for (const [name, tally] of [
    ["delays", delays],
    ["audit", audit],
  ] as const) {
    const differences = tally.differences(flights);
    if (differences.length > 0)
      fail(`the totals of group ${name} differ from the file's:\n${differences.join("\n")}`);
  }
  const rows = [...delays.totals].sort(([, a], [, b]) => b.flights - a.flights);
  console.log("\nORIGIN  FLIGHTS  MEAN DELAY (min)");
  for (const [origin, { flights: count, delay }] of rows.slice(0, 12)) {
    console.log(
      `${origin.padEnd(6)}  ${String(count).padStart(7)}  ${(delay / count).toFixed(1).padStart(16)}`,
    );
  }
  console.log(
    `… ${rows.length} airports, ${flights.length} flights: the totals of both groups equal the file's.`,
  );
}

await main();
