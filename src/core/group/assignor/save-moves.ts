// The last step of `uniform`. Among all balanced distributions of the extras, it finds one with the fewest moves.
//
// It works on a graph of members, topics and levels. The edge member → topic means that the member gives away its extra
// of the topic. The edge topic → member means that the member takes one. The path member → level → member means that a
// member with one fewer in total takes the place of a member with one more. That leaves the totals as a whole
// unchanged. An extra that lets its member keep a partition is worth one move. A cycle whose takers keep more than its
// givers lose saves moves. Without such a cycle, the number of moves is minimal (negative cycle canceling, as for
// flows).
import { keepsMore, type TopicShare } from "./topic-share.ts";

interface Edge {
  readonly from: number;
  readonly to: number;
  /** The number of moves lost (1), saved (-1) or neither (0). */
  readonly cost: number;
  readonly shift: {
    readonly share: TopicShare;
    readonly memberId: string;
    readonly gives: boolean;
  } | null;
}

export function saveMoves(shares: readonly TopicShare[], totals: Map<string, number>): void {
  const contested = shares.filter((share) => share.extras.size > 0);
  // Each round saves at least one move, and at most as many moves as there are extras can be saved.
  for (;;) {
    const { edges, size } = buildGraph(contested, totals);
    const cycle = findNegativeCycle(edges, size);
    if (cycle === null) return;
    for (const { shift } of cycle) {
      if (shift === null) continue;
      const { share, memberId, gives } = shift;
      if (gives) share.extras.delete(memberId);
      else share.extras.add(memberId);
      totals.set(memberId, (totals.get(memberId) ?? 0) + (gives ? -1 : 1));
    }
  }
}

function buildGraph(
  shares: readonly TopicShare[],
  totals: ReadonlyMap<string, number>,
): { edges: Edge[]; size: number } {
  const nodes = new Map<string, number>();
  const node = (name: string): number => {
    const known = nodes.get(name);
    if (known !== undefined) return known;
    nodes.set(name, nodes.size);
    return nodes.size - 1;
  };
  const edges: Edge[] = [];
  const members = new Set<string>();
  for (const share of shares) {
    const topic = node(`topic ${share.topicId}`);
    for (const memberId of share.subscribers) {
      members.add(memberId);
      const member = node(`member ${memberId}`);
      const keeps = keepsMore(share, memberId) ? 1 : 0;
      const gives = share.extras.has(memberId);
      const shift = { share, memberId, gives };
      if (gives) edges.push({ from: member, to: topic, cost: keeps, shift });
      else edges.push({ from: topic, to: member, cost: 0 - keeps, shift });
    }
  }
  for (const memberId of members) {
    const total = totals.get(memberId) ?? 0;
    const member = node(`member ${memberId}`);
    edges.push({ from: member, to: node(`level ${total + 1}`), cost: 0, shift: null });
    edges.push({ from: node(`level ${total}`), to: member, cost: 0, shift: null });
  }
  return { edges, size: nodes.size };
}

/** The Bellman-Ford algorithm, started from all nodes at once. A cycle in the predecessors is a negative cycle. */
function findNegativeCycle(edges: readonly Edge[], size: number): Edge[] | null {
  const distance = new Int32Array(size);
  const reachedBy = new Array<Edge | null>(size).fill(null);
  for (let round = 0; round <= size; round++) {
    let hasChanged = false;
    for (const edge of edges) {
      const length = (distance[edge.from] as number) + edge.cost;
      if (length >= (distance[edge.to] as number)) continue;
      distance[edge.to] = length;
      reachedBy[edge.to] = edge;
      hasChanged = true;
    }
    if (!hasChanged) return null;
    const cycle = findCycle(reachedBy);
    if (cycle !== null) return cycle;
  }
  return null;
}

function findCycle(reachedBy: readonly (Edge | null)[]): Edge[] | null {
  const seenFrom = new Int32Array(reachedBy.length).fill(-1);
  for (let start = 0; start < reachedBy.length; start++) {
    let at = start;
    while (seenFrom[at] === -1) {
      seenFrom[at] = start;
      const edge = reachedBy[at];
      if (edge == null) break;
      at = edge.from;
      if (seenFrom[at] === start) return cycleThrough(at, reachedBy);
    }
  }
  return null;
}

function cycleThrough(node: number, reachedBy: readonly (Edge | null)[]): Edge[] {
  const cycle: Edge[] = [];
  let at = node;
  do {
    const edge = reachedBy[at];
    if (edge == null) break;
    cycle.push(edge);
    at = edge.from;
  } while (at !== node);
  return cycle;
}
