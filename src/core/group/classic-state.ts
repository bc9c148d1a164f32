// The state of a group whose members use Kafka's classic protocol: see classic.ts for its rules. It is a value: each
// change makes a new one.
export interface ClassicMember {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** The protocols (assignors) that it supports, its favorite first, each with the member's metadata for the leader. */
  readonly protocols: readonly ClassicProtocol[];
  readonly assignment: Uint8Array;
  /**
   * The time at which signs of life stopped: its connection broke, or the object woke up. Null while it is known to be
   * alive. It is stored, so eviction does not extend a session.
   */
  readonly silentSinceMs: number | null;
}

export interface ClassicProtocol {
  readonly name: string;
  readonly metadata: Uint8Array;
}

/**
 * - EMPTY: there are no members.
 * - PREPARING: members must join again.
 * - COMPLETING: all have joined, and the leader must send the assignments.
 * - STABLE: each member has its assignment, or can fetch it.
 */
export type ClassicPhase = "EMPTY" | "PREPARING" | "COMPLETING" | "STABLE";

export interface ClassicState {
  readonly phase: ClassicPhase;
  readonly generation: number;
  readonly protocolType: string | null;
  /** The protocol of this generation. During PREPARING, it is the previous generation's. */
  readonly protocolName: string | null;
  readonly leaderId: string | null;
  readonly members: ReadonlyMap<string, ClassicMember>;
  /**
   * [CLS-9] Topics that were deleted in this generation. A commit under such a name belongs to the deleted topic, even
   * if a new topic has the same name.
   */
  readonly goneTopics: ReadonlySet<string>;

  // The following is not stored. A rebalance begins anew when the object wakes up.

  /** The time at which a rebalance continues without the missing members. Null if there is no rebalance. */
  readonly deadlineMs: number | null;
  /**
   * [CLS-10] Issued ids, oldest first, each with the time until which it is valid. A client with such an id is not a
   * member. A rebalance waits for it, and nothing else does.
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

/** Returns the protocol that all members use now, or null during a rebalance. */
export function currentProtocol({ phase, protocolName }: ClassicState): string | null {
  return phase === "STABLE" || phase === "COMPLETING" ? protocolName : null;
}

/** True if all members must join again and the rebalance is not complete. */
export function isRebalancing({ phase }: Pick<ClassicState, "phase">): boolean {
  return phase === "PREPARING" || phase === "COMPLETING";
}

/** Returns the names of the protocols that all of these members support. */
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
