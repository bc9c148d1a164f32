// The trouble of the deployment and the processes: members come, go, die, and are paused. Connections stall and break,
// objects are evicted and crash, clocks jump, and topics grow. The seed chooses which of it, and how often, so some runs see
// one kind of trouble very often and others a little of everything.

import { Random } from "../support/random.ts";
import { ClassicMember } from "./classic-member.ts";
import type { History } from "./history.ts";
import { KafkaMember } from "./kafka-member.ts";
import { type Member, type MemberOptions, PlainMember, SdkMember } from "./processes.ts";
import { Actor } from "./scheduler.ts";
import type { Environment, World } from "./world.ts";

interface Trouble {
  readonly name: string;
  /** The weight of its choice, compared with the others. */
  readonly weight: number;
  readonly strike: () => void;
}

const MAX_MEMBERS_PER_GROUP = 5;
/** The share of the groups with classic members. */
const CLASSIC_SHARE = 0.35;

/** Partitions that an SDK consumer handles at once, in turn. */
const CONCURRENCY = [1, undefined, 2] as const;

export class Nemesis {
  readonly groups: readonly string[];
  /** Groups with classic members. They have no others. */
  readonly #classicGroups: ReadonlySet<string>;
  readonly topics: string[] = [];
  readonly counts: Record<string, number> = {};
  /** The distance of the groups from rest at the last look. */
  hint = "nobody answered";
  readonly #world: World;
  readonly #history: History;
  readonly #note: (line: string) => void;
  /** The world's own hand: never paused, never killed. */
  readonly #hand = new Actor("nemesis");
  readonly #members = new Map<string, Member[]>();
  readonly #style: Omit<MemberOptions, "group" | "topics" | "isPlain" | "isBatched" | "instanceId">;
  readonly #plainShare: number;
  readonly #kafkaShare: number;
  readonly #staticShare: number;
  readonly #meanMs: number;
  /** It is separate, so that a seed chooses everything else as it did without it. */
  readonly #lingers: Random;
  readonly #troubles: readonly Trouble[];
  #operator: Environment | null = null;
  #isOver = false;
  #nextMember = 1;
  #nextTopic = 1;

