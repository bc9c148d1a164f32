// The members of a classic group (src/core/group/classic.ts). A member that waits for the others waits
// here, as a call without an answer yet. A decision is stored in the turn in which it is made, so the
// output gate holds every answer until it is durable.
import { BrokerError } from "../../src/core/errors.ts";
import {
  ClassicGroup,
  type ClassicJoin,
  type ClassicJoined,
  type ClassicState,
  type ClassicSync,
  type ClassicSynced,
  type ClassicToken,
} from "../../src/core/group/classic.ts";
import { ClassicHistory, snapshotOf } from "../../src/core/group/classic-history.ts";
import type { LastSeen } from "../../src/core/group/coordinator.ts";
import type { HistoryEntry } from "../../src/core/group/history.ts";
import type { GroupClock } from "./group-clock.ts";
import type { Watchers } from "./watchers.ts";

export interface ClassicStore {
  loadClassic(): ClassicState | null;
  setClassic(state: ClassicState): void;
}

export class ClassicMembers {
  readonly #store: ClassicStore;
  readonly #watchers: Watchers;
  readonly #clock: GroupClock;
  /** Called when something may have changed: the deadlines, or whether there are any members. */
  readonly #changed: () => void;
  #group: ClassicGroup;
  /** The rejections of the calls that are not answered yet, and the answers that are not given yet. */
  readonly #waiting = new Set<(refused: Error) => void>();
  #answers: (() => void)[] = [];
  readonly #history = new ClassicHistory();

  constructor(store: ClassicStore, watchers: Watchers, clock: GroupClock, changed: () => void) {
    this.#store = store;
    this.#watchers = watchers;
    this.#clock = clock;
    this.#changed = changed;
    this.#group = this.#load();
  }

  #load(): ClassicGroup {
    const lastSeen: LastSeen = (memberId) => this.#watchers.seenMs(memberId);
    return new ClassicGroup(this.#store.loadClassic(), this.#clock.now(), lastSeen);
  }

  /** The state of the group, to be read only. */
  get group(): Pick<
    ClassicGroup,
    | "members"
    | "phase"
    | "protocolType"
    | "protocolName"
    | "generation"
    | "nextDeadlineMs"
    | "commitErrorCode"
    | "isTopicGone"
    | "mayAddMember"
  > {
    return this.#group;
  }

  join(request: ClassicJoin, maxSize: number, nowMs: number): Promise<ClassicJoined> {
    return this.#wait("replaced", (group, later) => group.join(request, maxSize, nowMs, later));
  }

  sync(request: ClassicSync, nowMs: number): Promise<ClassicSynced> {
    return this.#wait("replaced", (group, later) => group.sync(request, nowMs, later));
  }

  heartbeat(token: ClassicToken, nowMs: number): number {
    return this.#do("left", (group) => group.heartbeat(token, nowMs));
  }

  leave(memberId: string, instanceId: string | null, nowMs: number): number {
    return this.#do("left", (group) => group.leave(memberId, instanceId, nowMs));
  }

  /** Handles a topic that was deleted, or that is now another topic of the same name. */
  topicGone(topic: string, nowMs: number): void {
    if (this.#group.members.size > 0) this.#do("left", (group) => group.topicGone(topic, nowMs));
  }

  expire(nowMs: number): void {
    const reason = this.#group.phase === "STABLE" ? "session timeout" : "rebalance timeout";
    this.#do(reason, (group) => group.expire(nowMs));
  }

  /** [CLK-4] Starts all sessions anew. */
  beginSessionsAnew(nowMs: number): void {
    this.#do("session timeout", (group) => group.beginSessionsAnew(nowMs));
  }

  /** Handles a member whose watching connection has gone. */
  unwatched(memberId: string, nowMs: number): void {
    this.#do("left", (group) => group.silent(memberId, nowMs));
  }

  /** Answers at once, or when the group calls back, but never before the decision is stored. */
  #wait<T extends object>(
    reason: string,
    action: (group: ClassicGroup, later: (answer: T) => void) => T | null,
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    promise.catch(() => {}); // The caller may look at it only later.
    this.#waiting.add(reject);
    const later = (answer: T) => {
      this.#answers.push(() => {
        this.#waiting.delete(reject);
        resolve(answer);
      });
    };
    try {
      const answer = this.#do(reason, (group) => action(group, later));
      if (answer !== null) later(answer);
      this.#answerAll();
    } catch (error) {
      reject(error);
    }
    return promise;
  }

  #answerAll(): void {
    for (const answer of this.#answers.splice(0)) answer();
  }

  /**
   * Runs the action and stores the result. If it concerns members that heartbeat, they are told to ask the group
   * again. `reason` says why a member would be gone then.
   */
  #do<T>(reason: string, action: (group: ClassicGroup) => T): T {
    const before = snapshotOf(this.#group);
    const { phase } = before;
    const result = action(this.#group);
    const state = this.#group.takeState();
    if (state !== null) this.#persist(state);
    this.#history.record(before, this.#group, reason);
    this.#answerAll();
    if (state !== null || this.#group.phase !== phase)
      for (const memberId of this.#watchers.memberIds) this.#watchers.notify(memberId);
    this.#changed();
    return result;
  }

  /** Stores the state. If the storage refuses, nothing was decided: the waiting members get an error and join again. */
  #persist(state: ClassicState): void {
    try {
      this.#store.setClassic(state);
    } catch (error) {
      this.#answers = [];
      this.#group = this.#load();
      const refused = new BrokerError("KAFKA_STORAGE_ERROR", `nothing was stored: ${error}`);
      for (const reject of this.#waiting) reject(refused);
      this.#waiting.clear();
      throw refused;
    }
  }

  /** Returns the events since the last call, for people to read. */
  takeHistory(): readonly HistoryEntry[] {
    return this.#history.take();
  }

  /** Stores which members were found silent when the object woke up. */
  persist(): void {
    const state = this.#group.takeState();
    if (state !== null) this.#store.setClassic(state);
  }
}
