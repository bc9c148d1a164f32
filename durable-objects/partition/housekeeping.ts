// A partition's work that nobody asks for: retention, compaction, dropping expired keys, noticing owners that are silent.
// One alarm is set for the time when something is due, and not before. So an idle partition with nothing to expire is
// never woken.
import { HOUSEKEEPING_INTERVAL_MS } from "../../src/core/limits.ts";
import type { Compactor } from "../../src/core/log/compaction.ts";
import type { PartitionLog } from "../../src/core/log/partition-log.ts";
import { isLostAlarm } from "../shared/lost-alarm.ts";
import type { Turns } from "../shared/turns.ts";
import type { RequestStore } from "./request-store.ts";

/** After this time one alarm makes way for the next. An alarm may run for 15 minutes at most. */
const MAX_RUN_MS = 20_000;
/** Alarms can be set up to the year 2189. Work that is due later is never due. */
const NEVER_MS = Date.UTC(2189, 0, 1);

type Alarm = Pick<DurableObjectStorage, "getAlarm" | "setAlarm">;

/** [GRP-17] The owners that have records and are silent. */
export interface Owners {
  /** When the first of them has been silent for its session timeout. Infinity if nobody has records. */
  nextSilenceMs(): number;
  /** Tells the groups of those that are silent. */
  reportSilent(nowMs: number): void;
}

export class Housekeeping {
  readonly #alarm: Alarm;
  readonly #log: PartitionLog;
  readonly #compactor: Compactor;
  readonly #requests: RequestStore;
  readonly #turns: Pick<Turns, "next">;
  readonly #owners: Owners;
  /** When the owners are looked at next. Null if nobody had records when they were last looked at. */
  #ownersDueMs: number | null = null;
  /** The active segment when the alarm was last considered. Null if it has to be considered again. */
  #scheduledAt: number | null = null;
  #isStopped = false;

  constructor(
    alarm: Alarm,
    log: PartitionLog,
    compactor: Compactor,
    requests: RequestStore,
    turns: Pick<Turns, "next">,
    owners: Owners,
  ) {
    this.#turns = turns;
    this.#owners = owners;
    this.#alarm = alarm;
    this.#log = log;
    this.#compactor = compactor;
    this.#requests = requests;
  }

  /** Called after a commit. It costs nothing, except for the first one in a life and after a roll. */
  committed(nowMs: number): void {
    if (this.#scheduledAt === this.#log.activeBaseOffset) this.watchOwners(nowMs);
    else void this.schedule(nowMs);
  }

  /**
   * [GRP-17] Called when there may be records for an owner. It costs nothing while the alarm is set for that already,
   * which it is once in a session timeout at most.
   */
  watchOwners(nowMs: number): void {
    if (this.#ownersDueMs !== null) return;
    const dueMs = this.#owners.nextSilenceMs();
    if (dueMs === Number.POSITIVE_INFINITY) return;
    this.#ownersDueMs = dueMs;
    void this.#ringBy(dueMs, nowMs);
  }

  /** Sets the alarm for the next work that is due, unless it is set for earlier. Setting it costs one row. */
  async schedule(nowMs: number): Promise<void> {
    this.#scheduledAt = this.#log.activeBaseOffset;
    const silenceMs = this.#owners.nextSilenceMs();
    this.#ownersDueMs = silenceMs === Number.POSITIVE_INFINITY ? null : silenceMs;
    const dueMs = Math.min(this.#nextDueMs(nowMs) ?? NEVER_MS, silenceMs);
    if (dueMs < NEVER_MS) await this.#ringBy(Math.max(nowMs, dueMs), nowMs);
  }

  async #ringBy(dueMs: number, nowMs: number): Promise<void> {
    const alarmMs = await this.#alarm.getAlarm();
    const isSet = alarmMs !== null && alarmMs <= dueMs && !isLostAlarm(alarmMs, nowMs);
    if (!this.#isStopped && !isSet) await this.#alarm.setAlarm(dueMs);
  }

  /**
   * Returns when the next work is due. Retention waits for its interval, since it
   * would find little each time. Compaction does not wait.
   */
  #nextDueMs(nowMs: number): number | null {
    const retentionMs = this.#log.nextHousekeepingMs(nowMs);
    const times = [this.#compactor.nextDueMs(nowMs), this.#requests.nextDueMs()];
    if (retentionMs !== null) times.push(Math.max(retentionMs, nowMs + HOUSEKEEPING_INTERVAL_MS));
    const due = times.filter((time) => time !== null && time < NEVER_MS) as number[];
    return due.length === 0 ? null : Math.max(nowMs, Math.min(...due));
  }

  /** Runs the alarm. Between the slices of compaction, the object serves others. */
  async run(now: () => number): Promise<void> {
    const startedMs = now();
    this.#log.enforceRetention(startedMs);
    this.#log.rollForCompaction(startedMs);
    this.#requests.dropExpired(startedMs);
    this.#owners.reportSilent(startedMs);
    while (!this.#isStopped && this.#compactor.step(now())) {
      if (now() - startedMs > MAX_RUN_MS) break;
      await this.#turns.next();
    }
    if (!this.#isStopped) await this.schedule(now());
    // The alarm is over. If nothing is due now, the next append has to set it again.
    this.#scheduledAt = null;
  }

  /** Stops the work, because the partition is being destroyed. */
  stop(): void {
    this.#isStopped = true;
  }
}
