// The steps of the lesson: their texts, the reader's actions, and their goals. The broker and the members
// decide when a goal is met, never a timer.
import { OWN_CITY, PARTITIONS } from "./cities.ts";
import { type Lesson, lagOf, positionsOf, sharesOf, workingIn } from "./state.ts";

/** The session timeout of the lesson's members: the least that Kafka's brokers accept, and long enough to watch. */
export const SESSION_MS = 6_000;
/** The lag that the slow consumers have to reach, and the lag that counts as none while records keep arriving. */
export const MUCH_LAG = 20;
export const LITTLE_LAG = 6;

export type ActionName =
  | "create"
  | "send"
  | "join"
  | "unplug"
  | "close"
  | "audit"
  | "slow"
  | "fast"
  | "rewind";

export interface Action {
  readonly name: ActionName;
  readonly label: (lesson: Lesson) => string;
  readonly isOffered: (lesson: Lesson) => boolean;
}

export interface Goal {
  readonly text: string;
  readonly isMet: (lesson: Lesson) => boolean;
}

export interface Step {
  readonly id: string;
  readonly title: string;
  readonly text: readonly string[];
  readonly actions: readonly Action[];
  readonly goals: readonly Goal[];
  /** Describes the measurement. Null before there is one. */
  readonly finding?: (lesson: Lesson) => string | null;
}

const ORDINALS = ["the first", "a second", "a third", "a fourth", "a fifth"];

/** Starts another consumer of the first group while it has fewer than `upTo`. */
function join(upTo: number): Action {
  const count = (lesson: Lesson) => workingIn(lesson, "billing").length;
  return {
    name: "join",
    label: (lesson) => `Start ${ORDINALS[Math.min(count(lesson), upTo - 1)]} consumer`,
    isOffered: (lesson) => lesson.topic !== null && count(lesson) < upTo,
  };
}

/** True if the members of the first group own this many partitions each. */
const isShared =
  (...shares: readonly number[]) =>
  ({ groups }: Lesson) =>
    sharesOf(groups.billing).join() === shares.join();

