// A classic group as a table: each of its phases × each event. A cell has the response to the caller, and the phase that
// follows. "waits" means that the response comes with somebody else's request.
import { expect, test } from "vitest";
import { KAFKA_ERRORS } from "../../../../src/core/errors.ts";
import type { ClassicPhase } from "../../../../src/core/group/classic-state.ts";
import { ClassicRig, utf8 } from "../../../support/classic-rig.ts";

const CODES: Record<number, string> = {
  ...Object.fromEntries(Object.entries(KAFKA_ERRORS).map(([name, code]) => [code, name])),
  0: "ok",
  25: "UNKNOWN_MEMBER_ID",
};
const CHANGED = { protocols: [{ name: "range", metadata: utf8("other topics") }] };
const OTHER_PROTOCOL = { protocols: [{ name: "sticky", metadata: utf8("meta") }] };

/** a leads, b follows. In EMPTY both have left. */
interface Group {
  readonly rig: ClassicRig;
  readonly a: string;
  readonly b: string;
}

const PHASES: Record<ClassicPhase, () => Group> = {
  EMPTY: () => {
    const group = stable();
    for (const id of [group.a, group.b]) group.rig.group.leave(id, null, group.rig.nowMs);
    return group;
  },
  /** b has joined again, and a must. */
  PREPARING: () => {
    const group = stable();
    group.rig.join(group.b, CHANGED);
    return group;
  },
  /** Both have joined, and nobody has synced. */
  COMPLETING: () => {
    const group = PHASES.PREPARING();
    group.rig.join(group.a);
    return group;
  },
  STABLE: stable,
};

function stable(): Group {
  const rig = new ClassicRig();
  return { rig, ...rig.two() };
}

const told = (code: number | undefined): string =>
  code === undefined ? "waits" : (CODES[code] ?? String(code));

/** The events of the table. Each returns the response to the caller. */
const EVENTS = {
  "a newcomer asks for an id": ({ rig }) => told(rig.join("").joined?.errorCode),
  "a newcomer joins with its id": ({ rig }) => told(rig.newcomer().told.joined?.errorCode),
  "a newcomer follows another protocol": ({ rig }) =>
    told(rig.join("", OTHER_PROTOCOL).joined?.errorCode),
  "a stranger joins": ({ rig }) => told(rig.join("stranger").joined?.errorCode),
  "the leader joins again": ({ rig, a }) => told(rig.join(a).joined?.errorCode),
  "another joins again": ({ rig, b }) =>
    told(rig.join(b, rig.group.phase === "STABLE" ? {} : CHANGED).joined?.errorCode),
  "another joins with other topics": ({ rig, b }) => {
    const topics = [{ name: "range", metadata: utf8("third topics") }];
    return told(rig.join(b, { protocols: topics }).joined?.errorCode);
  },
  "the leader syncs": ({ rig, a }) => told(rig.sync(a, rig.group.generation).synced?.errorCode),
  "another syncs": ({ rig, b }) => told(rig.sync(b, rig.group.generation).synced?.errorCode),
  "another syncs in an older generation": ({ rig, b }) =>
    told(rig.sync(b, rig.group.generation - 1).synced?.errorCode),
  "another beats": ({ rig, b }) => told(rig.beat(b, rig.group.generation)),
  "another beats in an older generation": ({ rig, b }) =>
    told(rig.beat(b, rig.group.generation - 1)),
  "a stranger beats": ({ rig }) => told(rig.beat("stranger", rig.group.generation)),
  "another commits": ({ rig, b }) => {
    const { generation } = rig.group;
    return told(rig.group.commitErrorCode({ memberId: b, instanceId: null, generation }));
  },
  "another commits in an older generation": ({ rig, b }) => {
    const generation = rig.group.generation - 1;
    return told(rig.group.commitErrorCode({ memberId: b, instanceId: null, generation }));
  },
  "the leader leaves": ({ rig, a }) => told(rig.group.leave(a, null, rig.nowMs)),
  "another leaves": ({ rig, b }) => told(rig.group.leave(b, null, rig.nowMs)),
  "a stranger leaves": ({ rig }) => told(rig.group.leave("stranger", null, rig.nowMs)),
  "a session passes in silence": ({ rig }) => {
    rig.pass(10_000);
    return "";
  },
  "a rebalance timeout passes, and both beat": ({ rig, a, b }) => {
    for (let i = 0; i < 6; i++) {
      for (const id of [a, b]) rig.beat(id, rig.group.generation);
      rig.pass(5_000);
    }
    return "";
  },
  "a topic is deleted": ({ rig }) => {
    rig.group.topicGone("t", rig.nowMs);
    return "";
  },
  "the object is evicted": ({ rig }) => {
    rig.evict();
    return "";
  },
  "the clock is set": ({ rig }) => {
    rig.nowMs += 3_600_000;
    rig.group.beginSessionsAnew(rig.nowMs);
    return "";
  },
} satisfies Record<string, (group: Group) => string>;

