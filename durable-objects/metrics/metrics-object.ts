// The metrics of the whole deployment. Objects and isolates report their activity while they are awake anyway.
// This object answers from those reports and asks nobody. So reading metrics wakes no partition and no group
// [RPT-2], unless an admin wants it to [RPT-5].
import { DurableObject } from "cloudflare:workers";
import {
  METRICS_CALLS,
  type MetricsCalls,
  type MetricsRequest,
  type ReportAnswer,
} from "../../src/calls/metrics-calls.ts";
import type { PrincipalSpent } from "../../src/core/access/principal-budgets.ts";
import { BrokerError } from "../../src/core/errors.ts";
import {
  FAN_OUT,
  MAX_METRICS_ASKED,
  MAX_METRICS_SERIES,
  METRICS_REST_MS,
  SAVE_METRICS_MS,
} from "../../src/core/limits.ts";
import { mapConcurrently } from "../../src/core/map-concurrently.ts";
import { CostLedger, type Owner } from "../../src/core/metrics/cost-ledger.ts";
import { expose } from "../../src/core/metrics/exposition.ts";
import { familiesOf } from "../../src/core/metrics/families.ts";
import { groupLag } from "../../src/core/metrics/group-lags.ts";
import { groupSummaries } from "../../src/core/metrics/group-summaries.ts";
import { LagTrends } from "../../src/core/metrics/lag-trends.ts";
import { MetricsState, type Told } from "../../src/core/metrics/metrics-state.ts";
import type { Sight } from "../../src/core/metrics/sights.ts";
import type { AnySnapshot } from "../../src/core/metrics/snapshot.ts";
import { readPieces, piecesOf as statePieces } from "../../src/core/metrics/state-pieces.ts";
import { NO_USAGE, type Usage } from "../../src/core/metrics/usage.ts";
import { type Env, groupStub, partitionStub } from "../../src/env.ts";
import { joinPieces, piecesOf } from "../shared/pieces.ts";
import { serveCalls } from "../shared/serve-calls.ts";
import { storageOf, type Transactional } from "../shared/sql.ts";
import { trace } from "../shared/trace.ts";
import { type Alarm, type Counting, countEvents, ObjectUsage } from "../shared/usage.ts";
import { Alerting } from "./alerting.ts";
import { writePoint } from "./analytics.ts";
import { type Asked, Asks, askedOf, tickAfter } from "./asks.ts";
import { MetricsStore } from "./metrics-store.ts";

declare const RIVULET_VERSION: string | undefined;
/** Tests run the sources, which have no release version. */
const VERSION = typeof RIVULET_VERSION === "string" ? RIVULET_VERSION : "0.0.0";

