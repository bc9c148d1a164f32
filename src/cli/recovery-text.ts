// The texts that people read before and after a recovery. It is pure.

import type { Recovery, RecoveryTarget } from "../core/recovery-info.ts";
import { plain } from "./plain.ts";

/** Says what will be lost. `to` is the time as the user wrote it, or null for a bookmark. */
export function warningText(target: RecoveryTarget, plan: Recovery, to: string | null): string {
  const when = to ?? "that state";
  const failing = plan.failing === undefined ? [] : [`It cannot be read now: ${plan.failing}`];
  const lines = { partition: partitionLines, group: groupLines, cluster: clusterLines };
  return [...failing, ...lines[target.type](plan, when, target)].map(plain).join("\n");
}

function partitionLines(plan: Recovery, when: string, target: RecoveryTarget): string[] {
  const { logStartOffset, logEndOffset, firstLostOffset } = plan;
  const name = nameOf(target);
  const range =
    logEndOffset === undefined
      ? `Everything that ${name} has stored since ${when} will be lost.`
      : firstLostOffset === undefined
        ? `${name} holds offsets ${logStartOffset} to ${logEndOffset - 1}. Records that were stored since ${when} will be lost.`
        : firstLostOffset < logEndOffset
          ? `${name} ends at ${logEndOffset}. Records that were stored since ${when} will be lost: by their timestamps, offsets ${firstLostOffset} to ${logEndOffset - 1}.`
          : `${name} ends at ${logEndOffset}, and no record has a timestamp since ${when}. Records that were stored since will be lost all the same.`;
  return [
    range,
    "THEIR OFFSETS WILL BE GIVEN OUT AGAIN, to other records. A group that has read the lost records would skip the new ones: reset it with `rivulet groups reset GROUP --to current`.",
    "Records that were deleted since come back. `rivulet doctor` then shows what does not fit.",
  ];
}

function groupLines({ positions }: Recovery, when: string, target: RecoveryTarget): string[] {
  const held = positions === undefined ? "" : ` It has ${positions} committed offsets now.`;
  return [
    `The offsets that ${nameOf(target)} has committed since ${when} will be lost, and the changes of its config.${held}`,
    "Its members will read again what they have read since. They are disconnected, and join anew.",
  ];
}

function clusterLines({ topics, groups }: Recovery, when: string): string[] {
  return [
    `There are ${topics ?? "?"} topics and ${groups ?? "?"} groups. Everything that was created, changed or deleted since ${when} will be forgotten:`,
    "- Topics that were created since will be lost; their partitions become orphans that nobody can read.",
    "- Topics that were deleted since will be listed again, and their partitions begin anew at offset 0.",
    "- Configs and partition counts will be as they were. Groups that were created since are not listed, and deleted ones are.",
    "- API KEYS THAT WERE REVOKED SINCE WILL BE VALID AGAIN, and those that were created since will not. The audit log loses its lines since.",
    "`rivulet doctor` then shows what does not fit.",
  ];
}

/** Says what was done, and how to undo it. */
export function restoredText(target: RecoveryTarget, restored: Recovery): string {
  const { undoBookmark, logEndOffset, restoredLogEndOffset: end, failing } = restored;
  const lines = [`${nameOf(target)} is as it was.`];
  if (end !== undefined) {
    lines.push(`Its log ends at ${end}.`);
    if (logEndOffset !== undefined && end < logEndOffset)
      lines.push(`Offsets ${end} to ${logEndOffset - 1} will be given out again.`);
  }
  if (failing !== undefined && end === undefined) lines.push(`It cannot be read: ${failing}`);
  lines.push(
    `To undo that: rivulet recover ${commandOf(target)} --bookmark ${undoBookmark}`,
    "To see what does not fit now: rivulet doctor",
  );
  return lines.map(plain).join("\n");
}

function nameOf(target: RecoveryTarget): string {
  if (target.type === "partition") return `${target.topic}/${target.partition}`;
  return target.type === "group" ? `Group ${target.group}` : "The cluster";
}

function commandOf(target: RecoveryTarget): string {
  if (target.type === "partition") return `partition ${target.topic} ${target.partition}`;
  return target.type === "group" ? `group ${target.group}` : "cluster";
}
