// The members of a classic group (src/core/group/classic.ts): who waits for the others waits here, as a call that is not
// answered yet. What is decided is stored in the turn in which it is decided, so the output gate holds every answer
// until it is durable.
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
  /** Called when something may have changed: deadlines, and whether there is anybody. */
  readonly #changed: () => void;
  #group: ClassicGroup;
  /** Those that are not answered, and answers that are not given yet. */
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

  /** To be looked at. */
  get group(): Pick<
    ClassicGroup,
    | "members"
    | "phase"
    | "protocolType"
    | "protocolName"
    | "generation"
    | "nextDeadlineMs"
    | "checkCommit"
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

  /** The topic was deleted, or is another under the same name now. */
  topicGone(topic: string, nowMs: number): void {
    if (this.#group.members.size > 0) this.#do("left", (group) => group.topicGone(topic, nowMs));
  }

  expire(nowMs: number): void {
    const reason = this.#group.phase === "STABLE" ? "session timeout" : "rebalance timeout";
    this.#do(reason, (group) => group.expire(nowMs));
  }

  /** [CLK-4] */
  beginSessionsAnew(nowMs: number): void {
    this.#do("session timeout", (group) => group.beginSessionsAnew(nowMs));
  }

  /** Whoever watched for the member has gone. */
  unwatched(memberId: string, nowMs: number): void {
    this.#do("left", (group) => group.silent(memberId, nowMs));
  }

  /** Answered at once, or when the group calls back; in any case not before what was decided is stored. */
  #wait<T extends object>(
    reason: string,
    action: (group: ClassicGroup, later: (answer: T) => void) => T | null,
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    promise.catch(() => {}); // Whoever asked may look at it later only.
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
   * Does it, stores what came of it, and has all who heartbeat ask anew where that concerns them. `reason`: why somebody
   * would be gone then.
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
      for (const memberId of this.#watchers.memberIds) this.#watchers.tell(memberId);
    this.#changed();
    return result;
  }

  /** Where the storage refuses, nothing was decided: whoever waits is told so, and joins again. */
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

  /** What happened since the last call, for people. */
  takeHistory(): readonly HistoryEntry[] {
    return this.#history.take();
  }

  /** Stores who was found silent when the object woke up. */
  persist(): void {
    const state = this.#group.takeState();
    if (state !== null) this.#store.setClassic(state);
  }
}
