// The cost of authentication: the same small requests to an open broker, and to a closed one with an API key and with a
// token. Small ones, because the check is the same for large ones. A second open broker shows the difference between two
// processes that do the same.
import { type Admin, type Grant, Rivulet } from "../../src/sdk/index.ts";
import { BrokerProcess } from "../e2e/broker.ts";
import { Connection, requestText } from "./auth/connection.ts";
import { pidOfWorkerd } from "./kafka/memory.ts";
import { cpuNs } from "./processes/cpu.ts";
import { median, printTable, ratios, round } from "./report.ts";

const ROUNDS = 15;
/** A round is many slices, in which the sides take turns, so other load on the machine affects all of them alike. */
const SLICES = 32;
const TOPIC = "bench";
const VALUE = "x".repeat(100);
/** The targets for a rate, and for a time. */
const RATE_AIM = "≥ 0.97";
const TIME_AIM = "≤ 1.03";

interface Side {
  readonly name: string;
  readonly url: string;
  readonly credential: string | null;
  /** The process that does the work. */
  readonly pid: number;
}

/** The sides, each with its own broker, and the credential that a client of a closed one shows. */
const SIDES: Readonly<Record<string, ((url: string, root: Admin) => Promise<string>) | null>> = {
  open: null,
  "open, again": null,
  "API key": (_, root) => newKey(root),
  token: async (url, root) => {
    const { admin } = client({ url, credential: await newKey(root) });
    return (await admin.createToken({ ttlMs: 86_400_000 })).token;
  },
};

async function newKey(root: Admin): Promise<string> {
  const grants: Grant[] = [{ topics: { prefix: TOPIC }, operations: ["WRITE"] }];
  return (await root.createKey({ principal: "bench", grants })).key;
}

/** Sends requests to one side. */
interface Sender {
  /** Sends `count` requests and waits for the responses. Returns what each took, in milliseconds. */
  send(count: number): Promise<number[]>;
  close(): Promise<void>;
}

interface Shape {
  readonly name: string;
  /** The number of requests in a slice. */
  readonly count: number;
  open(side: Side): Promise<Sender>;
  /** The rows that it has in the report. */
  readonly rows: readonly Row[];
}

interface Row {
  readonly name: string;
  readonly unit: string;
  readonly aim: string;
  /** Returns the value of a round. */
  of(sums: Sums): number;
}

/** The work of one side in one round. */
interface Sums {
  ms: number;
  cpuNs: number;
  readonly times: number[];
}

const RATE: Omit<Row, "unit"> = {
  name: "",
  aim: RATE_AIM,
  of: ({ ms, times }) => times.length / (ms / 1_000),
};
const CPU: Row = {
  name: ", CPU of workerd",
  unit: "µs/request",
  aim: TIME_AIM,
  of: ({ cpuNs, times }) => cpuNs / 1_000 / times.length,
};
const P50: Row = { name: ", p50", unit: "ms", aim: TIME_AIM, of: ({ times }) => median(times) };

const SHAPES: readonly Shape[] = [
  {
    name: "HTTP, 32 at once",
    count: 128,
    open: (side) => httpSender(side, 32),
    rows: [{ ...RATE, unit: "requests/s" }, CPU],
  },
  { name: "HTTP, one by one", count: 16, open: (side) => httpSender(side, 1), rows: [P50] },
  {
    name: "SDK, 32 at once",
    count: 256,
    open: (side) => sdkSender(side, 32),
    rows: [{ ...RATE, unit: "sends/s" }],
  },
];

async function httpSender({ url, credential }: Side, atOnce: number): Promise<Sender> {
  const connections = await Promise.all(Array.from({ length: atOnce }, () => Connection.open(url)));
  const request = requestText(
    "POST",
    url,
    `/v1/topics/${TOPIC}/records`,
    credential === null ? {} : { authorization: `Bearer ${credential}` },
    JSON.stringify({ records: [{ value: VALUE }] }),
  );
  return {
    send: (count) => sendAll(connections, count, (connection) => connection.ask(request)),
    close: async () => {
      for (const connection of connections) connection.close();
    },
  };
}

