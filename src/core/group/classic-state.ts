// The state of a group whose members speak Kafka's classic protocol: see classic.ts for its rules. It is a value: each
// change makes a new one.
export interface ClassicMember {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** The assignors that it can follow, its favorite first, each with its message to the leader. */
  readonly protocols: readonly ClassicProtocol[];
  readonly assignment: Uint8Array;
  /**
   * When reports that it is alive ended: its connection went, or the object woke up. Null while there are
   * reports. It is stored, so sleep does not prolong a session.
   */
  readonly silentSinceMs: number | null;
}

export interface ClassicProtocol {
  readonly name: string;
  readonly metadata: Uint8Array;
}

/**
 * - EMPTY: there are no members.
 * - PREPARING: members have to join again.
 * - COMPLETING: all have joined, and the leader has to send the assignments.
 * - STABLE: everyone has its part, or can fetch it.
 */
export type ClassicPhase = "EMPTY" | "PREPARING" | "COMPLETING" | "STABLE";

export interface ClassicState {
  readonly phase: ClassicPhase;
  readonly generation: number;
  readonly protocolType: string | null;
  /** The protocol of this generation. While a rebalance is being prepared, it is that of the last one. */
  readonly protocolName: string | null;
  readonly leaderId: string | null;
  readonly members: ReadonlyMap<string, ClassicMember>;
  /**
   * [CLS-9] Topics that were deleted in this generation. A commit under such a name belongs to the deleted topic,
   * although there may be another topic of that name by now.
   */
  readonly goneTopics: ReadonlySet<string>;

  // None of the following is stored. A rebalance begins anew when the object wakes up.

  /** When a rebalance goes on without the members that are missing. Null if there is no rebalance. */
  readonly deadlineMs: number | null;
  /**
   * [CLS-10] Ids that were given out, oldest first, each with the time until which it is good. A client with such an id
   * is not a member. A rebalance waits for it, and nothing else does.
   */
  readonly pending: ReadonlyMap<string, number>;
  /** The members whose joins wait for an answer, each with the ticket of its join. */
  readonly joining: ReadonlyMap<string, number>;
  /** The members whose syncs wait for an answer, each with the ticket of its sync. */
  readonly syncing: ReadonlyMap<string, number>;
}

export const NO_CLASSIC_MEMBERS: ClassicState = {
  phase: "EMPTY",
  generation: 0,
  protocolType: null,
  protocolName: null,
  leaderId: null,
  members: new Map(),
  goneTopics: new Set(),
  deadlineMs: null,
  pending: new Map(),
  joining: new Map(),
  syncing: new Map(),
};

/** Returns the protocol that all follow now, or null during a rebalance. */
export function currentProtocol({ phase, protocolName }: ClassicState): string | null {
  return phase === "STABLE" || phase === "COMPLETING" ? protocolName : null;
}

/** True if all have to join again and the rebalance is not complete yet. */
export function isRebalancing({ phase }: Pick<ClassicState, "phase">): boolean {
  return phase === "PREPARING" || phase === "COMPLETING";
}

/** Returns the names of the protocols that all these members can follow. */
export function commonProtocols(members: readonly ClassicMember[]): ReadonlySet<string> {
  const [first, ...others] = members.map(
    ({ protocols }) => new Set(protocols.map(({ name }) => name)),
  );
  return others.reduce((common, each) => common.intersection(each), first ?? new Set<string>());
}

export function classicHolderOf(
  { members }: ClassicState,
  instanceId: string | null,
): ClassicMember | undefined {
  if (instanceId === null) return undefined;
  for (const member of members.values()) if (member.instanceId === instanceId) return member;
  return undefined;
}
