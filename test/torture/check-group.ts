// One group: what its members were told and handled, against the logs and the commits. Every comparison holds whatever the
// machine does between two steps of a process; where one would not, the reason is given there.
import type { PartitionLog } from "./check-log.ts";
import type { Findings } from "./findings.ts";
import type { Event, MemberKind } from "./history.ts";

/** A partition in a member's hands, from `assigned` to `revoked` or `lost`. */
interface Holding {
  readonly sinceNs: number;
  readonly first: number;
  next: number;
  hasStarted: boolean;
}

interface Member {
  readonly who: string;
  readonly kind: MemberKind;
  readonly holdings: Map<number, Holding>;
  /** A plain client's holdings at its ping, and the last start by an SDK member then. */
  pinged: { readonly partition: number; readonly holding: Holding; readonly start?: Start }[];
  /** For a Kafka client: how far it has come, and whether it has restarted since its last rebalance. */
  readonly reading: Map<number, { next: number; rebalance: number }>;
  rebalances: number;
}

interface Start {
  readonly atNs: number;
  readonly who: string;
  readonly holding: Holding;
  readonly offset: number;
}

class Partition {
  readonly log: PartitionLog;
  readonly delivered: Uint8Array;
  readonly handled: Uint8Array;
  /** Everything before it was handled. */
  frontier = 0;
  /** The last polled value, and when it was first seen. */
  committed = 0;
  committedNs = 0;
  /** The last record that an SDK member began to handle. */
  lastStart: Start | undefined;

  constructor(log: PartitionLog) {
    this.log = log;
    this.delivered = new Uint8Array(log.ids.length);
    this.handled = new Uint8Array(log.ids.length);
  }
}

export class GroupCheck {
  readonly #name: string;
  readonly #findings: Findings;
  readonly #partitions: readonly Partition[];
  readonly #members = new Map<string, Member>();
  /**
   * Kafka's protocol has no message for a seek. A member may commit back what is its own, and clients do so when they fetch
   * the same again. So with Kafka clients, commits are not compared with earlier ones.
   */
  #mayCommitBack = false;
  deliveries = 0;
  redeliveries = 0;
  polls = 0;
  assignments = 0;
  losses = 0;
  gaveUp = 0;
  epoch = 0;

  constructor(name: string, logs: readonly PartitionLog[], findings: Findings) {
    this.#name = name;
    this.#findings = findings;
    this.#partitions = logs.map((log) => new Partition(log));
  }

  onEvent(event: Event): void {
    if (event.e === "member") {
      const { who, kind } = event;
      const nothing = { holdings: new Map(), pinged: [], reading: new Map(), rebalances: 0 };
      this.#members.set(who, { who, kind, ...nothing });
      if (kind === "kafka") this.#mayCommitBack = true;
    } else if (event.e === "committed") {
      this.#onCommitted(event);
    } else {
      const member = this.#members.get(event.who);
      if (member !== undefined) this.#onMember(member, event);
    }
  }

