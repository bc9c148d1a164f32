// The processes of the simulation: members of groups with the SDK, members that speak the plain JSON protocol, producers.
// Each runs the program as shipped and reports what it saw to the history.
import type { Consumer } from "../../src/sdk/index.ts";
import type { HandlerOf, History, Place } from "./history.ts";
import { Actor } from "./scheduler.ts";
import type { Endpoint } from "./sockets.ts";
import type { Environment, World } from "./world.ts";

const utf8 = new TextDecoder();

export interface MemberOptions {
  readonly group: string;
  readonly topics: readonly string[];
  readonly isPlain: boolean;
  readonly isBatched: boolean;
  readonly instanceId: string | null;
  readonly sessionTimeoutMs: number;
  readonly commitIntervalMs: number;
  readonly windowBytes: number;
  /** The mean time that a handler takes. */
  readonly handlerMs: number;
  /** The number of partitions that an SDK consumer handles at once. All of them if missing. */
  readonly concurrency?: number | undefined;
}

/** Errors that a member may end with: another one holds its name. */
const EXPECTED_ENDS = new Set(["UNRELEASED_INSTANCE_ID"]);

export abstract class Process {
  readonly actor: Actor;
  protected readonly world: World;
  protected readonly history: History;
  protected readonly environment: Environment;
  isRunning = true;

  constructor(world: World, history: History, name: string) {
    this.world = world;
    this.history = history;
    this.actor = new Actor(name);
    this.environment = world.environment(this.actor);
  }

  /** Does something as this process. */
  act(action: () => void, delayMs = 0): void {
    this.world.scheduler.after(this.actor, delayMs, action);
  }

  protected wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.act(resolve, ms));
  }

  kill(): void {
    this.isRunning = false;
    this.world.kill(this.actor);
  }
}

export abstract class Member extends Process implements HandlerOf {
  readonly name: string;
  readonly options: MemberOptions;
  abstract readonly isSdk: boolean;

  constructor(world: World, history: History, name: string, options: MemberOptions) {
    super(world, history, name);
    this.name = name;
    this.options = options;
  }

  get group(): string {
    return this.options.group;
  }

  abstract start(): void;
  abstract close(): void;

  override kill(): void {
    super.kill();
    this.history.died(this);
  }

  /** Once the faults are over handlers hurry, so that a simulation finishes. */
  protected handlerMs(): number {
    return this.world.random.delay(this.world.isCalm ? 1 : this.options.handlerMs);
  }
}

/** A held partition, from `assigned` to `lost` or its release. */
interface Held {
  nextOffset: number;
  isBusy: boolean;
  isRevoked: boolean;
}

export class SdkMember extends Member {
  readonly isSdk = true;
  #consumer: Consumer | null = null;
  #isClosing = false;
  /** Per held partition: its next record, and whether a handler is running. */
  readonly #held = new Map<string, Held>();

