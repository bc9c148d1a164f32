// Checks a recorded run: pure, from the events in the order of their times and the logs as read at the end. A file may lack
// its process's last line; then the checker knows less and never something wrong.
import { GroupCheck } from "./check-group.ts";
import { LogCheck, type Logs } from "./check-log.ts";
import { Findings } from "./findings.ts";
import type { Event } from "./history.ts";

export interface Verdict {
  readonly findings: Findings;
  /** The actions and counts, in printing order. */
  readonly counts: ReadonlyMap<string, number>;
}

/** `groups` names the topic that each group reads. */
export function check(
  events: Iterable<Event>,
  logs: Logs,
  groups: Readonly<Record<string, string>>,
): Verdict {
  const findings = new Findings();
  const log = new LogCheck(logs, findings);
  const checks = new Map<string, GroupCheck>();
  for (const [group, topic] of Object.entries(groups))
    checks.set(group, new GroupCheck(group, logs[topic] ?? [], findings));
  const groupOf = new Map<string, GroupCheck | undefined>();
  const faults = new Map<string, number>();

  for (const event of events) {
    log.onEvent(event);
    if (event.e === "fault") {
      faults.set(event.kind, (faults.get(event.kind) ?? 0) + 1);
    } else if (event.e === "stuck") {
      findings.add("liveness", event.detail);
    } else if (event.e === "committed") {
      checks.get(event.group)?.onEvent(event);
    } else {
      if (event.e === "member") groupOf.set(event.who, checks.get(event.group));
      groupOf.get(event.who)?.onEvent(event);
    }
  }
  log.finish(logs);
  for (const group of checks.values()) group.finish();
  return { findings, counts: countsOf(log, checks, faults) };
}

function countsOf(
  log: LogCheck,
  checks: ReadonlyMap<string, GroupCheck>,
  faults: ReadonlyMap<string, number>,
): Map<string, number> {
  const counts = new Map<string, number>([
    ["sends", log.sends],
    ["records acknowledged", log.acked],
    ["records of unknown outcome", log.unknown],
  ]);
  for (const [name, group] of checks) {
    counts.set(`${name}: deliveries`, group.deliveries);
    counts.set(`${name}: of these redeliveries`, group.redeliveries);
    counts.set(`${name}: commits looked at`, group.polls);
    counts.set(`${name}: assigned`, group.assignments);
    counts.set(`${name}: lost`, group.losses);
    counts.set(`${name}: gave up`, group.gaveUp);
    counts.set(`${name}: epochs`, group.epoch);
  }
  for (const [kind, count] of [...faults].sort()) counts.set(`fault: ${kind}`, count);
  return counts;
}