export class MetricsObject extends DurableObject<Env> implements MetricsCalls, Counting {
  readonly usage = new ObjectUsage();
  readonly #storage: Transactional;
  readonly #store: MetricsStore;
  readonly #state: MetricsState;
  readonly #costs: CostLedger;
  readonly #asks: Asks;
  readonly #alerting: Alerting;
  readonly #trends = new LagTrends();
  readonly #alarm: Alarm;
  /** The time of the alarm. Null if this life knows of none. */
  #alarmMs: number | null = null;
  #savedMs = Date.now();
  /** The time of the last report. */
  #toldMs = 0;
  /** True if a report has not been stored. */
  #isUnsaved = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    trace(env, "metrics", "metrics", "start");
    this.#storage = storageOf(ctx.storage, this.usage);
    this.#alarm = this.usage.alarmOf(ctx.storage);
    this.#store = new MetricsStore(this.#storage);
    const pieces = [...this.#store.load("counters"), ...this.#store.load("sights")];
    this.#state = MetricsState.fromJSON(pieces);
    this.#costs = CostLedger.fromJSON(parsed(joinPieces(this.#store.load("costs"))));
    this.#asks = Asks.fromJSON(parsed(joinPieces(this.#store.load("asks"))));
    this.#trends.restore(readPieces(this.#store.load("trends")).get("trend") ?? []);
    const parts = {
      ...{ env, state: this.#state, costs: this.#costs },
      waitUntil: (promise: Promise<unknown>) => ctx.waitUntil(promise),
      save: () => this.#store.save({ alerts: this.#alertPieces() }),
      schedule: () => this.#schedule(Date.now()),
    };
    this.#alerting = new Alerting(parts, parsed(joinPieces(this.#store.load("alerts"))));
  }

  async report({ snapshots, spent }: MetricsRequest<"report">) {
    const nowMs = Date.now();
    for (const snapshot of snapshots) {
      if (this.#take(snapshot, nowMs)) this.#asks.add(snapshot, nowMs);
    }
    if (spent !== undefined) this.#alerting.takeSpent(spent, nowMs);
    this.#alerting.noteSteps(nowMs);
    this.#isUnsaved = true;
    this.#toldMs = nowMs;
    if (this.#isSaveDue(nowMs)) this.#save(nowMs);
    await this.#schedule(nowMs);
    return this.#answerTo(snapshots[0], spent?.spent ?? [], nowMs);
  }

  /** [BGT-2] [BGT-3] */
  #answerTo(
    snapshot: AnySnapshot | undefined,
    spent: readonly PrincipalSpent[],
    nowMs: number,
  ): ReportAnswer {
    const { budgets } = this.#alerting;
    const topicUntilMs =
      snapshot?.kind === "partition" ? budgets.topicUntilMs(snapshot.topic, nowMs) : null;
    const names = spent.map(({ principal }) => principal);
    const principals = budgets.spentToday(names, nowMs);
    return { principals, untilMs: budgets.endsMs(nowMs), topicUntilMs };
  }

  /** Sets the alarm for the next ask. Unstored reports need one too: this object may be evicted any time it rests. */
  async #schedule(nowMs: number): Promise<void> {
    const soonMs = Math.min(tickAfter(nowMs), this.#alerting.nextMs ?? Number.POSITIVE_INFINITY);
    // The alarm rings before anything that was added since it was set. So a report need not search all that
    // wait.
    if (this.#alarmMs !== null && this.#alarmMs <= soonMs) return;
    const askMs = this.#asks.nextMs ?? (this.#isUnsaved ? soonMs : null);
    const nextMs = leastOf(askMs, this.#alerting.nextMs);
    if (nextMs === null || (this.#alarmMs !== null && this.#alarmMs <= nextMs)) return;
    this.#alarmMs = nextMs;
    await this.#alarm.setAlarm(nextMs);
  }

  /** True if it is time to save, or the clock was set back. */
  #isSaveDue(nowMs: number): boolean {
    return nowMs - this.#savedMs >= SAVE_METRICS_MS || nowMs < this.#savedMs;
  }

  /**
   * Asks the objects that have come to rest, once. An object that does not answer is updated by its next
   * report. [RPT-6] Then stores the reports, unless more keep coming.
   */
  override async alarm(): Promise<void> {
    trace(this.env, "metrics", "metrics", "alarm");
    this.#alarmMs = null;
    const due = this.#asks.takeDue(Date.now());
    await mapConcurrently(due, FAN_OUT, async (ask) => {
      const snapshot = await this.#ask(ask.asked);
      if (snapshot !== null) this.#asks.answered(ask, snapshot, Date.now());
    });
    const nowMs = Date.now();
    this.#trends.note(this.#state, nowMs);
    const isAtRest = nowMs - this.#toldMs >= METRICS_REST_MS || nowMs < this.#toldMs;
    if (this.#isUnsaved && (isAtRest || this.#isSaveDue(nowMs))) this.#save(nowMs);
    this.#alerting.ring(nowMs);
    await this.#schedule(nowMs);
  }

  /**
   * Asks an object for its state, and takes the answer. Returns null if it does not answer, or is no longer in
   * use.
   */
  async #ask(asked: Asked): Promise<AnySnapshot | null> {
    const answer: Promise<AnySnapshot | null> =
      asked.kind === "group"
        ? groupStub(this.env, asked.groupId).snapshot()
        : partitionStub(this.env, asked.topicId, asked.partition).snapshot();
    const snapshot = await answer.catch(() => null);
    if (snapshot === null) return null;
    this.#take(snapshot, Date.now());
    this.#isUnsaved = true;
    return snapshot;
  }

  async refresh({ topicPrefix }: MetricsRequest<"refresh">) {
    const asked: Asked[] = [];
    for (const { sight } of this.#state.objects()) {
      const object = askedOf(sight);
      if (object !== null && isOfTopics(sight, topicPrefix)) asked.push(object);
    }
    if (asked.length > MAX_METRICS_ASKED) {
      throw new BrokerError(
        "INVALID_REQUEST",
        `fresh: that would ask ${asked.length} partitions and groups, and at most ${MAX_METRICS_ASKED} are asked; name fewer topics with "topic"`,
      );
    }
    const answers = await mapConcurrently(asked, FAN_OUT, (object) => this.#ask(object));
    await this.#schedule(Date.now());
    return {
      asked: asked.length,
      answered: answers.filter((snapshot) => snapshot !== null).length,
    };
  }

  /** Returns false if the snapshot is of something deleted. */
  #take(snapshot: AnySnapshot, nowMs: number): boolean {
    const told = this.#state.take(nowMs, nameOf(snapshot), snapshot);
    if (told === null) return false;
    this.#bill(told, snapshot.storedBytes, nowMs);
    this.#alerting.takeSnapshot(snapshot, nowMs);
    this.#alerting.note();
    writePoint(this.env.ANALYTICS, told);
    return true;
  }

  /** Adds the reported usage to the cost of its topic or group. Requests of the Worker have their own price. */
  #bill({ key, sight, added }: Told, storedBytes: number, nowMs: number): void {
    const usage = usageIn(added);
    const used =
      sight.kind === "worker"
        ? { usage: NO_USAGE, workerRequests: usage.requests, storedBytes }
        : { usage, storedBytes, ...trafficIn(added) };
    this.#costs.add(ownerOf(sight), key, used, nowMs);
  }

  /**
   * Stores everything. The figures of a life are cumulative, so later reports include what was not stored,
   * except for lives that have ended.
   */
  #save(nowMs: number): void {
    const { life, counts: usage } = this.usage;
    const storedBytes = this.#storage.sql.databaseSize;
    const own = this.#state.takeOverhead(nowMs, "metrics", { life, usage, storedBytes });
    this.#bill(own, storedBytes, nowMs);
    const asks = this.#asks.toJSON();
    this.#store.save({
      counters: this.#state.countersToJSON(),
      sights: this.#state.sightsToJSON(),
      costs: piecesOf(JSON.stringify(this.#costs.toJSON())),
      asks: asks.length === 0 ? [] : piecesOf(JSON.stringify(asks)),
      alerts: this.#alertPieces(),
      trends: statePieces(this.#trends.rows()),
    });
    this.#savedMs = nowMs;
    this.#isUnsaved = false;
  }

  #alertPieces(): string[] {
    return this.#alerting.isEmpty ? [] : piecesOf(JSON.stringify(this.#alerting));
  }

  async exposition(request: MetricsRequest<"exposition">) {
    const { format, partitions = true, topicPrefix = "" } = request;
    const nowMs = Date.now();
    // [MET-4] Figures that were shown must not be forgotten, because a counter would fall.
    if (this.#isUnsaved) this.#save(nowMs);
    const { KAFKA_ADVERTISE = "" } = this.env;
    const families = familiesOf(this.#state, {
      ...{ nowMs, partitions, maxSeries: MAX_METRICS_SERIES, version: VERSION },
      ...(KAFKA_ADVERTISE === "" ? {} : { brokers: KAFKA_ADVERTISE.split(",") }),
      ...(topicPrefix === "" ? {} : { topicFilter: (topic) => topic.startsWith(topicPrefix) }),
    });
    return { text: expose(families, format) };
  }

  async groupLag({ groupId }: MetricsRequest<"groupLag">) {
    const lag = groupLag(this.#state, groupId, Date.now());
    return lag && { ...lag, trend: this.#trends.of(groupId) };
  }

  async groupLags({ order }: MetricsRequest<"groupLags">) {
    return { groups: groupSummaries(this.#state, order, Date.now()) };
  }

  async costs() {
    const nowMs = Date.now();
    return { nowMs, lines: this.#costs.lines(nowMs) };
  }

  async alerts() {
    const { budgets } = this.#alerting;
    return { alerts: this.#alerting.infos(), budgets: budgets.uses(Date.now()) };
  }

  async setAlert({ rule, newSecret = false }: MetricsRequest<"setAlert">) {
    return { secret: await this.#alerting.set(rule, newSecret) };
  }

  async removeAlert({ name }: MetricsRequest<"removeAlert">) {
    return { isRemoved: await this.#alerting.remove(name) };
  }

  async testAlert({ name }: MetricsRequest<"testAlert">) {
    return { isSent: await this.#alerting.test(name) };
  }

  async forgetTopic({ topicId }: MetricsRequest<"forgetTopic">): Promise<void> {
    const nowMs = Date.now();
    for (const { key, sight } of this.#state.objects()) {
      if (!("topicId" in sight) || sight.topicId !== topicId) continue;
      this.#costs.removeObject(ownerOf(sight), key, nowMs);
      this.#alerting.budgets.removeTopic(sight.topic);
    }
    this.#alerting.note();
    this.#state.removeTopic(topicId, nowMs);
    this.#asks.remove((asked) => asked.kind === "partition" && asked.topicId === topicId);
    this.#isUnsaved = true;
    await this.#schedule(nowMs);
  }

  async forgetGroup({ groupId }: MetricsRequest<"forgetGroup">): Promise<void> {
    const nowMs = Date.now();
    this.#costs.removeObject({ kind: "group", name: groupId }, `group:${groupId}`, nowMs);
    this.#state.removeGroup(groupId, nowMs);
    this.#asks.remove((asked) => asked.kind === "group" && asked.groupId === groupId);
    this.#trends.remove(groupId);
    this.#alerting.note();
    this.#isUnsaved = true;
    await this.#schedule(nowMs);
  }
}

serveCalls(MetricsObject, "metrics", METRICS_CALLS);
countEvents(MetricsObject);

/** Returns what distinguishes the object from others of its kind. */
function nameOf(snapshot: AnySnapshot): string {
  switch (snapshot.kind) {
    case "partition":
      return `${snapshot.topicId}/${snapshot.partition}`;
    case "relay":
      return `${snapshot.topicId}/${snapshot.partition}/${snapshot.relay}`;
    case "group":
      return snapshot.groupId;
    default:
      return snapshot.kind;
  }
}

/** True for a partition of such a topic, and for a group with a committed offset in one. */
function isOfTopics(sight: Sight, topicPrefix: string): boolean {
  if (topicPrefix === "") return true;
  if (sight.kind === "partition") return sight.topic.startsWith(topicPrefix);
  return (
    sight.kind === "group" && sight.positions.some(({ topic }) => topic.startsWith(topicPrefix))
  );
}

function ownerOf(sight: Told["sight"]): Owner {
  switch (sight.kind) {
    case "partition":
    case "relay":
      return { kind: "topic", name: sight.topic };
    case "group":
      return { kind: "group", name: sight.groupId };
    case "overhead":
      return { kind: "overhead", name: sight.name };
    default:
      return { kind: "overhead", name: sight.kind };
  }
}

function usageIn(added: Told["added"]): Usage {
  const names = Object.keys(NO_USAGE) as (keyof Usage)[];
  return Object.fromEntries(names.map((name) => [name, added[name] ?? 0])) as unknown as Usage;
}

function trafficIn({ appendedRecords = 0, appendedBytes = 0, deliveredBytes = 0 }: Told["added"]) {
  return { recordsIn: appendedRecords, bytesIn: appendedBytes, bytesOut: deliveredBytes };
}

function leastOf(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b);
}

/** Parses stored costs. Costs that cannot be read start anew. */
function parsed(json: string): unknown {
  try {
    return json === "" ? null : JSON.parse(json);
  } catch {
    return null;
  }
}