  start(): void {
    this.act(() => {
      const { program, url, fetch, WebSocket } = this.environment;
      const { options } = this;
      this.#consumer = new program.Rivulet({
        url,
        fetch: fetch as never,
        WebSocket: WebSocket as never,
      }).consumer({
        groupId: options.group,
        topics: options.topics,
        sessionTimeoutMs: options.sessionTimeoutMs,
        commitIntervalMs: options.commitIntervalMs,
        windowBytes: options.windowBytes,
        clientId: this.name,
        ...(options.instanceId === null ? {} : { instanceId: options.instanceId }),
        onAssigned: (partitions) => {
          for (const { topic, partition, offset } of partitions)
            this.#assigned({ topic, partition }, offset);
        },
        onRevoked: (partitions) => {
          for (const place of partitions) this.#revoked(place);
        },
        onLost: (partitions) => {
          for (const place of partitions) {
            this.#held.delete(keyOf(place));
            this.history.lost(this, place);
          }
        },
        onError: () => {},
      });
      this.#run(this.#consumer).then(
        () => this.#ended(),
        (error: unknown) => this.#ended(error),
      );
    });
  }

  #run(consumer: Consumer): Promise<void> {
    const { isBatched, concurrency } = this.options;
    const most = concurrency === undefined ? {} : { partitionsConsumedConcurrently: concurrency };
    if (isBatched) {
      return consumer.run({
        ...most,
        eachBatch: async ({ topic, partition, records }) => {
          const place = { topic, partition };
          const held = this.#held.get(keyOf(place));
          for (const record of records) this.#handling(place, record.offset, record.value);
          await this.wait(this.handlerMs());
          this.#handled(place, held, records.at(-1)?.offset ?? 0);
        },
      });
    }
    return consumer.run({
      ...most,
      eachRecord: async ({ offset, value }, { topic, partition }) => {
        const place = { topic, partition };
        const held = this.#held.get(keyOf(place));
        this.#handling(place, offset, value);
        const ms = this.handlerMs();
        if (ms > 0) await this.wait(ms);
        this.#handled(place, held, offset);
      },
    });
  }

  #assigned(place: Place, offset: number): void {
    this.#held.set(keyOf(place), { nextOffset: offset, isBusy: false, isRevoked: false });
    this.history.assigned(this, place, offset);
  }

  #handling(place: Place, offset: number, value: Uint8Array | null): void {
    const held = this.#held.get(keyOf(place));
    if (held !== undefined) held.isBusy = true;
    this.history.handling(this, place, offset, utf8.decode(value ?? new Uint8Array()));
  }

  #handled(place: Place, held: Held | undefined, offset: number): void {
    if (held === undefined || held !== this.#held.get(keyOf(place))) return; // Lost meanwhile.
    held.isBusy = false;
    held.nextOffset = offset + 1;
    if (held.isRevoked) this.#letGo(place, held.nextOffset);
  }

  #revoked(place: Place): void {
    const held = this.#held.get(keyOf(place));
    if (held === undefined) return;
    held.isRevoked = true;
    if (!held.isBusy) this.#letGo(place, held.nextOffset);
  }

  #letGo(place: Place, nextOffset: number): void {
    // A closing consumer does not wait long to hear that its last commit arrived.
    if (!this.#isClosing) this.history.handedOver(this, place, nextOffset);
  }

  #ended(error?: unknown): void {
    this.isRunning = false;
    this.history.died(this);
    if (error === undefined) return;
    const code = (error as { code?: string }).code ?? "no code";
    if (!EXPECTED_ENDS.has(code))
      this.history.find(`${this.name} ended: ${code}: ${String(error)}`);
  }

  close(): void {
    this.#isClosing = true;
    this.act(() => this.#consumer?.close());
  }
}

interface PlainMessage extends Place {
  readonly type: string;
  readonly code?: string;
  readonly detail?: string;
  readonly partitions: readonly (Place & { offset: number })[];
  readonly records: readonly { offset: number; value: string }[];
}

/** Connects again whenever its socket breaks, as a new member. */
export class PlainMember extends Member {
  readonly isSdk = false;
  #socket: Endpoint | null = null;
  #isClosing = false;

