// The Java client, two versions of it, and franz-go: each one process that plays any number of clients.

import type { Client, Codec, Member, Read, Sent } from "./client.ts";
import { HEARTBEAT_MS, SESSION_MS } from "./client.ts";
import { Driven, fromWire, toWire, type WireRecord } from "./driven.ts";
import { FRANZ_DRIVER, JAVA, type JavaClient, javaArgs } from "./toolchains.ts";

const ALL_CODECS: readonly Codec[] = ["none", "gzip", "snappy", "lz4", "zstd"];

interface Said {
  readonly member: number;
  readonly records?: readonly WireRecord[];
  readonly assigned?: readonly string[];
  readonly revoked?: readonly string[];
  readonly lost?: readonly string[];
  readonly failed?: string;
}

/** A group's member: the records it has read, its partitions, and those it ever had to give up. */
export class DrivenMember {
  readonly read: Read[] = [];
  readonly assigned = new Set<string>();
  readonly revoked: string[] = [];
  readonly failures: string[] = [];
  readonly #stop: () => Promise<void>;

  constructor(stop: () => Promise<void>) {
    this.#stop = stop;
  }

  hear({ records = [], assigned = [], revoked = [], lost = [], failed }: Said): void {
    this.read.push(...records.map(fromWire));
    for (const place of assigned) this.assigned.add(place);
    for (const place of [...revoked, ...lost]) this.assigned.delete(place);
    this.revoked.push(...revoked);
    if (failed !== undefined) this.failures.push(failed);
  }

  /** Commits, leaves and ends. */
  stop(): Promise<void> {
    return this.#stop();
  }
}

export class Driver implements Client {
  readonly name: string;
  readonly writes = ALL_CODECS;
  readonly reads = ALL_CODECS;
  readonly sendsTime = true;
  readonly sendsNullHeaders = true;
  readonly #process: Driven<Said>;
  readonly #members = new Map<number, DrivenMember>();
  /** The reports of members before their name is known here. */
  readonly #early: Said[] = [];

  constructor(name: string, command: string, args: readonly string[]) {
    this.name = name;
    this.#process = new Driven<Said>(command, args, (said) => {
      const member = this.#members.get(said.member);
      if (member === undefined) this.#early.push(said);
      else member.hear(said);
    });
  }

  static java(version: JavaClient): Driver {
    return new Driver(`the Java client (${version})`, JAVA, [...javaArgs(version), "Driver"]);
  }

  static franz(): Driver {
    return new Driver("franz-go", FRANZ_DRIVER, []);
  }

  ask<T>(op: string, args: object): Promise<T> {
    return this.#process.ask<T>(op, args);
  }

  async send(
    brokers: string,
    topic: string,
    records: readonly Sent[],
    codec: Codec = "none",
  ): Promise<void> {
    await this.ask("send", { brokers, topic, codec, records: records.map(toWire) });
  }

  async readAll(brokers: string, topic: string, count: number): Promise<Read[]> {
    const read = await this.ask<WireRecord[]>("read_all", { brokers, topic, count });
    return read.map(fromWire);
  }

  /** Joins as `args` say, which differs between Java and Go: see `memberKinds`. */
  async join(args: object): Promise<DrivenMember> {
    const id = await this.ask<number>("join", args);
    const member = new DrivenMember(async () => {
      await this.ask("stop", { member: id });
      if (member.failures.length > 0) throw new Error(member.failures.join("; "));
    });
    this.#members.set(id, member);
    for (const said of this.#early.filter((each) => each.member === id)) member.hear(said);
    return member;
  }

  end(): Promise<void> {
    return this.#process.end();
  }
}

export interface MemberKind {
  readonly name: string;
  join(brokers: string, groupId: string, topic: string): Promise<Member>;
}

const ASSIGNORS = "org.apache.kafka.clients.consumer";
const CLASSIC = {
  "session.timeout.ms": String(SESSION_MS),
  "heartbeat.interval.ms": String(HEARTBEAT_MS),
};

/** The ways in which the Java client takes part in a group, by the name that a test gives them. */
export const JAVA_PROTOCOLS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  eager: { ...CLASSIC, "partition.assignment.strategy": `${ASSIGNORS}.RangeAssignor` },
  cooperative: {
    ...CLASSIC,
    "partition.assignment.strategy": `${ASSIGNORS}.CooperativeStickyAssignor`,
  },
  consumer: { "group.protocol": "consumer" },
};

export function javaSettings(protocol: string): Record<string, string> {
  return { ...JAVA_PROTOCOLS[protocol], "auto.commit.interval.ms": "200" };
}

export function javaKinds(driver: () => Driver, name: string): MemberKind[] {
  return Object.keys(JAVA_PROTOCOLS).map((protocol) => ({
    name: `${name}, ${protocol}`,
    join: (brokers, groupId, topic) =>
      driver().join({ brokers, groupId, topics: [topic], settings: javaSettings(protocol) }),
  }));
}

export function franzKinds(driver: () => Driver): MemberKind[] {
  return ["eager", "cooperative", "consumer"].map((protocol) => ({
    name: `franz-go, ${protocol}`,
    join: (brokers, groupId, topic) =>
      driver().join({ brokers, groupId, topics: [topic], protocol }),
  }));
}