async function sdkSender(side: Side, atOnce: number): Promise<Sender> {
  const { producer } = client(side);
  const lanes = Array.from({ length: atOnce }, () => producer);
  return {
    send: (count) => sendAll(lanes, count, (lane) => lane.send(TOPIC, [{ value: VALUE }])),
    close: () => producer.close(),
  };
}

async function sendAll<Lane>(
  lanes: readonly Lane[],
  count: number,
  send: (lane: Lane) => Promise<unknown>,
): Promise<number[]> {
  const times: number[] = [];
  let left = count;
  const run = async (lane: Lane) => {
    while (left-- > 0) {
      const startMs = performance.now();
      await send(lane);
      times.push(performance.now() - startMs);
    }
  };
  await Promise.all(lanes.map(run));
  return times;
}

function client({ url, credential }: Pick<Side, "url" | "credential">): Rivulet {
  return new Rivulet({ url, ...(credential === null ? {} : { token: credential }) });
}

/** Returns, round by round, the work of each side. */
async function measured(shape: Shape, sides: readonly Side[]): Promise<Sums[][]> {
  const senders = await Promise.all(sides.map((side) => shape.open(side)));
  const oneRound = async () => {
    const sums = sides.map((): Sums => ({ ms: 0, cpuNs: 0, times: [] }));
    for (let slice = 0; slice < SLICES; slice++)
      for (const turn of sides.keys()) {
        const at = (slice + turn) % sides.length; // The first side alternates.
        const [side, sender, sum] = [sides[at], senders[at], sums[at]] as [Side, Sender, Sums];
        const startNs = cpuNs(side.pid);
        const startMs = performance.now();
        sum.times.push(...(await sender.send(shape.count)));
        sum.ms += performance.now() - startMs;
        sum.cpuNs += cpuNs(side.pid) - startNs;
      }
    return sums;
  };
  await oneRound(); // Compiled and warm before anything counts.
  const rounds: Sums[][] = [];
  while (rounds.length < ROUNDS) rounds.push(await oneRound());
  for (const sender of senders) await sender.close();
  return rounds;
}

export async function benchAuth(): Promise<void> {
  const only = process.argv[3] ?? "";
  const shapes = SHAPES.filter(({ name }) => name.includes(only));
  if (shapes.length === 0) {
    console.log(`Nothing has "${only}" in its name: ${SHAPES.map(({ name }) => name).join("; ")}`);
    return;
  }
  const brokers: BrokerProcess[] = [];
  try {
    const sides: Side[] = [];
    for (const [name, credentialIn] of Object.entries(SIDES)) {
      const env: Record<string, string> =
        credentialIn === null ? {} : { RIVULET_ROOT_KEY: crypto.randomUUID() };
      const broker = await BrokerProcess.start({ env });
      brokers.push(broker);
      const { url, dataDir } = broker;
      const { admin } = client({ url, credential: env.RIVULET_ROOT_KEY ?? null });
      await admin.createTopic({ name: TOPIC });
      const credential = credentialIn === null ? null : await credentialIn(url, admin);
      sides.push({ name, url, credential, pid: pidOfWorkerd(dataDir) });
    }
    const heads = sides.map(({ name }) => name);
    const values: string[][] = [];
    const compared: string[][] = [];
    for (const shape of shapes) {
      const rounds = await measured(shape, sides);
      for (const { name, unit, aim, of } of shape.rows) {
        const bySide = sides.map((_, i) => rounds.map((sums) => of(sums[i] as Sums)));
        const [open = [], ...others] = bySide;
        values.push([shape.name + name, ...bySide.map((each) => round(median(each))), unit]);
        compared.push([shape.name + name, ...others.map((each) => ratios(each, open)), aim]);
      }
      process.stderr.write(`${shape.name}: done\n`);
    }
    console.log(
      `Produce of one record of ${VALUE.length} B: medians of ${ROUNDS} rounds; ratios to the open broker are the median of the rounds' ratios (from the least to the greatest)\n`,
    );
    printTable(["what", ...heads, "unit"], values);
    printTable(["ratio", ...heads.slice(1).map((name) => `${name} / open`), "aim"], compared);
  } finally {
    for (const broker of brokers) await broker.stop();
  }
}