  start(): void {
    this.act(() => this.#connect());
  }

  #connect(): void {
    const { group, topics, sessionTimeoutMs, instanceId } = this.options;
    const { url, WebSocket } = this.environment;
    const query = new URLSearchParams({
      topics: topics.join(","),
      sessionTimeoutMs: String(sessionTimeoutMs),
      window: "20",
      clientId: this.name,
      ...(instanceId === null ? {} : { instanceId }),
    });
    const socket = new (WebSocket as new (url: string) => Endpoint)(
      `${url.replace("http", "ws")}/v1/groups/${group}/consume?${query}`,
    );
    this.#socket = socket;
    let isOpen = true;
    const held = new Set<string>();
    const queue: { place: Place; offset: number; value: string }[] = [];
    let isWorking = false;
    const work = async () => {
      isWorking = true;
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const { place, offset, value } = next;
        if (!isOpen) break;
        if (!held.has(keyOf(place))) continue;
        this.history.handling(this, place, offset, value);
        await this.wait(this.handlerMs());
        if (isOpen && socket.readyState === 1)
          socket.send(JSON.stringify({ type: "ack", ...place, offset }));
      }
      isWorking = false;
    };
    socket.addEventListener("message", ({ data }: { data: string }) => {
      const message = JSON.parse(data) as PlainMessage;
      if (message.type === "assigned") {
        for (const { topic, partition, offset } of message.partitions) {
          held.add(keyOf({ topic, partition }));
          this.history.assigned(this, { topic, partition }, offset);
        }
      } else if (message.type === "revoked") {
        for (const { topic, partition } of message.partitions) {
          held.delete(keyOf({ topic, partition }));
          const isOther = (item: { place: Place }) =>
            keyOf(item.place) !== keyOf({ topic, partition });
          queue.splice(0, queue.length, ...queue.filter(isOther));
          this.history.lost(this, { topic, partition });
        }
      } else if (message.type === "records") {
        const { topic, partition } = message;
        for (const { offset, value } of message.records)
          queue.push({ place: { topic, partition }, offset, value });
        if (!isWorking) void work();
      }
    });
    socket.addEventListener("close", () => {
      isOpen = false;
      this.history.died(this);
      if (this.#isClosing) this.isRunning = false;
      else this.act(() => this.#connect(), this.world.random.integer(50, 500));
    });
  }

  close(): void {
    this.#isClosing = true;
    this.act(() => this.#socket?.close(1000, "done"));
  }
}

/** Sends now and then: with the SDK, or a few requests at a time over HTTP. */
export class ProducerProcess extends Process {
  readonly #name: string;
  readonly #topics: () => readonly string[];
  readonly #meanMs: number;
  readonly #isSdk: boolean;
  #number = 0;
  /** This many more sends follow in quick succession. */
  #rush = 0;
  #outstanding = 0;
  #isStopping = false;

  constructor(
    world: World,
    history: History,
    name: string,
    topics: () => readonly string[],
    meanMs: number,
  ) {
    super(world, history, name);
    this.#name = name;
    this.#topics = topics;
    this.#meanMs = meanMs;
    this.#isSdk = world.random.chance(0.7);
  }

  start(): void {
    this.act(() => {
      const { program, url, fetch, WebSocket } = this.environment;
      const { producer } = new program.Rivulet({
        url,
        fetch: fetch as never,
        WebSocket: WebSocket as never,
      });
      const { random } = this.world;
      const sendSdk: Send = (topic, records) =>
        producer.send(topic, records, { deliveryTimeoutMs: random.pick([2_000, 30_000]) });
      const next = () => {
        if (this.#isStopping) return;
        if (this.#isSdk) this.#send(sendSdk);
        else for (let i = random.integer(1, 4); i > 0; i--) this.#send(this.#post);
        // Now and then more than one append at a time can carry.
        if (this.#rush > 0) this.#rush--;
        else if (this.#isSdk && random.chance(0.02)) this.#rush = 40;
        this.act(next, random.delay(this.#rush > 0 ? 2 : this.#meanMs));
      };
      next();
    });
  }

  #send(send: Send): void {
    const { random } = this.world;
    const { counts, sent } = this.history;
    const topic = random.pick(this.#topics());
    const first = this.#number;
    const values = Array.from(
      { length: random.integer(1, 5) },
      () => `${this.#name}-${this.#number++}`,
    );
    for (const value of values) sent.add(value);
    counts.sent += values.length;
    this.#outstanding++;
    const records = values.map((value) => ({ key: value, value }));
    send(topic, records).then(
      (outcomes) => {
        this.#outstanding--;
        for (const [i, outcome] of outcomes.entries()) {
          const value = values[i] as string;
          const { partition, offset } = outcome as Place & { offset: number };
          // The outcome of the others is unknown.
          if ("error" in outcome) continue;
          const order = this.#isSdk ? { producer: this.#name, number: first + i } : null;
          this.history.acknowledge({ topic, value, partition, offset }, order);
        }
      },
      () => {
        this.#outstanding--;
      },
    );
  }

  readonly #post: Send = async (topic, records) => {
    const { fetch, url } = this.environment;
    const response = await (fetch as typeof globalThis.fetch)(`${url}/v1/topics/${topic}/records`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ records }),
    });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return ((await response.json()) as { results: readonly object[] }).results;
  };

  stop(): void {
    this.#isStopping = true;
  }

  get isDone(): boolean {
    return this.#outstanding === 0 || !this.isRunning;
  }
}

type Send = (
  topic: string,
  records: readonly { key: string; value: string }[],
) => Promise<readonly object[]>;

function keyOf({ topic, partition }: Place): string {
  return `${partition} ${topic}`;
}
