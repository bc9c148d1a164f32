// The number of sequential round trips of an operation. They go to the cluster object, to the objects of its partitions and
// groups, and between client and Worker. Each kind of trip takes its own time in simulated time, and nothing else takes any,
// so the time of an operation tells them apart.
import { bundle, type Exports } from "./bundle.ts";
import { GLOBALS } from "./globals.ts";
import { Actor } from "./scheduler.ts";
import { type Environment, World } from "./world.ts";

export interface Trips {
  readonly cluster: number;
  readonly objects: number;
  readonly client: number;
}

/** The round trips. Their ratios are such that fewer than that ratio occur of each kind. */
const CLUSTER_MS = 4_000;
const OBJECT_MS = 100;
const CLIENT_MS = 2;

type Sdk = InstanceType<Exports["Rivulet"]>;

interface Bench {
  readonly rivulet: () => Sdk;
  readonly request: (method: string, path: string, body?: object) => Promise<unknown>;
  /** A new isolate, and every object must wake. */
  readonly forget: () => void;
  /** Lets everything under way finish. */
  readonly rest: () => Promise<void>;
  /** Runs an operation to its end, and returns its trips. */
  readonly time: (operation: () => Promise<unknown>) => Promise<Trips>;
}

/**
 * The first use of a partition or group, the use by a cold isolate, and by a warm one. Null if there is no such use.
 */
export interface Measured {
  readonly operation: string;
  readonly first: Trips | null;
  readonly cold: Trips | null;
  readonly warm: Trips;
}

export async function measureTrips(program?: Exports): Promise<Measured[]> {
  const exports = program ?? (await bundle(GLOBALS));
  const measured: Measured[] = [];
  for (const [operation, measure] of Object.entries(OPERATIONS))
    measured.push({ operation, ...(await measure(benchOf(exports))) });
  return measured;
}

