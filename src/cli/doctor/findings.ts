// The findings of `rivulet doctor`, each with its meaning and a command that repairs it. It is pure.
import { plain } from "../plain.ts";

export type FindingKind =
  | "partition-failing"
  | "log-end-behind"
  | "config-older"
  | "partition-unknown"
  | "orphan"
  | "group-missing"
  | "group-failing"
  | "group-unlisted"
  | "position-beyond-end"
  | "task-stuck";

/** A request to the broker that repairs a finding and loses nothing. */
export interface Repair {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
}

export interface Finding {
  readonly kind: FindingKind;
  /** The partition, group or task. */
  readonly about: string;
  readonly detail: string;
  readonly meaning: string;
  /** A command to type, or another repair in words. */
  readonly command: string;
  /** Null if only the operator can decide. */
  readonly repair: Repair | null;
  /** The partition to free if the finding is an orphan. */
  readonly orphan?: { readonly topicId: string; readonly partition: number; readonly file: string };
}

/** A topic as the cluster knows it. */
export interface KnownTopic {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: number;
  readonly used: readonly { readonly partition: number; readonly logEnd: number | null }[] | null;
}

export interface PartitionState {
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly hasConfig: boolean;
}

export interface Failed {
  readonly code: string;
  readonly detail: string;
}

export interface Task {
  readonly id: number;
  readonly type: string;
  readonly about: string;
}

const REPAIR = "rivulet doctor --repair";
const topicPath = (topic: string) => `/v1/topics/${encodeURIComponent(topic)}`;
const groupPath = (group: string) => `/v1/groups/${encodeURIComponent(group)}`;

/** Returns the partitions to examine: those that were used, or all if that is not known. */
export function partitionsToWake({ partitions, used }: KnownTopic): number[] {
  if (used !== null) return used.map(({ partition }) => partition);
  return Array.from({ length: partitions }, (_, partition) => partition);
}

export function partitionFindings(
  topic: KnownTopic,
  partition: number,
  state: PartitionState | Failed,
): Finding[] {
  const about = `${topic.name}/${partition}`;
  if ("code" in state) {
    return [
      {
        kind: "partition-failing",
        about,
        detail: `${state.code}: ${state.detail}`,
        meaning:
          "It serves nothing, so that no offset is given out twice and nothing wrong is read.",
        command: `stop the broker and restore its file, without the -wal and -shm beside it; or give up the records of all partitions: rivulet topics delete ${topic.name}`,
        repair: null,
      },
    ];
  }
  const findings: Finding[] = [];
  const known = topic.used?.find((each) => each.partition === partition)?.logEnd ?? null;
  if (known !== null && state.highWatermark < known)
    findings.push({
      kind: "log-end-behind",
      about,
      detail: `its log ends at ${state.highWatermark}, and had ended at ${known}`,
      meaning: `Records ${state.highWatermark} to ${known - 1} are lost, and their offsets may be given out again.`,
      command: `restore it, or let groups continue with what is left: rivulet groups reset GROUP --to current --topic ${topic.name}`,
      repair: null,
    });
  if (!state.hasConfig)
    findings.push({
      kind: "config-older",
      about,
      detail: "its config is older than the topic's",
      meaning: "Retention, compaction and checks of appends follow the older values there.",
      command: REPAIR,
      repair: { method: "PATCH", path: topicPath(topic.name), body: { config: {} } },
    });
  return findings;
}

/** Examines a listed group. `answer` is null if there is no such group. */
export function groupFinding(group: string, answer: Failed | null): Finding {
  if (answer === null)
    return {
      kind: "group-missing",
      about: group,
      detail: "it is listed, but there is no such group",
      meaning: "Nothing is lost; lists show a group that is not there.",
      command: `rivulet groups delete ${group}`,
      repair: { method: "DELETE", path: groupPath(group) },
    };
  return {
    kind: "group-failing",
    about: group,
    detail: `${answer.code}: ${answer.detail}`,
    meaning: "Nobody can join it, and its positions cannot be read.",
    command: `restore its file, or start anew without its committed offsets: rivulet groups delete ${group}`,
    repair: null,
  };
}

