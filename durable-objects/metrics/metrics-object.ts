// The metrics of the whole deployment. Objects and isolates tell it what they do, when they are awake anyway. It answers
// whoever looks, and asks nobody: so looking wakes no partition and no group [RPT-2].
import { DurableObject } from "cloudflare:workers";
import {
  METRICS_CALLS,
  type MetricsCalls,
  type MetricsRequest,
} from "../../src/calls/metrics-calls.ts";
import { FAN_OUT, MAX_METRICS_SERIES, SAVE_METRICS_MS } from "../../src/core/limits.ts";
import { mapConcurrently } from "../../src/core/map-concurrently.ts";
import { CostLedger, type Owner } from "../../src/core/metrics/cost-ledger.ts";
import { expose } from "../../src/core/metrics/exposition.ts";
import { familiesOf } from "../../src/core/metrics/families.ts";
import { groupLag } from "../../src/core/metrics/group-lags.ts";
import { MetricsState, type Told } from "../../src/core/metrics/metrics-state.ts";
import type { AnySnapshot } from "../../src/core/metrics/snapshot.ts";
import { NO_USAGE, type Usage } from "../../src/core/metrics/usage.ts";
import { type Env, groupStub, partitionStub } from "../../src/env.ts";
import { joinPieces, piecesOf } from "../shared/pieces.ts";
import { serveCalls } from "../shared/serve-calls.ts";
import { storageOf, type Transactional } from "../shared/sql.ts";
import { trace } from "../shared/trace.ts";
import { type Alarm, type Counting, countEvents, ObjectUsage } from "../shared/usage.ts";
import { type Asked, Asks } from "./asks.ts";
import { MetricsStore } from "./metrics-store.ts";

declare const RIVULET_VERSION: string | undefined;
/** Tests run the sources, which are no release. */
const VERSION = typeof RIVULET_VERSION === "string" ? RIVULET_VERSION : "0.0.0";

export class MetricsObject extends DurableObject<Env> implements MetricsCalls, Counting {
  readonly usage = new ObjectUsage();
  readonly #storage: Transactional;
  readonly #store: MetricsStore;
  readonly #state: MetricsState;
  readonly #costs: CostLedger;
  readonly #asks = new Asks();
  readonly #alarm: Alarm;
  /** When the alarm rings. Null if it does not, as far as this life knows. */
  #alarmMs: number | null = null;
  #savedMs = Date.now();
  /** True if something was told that is not stored. */
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
  }

  async report({ snapshots }: MetricsRequest<"report">): Promise<void> {
    const nowMs = Date.now();
    for (const snapshot of snapshots) {
      this.#take(snapshot, nowMs);
      this.#asks.add(snapshot, nowMs);
    }
    await this.#schedule();
    this.#isUnsaved = true;
    if (nowMs - this.#savedMs >= SAVE_METRICS_MS || nowMs < this.#savedMs) this.#save(nowMs);
  }

  async #schedule(): Promise<void> {
    const { nextMs } = this.#asks;
    if (nextMs === null || (this.#alarmMs !== null && this.#alarmMs <= nextMs)) return;
    this.#alarmMs = nextMs;
    await this.#alarm.setAlarm(nextMs);
  }

  /** Asks the objects that have come to rest, once. One that does not answer is heard of when it tells next. */
  override async alarm(): Promise<void> {
    trace(this.env, "metrics", "metrics", "alarm");
    this.#alarmMs = null;
    const due = this.#asks.takeDue(Date.now());
    await mapConcurrently(due, FAN_OUT, async (ask) => {
      const snapshot = await this.#ask(ask.asked).catch(() => null);
      if (snapshot === null) return;
      this.#take(snapshot, Date.now());
      this.#asks.answered(ask, snapshot, Date.now());
    });
    this.#isUnsaved ||= due.length > 0;
    await this.#schedule();
  }

  async #ask(asked: Asked): Promise<AnySnapshot | null> {
    return asked.kind === "group"
      ? await groupStub(this.env, asked.groupId).snapshot()
      : await partitionStub(this.env, asked.topicId, asked.partition).snapshot();
  }

  #take(snapshot: AnySnapshot, nowMs: number): void {
    const told = this.#state.take(nowMs, nameOf(snapshot), snapshot);
    if (told !== null) this.#bill(told, snapshot.storedBytes, nowMs);
  }

  /** Adds what was told to what its topic or group has cost. Requests of the Worker have a price of their own. */
  #bill({ key, sight, added }: Told, storedBytes: number, nowMs: number): void {
    const usage = usageIn(added);
    const used =
      sight.kind === "worker"
        ? { usage: NO_USAGE, workerRequests: usage.requests, storedBytes }
        : { usage, storedBytes };
    this.#costs.add(ownerOf(sight), key, used, nowMs);
  }

  /**
   * Stores all of it. The figures of a life are cumulative, so what was told since then is told again, but for lives that
   * have ended.
   */
  #save(nowMs: number): void {
    const { life, counts: usage } = this.usage;
    const storedBytes = this.#storage.sql.databaseSize;
    const own = this.#state.takeOverhead(nowMs, "metrics", { life, usage, storedBytes });
    this.#bill(own, storedBytes, nowMs);
    this.#store.save({
      counters: this.#state.countersToJSON(),
      sights: this.#state.sightsToJSON(),
      costs: piecesOf(JSON.stringify(this.#costs.toJSON())),
    });
    this.#savedMs = nowMs;
    this.#isUnsaved = false;
  }

  async exposition(request: MetricsRequest<"exposition">) {
    const { format, partitions = true, topicPrefix = "" } = request;
    const nowMs = Date.now();
    // [MET-4] What was shown must not be forgotten, or a counter would fall.
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
    return groupLag(this.#state, groupId, Date.now());
  }

  async costs() {
    const nowMs = Date.now();
    return { nowMs, lines: this.#costs.lines(nowMs) };
  }

  async forgetTopic({ topicId }: MetricsRequest<"forgetTopic">): Promise<void> {
    const nowMs = Date.now();
    for (const { key, sight } of this.#state.objects())
      if ("topicId" in sight && sight.topicId === topicId)
        this.#costs.removeObject(ownerOf(sight), key, nowMs);
    this.#state.removeTopic(topicId, nowMs);
    this.#isUnsaved = true;
  }

  async forgetGroup({ groupId }: MetricsRequest<"forgetGroup">): Promise<void> {
    const nowMs = Date.now();
    this.#costs.removeObject({ kind: "group", name: groupId }, `group:${groupId}`, nowMs);
    this.#state.removeGroup(groupId, nowMs);
    this.#isUnsaved = true;
  }
}

serveCalls(MetricsObject, "metrics", METRICS_CALLS);
countEvents(MetricsObject);

/** Returns what tells the object from others of its kind. */
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

/** Costs that cannot be read begin anew. */
function parsed(json: string): unknown {
  try {
    return json === "" ? null : JSON.parse(json);
  } catch {
    return null;
  }
}
