// Keeps a group: loads it, passes requests to it, and stores the changes before anyone hears of them. A request
// that waits for other members waits here, as a promise. A decision is stored in the turn in which it is made,
// so the output gate holds every answer until it is durable.
import { BrokerError, type Failure } from "../../src/core/errors.ts";
import type { Handled, Reply } from "../../src/core/group/changes.ts";
import { Group } from "../../src/core/group/group.ts";
import type { HistoryEntry } from "../../src/core/group/history.ts";
import type { AnswerTo, GroupRequest } from "../../src/core/group/requests.ts";
import { emptyGroup, type GroupEvent, type GroupState } from "../../src/core/group/state.ts";
import type { GroupClock } from "./group-clock.ts";
import { GroupCounts } from "./group-counts.ts";
import type { Presence } from "./presence.ts";

/** The group's storage: see group-store.ts. */
export interface KeptStore {
  readonly groupId: string;
  /** The number of members that do not poll. Null if it is not known. */
  readonly attachedMembers: number | null;
  load(): GroupState;
  /** [LOG-13] Returns why nothing may be added to what is stored, or null. */
  whyNoSpace(): Failure | null;
  /** Stores the changes, all or nothing. Returns false if there is nothing to store. */
  apply(events: readonly GroupEvent[], history: readonly HistoryEntry[], nowMs: number): boolean;
}

/** The requests that may add to the stored data. A heartbeat does if it is a join. */
const ADDS: ReadonlySet<GroupRequest["type"]> = new Set([
  "join",
  "poll",
  "joinClassic",
  "syncClassic",
  "learnTopics",
  "commit",
  "commitOffsets",
  "resetOffsets",
  "openShare",
  "useShare",
] as const);

interface Waiting {
  readonly memberId: string;
  resolve(answer: unknown): void;
  reject(refused: Error): void;
}

export class GroupKeeper {
  readonly counts = new GroupCounts();
  /** Called with each decision, once it is stored. */
  stored: (handled: Handled) => void = () => {};
  readonly #presence: Presence;
  readonly #clock: GroupClock;
  /** [FIL-6] Called if the stored data cannot be read. Returns the error that every later request gets. */
  readonly #damaged: (error: BrokerError) => BrokerError;
  #store: KeptStore;
  #group: Group;
  /** True until the group has noted the effects of a restart. */
  #mustWake = true;
  #lastTicket = 0;
  /** The requests that wait for other members, by ticket. */
  readonly #waiting = new Map<number, Waiting>();
  #untold: GroupEvent[] = [];
  #hasStored = false;

  constructor(
    store: KeptStore,
    presence: Presence,
    clock: GroupClock,
    damaged: (error: BrokerError) => BrokerError,
  ) {
    this.#store = store;
    this.#presence = presence;
    this.#clock = clock;
    this.#damaged = damaged;
    this.#group = this.#load();
  }

  /** Loads the group. [FIL-6] If its data cannot be read, the group is empty, and nothing is written over the data. */
  #load(): Group {
    try {
      return new Group(this.#store.load(), this.#presence);
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#abandon(error);
      return this.#group;
    }
  }