export function positionFindings(
  group: string,
  positions: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly offset: number;
  }[],
  endOf: (topic: string, partition: number) => number | undefined,
): Finding[] {
  return positions.flatMap(({ topic, partition, offset }): Finding[] => {
    const end = endOf(topic, partition);
    if (end === undefined || offset <= end) return [];
    return [
      {
        kind: "position-beyond-end",
        about: `${group} in ${topic}/${partition}`,
        detail: `it has committed ${offset}, and the log ends at ${end}`,
        meaning: `It would not read the records that get offsets up to ${offset - 1} from now on.`,
        command: `rivulet groups reset ${group} --to current --topic ${topic}`,
        repair: null,
      },
    ];
  });
}

/** Reports a task that was found twice. */
export function taskFinding({ id, type, about }: Task): Finding {
  return {
    kind: "task-stuck",
    about: `task ${id}`,
    detail: `${type} ${about} is not getting done`,
    meaning: "The cluster tries it again, ever later; the broker's log says why it fails.",
    command:
      "fix what the broker's log names; a file of another topic must be put back or taken away",
    repair: null,
  };
}

/** A partition or a group that has a file. */
export type Found =
  | {
      readonly kind: "partition";
      readonly file: string;
      readonly topicId: string;
      readonly topic: string;
      readonly partition: number;
    }
  | { readonly kind: "group"; readonly file: string; readonly group: string };

/** Compares the folder with the cluster. */
export function folderFindings(
  found: readonly Found[],
  topics: ReadonlyMap<string, KnownTopic>,
  groups: ReadonlySet<string>,
): Finding[] {
  return found.flatMap((each): Finding[] => {
    if (each.kind === "group") {
      if (groups.has(each.group)) return [];
      return [
        {
          kind: "group-unlisted",
          about: each.group,
          detail: `it has a file, ${each.file}, but is not listed`,
          meaning: "It is not found by lists, and is not told of changes of its topics.",
          command: REPAIR,
          repair: { method: "POST", path: "/v1/doctor/groups", body: { groupId: each.group } },
        },
      ];
    }
    const { topicId, partition, topic, file } = each;
    const known = topics.get(topicId);
    if (known === undefined || partition >= known.partitions) {
      const what =
        known === undefined
          ? `no topic has its id ${topicId}`
          : `the topic has only ${known.partitions} partitions`;
      return [
        {
          kind: "orphan",
          about: `${topic}/${partition}`,
          detail: `it has a file, ${file}, but ${what}`,
          meaning:
            "Its topic was deleted, or the cluster has forgotten it. Nobody can read it, and it takes room.",
          command:
            "restore the cluster's file to keep it, or free it: rivulet doctor --data-dir <path> --destroy-orphans",
          repair: null,
          ...(known === undefined ? { orphan: { topicId, partition, file } } : {}),
        },
      ];
    }
    if (known.used === null || known.used.some((use) => use.partition === partition)) return [];
    return [
      {
        kind: "partition-unknown",
        about: `${known.name}/${partition}`,
        detail: `it has a file, ${file}, but the cluster counts it as unused`,
        meaning: "Whoever only looks at it is told that it is empty.",
        command: REPAIR,
        repair: {
          method: "GET",
          // A consumer that waits for records starts the partition, which then reports to the cluster that it is in use.
          path: `${topicPath(known.name)}/partitions/${partition}/records?maxRecords=1&waitMs=1&offset=0`,
        },
      },
    ];
  });
}

export function findingText(finding: Finding): string {
  const { kind, about, detail, meaning, command } = finding;
  return [`${kind}: ${about}`, `  ${detail}`, `  ${meaning}`, `  Repair: ${command}`]
    .map(plain)
    .join("\n");
}
