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

export interface ClassicStore {
  loadClassic(): ClassicState | null;
  setClassic(state: ClassicState): void;
}

export class ClassicMembers {
  readonly #store: ClassicStore;
  /** Called when something has changed: deadlines, and whether there is anybody. */
  readonly #changed: () => void;
  #group: ClassicGroup;

  constructor(store: ClassicStore, nowMs: number, changed: () => void) {
    this.#store = store;
    this.#changed = changed;
    this.#group = new ClassicGroup(store.loadClassic(), nowMs);
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

  /** Does it and stores what came of it. */
  #do<T>(action: (group: ClassicGroup) => T): T {
    const result = action(this.#group);
    const state = this.#group.takeState();
    if (state !== null) this.#store.setClassic(state);
    this.#changed();
    return result;
  }
}
