// What it costs to ask who calls: the same small requests to an open broker, and to a closed one with an API key and with
// a token. Small ones, because the check is the same for large ones. A second open broker shows what the difference
// between two processes is when there is none in what they do.
import { readdirSync, readFileSync } from "node:fs";
import { Rivulet } from "../../src/sdk/index.ts";
import { BrokerProcess } from "../e2e/broker.ts";
import { Connection, requestText } from "./auth/connection.ts";
import { pidOfWorkerd } from "./kafka/memory.ts";
import { median, printTable, ratios, round } from "./report.ts";
import { inTurns } from "./sdk/compare.ts";

/** Many and short: a machine's moods last longer than a round. */
const ROUNDS = Number(process.env.ROUNDS ?? 41);
const TOPIC = "bench";
const VALUE = "x".repeat(100);
const CALLS_AT_ONCE = 32;
const REQUESTS = 1_500;
const ONE_BY_ONE = 300;
const SDK_SENDS = 4_000;
/** The bounds hold for a rate and for its reciprocal. */
const AIM = "≥ 0.97";
const TIME_AIM = "≤ 1.03";

interface Side {
  readonly name: string;
  readonly url: string;
  /** The process that does the work. */
  readonly pid: number;
  readonly credential: string | null;
  readonly values: Map<Shape, number[]>;
}

interface Shape {
  readonly name: string;
  readonly unit: string;
  readonly aim: string;
  run(side: Side): Promise<number>;
}

const SHAPES: readonly Shape[] = [
  {
    name: `HTTP, 1 record, ${CALLS_AT_ONCE} at once`,
    unit: "requests/s",
    aim: AIM,
    run: async (side) => {
      const startMs = performance.now();
      await produceMany(side);
      return REQUESTS / ((performance.now() - startMs) / 1_000);
    },
  },
  {
    // What others do on the machine, and how fast this client is, is not in it.
    name: "the same, CPU of workerd",
    unit: "µs/request",
    aim: TIME_AIM,
    run: async (side) => {
      const startNs = cpuNs(side.pid);
      await produceMany(side);
      return (cpuNs(side.pid) - startNs) / 1_000 / REQUESTS;
    },
  },
  {
    name: "HTTP, 1 record, one by one, p50",
    unit: "ms",
    aim: TIME_AIM,
    run: async (side) => {
      const connection = await Connection.open(side.url);
      const request = produceRequest(side);
      const times: number[] = [];
      for (let i = 0; i < ONE_BY_ONE; i++) {
        const startMs = performance.now();
        await connection.ask(request);
        times.push(performance.now() - startMs);
      }
      connection.close();
      return median(times);
    },
  },
  {
    name: `SDK, 1 record, ${CALLS_AT_ONCE} at once`,
    unit: "sends/s",
    aim: AIM,
    run: async (side) => {
      const { producer } = client(side);
      await producer.send(TOPIC, [{ value: VALUE }]); // It connects.
      let left = SDK_SENDS;
      const send = async () => {
        while (left-- > 0) await producer.send(TOPIC, [{ value: VALUE }]);
      };
      const startMs = performance.now();
      await Promise.all(Array.from({ length: CALLS_AT_ONCE }, send));
      const rate = SDK_SENDS / ((performance.now() - startMs) / 1_000);
      await producer.close();
      return rate;
    },
  },
];

async function produceMany(side: Side): Promise<void> {
  const connections = await Promise.all(
    Array.from({ length: CALLS_AT_ONCE }, () => Connection.open(side.url)),
  );
  const request = produceRequest(side);
  let left = REQUESTS;
  const ask = async (connection: Connection) => {
    while (left-- > 0) await connection.ask(request);
  };
  await Promise.all(connections.map(ask));
  for (const connection of connections) connection.close();
}

/** Returns what the threads of a process have had of the machine's processors, as Linux tells it. */
function cpuNs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const ranNs = (thread: string) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  return threads.reduce((sum, thread) => sum + ranNs(thread), 0);
}

function produceRequest({ url, credential }: Side): string {
  return requestText(
    "POST",
    url,
    `/v1/topics/${TOPIC}/records`,
    credential === null ? {} : { authorization: `Bearer ${credential}` },
    JSON.stringify({ records: [{ value: VALUE }] }),
  );
}

function client({ url, credential }: Pick<Side, "url" | "credential">): Rivulet {
  return new Rivulet({ url, ...(credential === null ? {} : { token: credential }) });
}

export async function benchAuth(): Promise<void> {
  const only = process.argv[3] ?? "";
  const shapes = SHAPES.filter(({ name }) => name.includes(only));
  if (shapes.length === 0) {
    console.log(`Nothing has "${only}" in its name: ${SHAPES.map(({ name }) => name).join("; ")}`);
    return;
  }
  const rootKey = crypto.randomUUID();
  const [open, again, closed] = await Promise.all([
    BrokerProcess.start(),
    BrokerProcess.start(),
    BrokerProcess.start({ env: { RIVULET_ROOT_KEY: rootKey } }),
  ]);
  const brokers = [open, again, closed];
  try {
    for (const { url } of [open, again])
      await client({ url, credential: null }).admin.createTopic({ name: TOPIC });
    const root = client({ url: closed.url, credential: rootKey });
    await root.admin.createTopic({ name: TOPIC });
    const { key } = await root.admin.createKey({
      principal: "bench",
      grants: [{ topics: { prefix: TOPIC }, operations: ["WRITE"] }],
    });
    const { token } = await client({ url: closed.url, credential: key }).admin.createToken({
      ttlMs: 86_400_000,
    });
    const side = (
      name: string,
      { url, dataDir }: BrokerProcess,
      credential: string | null,
    ): Side => ({
      name,
      url,
      pid: pidOfWorkerd(dataDir),
      credential,
      values: new Map(shapes.map((shape) => [shape, []])),
    });
    const sides = [
      side("open", open, null),
      side("open, again", again, null),
      side("API key", closed, key),
      side("token", closed, token),
    ];
    for (const shape of shapes) {
      for (const each of sides) await shape.run(each); // Compiled and warm before anything counts.
      await inTurns(
        sides,
        async (each) => {
          each.values.get(shape)?.push(await shape.run(each));
        },
        ROUNDS,
      );
      process.stderr.write(`${shape.name}: done\n`);
    }
    report(shapes, sides);
  } finally {
    for (const broker of brokers) await broker.stop();
  }
}

function report(shapes: readonly Shape[], [open, ...others]: readonly Side[]): void {
  const valuesOf = (side: Side | undefined, shape: Shape) => side?.values.get(shape) ?? [];
  console.log(
    `Produce of one record of ${VALUE.length} B: medians of ${ROUNDS} rounds; ratios to the open broker are the median of the rounds' ratios (from the least to the greatest)\n`,
  );
  printTable(
    ["what", "open", ...others.map(({ name }) => name), "unit"],
    shapes.map((shape) => [
      shape.name,
      ...[open, ...others].map((side) => round(median(valuesOf(side, shape)))),
      shape.unit,
    ]),
  );
  printTable(
    ["ratio", ...others.map(({ name }) => `${name} / open`), "aim"],
    shapes.map((shape) => [
      shape.name,
      ...others.map((side) => ratios(valuesOf(side, shape), valuesOf(open, shape))),
      shape.aim,
    ]),
  );
}