  #abandon(error: BrokerError): BrokerError {
    const refused = this.#damaged(error);
    this.#store = new UnreadableStore(this.#store.groupId, refused);
    this.#group = new Group(this.#store.load(), this.#presence);
    this.#refuseWaiting(refused);
    return refused;
  }

  /** Starts anew with other storage. */
  restart(store: KeptStore): void {
    this.#store = store;
    this.#group = this.#load();
  }

  /** The group, read only. Only requests change it. */
  get group(): Pick<
    Group,
    "state" | "exists" | "config" | "nextDeadlineMs" | "deadlineAfter" | "isDead"
  > {
    return this.#group;
  }

  /** Reads something from the group. Rows are read when they are needed, so damage may be found only now. */
  look<T>(at: (group: Group) => T): T {
    try {
      return at(this.#group);
    } catch (error) {
      throw isDamage(error) ? this.#abandon(error) : error;
    }
  }

  /** Handles a request that waits for nobody. Throws if storing fails; the decision then never happened. */
  handle<Request extends GroupRequest>(request: Request): AnswerTo<Request> {
    const full = this.#whyNoSpaceFor(request);
    if (full !== null) return full as AnswerTo<Request>;
    const { ticket, replies } = this.#handle(request);
    const own = replies.find(({ to }) => to === ticket);
    if (own === undefined) throw new Error(`${request.type} was not answered`);
    return own.answer as AnswerTo<Request>;
  }

  /** Handles a request that may wait for other members. */
  ask<Request extends GroupRequest>(request: Request): Promise<AnswerTo<Request>> {
    const full = this.#whyNoSpaceFor(request);
    if (full !== null) return Promise.resolve(full as AnswerTo<Request>);
    const { ticket, replies } = this.#handle(request);
    const own = replies.find(({ to }) => to === ticket);
    if (own !== undefined) return Promise.resolve(own.answer as AnswerTo<Request>);
    const { promise, resolve, reject } = Promise.withResolvers<AnswerTo<Request>>();
    promise.catch(() => {}); // The caller may await it only later.
    const memberId = waitingMember(request);
    this.#waiting.set(ticket, { memberId, resolve: resolve as Waiting["resolve"], reject });
    return promise;
  }

  /**
   * [LOG-13] Requests that remove members or committed offsets still work in a full group, and so does deleting
   * it.
   */
  #whyNoSpaceFor(request: GroupRequest): Failure | null {
    const adds = request.type === "heartbeat" ? request.memberEpoch === 0 : ADDS.has(request.type);
    return adds ? this.#store.whyNoSpace() : null;
  }

  /** Notes the effects of a restart, unless that is done. */
  wake(): void {
    if (this.#mustWake) this.handle(this.#wakeRequest());
  }

  /** True if this life has stored something. */
  get hasStored(): boolean {
    return this.#hasStored;
  }

  /** Returns the events that have not been announced, except commits. */
  takeUntold(): readonly GroupEvent[] {
    return this.#untold.splice(0);
  }

  #wakeRequest(): GroupRequest<"wake"> {
    const { attachedMembers } = this.#store;
    const { connectedMembers } = this.#presence;
    return {
      type: "wake",
      isAnyoneMissing: attachedMembers === null || connectedMembers < attachedMembers,
    };
  }

  #handle(request: GroupRequest): { ticket: number; replies: readonly Reply[] } {
    const ticket = ++this.#lastTicket;
    const nowMs = this.#clock.now();
    const handled = this.#decide(request, ticket, nowMs);
    this.#mustWake = false;
    this.#presence.note(handled.events, nowMs);
    // There are many commits, and they mean nothing to others.
    this.#untold.push(...handled.events.filter(isNews));
    for (const { to, answer } of handled.replies) {
      this.#waiting.get(to)?.resolve(answer);
      this.#waiting.delete(to);
    }
    return { ticket, replies: handled.replies };
  }

  /** Lets the group decide, and stores the decision. If anything fails, the decision never happened. */
  #decide(request: GroupRequest, ticket: number, nowMs: number): Handled {
    let handled: Handled;
    try {
      const woken = this.#mustWake ? this.#group.handle(this.#wakeRequest(), 0, nowMs) : null;
      handled = joined(woken, this.#group.handle(request, ticket, nowMs));
    } catch (error) {
      if (isDamage(error)) throw this.#abandon(error);
      this.#forget(error as Error);
      throw error;
    }
    try {
      if (this.#store.apply(handled.events, handled.history, nowMs)) this.#hasStored = true;
      this.counts.add(handled);
      this.stored(handled);
      return handled;
    } catch (error) {
      // Members are counted when the group's row is written, so they may be read only then.
      if (isDamage(error) && !(this.#store instanceof UnreadableStore)) throw this.#abandon(error);
      const refused = new BrokerError(
        "KAFKA_STORAGE_ERROR",
        `the write failed, nothing was stored: ${error}`,
      );
      this.#forget(refused);
      throw refused;
    }
  }

  /**
   * Drops the group from memory, which is ahead of storage: the decisions never happened. Waiting requests get
   * an error, because the group no longer remembers them.
   */
  #forget(refused: Error): void {
    this.#group = this.#load();
    this.#mustWake = true;
    this.#refuseWaiting(refused);
  }

  #refuseWaiting(refused: Error): void {
    const nowMs = this.#clock.now();
    for (const { memberId, reject } of this.#waiting.values()) {
      // [CLS-13] Its session starts with the refusal.
      if (this.#group.state.classic.members.has(memberId))
        this.#presence.note([{ type: "heard", memberId }], nowMs);
      reject(refused);
    }
    this.#waiting.clear();
  }
}

/** Storage whose data cannot be read. The group is empty, and nothing overwrites the data [FIL-6]. */
class UnreadableStore implements KeptStore {
  readonly attachedMembers = 0;
  readonly groupId: string;
  readonly #refused: BrokerError;

  constructor(groupId: string, refused: BrokerError) {
    this.groupId = groupId;
    this.#refused = refused;
  }

  load(): GroupState {
    return emptyGroup(this.groupId);
  }

  whyNoSpace(): null {
    return null;
  }

  apply(events: readonly GroupEvent[]): boolean {
    if (events.length > 0) throw this.#refused;
    return false;
  }
}

/** True if the stored data makes no sense. Retries do not help. */
function isDamage(error: unknown): error is BrokerError {
  return error instanceof BrokerError && error.code === "KAFKA_STORAGE_ERROR" && !error.retriable;
}

/** True if members have to be notified of the event, or the alarm depends on it. */
function isNews({ type }: GroupEvent): boolean {
  return type === "member" || type === "member-removed" || type === "unheard" || type === "group";
}

/** Returns the id of the member whose request is waiting. */
function waitingMember(request: GroupRequest): string {
  if (request.type === "joinClassic") return request.memberId || request.newMemberId;
  return request.type === "syncClassic" ? request.memberId : "";
}

function joined(first: Handled | null, second: Handled): Handled {
  if (first === null) return second;
  return {
    events: [...first.events, ...second.events],
    history: [...first.history, ...second.history],
    replies: second.replies,
  };
}
