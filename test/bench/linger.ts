// The savings and the delay of `commit.linger.ms`: a thousand producers on their own sockets, each of which sends one record
// a second. The outcome of the previous one does not matter. Rows are counted in the partition's file. Rounds alternate.
import type { WebSocket } from "ws";
import { writeAppendFrame } from "../../src/protocol/append-frame.ts";
import { createTopic, open, payload } from "./clients.ts";
import { RowWatch } from "./groups/row-watch.ts";
import { median, printTable, round } from "./report.ts";
import { type Servers, startServers } from "./servers.ts";

const LINGERS_MS = [0, 20, 100];
const PRODUCERS = 1_000;
const SECONDS = 5;
const ROUNDS = 3;
/** A snapshot of the producers is a row for this many of the log's. */
const ROWS_PER_SNAPSHOT = 64;

interface Measured {
  readonly rowsPerMillion: number;
  readonly medianMs: number;
  readonly p99Ms: number;
}

export async function benchLinger(): Promise<void> {
  const servers = await startServers();
  const rounds = new Map<number, Measured[]>(LINGERS_MS.map((ms) => [ms, []]));
  try {
    await measure(servers, 0); // Anything that is slow at first.
    for (let i = 0; i < ROUNDS; i++)
      for (const ms of LINGERS_MS) rounds.get(ms)?.push(await measure(servers, ms));
  } finally {
    await servers.stop();
  }
  console.log(
    `${PRODUCERS} producers of one 100 B record a second each, ${SECONDS} s, ${ROUNDS} rounds: medians\n`,
  );
  printTable(
    [
      "commit.linger.ms",
      "rows per million records",
      "$",
      "ms to the answer",
      "the slowest hundredth",
    ],
    LINGERS_MS.map((ms) => {
      const all = rounds.get(ms) ?? [];
      const rows = median(all.map(({ rowsPerMillion }) => rowsPerMillion));
      return [
        String(ms),
        round(rows),
        (rows / 1e6).toFixed(3),
        round(median(all.map(({ medianMs }) => medianMs)), 1),
        round(median(all.map(({ p99Ms }) => p99Ms)), 1),
      ];
    }),
  );
}

async function measure(servers: Servers, lingerMs: number): Promise<Measured> {
  const topic = await createTopic(servers.rivulet, { "commit.linger.ms": lingerMs });
  const url = `${servers.rivulet.replace("http", "ws")}/v1/topics/${topic}/partitions/0/socket`;
  const producers: Producer[] = [];
  for (let i = 0; i < PRODUCERS; i++) producers.push(new Producer(await open(url)));
  await producers[0]?.send();
  const watch = new RowWatch(servers.folder);
  const times = await atTheirTimes(producers);
  const rows = [...watch.look().byTable]
    .filter(([table]) => table.startsWith("segment_"))
    .reduce((sum, [, count]) => sum + count, 0);
  watch.close();
  for (const { socket } of producers) socket.close();
  times.sort((one, other) => one - other);
  return {
    rowsPerMillion: ((rows + Math.floor(rows / ROWS_PER_SNAPSHOT)) / times.length) * 1e6,
    medianMs: median(times),
    p99Ms: times[Math.floor(times.length * 0.99)] as number,
  };
}

/** Each producer sends once a second, evenly spread. Resolves with how long each record took. */
async function atTheirTimes(producers: readonly Producer[]): Promise<number[]> {
  const sent: Promise<number>[] = [];
  const total = producers.length * SECONDS;
  const startMs = performance.now();
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const due = Math.min(total, ((performance.now() - startMs) / 1_000) * producers.length);
      while (sent.length < due)
        sent.push((producers[sent.length % producers.length] as Producer).send());
      if (sent.length < total) return;
      clearInterval(timer);
      resolve();
    }, 1);
  });
  return await Promise.all(sent);
}

class Producer {
  readonly socket: WebSocket;
  readonly #frame = payload(1, 100);
  #requestId = 0;
  readonly #waiting = new Map<number, () => void>();

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data: Buffer) => {
      const answer = JSON.parse(data.toString()) as { type: string; requestId: number };
      if (answer.type !== "appended") throw new Error(data.toString());
      this.#waiting.get(answer.requestId)?.();
      this.#waiting.delete(answer.requestId);
    });
  }

  /** Resolves with the milliseconds until the record was acknowledged. */
  send(): Promise<number> {
    const requestId = this.#requestId++;
    const startMs = performance.now();
    const batches = this.#frame.slice();
    this.socket.send(writeAppendFrame({ requestId, expectedOffset: null, batches }));
    return new Promise((resolve) => {
      this.#waiting.set(requestId, () => resolve(performance.now() - startMs));
    });
  }
}
