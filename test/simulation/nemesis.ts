// What befalls the deployment and the processes: members come, go, die, are paused; connections stall and
// break; objects are evicted and crash; clocks jump; topics grow. Which of it, and how often, is the seed's
// choice, so that some runs see one kind of trouble very often and others a little of everything.
import type { History } from "./history.ts";
import type { SimulatedObject } from "./object.ts";
import { type Member, type MemberOptions, PlainMember, SdkMember } from "./processes.ts";
import { Actor } from "./scheduler.ts";
import type { Environment, World } from "./world.ts";

interface Trouble {
  readonly name: string;
  /** How often it is chosen, compared with the others. */
  readonly weight: number;
  readonly strike: () => void;
}

const MAX_MEMBERS_PER_GROUP = 5;

export class Nemesis {
  readonly groups: readonly string[];
  readonly topics: string[] = [];
  readonly counts: Record<string, number> = {};
  /** How far the groups were from rest when they were looked at last. */
  hint = "nobody answered";
  readonly #world: World;
  readonly #history: History;
  readonly #note: (line: string) => void;
  /** The world's own hand: never paused, never killed. */
  readonly #hand = new Actor("nemesis");
  readonly #members = new Map<string, Member[]>();
  readonly #style: Omit<MemberOptions, "group" | "topics" | "isPlain" | "isBatched" | "instanceId">;
  readonly #plainShare: number;
  readonly #staticShare: number;
  readonly #meanMs: number;
  readonly #troubles: readonly Trouble[];
  #operator: Environment | null = null;
  #isOver = false;
  #nextMember = 1;
  #nextTopic = 1;

