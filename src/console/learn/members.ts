// The producer and the consumers of the lesson: real ones, of the SDK, which reach this broker as they would
// from anywhere.
import {
  type Consumer,
  jsonSerde,
  Rivulet,
  stringSerde,
  type TypedRecord,
} from "../../sdk/index.ts";
import { Cable } from "./cable.ts";
import { CITIES, OWN_CITY } from "./cities.ts";
import type { GroupName, LessonEvent } from "./state.ts";
import { SESSION_MS } from "./steps.ts";

/** A record on its way into a partition, or out of one to a member. */
export interface Flight {
  readonly key: string;
  readonly partition: number;
  readonly memberId: string | null;
}

export interface Hooks {
  readonly onEvent: (event: LessonEvent) => void;
  readonly onFlight: (flight: Flight) => void;
  readonly onProblem: (error: unknown) => void;
}

interface Joined {
  readonly consumer: Pick<Consumer, "close">;
  readonly cable: Cable;
}

const SEND_EVERY_MS = 250;
const MAX_UNDER_WAY = 4;
/** The time that a consumer works on a record. */
const WORK_MS: Readonly<Record<GroupName, number>> = { billing: 60, audit: 15 };
const SLOW_MS = 3_000;

export class Members {
  readonly #topic: string;
  readonly #options: { url: string; token?: string };
  readonly #hooks: Hooks;
  readonly #rivulet: Rivulet;
  readonly #joined = new Map<string, Joined>();
  /** Ends the waits of slow consumers. */
  readonly #hurry = new Set<() => void>();
  #isSlow = false;
  #sending: ReturnType<typeof setInterval> | undefined;
  #orders = 0;
  #underWay = 0;

  constructor(topic: string, token: string | null, hooks: Hooks) {
    this.#topic = topic;
    this.#options = { url: location.origin, ...(token === null ? {} : { token }) };
    this.#hooks = hooks;
    this.#rivulet = new Rivulet(this.#options);
  }

  groupId(group: GroupName): string {
    return `${this.#topic}-${group}`;
  }

  /** Sends a record again and again, from one city after another in random order. */
  startSending(): void {
    this.#sending = setInterval(() => {
      if (this.#underWay >= MAX_UNDER_WAY) return; // The broker is far away, or out of reach.
      const city = CITIES[Math.floor(Math.random() * CITIES.length)] ?? OWN_CITY;
      void this.send(city, false).catch(this.#hooks.onProblem);
    }, SEND_EVERY_MS);
  }

  async send(key: string, isOwn: boolean): Promise<void> {
    const value = { order: ++this.#orders, total: Math.ceil(Math.random() * 200) / 2 };
    this.#underWay++;
    const [outcome] = await this.#rivulet.producer
      .send(this.#topic, [{ key, value }])
      .finally(() => this.#underWay--);
    if (outcome === undefined) return;
    if ("error" in outcome) throw new Error(outcome.error.detail);
    const { partition, offset } = outcome;
    this.#hooks.onFlight({ key, partition, memberId: null });
    this.#hooks.onEvent({ type: "sent", partition, record: { offset, key }, isOwn });
  }

  join(group: GroupName, number: number): void {
    const { onEvent, onFlight } = this.#hooks;
    const cable = new Cable();
    const rivulet = new Rivulet({ ...this.#options, WebSocket: cable.WebSocket });
    const numbers = (places: readonly { partition: number }[]) =>
      places.map(({ partition }) => partition);
    const consumer: Consumer<TypedRecord<string, unknown>> = rivulet.consumer({
      groupId: this.groupId(group),
      topics: [this.#topic],
      clientId: `${group}-${number}`,
      sessionTimeoutMs: SESSION_MS,
      commitIntervalMs: 1_000,
      keySerde: stringSerde,
      valueSerde: jsonSerde(),
      onAssigned: (positions) =>
        onEvent({ type: "assigned", memberId, positions, atMs: Date.now() }),
      onRevoked: (places) => onEvent({ type: "revoked", memberId, partitions: numbers(places) }),
      onLost: (places) => onEvent({ type: "lost", memberId, partitions: numbers(places) }),
    });
    const { memberId } = consumer;
    this.#joined.set(memberId, { consumer, cable });
    onEvent({ type: "joined", memberId, number, group });
    const ended = (failure: string | null) => {
      this.#joined.delete(memberId);
      onEvent({ type: "ended", memberId, failure });
    };
    consumer
      .run({
        eachRecord: async ({ offset, key }, { partition }) => {
          onFlight({ key: key ?? "", partition, memberId });
          await this.#work(group);
          if (cable.isCut) await new Promise(() => {}); // A machine without power does nothing.
          onEvent({ type: "handled", memberId, partition, record: { offset, key: key ?? "" } });
        },
      })
      .then(
        () => ended(null),
        (error: Error) => ended(cable.isCut ? null : error.message),
      );
  }

  /** Silences the member: nothing is sent or received any more, and no connection is closed. */
  unplug(memberId: string): void {
    const cable = this.#joined.get(memberId)?.cable;
    if (cable === undefined) return;
    cable.cut();
    this.#hooks.onEvent({ type: "unplugged", memberId, lastHeardMs: cable.lastBeatMs });
  }

  /** Closes a member as a program should. Resolves once it has left. */
  async close(memberId: string): Promise<void> {
    await this.#joined.get(memberId)?.consumer.close();
  }

  pace(isSlow: boolean): void {
    this.#isSlow = isSlow;
    this.#hooks.onEvent({ type: "paced", isSlow });
    for (const hurry of this.#hurry) hurry();
  }

  /** Stops everything. Resolves once all members that can leave have left. */
  async stop(): Promise<void> {
    clearInterval(this.#sending);
    for (const hurry of this.#hurry) hurry();
    const all = [...this.#joined.values()];
    const alive = all.filter(({ cable }) => !cable.isCut);
    for (const { cable, consumer } of all) {
      if (!cable.isCut) continue;
      cable.remove();
      void consumer.close(); // It never finishes its record, but its timers end.
    }
    await Promise.all(alive.map(({ consumer }) => consumer.close()));
  }

  #work(group: GroupName): Promise<void> {
    const ms = this.#isSlow && group === "billing" ? SLOW_MS : WORK_MS[group];
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#hurry.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#hurry.add(done);
    });
  }
}
