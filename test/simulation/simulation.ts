// One simulation: a world and its events, all determined by the seed. First processes come and go and the nemesis does its
// worst. Then the faults stop, and the promises for that must hold: the groups become STABLE and drain, and the logs hold
// what was acknowledged.
import { createHash } from "node:crypto";
import { batches } from "../../src/core/log/record-batch.ts";
import type { Exports } from "./bundle.ts";
import { GroupChecker } from "./group-checker.ts";
import { History } from "./history.ts";
import { Liar } from "./liar.ts";
import { Nemesis } from "./nemesis.ts";
import type { SimulatedObject } from "./object.ts";
import { PartitionChecker } from "./partition-checker.ts";
import { ProducerProcess } from "./processes.ts";
import { Actor } from "./scheduler.ts";
import { type Environment, World } from "./world.ts";

export interface Outcome {
  readonly seed: number;
  readonly findings: readonly string[];
  readonly steps: number;
  readonly counts: Readonly<Record<string, number>>;
  /** A digest of everything that happened, in order: equal seeds have equal traces. */
  readonly trace: string;
}

/** The share of simulations with a liar. */
const LIAR_SHARE = 0.4;

/** After the faults: how long the deployment may take to come to rest. */
const REST_MS = 60_000;

export async function simulate(
  program: Exports,
  seed: number,
  tell?: (line: string) => void,
): Promise<Outcome> {
  const trace = createHash("sha256");
  const note = (line: string) => {
    const { nowMs } = world.scheduler;
    trace.update(`${nowMs} ${line}\n`);
    tell?.(`${String(nowMs - world.startMs).padStart(7)} ${line}`);
  };
  const groups = new Map<string, SimulatedObject>();
  let groupChecker: GroupChecker;
  const history = new History((group, place) => {
    const object = groups.get(group);
    return object === undefined ? null : groupChecker.committed(object, place);
  }, note);
  groupChecker = new GroupChecker(history);
  const partitionChecker = new PartitionChecker(history, batches);
  const world: World = new World(program, seed, {
    received(object, endpoint, frame) {
      const data = frame.type === "data" ? frame.data : frame.type;
      note(`${object.actor.name} ← ${endpoint.id} ${shown(data)}`);
      if (object.kind === "group") groupChecker.received(endpoint, frame);
      else partitionChecker.received(endpoint, frame);
    },
    sent(object, endpoint, data) {
      note(`${object.actor.name} → ${endpoint.id} ${shown(data)}`);
      if (object.kind === "partition") partitionChecker.sent(object, endpoint, data);
    },
    written(object) {
      note(`${object.actor.name} wrote: ${object.cause.slice(0, 80)}`);
      if (object.kind !== "group") return;
      groups.set(object.name, object);
      groupChecker.written(object);
    },
    threw(object, error) {
      note(`${object.actor.name} threw ${error}`);
    },
    crashed(object) {
      note(`${object.actor.name} crashed`);
      if (object.kind === "group") groupChecker.crashed(object);
    },
  });
  const random = world.random;
  const { scheduler } = world;
  const nemesis = new Nemesis(world, history, note, seed);
  const operator = world.environment(new Actor("operator"));

  await runUntil(
    world,
    history,
    60_000,
    ask(world, operator, () => nemesis.setUp(operator)),
  );
  const producers = Array.from(
    { length: random.integer(1, 2) },
    (_, i) =>
      new ProducerProcess(
        world,
        history,
        `p${i}`,
        () => nemesis.topics,
        random.pick([50, 150, 400]),
      ),
  );
  for (const producer of producers) producer.start();
  const liar = random.chance(LIAR_SHARE)
    ? new Liar(world, history, nemesis.groups, () => nemesis.topics, random.pick([20, 100]))
    : null;
  liar?.start();
  nemesis.start();
  const faultsMs = random.pick([300, 600, 1_200, 2_400]);
  await scheduler.run(
    scheduler.nowMs + faultsMs,
    () => world.noteWrites(),
    () => history.findings.length > 0,
  );

  note("the faults stop");
  nemesis.stop();
  for (const producer of producers) producer.stop();
  liar?.stop();
  const isAtRest = ask(world, operator, async () => {
    const isDone = () => producers.every((producer) => producer.isDone);
    await untilAtRest(world, operator, nemesis, isDone);
    // Everybody present by now must hear of added partitions.
    for (const topic of nemesis.topics) await addPartition(operator, history, topic);
    for (;;) {
      await untilAtRest(world, operator, nemesis, isDone);
      const logs = await readLogs(operator, nemesis.topics);
      // An append that was delayed for long may have come before the logs were read.
      if ((await whyNotAtRest(operator, nemesis, isDone)) === "") return logs;
    }
  });
  await runUntil(world, history, REST_MS, isAtRest);
  if (isAtRest.value !== undefined) history.checkLogs(isAtRest.value, nemesis.groups);
  else if (history.findings.length === 0)
    history.find(`not at rest after ${REST_MS} ms: ${isAtRest.hint ?? nemesis.hint}`);
  world.close();
  const starts = world.objects.reduce((sum, object) => sum + object.starts, 0);
  return {
    seed,
    findings: history.findings,
    steps: scheduler.steps,
    counts: { ...history.counts, starts, ...nemesis.counts },
    trace: trace.digest("hex"),
  };
}

