// The members of a classic group (src/core/group/classic.ts): who waits for the others waits here, as a call that is not
// answered yet. What is decided is stored in the turn in which it is decided, so the output gate holds every answer
// until it is durable.
import {
  ClassicGroup,
  type ClassicJoin,
  type ClassicJoined,
  type ClassicState,
  type ClassicSync,
  type ClassicSynced,
  type ClassicToken,
} from "../../src/core/group/classic.ts";
import type { LastSeen } from "../../src/core/group/coordinator.ts";
import type { Watchers } from "./watchers.ts";

export interface ClassicStore {
  loadClassic(): ClassicState | null;
  setClassic(state: ClassicState): void;
}

export class ClassicMembers {
  readonly #store: ClassicStore;
  readonly #watchers: Watchers;
  /** Called when something may have changed: deadlines, and whether there is anybody. */
  readonly #changed: () => void;
  #group: ClassicGroup;

  constructor(store: ClassicStore, watchers: Watchers, nowMs: number, changed: () => void) {
    this.#store = store;
    this.#watchers = watchers;
    this.#changed = changed;
    const lastSeen: LastSeen = (memberId) => watchers.seenMs(memberId);
    this.#group = new ClassicGroup(store.loadClassic(), nowMs, lastSeen);
  }

  /** To be looked at. */
  get group(): Pick<
    ClassicGroup,
    | "isInUse"
    | "members"
    | "phase"
    | "protocolType"
    | "protocolName"
    | "generation"
    | "nextDeadlineMs"
    | "checkCommit"
  > {
    return this.#group;
  }

  join(request: ClassicJoin, maxSize: number, nowMs: number): Promise<ClassicJoined> {
    const later = Promise.withResolvers<ClassicJoined>();
    const joined = this.#do((group) => group.join(request, maxSize, nowMs, later.resolve));
    return joined === null ? later.promise : Promise.resolve(joined);
  }

  sync(request: ClassicSync, nowMs: number): Promise<ClassicSynced> {
    const later = Promise.withResolvers<ClassicSynced>();
    const synced = this.#do((group) => group.sync(request, nowMs, later.resolve));
    return synced === null ? later.promise : Promise.resolve(synced);
  }

  heartbeat(token: ClassicToken, nowMs: number): number {
    return this.#do((group) => group.heartbeat(token, nowMs));
  }

  leave(memberId: string, instanceId: string | null, nowMs: number): number {
    return this.#do((group) => group.leave(memberId, instanceId, nowMs));
  }

  expire(nowMs: number): void {
    this.#do((group) => group.expire(nowMs));
  }

  /** Whoever watched for the member has gone. */
  unwatched(memberId: string, nowMs: number): void {
    this.#do((group) => group.silent(memberId, nowMs));
  }

  /** Does it, stores what came of it, and has all who heartbeat ask anew where that concerns them. */
  #do<T>(action: (group: ClassicGroup) => T): T {
    const { phase } = this.#group;
    const result = action(this.#group);
    const state = this.#group.takeState();
    if (state !== null) this.#store.setClassic(state);
    if (state !== null || this.#group.phase !== phase)
      for (const memberId of this.#watchers.memberIds) this.#watchers.tell(memberId);
    this.#changed();
    return result;
  }

  /** Stores who was found silent when the object woke up. */
  persist(): void {
    const state = this.#group.takeState();
    if (state !== null) this.#store.setClassic(state);
  }
}
