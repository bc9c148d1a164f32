// The cost of an append with many readers at its partition, and when the readers have it. Raw sockets, one append at a time.
// Direct readers are those of a client that knows no relays.
import { readdirSync, readFileSync } from "node:fs";
import { BrokerProcess } from "../e2e/broker.ts";
import { Readers } from "./fan-out/readers.ts";
import { pidOfWorkerd } from "./kafka/memory.ts";
import { median, printTable, round } from "./report.ts";

/** workerd takes two descriptors for each socket, and a process here has 20,000. */
const COUNTS = [0, 200, 800, 3_000, 9_900];
const APPENDS = 30;
const WARM_UP = 5;
const VALUE = "x".repeat(100);

export async function benchFanOut(): Promise<void> {
  const rows: string[][] = [];
  for (const follows of [false, true]) rows.push(...(await measure(follows)));
  console.log(
    `One append of 100 B at a time, ${APPENDS} of them; CPU of workerd as a whole, median.`,
  );
  console.log(
    "One full: all readers of one relay are left, and one of each other: as if each had a thread.",
  );
  console.log(
    "One each: one reader of each relay, and the partition's own. So that is what the partition takes.\n",
  );
  printTable(
    [
      "readers",
      "relays",
      "CPU, ms",
      "p50, ms",
      "p99, ms",
      "one full: p99, ms",
      "one each: CPU, ms",
    ],
    rows,
  );
}

async function measure(follows: boolean): Promise<string[][]> {
  const rows: string[][] = [];
  for (const count of COUNTS) {
    const broker = await BrokerProcess.start();
    const post = (path: string, body: unknown) =>
      fetch(`${broker.url}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      }).then(async (response) => {
        if (!response.ok) throw new Error(await response.text());
        await response.arrayBuffer();
      });
    try {
      await post("/v1/topics", { name: "wide", partitions: 1 });
      const append = () => post("/v1/topics/wide/records", { records: [{ value: VALUE }] });
      const readers = new Readers(broker.url, "wide");
      const pid = pidOfWorkerd(broker.dataDir);
      await readers.grow(count, follows);
      const all = await appendSome(readers, pid, append);
      const { relays } = readers;
      const thinned = async (full: number | null) => {
        if (relays === 0) return null;
        readers.thinOut(full);
        return appendSome(readers, pid, append);
      };
      const oneFull = await thinned(0);
      const thin = await thinned(null);
      rows.push([
        `${count} ${follows ? "that follow" : "direct"}`,
        String(relays),
        round(all.cpuMs),
        round(all.p50Ms, 1),
        round(all.p99Ms, 1),
        oneFull === null ? "" : round(oneFull.p99Ms, 1),
        thin === null ? "" : round(thin.cpuMs),
      ]);
      console.log(rows.at(-1)?.join("  "));
      readers.close();
    } finally {
      await broker.stop();
    }
  }
  return rows;
}

async function appendSome(
  readers: Readers,
  pid: number,
  append: () => Promise<unknown>,
): Promise<{ cpuMs: number; p50Ms: number; p99Ms: number }> {
  for (let i = 0; i < WARM_UP; i++) await readers.delays(append);
  const cpu: number[] = [];
  const delays: number[] = [];
  for (let i = 0; i < APPENDS; i++) {
    const before = cpuMs(pid);
    for (const delay of await readers.delays(append)) delays.push(delay);
    cpu.push(cpuMs(pid) - before);
  }
  delays.sort((a, b) => a - b);
  const at = (share: number) => delays[Math.floor(share * delays.length)] ?? 0;
  return { cpuMs: median(cpu), p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** The CPU time of all threads of the process, in milliseconds, as Linux's scheduler counts it. */
function cpuMs(pid: number): number {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`))
    nanoseconds += Number(
      readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0],
    );
  return nanoseconds / 1e6;
}