interface Asked<T> {
  value?: T;
  hint?: string;
}

/** Starts something as the operator; its value is there once it is done. */
function ask<T>(
  world: World,
  operator: Environment,
  action: (asked: Asked<T>) => Promise<T>,
): Asked<T> {
  const asked: Asked<T> = {};
  world.scheduler.after(operator.actor, 0, () => {
    action(asked).then(
      (value) => {
        asked.value = value;
      },
      (error: unknown) => {
        asked.hint = String(error);
      },
    );
  });
  return asked;
}

function runUntil(
  world: World,
  history: History,
  guardMs: number,
  asked: Asked<unknown>,
): Promise<void> {
  return world.scheduler.run(
    world.scheduler.nowMs + guardMs,
    () => world.noteWrites(),
    () => asked.value !== undefined || history.findings.length > 0,
  );
}

interface Described {
  readonly state: string;
  readonly members: readonly unknown[];
  readonly offsets: readonly {
    lag: number | null;
    topic: string;
    partition: number;
    logEndOffset: number;
  }[];
}

async function untilAtRest(
  world: World,
  operator: Environment,
  nemesis: Nemesis,
  areProducersDone: () => boolean,
): Promise<void> {
  do {
    await new Promise<void>((resolve) => world.scheduler.after(operator.actor, 1_000, resolve));
    nemesis.hint = await whyNotAtRest(operator, nemesis, areProducersDone);
  } while (nemesis.hint !== "");
}

/** Empty if all groups are STABLE and have read everything, and every send was answered. */
async function whyNotAtRest(
  operator: Environment,
  { groups }: Nemesis,
  areProducersDone: () => boolean,
): Promise<string> {
  if (!areProducersDone()) return "a send was not answered";
  let hint = "";
  for (const group of groups) {
    const described = await get<Described>(operator, `/v1/groups/${group}`);
    const isStable = described?.state === "STABLE";
    const hasRead = described?.offsets.every(
      ({ lag, logEndOffset }) => lag === 0 || logEndOffset === 0,
    );
    if (!isStable || !hasRead) hint += JSON.stringify(described);
  }
  return hint;
}

/** Adds a partition with a record in it. */
async function addPartition(operator: Environment, history: History, topic: string): Promise<void> {
  const path = `/v1/topics/${topic}`;
  const { partitions } = (await get<{ partitions: number }>(operator, path)) ?? { partitions: 0 };
  await request(operator, "PATCH", path, { partitions: partitions + 1 });
  const value = `last of ${topic}`;
  history.sent.add(value);
  await request(operator, "POST", `${path}/records`, {
    records: [{ value, partition: partitions }],
  });
}

async function readLogs(
  operator: Environment,
  topics: readonly string[],
): Promise<Map<string, string[]>> {
  const logs = new Map<string, string[]>();
  for (const topic of topics) {
    const { partitions } = (await get<{ partitions: number }>(operator, `/v1/topics/${topic}`)) ?? {
      partitions: 0,
    };
    for (let partition = 0; partition < partitions; partition++) {
      const path = `/v1/topics/${topic}/partitions/${partition}/records?maxRecords=10000`;
      const read = await get<{ records: { value: string }[] }>(operator, path);
      logs.set(
        `${topic}/${partition}`,
        (read?.records ?? []).map(({ value }) => value),
      );
    }
  }
  return logs;
}

function get<T>(operator: Environment, path: string): Promise<T | null> {
  return request<T>(operator, "GET", path);
}

async function request<T>(
  { fetch, url }: Environment,
  method: string,
  path: string,
  body?: object,
): Promise<T | null> {
  try {
    const response = await (fetch as typeof globalThis.fetch)(`${url}${path}`, {
      method,
      ...(body === undefined
        ? {}
        : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
    });
    return response.ok ? ((await response.json()) as T) : null;
  } catch {
    return null;
  }
}

function shown(data: string | Uint8Array): string {
  return typeof data === "string" ? data.slice(0, 300) : `${data.length} bytes`;
}