  constructor(world: World, history: History, note: (line: string) => void, seed: number) {
    this.#world = world;
    this.#history = history;
    this.#note = note;
    const { random } = world;
    this.groups = Array.from({ length: random.integer(1, 2) }, (_, i) => `g${i}`);
    const classic = new Random(~seed);
    this.#lingers = new Random(seed ^ 0x1e_a5_e5);
    this.#classicGroups = new Set(this.groups.filter(() => classic.chance(CLASSIC_SHARE)));
    this.#style = {
      sessionTimeoutMs: random.pick([1_000, 2_000, 3_000]),
      commitIntervalMs: random.pick([0, 50, 500]),
      windowBytes: random.pick([100, 1_000, 1_000_000]),
      handlerMs: random.pick([0, 5, 50, 500]),
    };
    this.#plainShare = random.pick([0, 0, 0.3, 0.6]);
    this.#kafkaShare = random.pick([0, 0, 0.5]);
    this.#staticShare = random.pick([0, 0, 0.4, 0.8]);
    this.#meanMs = random.pick([20, 50, 150]);
    world.network.conditions.delayMs = random.pick([1, 5, 40]);
    world.network.conditions.loss = random.pick([0, 0.005, 0.05]);
    this.#troubles = this.#choose();
  }

  /** A few kinds and nothing else, or a little of many: rare interleavings need a few that keep meeting. */
  #choose(): Trouble[] {
    const { random } = this.#world;
    const kinds: Record<string, () => void> = {
      join: () => this.#join(),
      close: () => this.#anyMember((member) => member.close()),
      kill: () => this.#anyMember((member) => member.kill()),
      pause: () => this.#anyMember(({ actor }) => this.#pause(actor)),
      cut: () => this.#cut(),
      "cut off": () => this.#cutOff(),
      takeover: () => this.#takeOver(),
      stall: () => this.#stall(),
      late: () => this.#slowDown(),
      evict: () => this.#evict(),
      crash: () => random.pick(this.#world.objects)?.crash(),
      restart: () => this.#restart(),
      recycle: () => this.#world.recycleWorker(),
      "clock jump": () => this.#jump(),
      "topic grown": () => this.#grow(),
      "topic created": () => void this.#createTopic(),
      "topic deleted": () => void this.#deleteTopic(),
      "disk full": () => this.#fillDisk(),
    };
    const names = Object.keys(kinds);
    const few = random.chance(0.6)
      ? new Set(["join", ...Array.from({ length: random.integer(1, 4) }, () => random.pick(names))])
      : null;
    return Object.entries(kinds).map(([name, strike]) => {
      const isChosen = few?.has(name) ?? random.chance(0.6);
      return { name, strike, weight: isChosen ? random.next() : 0 };
    });
  }

  async setUp(operator: Environment): Promise<true> {
    this.#operator = operator;
    for (let i = this.#world.random.integer(1, 2); i > 0; i--) await this.#createTopic();
    return true;
  }

  async #createTopic(): Promise<void> {
    if (this.#nextTopic > ALL_TOPICS.length) return;
    const name = `t${this.#nextTopic++}`;
    const partitions = this.#world.random.integer(1, 3);
    const config = this.#linger();
    if (await this.#admin("POST", "/v1/topics", { name, partitions, config }))
      this.topics.push(name);
  }

  /** Appends of some topics wait for one another. */
  #linger(): object {
    return { "commit.linger.ms": this.#lingers.pick([0, 0, 0, 5, 100, 1_000]) };
  }

  #grow(): void {
    const topic = this.#world.random.pick(this.topics);
    const partitions = this.#world.random.integer(2, 4);
    void this.#admin("PATCH", `/v1/topics/${topic}`, { partitions, config: this.#linger() });
  }

  /** And created again, empty, under its name. */
  async #deleteTopic(): Promise<void> {
    if (this.topics.length < 2) return;
    const name = this.topics.pop() as string;
    this.#history.setVolatile(name);
    await this.#admin("DELETE", `/v1/topics/${name}`, {});
    const partitions = this.#world.random.integer(1, 3);
    await this.#admin("POST", "/v1/topics", { name, partitions, config: this.#linger() });
    this.topics.push(name);
  }

  /** An unanswered request may have been carried out: it is sent again. */
  async #admin(method: string, path: string, body: object): Promise<boolean> {
    const { fetch, url } = this.#operator as Environment;
    for (;;) {
      try {
        const response = await (fetch as typeof globalThis.fetch)(`${url}${path}`, {
          method,
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body),
        });
        if (response.status < 500) return response.ok || response.status === 409; // Done before.
      } catch {
        // Lost on its way.
      }
      await new Promise<void>((resolve) => this.#later(200, resolve));
    }
  }

  #later(ms: number, action: () => void): void {
    this.#world.scheduler.after(this.#hand, ms, action);
  }

  start(): void {
    for (const group of this.groups) {
      this.#members.set(group, []);
      for (let i = this.#world.random.integer(1, 3); i > 0; i--) this.#join(group);
    }
    this.#later(this.#world.random.delay(this.#meanMs), () => this.#strike());
  }

  #strike(): void {
    if (this.#isOver) return;
    const { random } = this.#world;
    let at = random.next() * this.#troubles.reduce((sum, { weight }) => sum + weight, 0);
    for (const { name, weight, strike } of this.#troubles) {
      at -= weight;
      if (at > 0) continue;
      this.#note(`nemesis: ${name}`);
      this.counts[name] = (this.counts[name] ?? 0) + 1;
      strike();
      break;
    }
    this.#later(random.delay(this.#meanMs), () => this.#strike());
  }

  /** The faults stop: the network heals, and each group has a member for every topic. */
  stop(): void {
    this.#isOver = true;
    this.#world.isCalm = true;
    const { network } = this.#world;
    network.conditions.loss = 0;
    network.conditions.delayMs = 1;
    this.#world.refusal = 0;
    for (const group of this.groups) {
      const options = { ...this.#style, group, topics: ALL_TOPICS };
      const rest = { isPlain: false, isBatched: false, instanceId: null };
      const kind = this.#classicGroups.has(group) ? ClassicMember : SdkMember;
      this.#start(
        new kind(this.#world, this.#history, `last of ${group}`, { ...options, ...rest }),
      );
    }
  }

  get #nowMs(): number {
    return this.#world.scheduler.nowMs;
  }

  // Members.

  #alive(group: string): Member[] {
    const alive = (this.#members.get(group) ?? []).filter(({ isRunning }) => isRunning);
    this.#members.set(group, alive);
    return alive;
  }

  #join(group = this.#world.random.pick(this.groups)): void {
    const { random } = this.#world;
    const alive = this.#alive(group);
    if (alive.length >= MAX_MEMBERS_PER_GROUP) return;
    const isStatic = random.chance(this.#staticShare);
    const known = this.topics.filter(() => random.chance(0.7));
    const options: MemberOptions = {
      ...this.#style,
      group,
      // Every topic has a subscriber: the one that has them all.
      topics: alive.length === 0 || known.length === 0 ? ALL_TOPICS : known,
      isPlain: random.chance(this.#plainShare),
      isBatched: random.chance(0.3),
      instanceId: isStatic ? `i${random.integer(1, 2)}` : null,
      concurrency: CONCURRENCY[this.#nextMember % CONCURRENCY.length],
    };
    const name = `m${this.#nextMember++}`;
    this.#start(this.#newMember(name, options));
  }

  #newMember(name: string, options: MemberOptions): Member {
    const world = this.#world;
    if (this.#classicGroups.has(options.group))
      return new ClassicMember(world, this.#history, name, options);
    if (world.random.chance(this.#kafkaShare))
      return new KafkaMember(world, this.#history, name, options);
    if (!options.isPlain) return new SdkMember(world, this.#history, name, options);
    return new PlainMember(world, this.#history, name, { ...options, topics: this.topics.slice() });
  }

  #start(member: Member): void {
    this.#alive(member.group).push(member);
    member.start();
  }

  #anyMember(action: (member: Member) => void): void {
    const alive = this.groups.flatMap((group) => this.#alive(group));
    if (alive.length > 0) action(this.#world.random.pick(alive));
  }

  #pause(actor: Actor): void {
    const { random } = this.#world;
    const ms = this.#style.sessionTimeoutMs * random.pick([0.3, 0.9, 1.1, 3]);
    // Never shorter than it is: waiting messages keep their order.
    actor.pausedUntilMs = Math.max(actor.pausedUntilMs, this.#nowMs + Math.round(ms));
  }

  // The network.

  #cut(): void {
    const { random, network } = this.#world;
    const { links } = network;
    if (links.length === 0) return;
    // An end may not notice for long: then its heartbeats must.
    const notice = () => random.pick([0, 5, 300, 20_000]);
    network.cut(random.pick(links), notice(), notice());
  }

  /** A member loses its group, which notices at once, and does not notice itself. */
  #cutOff(actor?: Actor): void {
    const { random, network, objects } = this.#world;
    const groups = new Set(objects.filter(({ kind }) => kind === "group").map((one) => one.actor));
    const ends = network.links.filter(
      (end) => groups.has(end.actor) && (actor === undefined || end.peer?.actor === actor),
    );
    if (ends.length > 0) network.cut(random.pick(ends), 0, 60_000);
  }

  /** A static member is cut off, and somebody else starts under its name. */
  #takeOver(): void {
    const all = this.groups.flatMap((group) => this.#alive(group));
    const named = all.filter(({ isSdk, options }) => isSdk && options.instanceId !== null);
    if (named.length === 0) return;
    const { actor, options } = this.#world.random.pick(named);
    this.#cutOff(actor);
    const name = `m${this.#nextMember++}`;
    const successor = new SdkMember(this.#world, this.#history, name, options);
    this.#later(this.#world.random.integer(10, 500), () => {
      if (!this.#isOver) this.#start(successor);
    });
  }

  /** One way or both. */
  #stall(): void {
    const { random, network } = this.#world;
    const { links } = network;
    if (links.length === 0) return;
    const end = random.pick(links);
    const ms = this.#style.sessionTimeoutMs * random.pick([0.2, 0.5, 0.9, 3]);
    network.stall(end, this.#nowMs + ms);
    if (end.peer !== null && random.chance(0.3)) network.stall(end.peer, this.#nowMs + ms);
  }

  #slowDown(): void {
    const { random, network } = this.#world;
    const { delayMs } = network.conditions;
    network.conditions.delayMs = 400;
    this.#later(random.integer(200, 3_000), () => {
      network.conditions.delayMs = this.#isOver ? 1 : delayMs;
    });
  }

  // The objects.

  #evict(): void {
    for (const object of this.#world.objects) if (this.#world.random.chance(0.5)) object.evict();
  }

  /** The whole machine: every object and the Worker. */
  #restart(): void {
    for (const object of this.#world.objects) object.crash();
    this.#world.recycleWorker();
  }

  #jump(): void {
    const { random, objects } = this.#world;
    const ms = random.pick([-60_000, -5_000, -500, 500, 5_000, 60_000]);
    if (random.chance(0.5)) {
      this.#anyMember(({ actor }) => {
        actor.clockOffsetMs += ms;
      });
      return;
    }
    const kind = random.pick(["group", "partition", "cluster"]);
    const alike = objects.filter((object) => object.kind === kind);
    if (alike.length === 0) return;
    const object = random.pick(alike);
    object.actor.clockOffsetMs += ms;
    if (kind === "group") this.#history.isClockTrusted = false;
  }

  #fillDisk(): void {
    this.#world.refusal = 0.3;
    this.#later(this.#world.random.integer(50, 1_000), () => {
      this.#world.refusal = 0;
    });
  }
}

/** Including those that are created later: a member waits for them. */
const ALL_TOPICS = ["t1", "t2", "t3"];