function benchOf(program: Exports): Bench {
  const nothing = () => {};
  const world = new World(program, 1, {
    received: nothing,
    sent: nothing,
    written: nothing,
    threw: nothing,
    crashed: nothing,
  });
  const { scheduler, network } = world;
  network.conditions.wayMs = (one, other) => wayMs(one.name, other.name);
  const client = new Actor("client");
  const environment: Environment = world.environment(client);
  const run = (ms: number, isOver = () => false) =>
    scheduler.run(scheduler.nowMs + ms, nothing, isOver);
  const time = async (operation: () => Promise<unknown>): Promise<Trips> => {
    const fromMs = scheduler.nowMs;
    let endMs: number | null = null;
    let failure: { readonly error: unknown } | null = null;
    scheduler.after(client, 0, () => {
      operation().then(
        () => {
          endMs = scheduler.nowMs;
        },
        (error: unknown) => {
          failure = { error };
        },
      );
    });
    await run(10 * CLUSTER_MS, () => endMs !== null || failure !== null);
    if (failure !== null) throw (failure as { readonly error: unknown }).error;
    if (endMs === null) throw new Error("the operation came to no end");
    return tripsIn(endMs - fromMs);
  };
  return {
    rivulet: () =>
      new program.Rivulet({
        url: environment.url,
        fetch: environment.fetch as never,
        WebSocket: environment.WebSocket as never,
      }),
    request: async (method, path, body) => {
      const response = await (environment.fetch as typeof fetch)(`${environment.url}${path}`, {
        method,
        ...(body && {
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body),
        }),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      return text === "" ? null : JSON.parse(text);
    },
    forget: () => {
      program.forgetEverything();
      for (const object of world.objects) object.evict();
    },
    rest: () => run(3 * CLUSTER_MS),
    time,
  };
}

function wayMs(one: string, other: string): number {
  const names = [one, other];
  if (names.some((name) => name.startsWith("cluster"))) return CLUSTER_MS / 2;
  if (names.some((name) => /^(group|partition) /.test(name))) return OBJECT_MS / 2;
  return CLIENT_MS / 2;
}

function tripsIn(ms: number): Trips {
  const cluster = Math.floor(ms / CLUSTER_MS);
  const rest = ms % CLUSTER_MS;
  return { cluster, objects: Math.floor(rest / OBJECT_MS), client: (rest % OBJECT_MS) / CLIENT_MS };
}

type Measure = (bench: Bench) => Promise<Omit<Measured, "operation">>;

async function topicOf({ request, time, rest }: Bench, partitions = 1): Promise<void> {
  await time(() => request("POST", "/v1/topics", { name: "t", partitions }));
  await rest();
}

const RECORD = { records: [{ value: "v" }] };

/** Runs the same request on a partition or group that is new, in a cold isolate, and in a warm one. */
function repeated(request: (bench: Bench) => Promise<unknown>, prepare?: Measure): Measure {
  return async (bench) => {
    await topicOf(bench);
    await prepare?.(bench);
    bench.forget();
    const measure = async () => {
      const trips = await bench.time(() => request(bench));
      await bench.rest();
      return trips;
    };
    const first = await measure();
    bench.forget();
    const cold = await measure();
    return { first, cold, warm: await measure() };
  };
}

const produced: Measure = async ({ request, time, rest }) => {
  const warm = await time(() => request("POST", "/v1/topics/t/records", RECORD));
  await rest();
  return { first: null, cold: null, warm };
};

const POLL = { instanceId: "i", topics: ["t"] };

/** Measures from a consumer's start, or from what `act` does to it, to its next record. */
async function consumed(
  { rivulet, request, time, rest }: Bench,
  act: (consumer: Pick<ReturnType<Sdk["consumer"]>, "commit">) => Promise<void>,
): Promise<{ started: Trips; acted: Trips }> {
  let got = () => {};
  const consumer = rivulet().consumer({
    groupId: "g",
    topics: ["t"],
    from: "earliest",
    commitIntervalMs: 3_600_000, // It commits on request.
  });
  const nextRecord = () =>
    new Promise<void>((resolve) => {
      got = resolve;
    });
  const started = await time(async () => {
    const record = nextRecord();
    void consumer.run({ eachRecord: () => got() });
    await record;
  });
  const acted = await time(() => act(consumer));
  await rest();
  await time(() => consumer.close());
  await time(() => request("POST", "/v1/topics/t/records", RECORD));
  await rest();
  return { started, acted };
}

const OPERATIONS: Readonly<Record<string, Measure>> = {
  "produce over HTTP": repeated(({ request }) => request("POST", "/v1/topics/t/records", RECORD)),
  "the SDK's first send; warm: its next": async (bench) => {
    await topicOf(bench);
    const sent = async (): Promise<[Trips, Trips]> => {
      bench.forget();
      const rivulet = bench.rivulet();
      const once = await bench.time(() => rivulet.producer.send("t", [{ value: "v" }]));
      await bench.rest();
      return [once, await bench.time(() => rivulet.producer.send("t", [{ value: "v" }]))];
    };
    const [first] = await sent();
    const [cold, warm] = await sent();
    return { first, cold, warm };
  },
  fetch: repeated(
    ({ request }) => request("GET", "/v1/topics/t/partitions/0/records?offset=0"),
    produced,
  ),
  "a member's join, to its first record": async (bench) => {
    await topicOf(bench);
    await produced(bench);
    const nothing = async () => {};
    bench.forget();
    const { started: first } = await consumed(bench, nothing);
    bench.forget();
    const { started: cold } = await consumed(bench, nothing);
    const { started: warm } = await consumed(bench, nothing);
    return { first, cold, warm };
  },
  commit: async (bench) => {
    await topicOf(bench);
    await produced(bench);
    const { acted: warm } = await consumed(bench, (consumer) => consumer.commit());
    return { first: null, cold: null, warm };
  },
  poll: repeated(({ request }) => request("POST", "/v1/groups/g/poll", POLL), produced),
};
