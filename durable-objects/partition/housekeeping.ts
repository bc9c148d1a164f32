// A partition's background work: retention, compaction, dropping expired keys, reporting silent owners,
// checking relays. One alarm is set for the time when something is due, and not before. So an idle partition
// with nothing to expire is never woken. An error of the storage stops none of it: the other work is done, and
// the alarm rings again [ALM-1].
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

/** After this time an alarm stops, and the next one continues. An alarm may run for 15 minutes at most. */
const MAX_RUN_MS = 20_000;
type Alarm = Pick<StoredAlarm, "getAlarm" | "setAlarm">;

/** Alarms can be set up to the year 2189. Work that is due later is never due. */
const NEVER_MS = Date.UTC(2189, 0, 1);

/** [GRP-17] The silent owners that have records. */
export interface Owners {
  /** The time when the first of them has been silent for its session timeout. Infinity if no owner has records. */
  nextSilenceMs(): number;
  /** Reports the silent owners to their groups. */
  reportSilent(nowMs: number): void;
}

/** [RLY-5] The relays that must have everything appended. */
export interface PushedRelays {
  /** The time when to check that they have it. Infinity if there is nothing to check. */
  nextLookMs(): number;
  /** Checks the relays. */
  look(): void;
}

/** [SHR-7] The locks and delays of share groups. */
export interface DeliveryTimes {
  /** The time when the first of them ends. Infinity if there is none. */
  nextDueMs(): number;
  /** Ends those whose time is over. */
  expire(nowMs: number): void;
}

/** Called with each piece of work that failed, and the reason. */
type Failed = (work: string, error: unknown) => void;

export class Housekeeping {
  readonly #failed: Failed;
  readonly #retry = new RetryPause(HOUSEKEEPING_RETRY_MS, MAX_HOUSEKEEPING_RETRY_MS);
  /** The time when work failed, and the wait before it is retried. Null if all of it succeeded. */
  #failedAtMs: number | null = null;
  #pauseMs = 0;
  readonly #alarm: Alarm;
  readonly #log: PartitionLog;
  readonly #compactor: Compactor;
  readonly #requests: RequestStore;
  readonly #turns: Pick<Turns, "next">;
  readonly #owners: Owners;
  readonly #relays: PushedRelays;
  readonly #shares: DeliveryTimes;
  /** The time of the next check of the owners. Null if none had records at the last check. */
  #ownersDueMs: number | null = null;
  /** The time of the next check of the relays. Null if nothing was appended for them since the last one. */
  #relaysDueMs: number | null = null;
  /** The time of the first end of a lock or a delay for which the alarm is set. Infinity if it is set for none. */
  #sharesDueMs = Number.POSITIVE_INFINITY;
  /**
   * The earliest time for which an alarm is wanted, while the current alarm is looked up. Infinity at other
   * times.
   */
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
    shares: DeliveryTimes,
    failed: Failed,
  ) {
    this.#shares = shares;
    this.#relays = relays;
    this.#failed = failed;
    this.#turns = turns;
    this.#owners = owners;
    this.#alarm = alarm;
    this.#log = log;
    this.#compactor = compactor;
    this.#requests = requests;
  }

  /** Called after a commit. It costs nothing, except for the first commit in a life and after a roll. */
  committed(nowMs: number): void {
    if (this.#scheduledAt === this.#log.activeBaseOffset) {
      this.watchOwners(nowMs);
      this.watchRelays(nowMs);
    } else void this.schedule(nowMs);
  }

  /** [RLY-5] Called when a relay has to be checked later. It costs nothing if the alarm covers that already. */
  watchRelays(nowMs: number): void {
    if (this.#relaysDueMs !== null) return;
    const dueMs = this.#relays.nextLookMs();
    if (dueMs === Number.POSITIVE_INFINITY) return;
    this.#relaysDueMs = dueMs;
    this.#ringBy(dueMs, nowMs).catch((error) => this.#couldNotSchedule(error));
  }

  /** [SHR-7] Called when locks or delays may have begun. It costs nothing if the alarm covers them already. */
  watchShares(nowMs: number): void {
    const dueMs = this.#shares.nextDueMs();
    if (dueMs >= this.#sharesDueMs) return;
    this.#sharesDueMs = dueMs;
    this.#ringBy(dueMs, nowMs).catch((error) => this.#couldNotSchedule(error));
  }

  /**
   * [GRP-17] Called when there may be records for an owner. It costs nothing if the alarm covers that already.
   * The alarm is set for this at most once in a session timeout.
   */
  watchOwners(nowMs: number): void {
    if (this.#ownersDueMs !== null) return;
    const dueMs = this.#owners.nextSilenceMs();
    if (dueMs === Number.POSITIVE_INFINITY) return;
    this.#ownersDueMs = dueMs;
    this.#ringBy(dueMs, nowMs).catch((error) => this.#couldNotSchedule(error));
  }

  /**
   * Sets the alarm for the next work that is due, unless it is set for earlier. Setting it costs one row.
   * [LOG-13] Urgent retention waits neither for its interval nor for the next try. [ALM-1] Never throws: if the
   * next due time cannot be found, the alarm is set for the next try. If it cannot be set, the next commit
   * considers it again.
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
    this.#sharesDueMs = Number.POSITIVE_INFINITY;
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
    this.#sharesDueMs = this.#shares.nextDueMs();
    return Math.min(silenceMs, lookMs, this.#sharesDueMs);
  }

  /** Sets the alarm no later than `dueMs`. Calls during the lookup share one setting, for their earliest time. */
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
   * Returns when the next work is due. Retention waits for its interval, because more frequent runs would find
   * little. Compaction does not wait. [ALM-1] After a failure all work waits for the next try; otherwise it
   * would be due at once.
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
   * Runs the alarm. [RET-4] Work that frees space comes before work that needs it. [ALM-1] Each piece of work
   * runs, even if earlier ones failed. It throws only if the alarm cannot be set again; the platform then
   * retries it.
   */
  async run(now: () => number): Promise<void> {
    const startedMs = now();
    try {
      const isDone = [
        this.#attempt("dropping expired keys", () => this.#requests.dropExpired(startedMs)),
        this.#attempt("retention", () => this.#log.enforceRetention(startedMs)),
        this.#attempt("reporting silent owners", () => this.#owners.reportSilent(startedMs)),
        this.#attempt("checking relays", () => this.#relays.look()),
        this.#attempt("ending locks of share groups", () => this.#shares.expire(startedMs)),
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

  /** Compacts in slices, between which the object serves others. Returns false if compaction failed. */
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

  /** [ALM-1] Sets the alarm for the next try. Owners that become silent before then are reported in time. */
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
