// A workload of `npm run cost`, run by the program as it ships: producers with random requests, and groups of SDK consumers.
// It counts the platform's billed usage, over a stretch of simulated time in which everybody has joined.
import type { Measured, Shape } from "../cost/counted.ts";
import { Random } from "../support/random.ts";
import { bundle, type Exports } from "./bundle.ts";
import { GLOBALS } from "./globals.ts";
import { Actor } from "./scheduler.ts";
import { World } from "./world.ts";

/** By then a group's members have joined, one after another, and their assignments have come to rest. */
const JOINING_MS = 20_000;
/** Objects sleep as soon as they can, which is checked this often. */
const SLEEP_MS = 10_000;
/** The travel time of a frame or a request, always the same. */
const WAY_MS = 5;

export async function measureLoad(shape: Shape, program?: Exports): Promise<Measured> {
  const nothing = () => {};
  const world = new World(program ?? (await bundle(GLOBALS)), 1, {
    received: nothing,
    sent: nothing,
    written: nothing,
    threw: (_, error) => {
      throw error;
    },
    crashed: nothing,
  });
  try {
    return await new Load(world, shape).measure();
  } finally {
    world.close();
  }
}

class Load {
  readonly #world: World;
  readonly #shape: Shape;
  readonly #random = new Random(2);
  #isProducing = false;
  #failure: unknown = null;
  #requests = 0;

  constructor(world: World, shape: Shape) {
    this.#world = world;
    this.#shape = shape;
    world.flushMs = shape.commitMs;
    world.network.conditions.wayMs = () => WAY_MS;
  }

  async measure(): Promise<Measured> {
    const { topics, seconds } = this.#shape;
    for (let topic = 0; topic < topics; topic++) this.#createTopic(topic);
    await this.#run(JOINING_MS);
    for (let topic = 0; topic < topics; topic++) {
      this.#consume(topic);
      this.#produceFor(topic);
    }
    this.#isProducing = true;
    await this.#run(JOINING_MS);
    const before = this.#counts();
    await this.#run(1_000 * seconds);
    const after = this.#counts();
    this.#isProducing = false;
    if (this.#failure !== null) throw this.#failure;
    const perSecond = (count: (counts: Measured) => number) =>
      (count(after) - count(before)) / seconds;
    return {
      produceRequests: perSecond(({ produceRequests }) => produceRequests),
      workerRequests: perSecond(({ workerRequests }) => workerRequests),
      partition: difference(after.partition, before.partition, seconds),
      group: difference(after.group, before.group, seconds),
      cluster: difference(after.cluster, before.cluster, seconds),
    };
  }

  async #run(ms: number): Promise<void> {
    const { scheduler, objects } = this.#world;
    const untilMs = scheduler.nowMs + ms;
    while (scheduler.nowMs < untilMs && this.#failure === null) {
      const next = Math.min(untilMs, scheduler.nowMs + SLEEP_MS);
      await scheduler.run(
        next,
        () => {},
        () => this.#failure !== null,
      );
      for (const object of objects) object.evict();
    }
  }

  #counts(): Measured {
    const of = (kind: string) => {
      const objects = this.#world.objects.filter((object) => object.kind === kind);
      const sum = (count: (object: (typeof objects)[number]) => number) =>
        objects.reduce((total, object) => total + count(object), 0);
      return {
        rowsWritten: sum(({ storage }) => storage.rowsWritten),
        calls: sum(({ calls }) => [...calls.values()].reduce((all, count) => all + count, 0)),
        alarms: sum(({ alarms }) => alarms),
        messages: sum(({ messages }) => messages),
        storedBytes: sum(({ storage }) => storage.bytes),
      };
    };
    return {
      produceRequests: this.#requests,
      workerRequests: this.#world.workerRequests,
      partition: of("partition"),
      group: of("group"),
      cluster: of("cluster"),
    };
  }

  async #post(actor: Actor, path: string, body: object): Promise<void> {
    const { url, fetch } = this.#world.environment(actor);
    const response = await (fetch as typeof globalThis.fetch)(`${url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  }

  #createTopic(topic: number): void {
    const { partitions, config } = this.#shape;
    this.#act(new Actor(`admin of t${topic}`), 0, (actor) =>
      this.#post(actor, "/v1/topics", { name: `t${topic}`, partitions, config }),
    );
  }

  #consume(topic: number): void {
    const { groupsPerTopic, membersPerGroup, commitIntervalMs } = this.#shape;
    for (let group = 0; group < groupsPerTopic; group++)
      for (let member = 0; member < membersPerGroup; member++) {
        const actor = new Actor(`member ${member} of g${topic}-${group}`);
        this.#act(actor, 0, async () => {
          const { program, url, fetch, WebSocket } = this.#world.environment(actor);
          const options = { url, fetch: fetch as never, WebSocket: WebSocket as never };
          const consumer = new program.Rivulet(options).consumer({
            ...{ groupId: `g${topic}-${group}`, topics: [`t${topic}`], from: "latest" },
            ...{ clientId: actor.name, commitIntervalMs },
          });
          await consumer.run({ eachRecord: () => {} });
        });
      }
  }

  /** Requests come at random, whatever became of earlier ones. */
  #produceFor(topic: number): void {
    const { requestsPerSecond, recordsPerRequest, recordBytes, keyBytes, isKeyed } = this.#shape;
    const value = "v".repeat(recordBytes);
    if (requestsPerSecond === 0) return;
    const actor = new Actor(`producer of t${topic}`);
    const next = () => {
      const waitMs = (-Math.log(1 - this.#random.next()) * 1_000) / requestsPerSecond;
      this.#act(actor, waitMs, async () => {
        next();
        if (!this.#isProducing) return;
        this.#requests++;
        const records = Array.from({ length: recordsPerRequest }, () => ({
          value,
          ...(isKeyed ? { key: String(this.#random.integer(1, 1e9)).padStart(keyBytes, "k") } : {}),
        }));
        await this.#post(actor, `/v1/topics/t${topic}/records`, { records });
      });
    };
    next();
  }

  #act(actor: Actor, afterMs: number, action: (actor: Actor) => Promise<void>): void {
    this.#world.scheduler.after(actor, afterMs, () => {
      action(actor).catch((error: unknown) => {
        this.#failure ??= error;
      });
    });
  }
}

function difference(
  after: Measured["partition"],
  before: Measured["partition"],
  seconds: number,
): Measured["partition"] {
  return {
    rowsWritten: (after.rowsWritten - before.rowsWritten) / seconds,
    calls: (after.calls - before.calls) / seconds,
    alarms: (after.alarms - before.alarms) / seconds,
    messages: (after.messages - before.messages) / seconds,
    storedBytes: (after.storedBytes - before.storedBytes) / seconds,
  };
}
