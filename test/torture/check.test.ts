// A checker that cannot fail is worthless: a clean history passes, and each kind of finding is planted once.
import { expect, test } from "vitest";
import { check } from "./check.ts";
import type { Logs } from "./check-log.ts";
import type { Kind } from "./findings.ts";
import type { Event, Happening, MemberKind } from "./history.ts";
import { planFaults } from "./schedule.ts";

const GROUPS = { g: "t" };

type Line = readonly [who: string, what: Happening];

/** The events one after another. */
function history(...lines: readonly Line[]): Event[] {
  return lines.map(([who, what], i) => ({ ...what, t: i + 1, who }));
}

/** One topic of one partition with these records. */
function log(...ids: string[]): Logs {
  return { t: [{ ids, offsets: ids.map((_, offset) => offset) }] };
}

function kinds(events: readonly Event[], logs: Logs): Kind[] {
  return check(events, logs, GROUPS).findings.kinds;
}

const LOG = log("p-0", "p-1", "p-2", "p-3");
const member = (who: string, kind: MemberKind = "sdk") =>
  [who, { e: "member", group: "g", topic: "t", kind }] as const;
const assigned = (who: string, offset: number) =>
  [who, { e: "assigned", places: [[0, offset]] }] as const;
const revoked = (who: string) => [who, { e: "revoked", partitions: [0] }] as const;
const lost = (who: string) => [who, { e: "lost", partitions: [0] }] as const;
const starts = (who: string, o: number, ...ids: string[]) =>
  [who, { e: "start", p: 0, o, ids }] as const;
const ends = (who: string, o: number, count: number) =>
  [who, { e: "end", p: 0, o, count }] as const;
const handles = (who: string, o: number, ...ids: string[]) =>
  [starts(who, o, ...ids), ends(who, o, ids.length)] as const;
const committed = (offset: number | null) =>
  ["run", { e: "committed", group: "g", epoch: 1, offsets: [[0, offset]] }] as const;
const rebalanced = (who: string) => [who, { e: "rebalanced" }] as const;
const held = (...partitions: number[]) =>
  ["run", { e: "committed", group: "g", epoch: 1, offsets: [], held: partitions }] as const;
const says = (who: string, e: "ping" | "pong") => [who, { e }] as const;
const PRODUCED = [
  ["p", { e: "send", first: 0, count: 2 }],
  ["p", { e: "send", first: 2, count: 3 }],
  [
    "p",
    {
      e: "sent",
      first: 0,
      outcomes: [
        [0, 0],
        [0, 1],
      ],
    },
  ],
  ["p", { e: "sent", first: 2, outcomes: [[0, 2], "ConnectionError", "ConnectionError"] }],
] as const;
/** `a` handles two records and gives the partition to `b`, which handles the rest. */
const CONSUMED = [
  member("a"),
  assigned("a", 0),
  committed(null),
  ...handles("a", 0, "p-0", "p-1"),
  committed(2),
  revoked("a"),
  member("b"),
  assigned("b", 2),
  ...handles("b", 2, "p-2"),
  ...handles("b", 3, "p-3"),
  committed(4),
] as const;

test("[SYS-2] the torture's checker finds nothing in a clean history, and counts it", () => {
  const verdict = check(history(...PRODUCED, ...CONSUMED), LOG, GROUPS);
  expect(verdict.findings.lines).toEqual([]);
  expect(Object.fromEntries(verdict.counts)).toMatchObject({
    sends: 2,
    "records acknowledged": 3,
    "records of unknown outcome": 2, // One is in the log, one is not: both are right.
    "g: deliveries": 4,
    "g: of these redeliveries": 0,
    "g: commits looked at": 3,
  });
});

const logFindings: readonly { kind: Kind; events?: Event[]; logs: Logs }[] = [
  { kind: "lost write", logs: log("p-0", "p-1", "p-3") },
  { kind: "lost write", logs: log("p-0", "p-2", "p-1") },
  { kind: "duplicate", logs: log("p-0", "p-1", "p-2", "p-3", "p-3") },
  { kind: "stored from nowhere", logs: log("p-0", "p-1", "p-2", "p-5") },
  { kind: "stored from nowhere", logs: log("p-0", "p-1", "p-2", "spoilt") },
  { kind: "reordered", logs: log("p-0", "p-2", "p-1") },
  {
    kind: "stored though refused",
    events: history(
      ["p", { e: "send", first: 0, count: 1 }],
      ["p", { e: "sent", first: 0, outcomes: ["MESSAGE_TOO_LARGE"] }],
    ),
    logs: log("p-0"),
  },
  {
    kind: "offsets not dense",
    logs: { t: [{ ids: ["p-0", "p-1", "p-2"], offsets: [0, 1, 3] }] },
  },
];