export const STEPS: readonly Step[] = [
  {
    id: "topic",
    title: "A topic and its partitions",
    text: [
      "A topic is a log of records. It is split into partitions, so that several consumers can read it at once. Each record goes to the end of one partition and gets the next number there: its offset.",
      "The key decides which partition that is. Records with the same key always go to the same one, so they stay in order. Here the keys are cities, and each letter in the picture is an order from one.",
    ],
    actions: [
      {
        name: "create",
        label: () => "Create a topic with four partitions",
        isOffered: ({ topic }) => topic === null,
      },
      {
        name: "send",
        label: () => `Send an order from ${OWN_CITY}`,
        isOffered: ({ topic }) => topic !== null,
      },
    ],
    goals: [
      {
        text: "There are records in all four partitions",
        isMet: ({ logs }) => logs.every(({ end }) => end > 0),
      },
      {
        text: `Two orders that you sent from ${OWN_CITY} are in the same partition`,
        isMet: ({ own }) =>
          own.length > 1 && own.every(({ partition }) => partition === own[0]?.partition),
      },
    ],
    finding: ({ own }) => {
      const last = own.at(-1);
      return last === undefined
        ? null
        : `Your last order is in partition ${last.partition}, at offset ${last.offset}.`;
    },
  },
  {
    id: "one",
    title: "One consumer",
    text: [
      "A consumer reads a topic as a member of a group. The first member gets all four partitions.",
      "As it works, the group commits an offset in each partition: that of the next record to read. The picture marks it in the bar below each log.",
    ],
    actions: [join(1)],
    goals: [
      { text: "The group has one member, which owns all four partitions", isMet: isShared(4) },
      {
        text: "The group has committed an offset in each partition",
        isMet: (lesson) => positionsOf(lesson, "billing").every((each) => each !== null),
      },
    ],
  },
  {
    id: "two",
    title: "A second consumer joins",
    text: [
      "Start another consumer with the same group ID, and the group rebalances. Consumer 1 gives up two partitions, and only then does consumer 2 get them. A partition never has two owners in one group.",
      "The partitions that stay where they are do not even pause.",
    ],
    actions: [join(2)],
    goals: [
      { text: "Consumer 1 gave up partitions", isMet: ({ hasRevoked }) => hasRevoked },
      { text: "Two members own two partitions each", isMet: isShared(2, 2) },
    ],
  },
  {
    id: "four",
    title: "More consumers, smaller shares",
    text: [
      "Each consumer that you add takes over a share of the work. With four, each has one partition.",
    ],
    actions: [join(4)],
    goals: [{ text: "Four members own one partition each", isMet: isShared(1, 1, 1, 1) }],
  },
  {
    id: "five",
    title: "One too many",
    text: [
      "A partition has at most one owner in a group. So four partitions keep four consumers busy, and a fifth gets nothing.",
      "It is a spare: it waits until it is needed, which is in the next step. To put it to work at once, you would add a partition.",
    ],
    actions: [join(5)],
    goals: [
      {
        text: "The group has five members, and one of them owns nothing",
        isMet: isShared(1, 1, 1, 1, 0),
      },
    ],
  },
  {
    id: "death",
    title: "A consumer dies",
    text: [
      `Pull the plug on a consumer. From then on it sends nothing, reads nothing and does not say goodbye. To the group, it might just be slow. So nothing moves until its session times out, here after ${SESSION_MS / 1_000} seconds of silence.`,
      "Then another consumer takes over, from the last commit. Records handled after that commit are delivered again. This is at-least-once delivery: nothing is lost, and some records may come twice.",
    ],
    actions: [
      {
        name: "unplug",
        label: () => "Unplug a consumer",
        isOffered: (lesson) => lesson.death === null && owner(lesson) !== undefined,
      },
    ],
    goals: [
      {
        text: "The broker still keeps the partition for the silent consumer",
        isMet: ({ death }) => death?.isKept === true,
      },
      {
        text: "Its session timed out, and the group removed it",
        isMet: ({ death, groups }) =>
          death?.taken != null &&
          groups.billing.info?.members.every(({ memberId }) => memberId !== death.from) === true,
      },
      {
        text: "Another consumer went on in its partition, and nothing was skipped",
        isMet: ({ death }) => death?.taken != null && death.taken.offset <= death.handledTo,
      },
    ],
    finding: ({ death }) => {
      if (death?.taken == null) return null;
      const again = death.handledTo - death.taken.offset;
      const took = tookText(death.taken.atMs - death.sinceMs);
      const came =
        again === 0
          ? "All of it had been committed, so nothing came again."
          : `${again} ${again === 1 ? "record" : "records"} came again.`;
      return `In partition ${death.partition}, everything before offset ${death.handledTo} had been handled. Another consumer went on at offset ${death.taken.offset}, ${took} after the broker last heard from the dead one. ${came}`;
    },
  },
  {
    id: "farewell",
    title: "A consumer leaves",
    text: [
      "A consumer that is closed says goodbye: it finishes the record in hand, commits, and leaves the group. Nobody has to wait for a timeout, so its partition moves at once.",
    ],
    actions: [
      {
        name: "close",
        label: () => "Close a consumer",
        isOffered: (lesson) => lesson.farewell === null && owner(lesson) !== undefined,
      },
    ],
    goals: [
      {
        text: "Another consumer has its partition",
        isMet: ({ farewell }) => farewell?.taken != null,
      },
      {
        text: "The group no longer lists it",
        isMet: ({ farewell, groups }) =>
          farewell !== null &&
          groups.billing.info?.members.every(({ memberId }) => memberId !== farewell.from) === true,
      },
    ],
    finding: ({ farewell, death }) => {
      if (farewell?.taken == null) return null;
      const tookMs = farewell.taken.atMs - farewell.sinceMs;
      const slow =
        death?.taken == null
          ? ""
          : ` The one without a goodbye took ${tookText(death.taken.atMs - death.sinceMs)}.`;
      return `Partition ${farewell.partition} moved within ${tookText(tookMs)}.${slow}`;
    },
  },
  {
    id: "groups",
    title: "Queue, or publish and subscribe",
    text: [
      "Within a group, each record goes to one consumer: that is a queue. Another group has committed offsets of its own and gets every record as well: that is publish and subscribe. You can have both on the same topic.",
      "Start a consumer of a second group, audit. It begins with the very first record and catches up.",
    ],
    actions: [
      {
        name: "audit",
        label: () => "Start a consumer of a second group",
        isOffered: (lesson) => lesson.topic !== null && workingIn(lesson, "audit").length === 0,
      },
    ],
    goals: [
      {
        text: "The second group's only member owns all four partitions too",
        isMet: ({ groups }) => sharesOf(groups.audit).join() === String(PARTITIONS),
      },
      {
        text: "Both groups have handled the same records in each partition",
        isMet: ({ groups }) =>
          groups.audit.next.every((each, i) => each > 0 && (groups.billing.next[i] ?? 0) > 0),
      },
    ],
  },
  {
    id: "lag",
    title: "Lag",
    text: [
      "Lag is the number of records that a group has not read yet. It is the one figure to watch: while it grows, the consumers are too slow.",
      "Make the billing consumers slow and watch theirs grow. Then let them hurry. The audit group does not notice any of this.",
    ],
    actions: [
      {
        name: "slow",
        label: () => "Slow the billing consumers down",
        isOffered: (lesson) => !lesson.isSlow && workingIn(lesson, "billing").length > 0,
      },
      {
        name: "fast",
        label: () => "Speed them up",
        isOffered: ({ isSlow }) => isSlow,
      },
    ],
    goals: [
      {
        text: `The lag of billing reached ${MUCH_LAG} records`,
        isMet: ({ mostLag }) => mostLag >= MUCH_LAG,
      },
      {
        text: "They have caught up",
        isMet: ({ isSlow, mostLag, groups }) =>
          !isSlow && mostLag >= MUCH_LAG && lagOf(groups.billing.info) <= LITTLE_LAG,
      },
    ],
    finding: ({ groups }) =>
      groups.billing.info === null
        ? null
        : `Lag now: billing ${lagOf(groups.billing.info)}, audit ${lagOf(groups.audit.info)}.`,
  },
  {
    id: "rewind",
    title: "Rewind",
    text: [
      "Reading deletes nothing. Records stay until the topic's retention removes them, and a group's committed offset is only a number. Set it back, and the group reads everything again: after a bug, say, or to fill a new database.",
      "A group must be at rest for that, so the button stops the audit consumer, resets the group and starts the consumer again.",
    ],
    actions: [
      {
        name: "rewind",
        label: () => "Set audit back to the start",
        isOffered: (lesson) => workingIn(lesson, "audit").length > 0,
      },
    ],
    goals: [
      {
        text: "The committed offsets of audit were set back",
        isMet: ({ rewind }) => rewind !== null,
      },
      {
        text: "The first record of each partition came again",
        isMet: ({ rewind }) => rewind?.again.size === PARTITIONS,
      },
      {
        text: "Billing went on where it was",
        isMet: (lesson) =>
          lesson.rewind !== null &&
          positionsOf(lesson, "billing").every(
            (each, i) => (each ?? 0) >= (lesson.rewind?.billing[i] ?? 0),
          ),
      },
    ],
  },
];

/** Returns the member to unplug or to close: the first one that owns a partition. */
export function owner(lesson: Lesson) {
  return workingIn(lesson, "billing").find(({ partitions }) => partitions.length > 0);
}

/** True if all goals are met. */
export function isDone({ goals }: Step, lesson: Lesson): boolean {
  return goals.every(({ isMet }) => isMet(lesson));
}

/** "35 ms", "7.4 s". */
function tookText(ms: number): string {
  return ms < 1_000 ? `${Math.max(0, ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
