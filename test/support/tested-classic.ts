// A group of classic members with its state machine, with responses in Kafka's numbers, as clients get them. The test keeps
// what would be stored, and may restart from there.
import { formatClassic, parseClassic } from "../../durable-objects/group/stored-group.ts";
import {
  codeOfFailure,
  codeOfOutcome,
  type JoinedReply,
  joinedReply,
  type SyncedReply,
  syncedReply,
} from "../../src/calls/kafka-replies.ts";
import { KAFKA_ERRORS } from "../../src/core/errors.ts";
import { validateCommit } from "../../src/core/group/admission.ts";
import { Changes } from "../../src/core/group/changes.ts";
import { ClassicGroup, mayAddMember } from "../../src/core/group/classic.ts";
import { type ClassicState, currentProtocol } from "../../src/core/group/classic-state.ts";
import { Group } from "../../src/core/group/group.ts";
import type { HistoryEntry } from "../../src/core/group/history.ts";
import type {
  AnswerTo,
  ClassicJoin,
  ClassicSync,
  ClassicToken,
  GroupRequest,
} from "../../src/core/group/requests.ts";
import type { Sight } from "../../src/core/group/session.ts";
import { emptyGroup } from "../../src/core/group/state.ts";
import { sightOf } from "./sight.ts";

const { NONE } = KAFKA_ERRORS;

export class TestedClassic {
  readonly machine: Group;
  /** The history since the test last looked. */
  history: HistoryEntry[] = [];
  readonly #sight: Sight;
  readonly #heardMs = new Map<string, number>();
  readonly #later = new Map<number, (answer: never) => void>();
  #tickets = 0;
  #isStored = false;

  /** @param lastSeen returns 0 if nobody watches for the member */
  constructor(
    stored: ClassicState | null,
    nowMs: number,
    lastSeen: (memberId: string) => number = () => 0,
  ) {
    const state = emptyGroup("g");
    state.overrides = { "consumer.min.session.timeout.ms": 1_000 };
    if (stored !== null) {
      state.classic = stored;
      state.incarnation = 1; // It is stored with the first member.
    }
    this.#sight = sightOf((memberId) =>
      Math.max(this.#heardMs.get(memberId) ?? 0, lastSeen(memberId)),
    );
    this.machine = new Group(state, this.#sight);
    this.#handle({ type: "wake", isAnyoneMissing: true }, nowMs);
  }

  get state(): ClassicState {
    return this.machine.state.classic;
  }

  get phase() {
    return this.state.phase;
  }

  get members() {
    return this.state.members;
  }

  get generation(): number {
    return this.state.generation;
  }

  get protocolType(): string | null {
    return this.state.protocolType;
  }

  get protocolName(): string | null {
    return currentProtocol(this.state);
  }

  /** The next expiry among the members. An empty group's committed offsets expire too, which does not matter here. */
  get nextDeadlineMs(): number | null {
    const members = new ClassicGroup(new Changes(this.machine.state), this.#sight);
    const { nextDeadlineMs } = members;
    return nextDeadlineMs === Number.POSITIVE_INFINITY ? null : nextDeadlineMs;
  }

  mayAddMember(request: ClassicJoin): boolean {
    return mayAddMember(this.state, request);
  }

  /** The members with a remembered last call. */
  get heardIds(): string[] {
    return [...this.#heardMs.keys()];
  }

  /** Returns what would be stored, as it is read again, if it has changed since the last call. */
  takeState(): ClassicState | null {
    if (!this.#isStored) return null;
    this.#isStored = false;
    return parseClassic(formatClassic(this.state));
  }

  /** Returns the response, or null. If null, `later` gets the response. */
  join(
    request: ClassicJoin,
    maxSize: number,
    nowMs: number,
    later: (joined: JoinedReply) => void,
  ): JoinedReply | null {
    this.machine.state.overrides = { ...this.machine.state.overrides, "group.max.size": maxSize };
    const joined = (answer: AnswerTo<GroupRequest<"joinClassic">>) =>
      joinedReply(answer, request.memberId);
    const answer = this.#handle(
      { type: "joinClassic", ...request, newIncarnation: 1 },
      nowMs,
      (each) => later(joined(each)),
    );
    return answer === null ? null : joined(answer);
  }

  /** Returns the response, or null. If null, `later` gets the response. */
  sync(
    request: ClassicSync,
    nowMs: number,
    later: (synced: SyncedReply) => void,
  ): SyncedReply | null {
    const answer = this.#handle({ type: "syncClassic", ...request }, nowMs, (each) =>
      later(syncedReply(each)),
    );
    return answer === null ? null : syncedReply(answer);
  }

  heartbeat(token: ClassicToken, nowMs: number): number {
    const answer = this.#answer({ type: "heartbeatClassic", ...token }, nowMs);
    return answer.ok ? NONE : codeOfFailure(answer);
  }

  leave(memberId: string, instanceId: string | null, nowMs: number): number {
    const members = [{ memberId, instanceId }];
    const answer = this.#answer({ type: "leaveClassic", members }, nowMs);
    return answer.ok ? codeOfOutcome(answer.outcomes[0] ?? null) : codeOfFailure(answer);
  }

  /** The topic, which the group has read, is deleted. */
  topicGone(name: string, nowMs: number): void {
    const { state } = this.machine;
    state.topics.set(name, { name, topicId: name, partitions: 1 });
    if (state.incarnation === 0) state.incarnation = 1;
    this.#handle({ type: "changeTopic", name, topic: null }, nowMs);
  }

  isTopicGone(topic: string): boolean {
    return this.state.goneTopics.has(topic);
  }

  silent(memberId: string, nowMs: number): void {
    this.#handle({ type: "lost", memberId }, nowMs);
  }

  expire(nowMs: number): void {
    this.#handle({ type: "expire" }, nowMs);
  }

  beginSessionsAnew(nowMs: number): void {
    this.#handle({ type: "beginSessionsAnew" }, nowMs);
  }

  commitErrorCode(token: ClassicToken): number {
    const committer = validateCommit(this.machine.state, token);
    return committer.ok ? NONE : codeOfFailure(committer);
  }

  #answer<Request extends GroupRequest>(request: Request, nowMs: number): AnswerTo<Request> {
    const answer = this.#handle(request, nowMs);
    if (answer === null) throw new Error(`${request.type} waits`);
    return answer;
  }

  #handle<Request extends GroupRequest>(
    request: Request,
    nowMs: number,
    later: (answer: AnswerTo<Request>) => void = () => {},
  ): AnswerTo<Request> | null {
    const ticket = ++this.#tickets;
    const { events, history, replies } = this.machine.handle(request, ticket, nowMs);
    for (const event of events) {
      if (event.type === "heard") this.#heardMs.set(event.memberId, nowMs);
      if (event.type === "unheard") this.#heardMs.delete(event.memberId);
      if (event.type === "classic" && event.isStored) this.#isStored = true;
    }
    this.history.push(...history);
    this.#later.set(ticket, later as (answer: never) => void);
    let own: AnswerTo<Request> | null = null;
    for (const { to, answer } of replies) {
      if (to === ticket) own = answer as AnswerTo<Request>;
      else this.#later.get(to)?.(answer as never);
      this.#later.delete(to);
    }
    return own;
  }
}