test.each(logFindings)("[SYS-2] the torture's checker reports in a log: $kind", (planted) => {
  const events = planted.events ?? history(...PRODUCED);
  expect(kinds(events, planted.logs)).toContain(planted.kind);
});

const groupFindings: readonly { kind: Kind; lines: readonly Line[] }[] = [
  {
    kind: "delivered something else",
    lines: [member("a"), assigned("a", 0), ...handles("a", 0, "p-1")],
  },
  {
    kind: "delivered something else",
    lines: [...CONSUMED, starts("b", 4, "p-4")],
  },
  {
    kind: "gap in delivery",
    lines: [member("a"), assigned("a", 0), ...handles("a", 0, "p-0"), ...handles("a", 2, "p-2")],
  },
  {
    kind: "gap in delivery",
    lines: [member("a"), assigned("a", 0), ...handles("a", 0, "p-0"), ...handles("a", 0, "p-0")],
  },
  {
    kind: "delivered without being assigned",
    lines: [member("a"), assigned("a", 0), lost("a"), starts("a", 0, "p-0")],
  },
  {
    // The record was in its hands when it died, and nobody got it again.
    kind: "never handled",
    lines: [member("a"), assigned("a", 0), starts("a", 0, "p-0", "p-1", "p-2", "p-3")],
  },
  {
    // The older owner continues after the newer one has begun.
    kind: "two owners",
    lines: [
      ...[member("a"), assigned("a", 0), ...handles("a", 0, "p-0")],
      ...[member("b"), assigned("b", 1), starts("b", 1, "p-1")],
      starts("a", 1, "p-1"),
    ],
  },
  {
    // The older owner continues between the newer one's assignment and its first record.
    kind: "two owners",
    lines: [
      ...[member("a"), assigned("a", 0), ...handles("a", 0, "p-0")],
      ...[member("b"), assigned("b", 1), starts("a", 1, "p-1"), starts("b", 1, "p-1")],
    ],
  },
  {
    // The plain client was answered and still had it: the other was no owner.
    kind: "two owners",
    lines: [
      ...[member("a"), assigned("a", 0), member("b", "plain"), assigned("b", 0)],
      ...[starts("a", 0, "p-0"), says("b", "ping"), says("b", "pong")],
    ],
  },
  {
    kind: "commit went back",
    lines: [...CONSUMED, committed(3)],
  },
  {
    kind: "commit went back",
    lines: [...CONSUMED, committed(null)],
  },
  {
    kind: "committed before handled",
    lines: [member("a"), assigned("a", 0), starts("a", 0, "p-0"), committed(1)],
  },
  {
    kind: "assigned before handled",
    lines: [
      member("a"),
      assigned("a", 0),
      ...handles("a", 0, "p-0"),
      revoked("a"),
      assigned("a", 2),
    ],
  },
  {
    kind: "starts before the commit",
    lines: [
      ...[member("a"), assigned("a", 0), ...handles("a", 0, "p-0"), committed(1), revoked("a")],
      ...[member("b"), assigned("b", 0), starts("b", 0, "p-0")],
    ],
  },
  {
    kind: "consumer gave up",
    lines: [member("a"), ["a", { e: "fatal", code: "UNKNOWN_MEMBER_ID", detail: "" }]],
  },
  {
    // A Kafka client skips a record in the middle of an assignment.
    kind: "gap in delivery",
    lines: [
      ...[member("k", "kafka"), rebalanced("k"), ...handles("k", 0, "p-0")],
      starts("k", 2, "p-2"),
    ],
  },
  {
    // It goes back in the middle of one.
    kind: "gap in delivery",
    lines: [
      ...[member("k", "kafka"), rebalanced("k"), ...handles("k", 0, "p-0", "p-1")],
      starts("k", 1, "p-1"),
    ],
  },
  {
    // It restarts twice, after one rebalance.
    kind: "gap in delivery",
    lines: [
      ...[member("k", "kafka"), rebalanced("k"), ...handles("k", 0, "p-0", "p-1")],
      ...[rebalanced("k"), ...handles("k", 0, "p-0", "p-1"), ...handles("k", 0, "p-0")],
    ],
  },
  {
    // After a rebalance it begins behind records that nobody has handled.
    kind: "assigned before handled",
    lines: [
      ...[member("k", "kafka"), rebalanced("k"), ...handles("k", 0, "p-0")],
      ...[rebalanced("k"), starts("k", 2, "p-2")],
    ],
  },
  {
    // Records that it got and has not handled were committed.
    kind: "committed before handled",
    lines: [member("k", "kafka"), rebalanced("k"), starts("k", 0, "p-0"), committed(1)],
  },
  {
    // It committed what its process took with it.
    kind: "never handled",
    lines: [
      ...[member("k", "kafka"), rebalanced("k"), starts("k", 0, "p-0", "p-1", "p-2", "p-3")],
      ...[committed(4), member("l", "kafka"), rebalanced("l")],
    ],
  },
  {
    kind: "delivered something else",
    lines: [member("k", "kafka"), rebalanced("k"), starts("k", 0, "p-1")],
  },
  {
    // The SDK's exclusive handling is checked beside Kafka clients as well.
    kind: "two owners",
    lines: [
      ...[member("k", "kafka"), member("a"), assigned("a", 0), ...handles("a", 0, "p-0")],
      ...[member("b"), assigned("b", 1), starts("b", 1, "p-1"), starts("a", 1, "p-1")],
    ],
  },
  { kind: "two owners", lines: [held(0, 1, 0)] },
  { kind: "liveness", lines: [["run", { e: "stuck", detail: "lag 1" }]] },
];