/** The cells of EMPTY, PREPARING, COMPLETING and STABLE: the response, and the phase that follows. */
const TABLE: Record<keyof typeof EVENTS, readonly [string, string, string, string]> = {
  "a newcomer asks for an id": [
    "MEMBER_ID_REQUIRED → EMPTY",
    "MEMBER_ID_REQUIRED → PREPARING",
    "MEMBER_ID_REQUIRED → COMPLETING",
    "MEMBER_ID_REQUIRED → STABLE",
  ],
  "a newcomer joins with its id": [
    "ok → COMPLETING",
    "waits → PREPARING",
    "waits → PREPARING",
    "waits → PREPARING",
  ],
  "a newcomer follows another protocol": [
    "MEMBER_ID_REQUIRED → EMPTY",
    "INCONSISTENT_GROUP_PROTOCOL → PREPARING",
    "INCONSISTENT_GROUP_PROTOCOL → COMPLETING",
    "INCONSISTENT_GROUP_PROTOCOL → STABLE",
  ],
  "a stranger joins": all("UNKNOWN_MEMBER_ID"),
  "the leader joins again": [
    "UNKNOWN_MEMBER_ID → EMPTY",
    "ok → COMPLETING",
    "ok → COMPLETING",
    "waits → PREPARING",
  ],
  "another joins again": [
    "UNKNOWN_MEMBER_ID → EMPTY",
    "waits → PREPARING",
    "ok → COMPLETING",
    "ok → STABLE",
  ],
  "another joins with other topics": [
    "UNKNOWN_MEMBER_ID → EMPTY",
    "waits → PREPARING",
    "waits → PREPARING",
    "waits → PREPARING",
  ],
  "the leader syncs": [
    "UNKNOWN_MEMBER_ID → EMPTY",
    "REBALANCE_IN_PROGRESS → PREPARING",
    "ok → STABLE",
    "ok → STABLE",
  ],
  "another syncs": [
    "UNKNOWN_MEMBER_ID → EMPTY",
    "REBALANCE_IN_PROGRESS → PREPARING",
    "waits → COMPLETING",
    "ok → STABLE",
  ],
  "another syncs in an older generation": old(),
  "another beats": [
    "UNKNOWN_MEMBER_ID → EMPTY",
    "REBALANCE_IN_PROGRESS → PREPARING",
    "ok → COMPLETING",
    "ok → STABLE",
  ],
  "another beats in an older generation": old(),
  "a stranger beats": all("UNKNOWN_MEMBER_ID"),
  "another commits": [
    "UNKNOWN_MEMBER_ID → EMPTY",
    "ok → PREPARING",
    "REBALANCE_IN_PROGRESS → COMPLETING",
    "ok → STABLE",
  ],
  "another commits in an older generation": old(),
  "the leader leaves": [
    "UNKNOWN_MEMBER_ID → EMPTY",
    "ok → COMPLETING",
    "ok → PREPARING",
    "ok → PREPARING",
  ],
  "another leaves": [
    "UNKNOWN_MEMBER_ID → EMPTY",
    "ok → PREPARING",
    "ok → PREPARING",
    "ok → PREPARING",
  ],
  "a stranger leaves": all("UNKNOWN_MEMBER_ID"),
  // b waits for its join, and so need not show that it is alive.
  "a session passes in silence": ["→ EMPTY", "→ COMPLETING", "→ EMPTY", "→ EMPTY"],
  "a rebalance timeout passes, and both beat": ["→ EMPTY", "→ COMPLETING", "→ EMPTY", "→ STABLE"],
  "a topic is deleted": ["→ EMPTY", "→ PREPARING", "→ COMPLETING", "→ PREPARING"],
  "the object is evicted": ["→ EMPTY", "→ PREPARING", "→ PREPARING", "→ STABLE"],
  "the clock is set": ["→ EMPTY", "→ PREPARING", "→ COMPLETING", "→ STABLE"],
};

function all(answer: string): readonly [string, string, string, string] {
  return [
    `${answer} → EMPTY`,
    `${answer} → PREPARING`,
    `${answer} → COMPLETING`,
    `${answer} → STABLE`,
  ];
}

function old(): readonly [string, string, string, string] {
  const [, preparing, completing, stableAfter] = all("ILLEGAL_GENERATION");
  return ["UNKNOWN_MEMBER_ID → EMPTY", preparing, completing, stableAfter];
}

const CELLS = Object.entries(TABLE).flatMap(([event, cells]) =>
  (Object.keys(PHASES) as ClassicPhase[]).map((phase, i) => ({ phase, event, cell: cells[i] })),
);

test.each(CELLS)("[CLS-1] [CLS-3] [CLS-4] in $phase, $event: $cell", ({ phase, event, cell }) => {
  const group = PHASES[phase]();
  expect(group.rig.group.phase).toBe(phase);
  const { generation } = group.rig.group;
  const answer = EVENTS[event as keyof typeof EVENTS](group);
  expect(`${answer} → ${group.rig.group.phase}`.trim()).toBe(cell);
  expect(group.rig.group.generation).toBeGreaterThanOrEqual(generation);
  // No phase that waits for somebody lasts: an alarm is set, or there is a member whose session ends.
  const isWaiting = group.rig.group.members.size > 0;
  expect(group.rig.group.nextDeadlineMs !== null).toBe(isWaiting);
});