  #onMember(member: Member, event: Event): void {
    switch (event.e) {
      case "assigned":
        if (event.places.length > 0) this.assignments++;
        for (const [partition, offset] of event.places)
          this.#onAssigned(member, partition, offset, event.t);
        return;
      case "lost":
      case "revoked":
        if (event.e === "lost" && event.partitions.length > 0) this.losses++;
        for (const partition of event.partitions) member.holdings.delete(partition);
        return;
      case "rebalanced":
        member.rebalances++;
        this.assignments++;
        return;
      case "start":
        this.#onStart(member, event);
        return;
      case "end":
        this.#onEnd(event.p, event.o, event.count);
        return;
      case "ping":
        member.pinged = [...member.holdings].map(([partition, holding]) => {
          const start = this.#partitions[partition]?.lastStart;
          return { partition, holding, ...(start === undefined ? {} : { start }) };
        });
        return;
      case "pong":
        this.#onPong(member);
        return;
      case "fatal":
        // A Kafka client that gives up is started again, as its users do.
        if (member.kind === "kafka") this.gaveUp++;
        // A static member that is replaced must wait until its predecessor's session is over.
        else if (event.code !== "UNRELEASED_INSTANCE_ID")
          this.#add("consumer gave up", `${event.who}: ${event.code}: ${event.detail}`);
    }
  }

  #onAssigned(member: Member, number: number, offset: number, sinceNs: number): void {
    const holding = { sinceNs, first: offset, next: offset, hasStarted: false };
    member.holdings.set(number, holding);
    const frontier = this.#partitions[number]?.frontier ?? 0;
    if (offset > frontier) {
      const detail = `${at(number, offset)} to ${member.who} at ${ms(sinceNs)}, handled is only everything before ${frontier}`;
      this.#add("assigned before handled", detail);
    }
  }

  #onStart(member: Member, event: Event & { readonly e: "start" }): void {
    const { p, o, ids, t, lookedNs = t } = event;
    const partition = this.#partitions[p];
    this.deliveries += ids.length;
    for (const [i, id] of ids.entries()) {
      if (partition?.log.ids[o + i] !== id) {
        const stored = partition?.log.ids[o + i] ?? "nothing";
        this.#add("delivered something else", `${at(p, o + i)} is ${stored}, ${id} came`);
        continue;
      }
      if (partition.delivered[o + i] === 1) this.redeliveries++;
      partition.delivered[o + i] = 1;
    }
    if (member.kind === "kafka") {
      if (partition !== undefined) this.#onFetched(member, partition, event);
      return;
    }
    const holding = member.holdings.get(p);
    if (holding === undefined) {
      this.#add("delivered without being assigned", `${at(p, o)} to ${member.who} at ${ms(t)}`);
      return;
    }
    if (o !== holding.next)
      this.#add("gap in delivery", `${at(p, o)} to ${member.who} instead of ${holding.next}`);
    holding.next = o + ids.length;
    // A plain client's records may have been in flight for long: see `#onPong`.
    if (partition !== undefined && member.kind === "sdk")
      this.#judge(partition, { atNs: lookedNs, who: member.who, holding, offset: o }, p);
  }

  /**
   * A Kafka client's fetched records come in order, and after a rebalance once again from the group's commit, which is not
   * behind the handled records. Their receiver is not checked, because a fetch names no group. A member that was left out
   * reads on until it is told, and delivers what is in its buffers. Its commits are fenced, and those are checked. The
   * records of the SDK and plain clients in the same group are checked as in any group.
   */
  #onFetched(
    member: Member,
    { frontier }: Partition,
    event: Event & { readonly e: "start" },
  ): void {
    const { p, o, ids } = event;
    const { next, rebalance } = member.reading.get(p) ?? { next: null, rebalance: -1 };
    const isAnew = o !== next;
    if (isAnew && rebalance === member.rebalances)
      this.#add("gap in delivery", `${at(p, o)} to ${member.who} instead of ${next}`);
    if (isAnew && o > frontier) {
      const detail = `${at(p, o)} to ${member.who} at ${ms(event.t)}, handled is only everything before ${frontier}`;
      this.#add("assigned before handled", detail);
    }
    member.reading.set(p, {
      next: o + ids.length,
      rebalance: isAnew ? member.rebalances : rebalance,
    });
  }

  /** A start is the owner's: the SDK checks its session's clock immediately before each. */
  #judge(partition: Partition, start: Start, number: number): void {
    const { holding, who, atNs } = start;
    const { lastStart, committed, committedNs } = partition;
    const isFirst = !holding.hasStarted;
    holding.hasStarted = true;
    const other = lastStart?.who === who ? undefined : lastStart;
    // A holding counts from `assigned`, but only once it is used. A stopped process may hear of an assignment that is over,
    // and then must not start anything.
    const isOlder = other !== undefined && other.holding.sinceNs > holding.sinceNs;
    if (isOlder && atNs > other.holding.sinceNs) this.#twoOwners(number, start, other);
    else if (isFirst && other !== undefined && !isOlder && other.atNs > holding.sinceNs)
      this.#twoOwners(number, other, start);
    const isBehind = holding.first < committed && committedNs < atNs;
    if (isFirst && isBehind && !this.#mayCommitBack) {
      const detail = `${at(number, holding.first)} to ${who} at ${ms(holding.sinceNs)}, ${committed} was committed`;
      this.#add("starts before the commit", detail);
    }
    if (!isOlder) partition.lastStart = start;
  }

  #twoOwners(number: number, zombie: Start, owner: { who: string; holding: Holding }): void {
    const detail = `${at(number, zombie.offset)} started by ${zombie.who} at ${ms(zombie.atNs)}, ${owner.who} had it since ${ms(owner.holding.sinceNs)}`;
    this.#add("two owners", detail);
  }

  /**
   * A plain client learns late of its losses. But if it was answered, and not told meanwhile, it was the owner from
   * `assigned` until its ping. No other member may have started anything in between.
   */
  #onPong(member: Member): void {
    for (const { partition, holding, start } of member.pinged) {
      if (member.holdings.get(partition) !== holding) continue;
      if (start === undefined || start.atNs < holding.sinceNs) continue;
      this.#twoOwners(partition, start, { who: member.who, holding });
      const state = this.#partitions[partition];
      if (state?.lastStart === start) state.lastStart = undefined; // Once is enough.
    }
    member.pinged = [];
  }

  #onEnd(number: number, offset: number, count: number): void {
    const partition = this.#partitions[number];
    if (partition === undefined) return;
    partition.handled.fill(1, offset, offset + count);
    while (partition.handled[partition.frontier] === 1) partition.frontier++;
  }

  /** A poll begins after the previous one was answered, so what it sees is not older. */
  #onCommitted(event: Event & { readonly e: "committed" }): void {
    this.polls++;
    this.epoch = event.epoch;
    const held = event.held ?? [];
    const twice = held.filter((partition, i) => held.indexOf(partition) !== i);
    if (twice.length > 0)
      this.#add("two owners", `${twice.join()} at ${ms(event.t)}, as the broker describes it`);
    for (const [number, offset] of event.offsets) {
      const partition = this.#partitions[number];
      if (partition === undefined) continue;
      const committed = offset ?? 0;
      if (committed < partition.committed && !this.#mayCommitBack) {
        const detail = `${at(number, committed)} at ${ms(event.t)}, it was ${partition.committed} before`;
        this.#add("commit went back", detail);
      }
      if (committed > partition.frontier) {
        const detail = `${at(number, committed)} at ${ms(event.t)}, handled is only everything before ${partition.frontier}`;
        this.#add("committed before handled", detail);
      }
      if (committed !== partition.committed) partition.committedNs = event.t;
      partition.committed = committed;
    }
  }

  /** After the last event. */
  finish(): void {
    for (const [number, { handled, frontier, log }] of this.#partitions.entries()) {
      const missing = log.ids.length - handled.reduce((sum, bit) => sum + bit, 0);
      if (missing > 0)
        this.#add("never handled", `${missing} records of ${number}, the first is ${frontier}`);
    }
  }

  #add(kind: Parameters<Findings["add"]>[0], detail: string): void {
    this.#findings.add(kind, `${this.#name} ${detail}`);
  }
}

function at(partition: number, offset: number): string {
  return `${partition}/${offset}`;
}

/** The history's form, for a search there. */
function ms(timeNs: number): string {
  return `${(timeNs / 1e6).toFixed(3)} ms`;
}