  constructor(world: World, history: History, note: (line: string) => void) {
    this.#world = world;
    this.#history = history;
    this.#note = note;
    const { random } = world;
    this.groups = Array.from({ length: random.integer(1, 2) }, (_, i) => `g${i}`);
    this.#style = {
      sessionTimeoutMs: random.pick([1_000, 2_000, 6_000]),
      commitIntervalMs: random.pick([0, 50, 500]),
      windowBytes: random.pick([100, 1_000, 1_000_000]),
      handlerMs: random.pick([0, 5, 50, 500]),
    };
    this.#plainShare = random.pick([0, 0, 0.3, 0.6]);
    this.#staticShare = random.pick([0, 0, 0.4]);
    this.#meanMs = random.pick([100, 300, 1_000]);
    world.network.conditions.delayMs = random.pick([1, 5, 40]);
    world.network.conditions.loss = random.pick([0, 0.005, 0.05]);
    this.#troubles = this.#choose();
  }

  /** Every kind with a weight of its own, many of them not at all. */
  #choose(): Trouble[] {
    const kinds: Record<string, () => void> = {
      join: () => this.#join(),
      close: () =>
        this.#memberOr(
          () => {},
          (member) => member.close(),
        ),
      kill: () =>
        this.#memberOr(
          () => {},
          (member) => member.kill(),
        ),
      pause: () => this.#pause(),
      cut: () => this.#cut(),
      stall: () => this.#stall(),
      evict: () => this.#evict(),
      crash: () => this.#crash(),
      restart: () => this.#restart(),
      recycle: () => this.#world.recycleWorker(this.#world.random.chance(0.2)),
      "clock jump": () => this.#jump(),
      "topic grown": () => this.#grow(),
      "topic created": () => void this.#createTopic(),
      "disk full": () => this.#fillDisk(),
      late: () => this.#slowDown(),
    };
    const common = new Set(["join", "close", "kill", "evict", "cut"]);
    const rare = new Set(["restart", "topic grown", "topic created", "clock jump", "disk full"]);
    return Object.entries(kinds).map(([name, strike]) => {
      const { random } = this.#world;
      const scale = common.has(name) ? 2 : rare.has(name) ? 0.4 : 1;
      return { name, strike, weight: random.chance(0.4) ? 0 : scale * random.next() };
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
    const partitions = this.#world.random.integer(1, 4);
    if (await this.#admin("POST", "/v1/topics", { name, partitions })) this.topics.push(name);
  }

  #grow(): void {
    const topic = this.#world.random.pick(this.topics);
    const partitions = this.#world.random.integer(2, 6);
    void this.#admin("PATCH", `/v1/topics/${topic}`, { partitions });
  }

  /** What nobody answered may have happened: it is asked again. */
  async #admin(method: string, path: string, body: object): Promise<boolean> {
    const { fetch, url } = this.#operator as Environment;
    for (;;) {
      try {
        const response = await (fetch as typeof globalThis.fetch)(`${url}${path}`, {
          method,
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body),
        });
        if (response.status < 500) return response.ok || response.status === 409;
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
      const options = { ...this.#style, group, topics: this.topics.slice() };
      const rest = { isPlain: false, isBatched: false, instanceId: null };
      this.#start(
        new SdkMember(this.#world, this.#history, `last of ${group}`, { ...options, ...rest }),
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
      topics: alive.length === 0 || known.length === 0 ? [...ALL_TOPICS] : known,
      isPlain: random.chance(this.#plainShare),
      isBatched: random.chance(0.3),
      instanceId: isStatic ? `i${random.integer(1, 2)}` : null,
    };
    const name = `m${this.#nextMember++}`;
    const member = options.isPlain
      ? new PlainMember(this.#world, this.#history, name, {
          ...options,
          topics: this.topics.slice(),
        })
      : new SdkMember(this.#world, this.#history, name, options);
    this.#start(member);
  }

  #start(member: Member): void {
    this.#alive(member.group).push(member);
    member.start();
  }

  #memberOr(otherwise: () => void, action: (member: Member) => void): void {
    const alive = this.groups.flatMap((group) => this.#alive(group));
    if (alive.length === 0) otherwise();
    else action(this.#world.random.pick(alive));
  }

  #pause(): void {
    this.#memberOr(
      () => {},
      ({ actor }) => {
        const { random } = this.#world;
        const ms = this.#style.sessionTimeoutMs * random.pick([0.3, 0.9, 1.1, 3]);
        // Never shorter than it is: what waits keeps its order.
        actor.pausedUntilMs = Math.max(actor.pausedUntilMs, this.#nowMs + Math.round(ms));
      },
    );
  }

  // The network.

  #cut(): void {
    const { random, network } = this.#world;
    const { links } = network;
    if (links.length === 0) return;
    // An end may not notice for long: then its heartbeats have to.
    const notice = () => random.pick([0, 5, 300, 20_000]);
    network.cut(random.pick(links), notice(), notice());
  }

  #stall(): void {
    const { random, network } = this.#world;
    const { links } = network;
    if (links.length === 0) return;
    network.stall(random.pick(links), this.#nowMs + random.integer(100, 8_000));
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

  #object(): SimulatedObject {
    return this.#world.random.pick(this.#world.objects);
  }

  #evict(): void {
    for (const object of this.#world.objects) if (this.#world.random.chance(0.5)) object.evict();
  }

  #crash(): void {
    this.#object().crash();
  }

  /** The whole machine: every object and the Worker. */
  #restart(): void {
    for (const object of this.#world.objects) object.crash();
    this.#world.recycleWorker(false);
  }

  #jump(): void {
    const { random } = this.#world;
    const ms = random.pick([-5_000, -500, 500, 5_000]);
    if (random.chance(0.5)) {
      this.#memberOr(
        () => {},
        ({ actor }) => {
          actor.clockOffsetMs += ms;
        },
      );
      return;
    }
    const object = this.#object();
    object.actor.clockOffsetMs += ms;
    if (object.kind === "group") this.#history.isClockTrusted = false;
    object.scheduleAlarm();
  }

  #fillDisk(): void {
    this.#world.refusal = 0.3;
    this.#later(this.#world.random.integer(50, 1_000), () => {
      this.#world.refusal = 0;
    });
  }
}

/** Also those that are created later: a member waits for them. */
const ALL_TOPICS = ["t1", "t2", "t3"];
