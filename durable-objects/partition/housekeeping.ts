// A partition's work that nobody asks for: retention, compaction, dropping expired keys, noticing owners that are silent.
// One alarm is set for the time when something is due, and not before. So an idle partition with nothing to expire is
// never woken. What the storage throws ends none of it: the rest is done, and the alarm comes back [ALM-1].
import { leftOf } from "../../src/core/elapsed.ts";
import {
  HOUSEKEEPING_INTERVAL_MS,
  HOUSEKEEPING_RETRY_MS,
  MAX_HOUSEKEEPING_RETRY_MS,
} from "../../src/core/limits.ts";
import type { Compactor } from "../../src/core/log/compaction.ts";
import type { PartitionLog } from "../../src/core/log/partition-log.ts";
import { isLostAlarm } from "../shared/lost-alarm.ts";
import { RetryPause } from "../shared/retry.ts";
import type { Turns } from "../shared/turns.ts";
import type { Alarm as StoredAlarm } from "../shared/usage.ts";
import type { RequestStore } from "./request-store.ts";

/** After this time one alarm makes way for the next. An alarm may run for 15 minutes at most. */
const MAX_RUN_MS = 20_000;
type Alarm = Pick<StoredAlarm, "getAlarm" | "setAlarm">;

/** Alarms can be set up to the year 2189. Work that is due later is never due. */
const NEVER_MS = Date.UTC(2189, 0, 1);

/** [GRP-17] The owners that have records and are silent. */
export interface Owners {
  /** When the first of them has been silent for its session timeout. Infinity if nobody has records. */
  nextSilenceMs(): number;
  /** Tells the groups of those that are silent. */
  reportSilent(nowMs: number): void;
}

/** [RLY-5] The relays that have to have what was appended. */
export interface PushedRelays {
  /** When it has to be made sure that they have it. Infinity if they need not be asked. */
  nextLookMs(): number;
  /** Makes sure. */
  look(): void;
}

/** Called with each piece of work that failed, and why. */
type Failed = (work: string, error: unknown) => void;