test.each(groupFindings)("[SYS-2] the torture's checker reports in a group: $kind", (planted) => {
  expect(kinds(history(...PRODUCED, ...planted.lines), LOG)).toContain(planted.kind);
});

const allowed: readonly { what: string; lines: readonly Line[] }[] = [
  {
    what: "a record that comes again after its owner was killed",
    lines: [
      ...[member("a"), assigned("a", 0), starts("a", 0, "p-0")],
      ...[member("b"), assigned("b", 0), ...handles("b", 0, "p-0", "p-1", "p-2", "p-3")],
    ],
  },
  {
    what: "a handler that continues after its partition was lost",
    lines: [
      ...[member("a"), assigned("a", 0), starts("a", 0, "p-0"), lost("a")],
      ...[member("b"), assigned("b", 0), ...handles("b", 0, "p-0", "p-1", "p-2", "p-3")],
      ends("a", 0, 1),
    ],
  },
  {
    what: "one start of a process that was stopped just before it",
    lines: [
      ...[member("a"), assigned("a", 0), member("b"), assigned("b", 0), starts("b", 0, "p-0")],
      // It checked its clock, at 7, before the other was assigned, at 8.
      ...[["a", { e: "start", p: 0, o: 0, ids: ["p-0"], lookedNs: 7 }] as const, ends("b", 0, 1)],
      ...handles("b", 1, "p-1", "p-2", "p-3"),
    ],
  },
  {
    what: "an assignment that arrives late and is not used",
    lines: [
      ...[member("b"), assigned("b", 0), ...handles("b", 0, "p-0"), committed(1)],
      ...[member("a"), assigned("a", 0), lost("a")],
      ...handles("b", 1, "p-1", "p-2", "p-3"),
    ],
  },
  {
    what: "a Kafka client that restarts at the commit, and one that delivers what it has fetched",
    lines: [
      ...[member("k", "kafka"), rebalanced("k"), ...handles("k", 0, "p-0", "p-1"), committed(1)],
      ...[member("l", "kafka"), rebalanced("l"), ...handles("l", 1, "p-1"), held(0)],
      // It was left out, and is not told yet.
      ...handles("k", 2, "p-2"),
      ...[rebalanced("k"), ...handles("k", 2, "p-2", "p-3"), committed(4), committed(3)],
    ],
  },
  {
    what: "a Kafka client that gives up",
    lines: [
      ...[member("k", "kafka"), ["k", { e: "fatal", code: "gave up", detail: "" }] as const],
      ...[member("l", "kafka"), ...handles("l", 0, "p-0", "p-1", "p-2", "p-3")],
    ],
  },
  {
    what: "a plain client's records that were long in flight",
    lines: [
      ...[member("a", "plain"), assigned("a", 0), says("a", "ping")],
      ...[member("b"), assigned("b", 0), ...handles("b", 0, "p-0", "p-1", "p-2", "p-3")],
      ...[committed(4), starts("a", 0, "p-0"), revoked("a"), says("a", "pong")],
    ],
  },
];

test.each(allowed)("[SYS-2] the torture's checker allows $what", ({ lines }) => {
  expect(check(history(...PRODUCED, ...lines), LOG, GROUPS).findings.lines).toEqual([]);
});

test("[SYS-2] a torture run of ten minutes has its faults, the same ones for the same seed", () => {
  const faults = planFaults(7, 600_000);
  const count = (kind: string) => faults.filter((fault) => fault.kind === kind).length;
  expect(count("broker kill")).toBeGreaterThanOrEqual(20);
  expect(count("consumer kill")).toBeGreaterThanOrEqual(50);
  expect(count("consumer pause")).toBeGreaterThanOrEqual(50);
  expect(count("cut")).toBeGreaterThanOrEqual(200);
  expect(faults).toEqual(planFaults(7, 600_000));
  expect(faults).not.toEqual(planFaults(8, 600_000));
});
