// Carries a schedule out.
import type { ChildProcess } from "node:child_process";
import type { Admin } from "../../src/sdk/index.ts";
import type { BrokerProcess } from "../e2e/broker.ts";
import type { Fleet, Post } from "./fleet.ts";
import type { HistoryWriter } from "./history.ts";
import { at, type TcpProxy } from "./proxy.ts";
import type { Fault } from "./schedule.ts";
import { insist } from "./watch.ts";

/** The percentage of faults that hit the quiet group, which is mostly left alone. */
const QUIET_SHARE = 0.05;
/** A growth adds one partition or two. */
const MOST_ADDED = 2;
/** Connections that a cut affects: a network that breaks breaks for several. */
const CUT_TOGETHER = 2;

export interface Stage {
  readonly history: HistoryWriter;
  readonly admin: Admin;
  readonly topic: string;
  readonly quietTopic: string;
  /** One for HTTP and WebSockets, one for Kafka's protocol. */
  readonly busyProxies: readonly TcpProxy[];
  readonly quietProxy: TcpProxy;
  readonly fleet: Fleet;
  readonly quietProducer: ChildProcess;
  readonly onQuietBurst: () => void;
  /** The broker again, at the same place. */
  readonly startBroker: () => Promise<BrokerProcess>;
}

export class Faults {
  readonly #stage: Stage;
  broker: BrokerProcess;
  /** Actions that need the broker up or down go one after another. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(stage: Stage, broker: BrokerProcess) {
    this.#stage = stage;
    this.broker = broker;
    // It must not outlive this process, however that ends.
    process.on("exit", () => void this.broker.signal("SIGKILL"));
  }

  /** Resolves when the last fault is over. */
  async carryOut(faults: readonly Fault[], lengthMs: number): Promise<void> {
    const startedMs = performance.now();
    const untilMs = (atMs: number) =>
      new Promise((resolve) =>
        setTimeout(resolve, Math.max(0, startedMs + atMs - performance.now())),
      );
    for (const fault of faults) {
      await untilMs(fault.atMs);
      this.#begin(fault);
    }
    await untilMs(lengthMs);
    await this.#queue;
  }

  #begin({ kind, pick, durationMs }: Fault): void {
    const { fleet, busyProxies, quietProxy, quietTopic, quietProducer, onQuietBurst } = this.#stage;
    const isQuiet = pick < QUIET_SHARE;
    const within = isQuiet ? pick / QUIET_SHARE : (pick - QUIET_SHARE) / (1 - QUIET_SHARE);
    const choice = isQuiet ? 0 : within * busyProxies.length;
    const proxy = isQuiet ? quietProxy : (busyProxies[Math.floor(choice)] as TcpProxy);
    const connection = isQuiet ? within : choice % 1;
    const isHere = (post: Post) => (post.arguments.topic === quietTopic) === isQuiet;
    const consumer = at(fleet.candidates(isHere), within);
    if (kind === "broker kill") this.#queue = this.#queue.then(() => this.#killBroker());
    else if (kind === "growth") this.#queue = this.#queue.then(() => this.#grow(pick));
    else if (kind === "cut") {
      for (let i = 0; i < CUT_TOGETHER; i++)
        if (proxy.cut(connection)) this.#note("connection cut");
    } else if (kind === "stall") {
      if (proxy.stall(connection, durationMs)) this.#note("connection stalled");
    } else if (kind === "quiet burst") {
      this.#note("quiet burst");
      onQuietBurst();
      quietProducer.kill("SIGUSR2");
    } else if (consumer !== undefined) {
      if (kind === "consumer pause") fleet.pause(consumer, durationMs);
      else fleet.signal(consumer, kind === "consumer kill" ? "SIGKILL" : "SIGTERM");
    }
  }

  async #killBroker(): Promise<void> {
    this.#note("broker kill");
    await this.broker.kill();
    this.broker = await this.#stage.startBroker();
  }

  async #grow(pick: number): Promise<void> {
    const { admin, topic } = this.#stage;
    const { partitions } = await insist("the topic is described", () => admin.describeTopic(topic));
    const grown = partitions + 1 + Math.floor(pick * MOST_ADDED);
    // If the response is lost it may have grown all the same.
    await insist("the topic has grown", async () => {
      const now = await admin.describeTopic(topic);
      return now.partitions === grown || admin.alterTopic(topic, { partitions: grown });
    });
    this.#note("growth");
  }

  #note(kind: string): void {
    this.#stage.history.write({ e: "fault", kind, target: "" });
  }
}