export class Housekeeping {
  readonly #failed: Failed;
  readonly #retry = new RetryPause(HOUSEKEEPING_RETRY_MS, MAX_HOUSEKEEPING_RETRY_MS);
  /** When work failed, and how long it then waits for its next try. Null if all of it was done. */
  #failedAtMs: number | null = null;
  #pauseMs = 0;
  readonly #alarm: Alarm;
  readonly #log: PartitionLog;
  readonly #compactor: Compactor;
  readonly #requests: RequestStore;
  readonly #turns: Pick<Turns, "next">;
  readonly #owners: Owners;
  readonly #relays: PushedRelays;
  /** When the owners are looked at next. Null if nobody had records when they were last looked at. */
  #ownersDueMs: number | null = null;
  /** When the relays are looked at next. Null if nothing was appended for them since. */
  #relaysDueMs: number | null = null;
  /** The first time for which an alarm is wanted, while it is looked up. Infinity if it is not. */
  #wantedMs = Number.POSITIVE_INFINITY;
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
    relays: PushedRelays,
    failed: Failed,
  ) {
    this.#relays = relays;
    this.#failed = failed;
    this.#turns = turns;
    this.#owners = owners;
    this.#alarm = alarm;
    this.#log = log;
    this.#compactor = compactor;
    this.#requests = requests;
  }

  /** Called after a commit. It costs nothing, except for the first one in a life and after a roll. */
  committed(nowMs: number): void {
    if (this.#scheduledAt === this.#log.activeBaseOffset) {
      this.watchOwners(nowMs);
      this.watchRelays(nowMs);
    } else void this.schedule(nowMs);
  }

  /** [RLY-5] Called when a relay has to be looked at later. It costs nothing while the alarm is set for that already. */
  watchRelays(nowMs: number): void {
    if (this.#relaysDueMs !== null) return;
    const dueMs = this.#relays.nextLookMs();
    if (dueMs === Number.POSITIVE_INFINITY) return;
    this.#relaysDueMs = dueMs;
    this.#ringBy(dueMs, nowMs).catch((error) => this.#couldNotSchedule(error));
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
    this.#ringBy(dueMs, nowMs).catch((error) => this.#couldNotSchedule(error));
  }

  /**
   * Sets the alarm for the next work that is due, unless it is set for earlier. Setting it costs one row. [LOG-13] Retention
   * does not wait for its interval, nor for the next try, if it is urgent. [ALM-1] Never throws: if what is due cannot be
   * found, the alarm is set for the next try, and if it cannot be set, the next commit considers it again.
   */
  async schedule(nowMs: number, isUrgent = false): Promise<void> {
    if (isUrgent) this.#failedAtMs = null;
    try {
      await this.#schedule(nowMs, isUrgent).catch((error) => {
        this.#failed("finding what is due", error);
        return this.#tryAgain(nowMs);
      });
    } catch (error) {
      this.#couldNotSchedule(error);
    }
  }

  #couldNotSchedule(error: unknown): void {
    this.#failed("setting the alarm", error);
    this.#scheduledAt = null;
    this.#ownersDueMs = null;
    this.#relaysDueMs = null;
  }

  async #schedule(nowMs: number, isUrgent = false): Promise<void> {
    this.#scheduledAt = this.#log.activeBaseOffset;
    const watchedMs = this.#noteWatched();
    const dueMs = Math.min(this.#nextDueMs(nowMs, isUrgent) ?? NEVER_MS, watchedMs);
    if (dueMs < NEVER_MS) await this.#ringBy(Math.max(nowMs, dueMs), nowMs);
  }

  #noteWatched(): number {
    const silenceMs = this.#owners.nextSilenceMs();
    this.#ownersDueMs = silenceMs === Number.POSITIVE_INFINITY ? null : silenceMs;
    const lookMs = this.#relays.nextLookMs();
    this.#relaysDueMs = lookMs === Number.POSITIVE_INFINITY ? null : lookMs;
    return Math.min(silenceMs, lookMs);
  }

  /** Sets the alarm no later than `dueMs`. Calls that come during the lookup set it once, to their earliest time. */
  async #ringBy(dueMs: number, nowMs: number): Promise<void> {
    this.#wantedMs = Math.min(this.#wantedMs, dueMs);
    const alarmMs = await this.#alarm.getAlarm();
    const wantedMs = this.#wantedMs;
    if (wantedMs === Number.POSITIVE_INFINITY) return;
    this.#wantedMs = Number.POSITIVE_INFINITY;
    const isSet = alarmMs !== null && alarmMs <= wantedMs && !isLostAlarm(alarmMs, nowMs);
    if (!this.#isStopped && !isSet) await this.#alarm.setAlarm(wantedMs);
  }

  /**
   * Returns when the next work is due. Retention waits for its interval, since it would find little each time. Compaction
   * does not wait. [ALM-1] After a failure all of it waits for the next try, or it would be due at once.
   */
  #nextDueMs(nowMs: number, isUrgent: boolean): number | null {
    if (this.#failedAtMs !== null) return nowMs + leftOf(this.#failedAtMs, this.#pauseMs, nowMs);
    const retentionMs = this.#log.nextHousekeepingMs(nowMs);
    const times = [this.#compactor.nextDueMs(nowMs), this.#requests.nextDueMs()];
    const intervalMs = isUrgent ? 0 : HOUSEKEEPING_INTERVAL_MS;
    if (retentionMs !== null) times.push(Math.max(retentionMs, nowMs + intervalMs));
    const due = times.filter((time) => time !== null && time < NEVER_MS) as number[];
    return due.length === 0 ? null : Math.max(nowMs, Math.min(...due));
  }

  /**
   * Runs the alarm. [RET-4] What frees space comes before what needs it. [ALM-1] Each piece of work is done whatever became
   * of those before it. It throws only if the alarm cannot be set again, and the platform then tries it again.
   */
  async run(now: () => number): Promise<void> {
    const startedMs = now();
    try {
      const isDone = [
        this.#attempt("dropping expired keys", () => this.#requests.dropExpired(startedMs)),
        this.#attempt("retention", () => this.#log.enforceRetention(startedMs)),
        this.#attempt("telling of silent owners", () => this.#owners.reportSilent(startedMs)),
        this.#attempt("looking after relays", () => this.#relays.look()),
        this.#attempt("closing a segment", () => this.#log.rollForCompaction(startedMs)),
        await this.#compact(startedMs, now),
      ].every((done) => done);
      if (this.#isStopped) return;
      if (!isDone) return await this.#tryAgain(now());
      this.#failedAtMs = null;
      await this.#schedule(now()).catch((error) => {
        this.#failed("finding what is due", error);
        return this.#tryAgain(now());
      });
      if (this.#failedAtMs === null) this.#retry.succeeded();
    } finally {
      // The alarm is over. If nothing is due now, the next append has to set it again.
      this.#scheduledAt = null;
    }
  }

  #attempt(work: string, body: () => void): boolean {
    try {
      body();
      return true;
    } catch (error) {
      this.#failed(work, error);
      return false;
    }
  }

  /** Compacts in slices, between which the object serves others. Returns false if that failed. */
  async #compact(startedMs: number, now: () => number): Promise<boolean> {
    while (!this.#isStopped) {
      let isMore = false;
      const step = () => {
        isMore = this.#compactor.step(now());
      };
      if (!this.#attempt("compaction", step)) return false;
      if (!isMore || now() - startedMs > MAX_RUN_MS) break;
      await this.#turns.next();
    }
    return true;
  }

  /** [ALM-1] Sets the alarm for the next try. Owners that will be silent before then are told of in time. */
  async #tryAgain(nowMs: number): Promise<void> {
    this.#failedAtMs = nowMs;
    this.#pauseMs = this.#retry.failed();
    const watchedMs = this.#noteWatched();
    const retryMs = nowMs + this.#pauseMs;
    await this.#ringBy(watchedMs > nowMs ? Math.min(retryMs, watchedMs) : retryMs, nowMs);
  }

  /** Stops the work, because the partition is being destroyed. */
  stop(): void {
    this.#isStopped = true;
  }
}
